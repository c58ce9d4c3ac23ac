//! When the next attempt to connect may be made.
//!
//! After each failure the wait doubles up to a limit, and half of it is chance, so that many nodes
//! that lost one peer do not come back to it in step. News of the peer, such as a connection from
//! its side or another address, end the wait at once.

use std::time::Duration;

use chronik_env::{Clock, Rng};
use chronik_types::Monotonic;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};

/// The attempts at one peer on one channel.
#[derive(Debug, Default)]
pub(crate) struct Pacing {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Set exactly while `failures` is not zero.
    next: Option<Monotonic>,
}

impl Pacing {
    /// Waits until an attempt may be made.
    pub(crate) async fn turn(&self, clock: &dyn Clock) {
        loop {
            let news = self.news.notified();
            let Some(next) = self.state.lock().next else { return };
            tokio::select! {
                biased;
                () = news => {}
                () = sleep(next.since(clock.monotonic())) => return,
            }
        }
    }

    /// Notes that an attempt failed; whether it is the first one after a success.
    pub(crate) fn failed(
        &self,
        now: Monotonic,
        least: Duration,
        most: Duration,
        rng: &Rng,
    ) -> bool {
        let mut state = self.state.lock();
        let wait = wait_after(state.failures, least, most);
        let micros = u64::try_from(wait.as_micros() / 2).unwrap_or(u64::MAX);
        let chance = Duration::from_micros(rng.below(micros.saturating_add(1)));
        state.failures = state.failures.saturating_add(1);
        state.next = Some(now.after(wait / 2 + chance));
        state.failures == 1
    }

    /// Notes that an attempt succeeded, or that there is reason to think that one would.
    pub(crate) fn reset(&self) {
        *self.state.lock() = State::default();
        self.news.notify_waiters();
    }
}

/// The longest wait after this many failures and one more.
fn wait_after(failures: u32, least: Duration, most: Duration) -> Duration {
    let factor = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
    least.checked_mul(factor).unwrap_or(most).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::support::TokioClock;

    const LEAST: Duration = Duration::from_millis(50);
    const MOST: Duration = Duration::from_millis(300);

    fn fail(pacing: &Pacing, rng: &Rng) -> bool {
        pacing.failed(TokioClock.monotonic(), LEAST, MOST, rng)
    }

    /// How long the next attempt has to wait.
    async fn wait(pacing: &Pacing) -> Duration {
        let clock = TokioClock;
        let before = clock.monotonic();
        pacing.turn(&clock).await;
        clock.monotonic().since(before)
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_the_limit_and_half_of_each_is_chance() {
        let rng = Rng::from_seed(1);
        let mut waits = Vec::new();
        for (failures, longest) in (1..).zip([50, 100, 200, 300, 300]) {
            let pacing = Pacing::default();
            (0..failures).for_each(|_| {
                fail(&pacing, &rng);
            });
            let longest = Duration::from_millis(longest);
            let waited = wait(&pacing).await;
            assert!((longest / 2..=longest + Duration::from_millis(1)).contains(&waited));
            waits.push(waited);
        }
        assert_ne!(waits[3], waits[4]);
        for failures in [31, 32, 1000] {
            assert_eq!(wait_after(failures, LEAST, MOST), MOST);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn news_end_the_wait_and_make_the_next_one_short_again() {
        let (pacing, rng) = (Pacing::default(), Rng::from_seed(2));
        assert!(fail(&pacing, &rng));
        assert!((0..9).all(|_| !fail(&pacing, &rng)));
        let (waited, ()) = tokio::join!(wait(&pacing), async { pacing.reset() });
        assert_eq!(waited, Duration::ZERO);
        assert!(fail(&pacing, &rng));
        assert!(wait(&pacing).await <= LEAST + Duration::from_millis(1));
    }
}
