//! Who has been heard of, and when: soft state of the active controller.
//!
//! **Invariants:** a broker is held to be silent only after the controller itself has been able to
//! hear for a full session timeout without interruption. Activation, a returned lease and a gap
//! in the controller's own time start all sessions anew: a controller that was paused for ten
//! seconds would otherwise fence the whole cluster. The one exception is the node that led before:
//! this one listened to it as a follower, and a leader that dies takes its broker along. Its session
//! counts from when it was last heard of, with at least half of it left at the activation, because
//! this node may have been paused then, or the other lives and only leads no more.

use std::collections::BTreeMap;
use std::time::Duration;

use chronik_metadata::Image;
use chronik_types::{BrokerEpoch, BrokerId, Monotonic};

use crate::bugs;

#[derive(Debug)]
pub(crate) struct Sessions {
    timeout: Duration,
    /// Since when this controller can hear without interruption.
    listening_since: Monotonic,
    /// The last moment the controller is known to have run.
    last_seen_running: Monotonic,
    contacts: BTreeMap<BrokerId, (BrokerEpoch, Monotonic)>,
    /// Who led before, and since when its session counts.
    predecessor: Option<(BrokerId, Monotonic)>,
}

impl Sessions {
    pub(crate) fn new(timeout: Duration, now: Monotonic) -> Self {
        Self {
            timeout,
            listening_since: now,
            last_seen_running: now,
            contacts: BTreeMap::new(),
            predecessor: None,
        }
    }

    /// Right after [`Self::new`]: `leader` led before and was last heard of at `heard`.
    pub(crate) fn succeed(&mut self, leader: BrokerId, heard: Monotonic) {
        let Monotonic(began) = self.listening_since;
        let earliest = Monotonic(began.saturating_sub(self.timeout / 2));
        self.predecessor = Some((leader, heard.clamp(earliest, self.listening_since)));
    }

    /// Starts all sessions anew.
    pub(crate) fn restart(&mut self, now: Monotonic) {
        self.last_seen_running = now;
        self.listen_anew(now);
    }

    /// The controller runs. A long silence of its own starts all sessions anew: it could not hear.
    pub(crate) fn observe(&mut self, now: Monotonic) {
        let was_away = now.since(self.last_seen_running) > self.timeout / 2;
        if was_away {
            self.listen_anew(now);
        }
        self.last_seen_running = self.last_seen_running.max(now);
    }

    fn listen_anew(&mut self, now: Monotonic) {
        if !bugs::fence_on_stale_sessions() {
            self.listening_since = now;
            self.predecessor = None;
        }
    }

    /// A broker has been heard of.
    pub(crate) fn touch(&mut self, id: BrokerId, epoch: BrokerEpoch, now: Monotonic) {
        self.contacts.insert(id, (epoch, now));
    }

    pub(crate) fn forget(&mut self, id: BrokerId) {
        self.contacts.remove(&id);
    }

    /// Whether this incarnation has been heard of within the session timeout.
    pub(crate) fn is_valid(&self, id: BrokerId, epoch: BrokerEpoch, now: Monotonic) -> bool {
        self.contacts
            .get(&id)
            .is_some_and(|(known, at)| *known == epoch && now.since(*at) < self.timeout)
    }

    /// The unfenced brokers of `image` whose sessions are over.
    pub(crate) fn silent(&self, image: &Image, now: Monotonic) -> Vec<BrokerId> {
        let over = |id| now.since(self.last_contact(id)) >= self.timeout;
        let unfenced = image.brokers().filter(|broker| !broker.fenced);
        unfenced.map(|broker| broker.id).filter(|id| over(*id)).collect()
    }

    /// When to look again: at the end of the first session, and often enough that a gap in the
    /// controller's own time is told from an idle time.
    pub(crate) fn next_deadline(&self, image: &Image) -> Monotonic {
        let ends = image
            .brokers()
            .filter(|broker| !broker.fenced)
            .map(|broker| self.last_contact(broker.id).after(self.timeout));
        let look = self.last_seen_running.after(self.timeout / 4);
        ends.min().map_or(look, |end| end.min(look))
    }

    fn last_contact(&self, id: BrokerId) -> Monotonic {
        let led = self.predecessor.filter(|(leader, _)| *leader == id);
        let since = led.map_or(self.listening_since, |(_, at)| at);
        let heard = self.contacts.get(&id).map(|(_, at)| *at);
        heard.map_or(since, |at| at.max(since))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chronik_metadata::record::{Change, RegisterBroker};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(9);

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn image() -> Image {
        let mut image = Image::default();
        for broker_id in [1, 2] {
            let record = RegisterBroker { broker_id, ..Default::default() };
            image.replay(&Change::RegisterBroker(record).into()).unwrap();
        }
        image
    }

    fn run(sessions: &mut Sessions, seconds: std::ops::RangeInclusive<u64>) {
        seconds.for_each(|second| sessions.observe(at(second)));
    }

    #[test]
    fn a_silent_broker_is_found_after_the_timeout_and_not_before() {
        let mut sessions = Sessions::new(TIMEOUT, at(0));
        run(&mut sessions, 0..=5);
        sessions.touch(BrokerId(1), BrokerEpoch(0), at(5));
        run(&mut sessions, 6..=8);
        assert!(sessions.silent(&image(), at(8)).is_empty());
        run(&mut sessions, 9..=9);
        assert_eq!(sessions.silent(&image(), at(9)), [BrokerId(2)]);
        assert_eq!(sessions.silent(&image(), at(14)), [BrokerId(1), BrokerId(2)]);
    }

    #[test]
    pub(crate) fn a_controller_that_was_paused_fences_nobody() {
        let mut sessions = Sessions::new(TIMEOUT, at(0));
        sessions.touch(BrokerId(1), BrokerEpoch(0), at(1));
        sessions.observe(at(100));
        assert!(sessions.silent(&image(), at(100)).is_empty());
        run(&mut sessions, 101..=108);
        assert!(sessions.silent(&image(), at(108)).is_empty());
        run(&mut sessions, 109..=109);
        assert_eq!(sessions.silent(&image(), at(109)).len(), 2);
    }

    #[test]
    fn a_returned_lease_starts_sessions_anew() {
        let mut sessions = Sessions::new(TIMEOUT, at(0));
        run(&mut sessions, 0..=8);
        sessions.restart(at(8));
        run(&mut sessions, 9..=16);
        assert!(sessions.silent(&image(), at(16)).is_empty());
        assert_eq!(sessions.silent(&image(), at(17)).len(), 2);
    }

    #[test]
    fn the_session_of_the_leader_before_counts_from_when_it_was_last_heard_of() {
        let start = |heard| {
            let mut sessions = Sessions::new(TIMEOUT, at(100));
            sessions.succeed(BrokerId(2), at(heard));
            sessions
        };
        // (last heard of, silent at, not silent a second before)
        for (heard, over) in [(98, 107), (96, 105), (90, 105), (0, 105), (200, 109)] {
            let mut sessions = start(heard);
            run(&mut sessions, 100..=over - 1);
            assert!(sessions.silent(&image(), at(over - 1)).is_empty(), "heard of at {heard}");
            assert!(sessions.next_deadline(&image()) <= at(over));
            run(&mut sessions, over..=over);
            assert!(sessions.silent(&image(), at(over)).contains(&BrokerId(2)), "{heard}");
        }
        // It lives, and has found the new controller.
        let mut sessions = start(98);
        run(&mut sessions, 100..=101);
        sessions.touch(BrokerId(2), BrokerEpoch(0), at(101));
        run(&mut sessions, 102..=109);
        assert_eq!(sessions.silent(&image(), at(109)), [BrokerId(1)]);
        assert_eq!(sessions.silent(&image(), at(110)).len(), 2);
        // A controller that could not hear knows nothing of it any more.
        let mut sessions = start(98);
        sessions.restart(at(101));
        run(&mut sessions, 102..=109);
        assert!(sessions.silent(&image(), at(109)).is_empty());
        let mut sessions = start(98);
        sessions.observe(at(106));
        run(&mut sessions, 107..=114);
        assert!(sessions.silent(&image(), at(114)).is_empty());
    }

    #[test]
    fn the_next_deadline_is_the_first_sessions_end_or_the_next_look() {
        let mut sessions = Sessions::new(TIMEOUT, at(0));
        let next = sessions.next_deadline(&image());
        assert_eq!(next, Monotonic(TIMEOUT / 4));
        run(&mut sessions, 0..=8);
        assert_eq!(sessions.next_deadline(&image()), at(9));
    }
}
