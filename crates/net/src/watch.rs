//! The deadlines of one connection, judged at ticks of a coarse timer.
//!
//! The hot path must not touch a timer or a clock, so it only moves counters. At each tick the
//! counters are compared with those of the tick before; a span without the due change adds up
//! until it reaches its limit. Deadlines are therefore kept up to one tick late, never early.
//!
//! **Not here:** the timer itself (`driver`).

use std::time::Duration;

use crate::{CloseReason, Options};

/// A connection as a tick sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observed {
    /// Bytes read; only grows.
    pub received: u64,
    /// Frames completed; only grows.
    pub frames: u64,
    /// Bytes written; only grows.
    pub sent: u64,
    /// A frame has begun and is not complete.
    pub mid_frame: bool,
    /// Reading pauses until memory is free.
    pub waits_for_memory: bool,
    /// Reading pauses because of the connection's own requests or responses.
    pub paused: bool,
    /// Response bytes wait for the socket.
    pub unsent: bool,
    /// A request is being processed or its response waits for its turn.
    pub in_flight: bool,
    /// No more requests are taken.
    pub draining: bool,
    /// Others wait for memory, and the frame that has begun holds some.
    pub contended: bool,
}

/// The limits and how much of each is used up.
#[derive(Debug)]
pub(crate) struct Watch {
    rules: Rules,
    last: Observed,
    idle: Duration,
    stalled: Duration,
    waiting: Duration,
    draining: Duration,
    window: Window,
    window_contended: Window,
}

/// How much has come since when.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    span: Duration,
    received_before: u64,
}

impl Window {
    /// Whether a window of `length` ends now and brought less than `due`.
    fn ends_short(&mut self, length: Duration, due: u64, received: u64) -> bool {
        if self.span < length {
            return false;
        }
        let short = received - self.received_before < due;
        *self = Self { span: Duration::ZERO, received_before: received };
        short
    }
}

#[derive(Debug)]
struct Rules {
    idle: Option<Duration>,
    frame_progress: Duration,
    frame_bytes_min: u64,
    frame_progress_contended: Duration,
    frame_bytes_min_contended: u64,
    memory_wait: Duration,
    send_stall: Duration,
    drain: Duration,
}

impl Rules {
    /// How often to look while something is under way.
    fn busy_period(&self) -> Duration {
        let deadlines = [
            self.frame_progress,
            self.frame_progress_contended,
            self.memory_wait,
            self.send_stall,
            self.drain,
        ];
        (deadlines.into_iter().min().unwrap_or_default() / 4).max(Duration::from_millis(1))
    }

    /// How often to look otherwise.
    fn quiet_period(&self) -> Duration {
        const WITHOUT_LIMIT: Duration = Duration::from_secs(3600);
        self.idle.map_or(WITHOUT_LIMIT, |idle| (idle / 4).max(Duration::from_millis(1)))
    }
}

impl Watch {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            rules: Rules {
                idle: options.connections_max_idle,
                frame_progress: options.frame_progress,
                frame_bytes_min: options.frame_bytes_min,
                frame_progress_contended: options.frame_progress_contended,
                frame_bytes_min_contended: options.frame_bytes_min_contended,
                memory_wait: options.memory_wait,
                send_stall: options.send_stall,
                drain: options.drain,
            },
            last: Observed::default(),
            idle: Duration::ZERO,
            stalled: Duration::ZERO,
            waiting: Duration::ZERO,
            draining: Duration::ZERO,
            window: Window::default(),
            window_contended: Window::default(),
        }
    }

    /// How long until the next tick is due for a connection in this state.
    pub(crate) fn period(&self, now: &Observed) -> Duration {
        let quiet = self.rules.quiet_period();
        if now.mid_frame || now.waits_for_memory || now.unsent || now.draining {
            self.rules.busy_period().min(quiet)
        } else {
            quiet
        }
    }

    /// Judges the time since the last tick; the reason to close, if a limit is reached.
    pub(crate) fn tick(&mut self, elapsed: Duration, now: Observed) -> Option<CloseReason> {
        let last = std::mem::replace(&mut self.last, now);
        let exceeded = [
            (self.frame_too_slow(elapsed, &last, &now), CloseReason::SlowFrame),
            (self.waited_too_long(elapsed, &last, &now), CloseReason::MemoryTimeout),
            (self.peer_reads_nothing(elapsed, &last, &now), CloseReason::SendStalled),
            (self.drains_too_long(elapsed, &last, &now), CloseReason::Shutdown),
            (self.is_idle(elapsed, &last, &now), CloseReason::Idle),
        ];
        exceeded.into_iter().find_map(|(exceeded, reason)| exceeded.then_some(reason))
    }

    fn frame_too_slow(&mut self, elapsed: Duration, last: &Observed, now: &Observed) -> bool {
        let same_frame = now.mid_frame && last.mid_frame && now.frames == last.frames;
        let pauses = [now, last].iter().any(|seen| seen.waits_for_memory || seen.paused);
        let afresh = Window { span: Duration::ZERO, received_before: now.received };
        if !same_frame || pauses {
            self.window = afresh;
            self.window_contended = afresh;
            return false;
        }
        if !(now.contended && last.contended) {
            self.window_contended = afresh;
        } else {
            self.window_contended.span += elapsed;
        }
        self.window.span += elapsed;
        let rules = &self.rules;
        let (progress, due) = (rules.frame_progress, rules.frame_bytes_min);
        let short = self.window.ends_short(progress, due, now.received);
        let (progress, due) = (rules.frame_progress_contended, rules.frame_bytes_min_contended);
        short | self.window_contended.ends_short(progress, due, now.received)
    }

    fn waited_too_long(&mut self, elapsed: Duration, last: &Observed, now: &Observed) -> bool {
        let same = now.waits_for_memory && last.waits_for_memory && now.frames == last.frames;
        self.waiting = if same { self.waiting + elapsed } else { Duration::ZERO };
        self.waiting >= self.rules.memory_wait
    }

    fn peer_reads_nothing(&mut self, elapsed: Duration, last: &Observed, now: &Observed) -> bool {
        let same = now.unsent && last.unsent && now.sent == last.sent;
        self.stalled = if same { self.stalled + elapsed } else { Duration::ZERO };
        self.stalled >= self.rules.send_stall
    }

    fn drains_too_long(&mut self, elapsed: Duration, last: &Observed, now: &Observed) -> bool {
        let same = now.draining && last.draining;
        self.draining = if same { self.draining + elapsed } else { Duration::ZERO };
        self.draining >= self.rules.drain
    }

    fn is_idle(&mut self, elapsed: Duration, last: &Observed, now: &Observed) -> bool {
        let busy = now.in_flight || now.unsent || now.waits_for_memory;
        let quiet = !busy && now.received == last.received && now.sent == last.sent;
        self.idle = if quiet { self.idle + elapsed } else { Duration::ZERO };
        self.rules.idle.is_some_and(|limit| self.idle >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(&Options {
            connections_max_idle: Some(Duration::from_secs(40)),
            frame_progress: Duration::from_secs(8),
            frame_bytes_min: 100,
            frame_progress_contended: Duration::from_secs(4),
            frame_bytes_min_contended: 1000,
            memory_wait: Duration::from_secs(12),
            send_stall: Duration::from_secs(16),
            drain: Duration::from_secs(20),
            ..Options::default()
        })
    }

    /// Seconds until `watch` closes a connection that shows `at(second)` each second.
    fn closes(mut at: impl FnMut(u64) -> Observed) -> Option<(u64, CloseReason)> {
        let mut watch = watch();
        watch.tick(Duration::ZERO, at(0));
        (1..=200).find_map(|second| {
            watch.tick(Duration::from_secs(1), at(second)).map(|reason| (second, reason))
        })
    }

    #[test]
    fn a_silent_connection_is_idle_but_not_one_that_waits_for_its_answer() {
        assert_eq!(closes(|_| Observed::default()), Some((40, CloseReason::Idle)));
        assert_eq!(closes(|_| Observed { in_flight: true, ..Observed::default() }), None);
        assert_eq!(closes(|s| Observed { received: s / 30, ..Observed::default() }), None);
    }

    #[test]
    fn a_frame_must_bring_its_least_in_every_window() {
        let arriving = |per_second: u64, contended| {
            closes(|s| Observed {
                mid_frame: true,
                received: s * per_second,
                contended,
                ..Observed::default()
            })
        };
        assert_eq!(arriving(12, false), Some((8, CloseReason::SlowFrame)));
        assert_eq!(arriving(13, false), None);
        assert_eq!(arriving(249, true), Some((4, CloseReason::SlowFrame)));
        assert_eq!(arriving(250, true), None);
    }

    #[test]
    fn a_frame_is_not_slow_while_we_do_not_read_it() {
        let paused =
            |_| Observed { mid_frame: true, paused: true, in_flight: true, ..Observed::default() };
        assert_eq!(closes(paused), None);
        let waiting =
            |_| Observed { mid_frame: true, waits_for_memory: true, ..Observed::default() };
        assert_eq!(closes(waiting), Some((12, CloseReason::MemoryTimeout)));
    }

    #[test]
    fn a_peer_must_take_some_byte_within_the_limit() {
        let unsent = |sent| Observed { unsent: true, in_flight: true, sent, ..Observed::default() };
        assert_eq!(closes(|_| unsent(0)), Some((16, CloseReason::SendStalled)));
        assert_eq!(closes(|s| unsent(s / 15)), None);
    }

    #[test]
    fn draining_ends() {
        let draining = |_| Observed { draining: true, in_flight: true, ..Observed::default() };
        assert_eq!(closes(draining), Some((20, CloseReason::Shutdown)));
    }
}
