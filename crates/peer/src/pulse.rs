//! Whether both ends of one connection are alive, judged at ticks of a coarse timer.
//!
//! The hot path touches no timer: it only moves the counters of bytes. At a tick, a side that has
//! sent nothing since the last one sends a ping; a peer of which nothing has come for as many ticks
//! as make up the limit is gone. Only ticks that happened count, so a process that was stopped for
//! a while does not take its peers for gone when it goes on.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::{Unconstrained, unconstrained},
    time::{Sleep, sleep},
};

/// Ticks in the time after which a mute peer is gone.
const TICKS: u32 = 8;

/// One connection's ticks.
pub(crate) struct Pulse {
    period: Duration,
    mute_after: Duration,
    mute_for: Duration,
    received: u64,
    sent: u64,
    /// Outside the task's budget: a task that has used it up by reading must still tick.
    timer: Pin<Box<Unconstrained<Sleep>>>,
}

/// What a tick asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Nothing.
    Fine,
    /// Say something.
    Ping,
    /// The peer has been mute for this long.
    Mute(Duration),
}

impl Pulse {
    /// The peer is gone when mute for `mute_after`, and takes this side for gone after
    /// `peers_mute_after`.
    pub(crate) fn new(mute_after: Duration, peers_mute_after: Duration) -> Self {
        let period = (mute_after.min(peers_mute_after) / TICKS).max(Duration::from_millis(1));
        Self {
            period,
            mute_after,
            mute_for: Duration::ZERO,
            received: 0,
            sent: 0,
            timer: Box::pin(unconstrained(sleep(period))),
        }
    }

    /// The next tick. The counters are those of all bytes received and sent; `reading` tells
    /// whether this side would see what its peer says.
    pub(crate) fn poll_tick(
        &mut self,
        cx: &mut Context<'_>,
        received: u64,
        sent: u64,
        reading: bool,
    ) -> Poll<Tick> {
        if self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.timer.as_mut().set(unconstrained(sleep(self.period)));
        if received != std::mem::replace(&mut self.received, received) || !reading {
            self.mute_for = Duration::ZERO;
        } else {
            self.mute_for += self.period;
        }
        let silent = sent == std::mem::replace(&mut self.sent, sent);
        Poll::Ready(if self.mute_for >= self.mute_after {
            Tick::Mute(self.mute_for)
        } else if silent {
            Tick::Ping
        } else {
            Tick::Fine
        })
    }
}
