//! Incremental fetch sessions (KIP-227): what a consumer fetches is remembered, so that its
//! requests and our answers name only what changed. Pure: time is an argument.
//!
//! **Invariants**
//! - A session's epoch is the one its next request must carry; after `i32::MAX` comes 1.
//! - There are never more sessions than slots. A full cache makes room only by evicting one that
//!   was idle for [`EVICTION_IDLE`]; otherwise the fetch is answered without a session, which is
//!   always legal.
//! - Partitions that returned data move to the end of their session, so none starves the others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chronik_types::{ErrorCode, LeaderEpoch, Monotonic, Offset, TopicId};

/// How long a session must have been idle before another may take its slot.
pub(crate) const EVICTION_IDLE: Duration = Duration::from_secs(120);

/// How a request names a topic: by id from version 13 on, by name before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Name(Arc<str>),
    Id(TopicId),
}

/// What to fetch of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub topic: TopicKey,
    pub partition: i32,
    /// The epoch the client believes is current; `NONE` skips the check.
    pub current_leader_epoch: LeaderEpoch,
    pub fetch_offset: Offset,
    /// The epoch of the record before `fetch_offset`, as the client has it; `NONE` if unknown.
    pub last_fetched_epoch: LeaderEpoch,
    pub max_bytes: i32,
}

/// What an answer says of one partition, as far as a session must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub error: bool,
    pub bytes: usize,
    pub high_watermark: i64,
    pub log_start: i64,
    pub diverging: bool,
    pub elsewhere: bool,
}

/// How a request takes part in sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No session, now or after.
    Sessionless,
    /// A full fetch that would like one.
    Full,
    /// A fetch in this session.
    Incremental(i32),
}

/// The session part of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub id: i32,
    pub epoch: i32,
    pub by_topic_id: bool,
}

type Key = (TopicKey, i32);

#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    /// What the last answer said; `None` until one did.
    high_watermark: Option<i64>,
    log_start: Option<i64>,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    by_topic_id: bool,
    last_used: Monotonic,
    /// The partitions in the order in which they are served, and where each one is in it.
    order: BTreeMap<u64, Cached>,
    places: HashMap<Key, u64>,
    next_place: u64,
}

/// The sessions of this broker.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
    sessions: HashMap<i32, Session>,
}

impl FetchSessions {
    /// A cache of `slots` sessions (`max.incremental.fetch.session.cache.slots`).
    pub fn new(slots: usize) -> Self {
        Self { slots, sessions: HashMap::new() }
    }

    /// Takes a request in: what is to be fetched for it, in order.
    ///
    /// # Errors
    /// The top-level code of the answer when the session does not fit.
    pub fn begin(
        &mut self,
        now: Monotonic,
        asked: Asked,
        wanted: Vec<Wanted>,
        forgotten: &[Key],
    ) -> Result<(Kind, Vec<Wanted>), ErrorCode> {
        if asked.epoch == 0 || asked.epoch == -1 {
            self.sessions.remove(&asked.id);
            let kind = if asked.epoch == 0 { Kind::Full } else { Kind::Sessionless };
            return Ok((kind, wanted));
        }
        let session = self.sessions.get_mut(&asked.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.by_topic_id != asked.by_topic_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if session.epoch != asked.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.epoch = next_epoch(session.epoch);
        session.last_used = now;
        for key in forgotten {
            session.forget(key);
        }
        for part in wanted {
            session.want(part);
        }
        let all = session.order.values().map(|cached| cached.wanted.clone()).collect();
        Ok((Kind::Incremental(asked.id), all))
    }

    /// Takes an answer in: the session id it carries, and for each of `said` whether it is named.
    /// `draw` gives random numbers for a new session's id.
    pub fn finish(
        &mut self,
        now: Monotonic,
        kind: Kind,
        by_topic_id: bool,
        parts: &[(Wanted, Said)],
        mut draw: impl FnMut() -> i32,
    ) -> (i32, Vec<bool>) {
        match kind {
            Kind::Sessionless => (0, vec![true; parts.len()]),
            Kind::Full => {
                let id = self.open(now, by_topic_id, parts, &mut draw);
                (id, vec![true; parts.len()])
            }
            Kind::Incremental(id) => match self.sessions.get_mut(&id) {
                Some(session) => (id, parts.iter().map(|(w, s)| session.answer(w, *s)).collect()),
                // Closed by another request meanwhile; the next one will be told.
                None => (id, vec![true; parts.len()]),
            },
        }
    }

    fn open(
        &mut self,
        now: Monotonic,
        by_topic_id: bool,
        parts: &[(Wanted, Said)],
        draw: &mut impl FnMut() -> i32,
    ) -> i32 {
        if !self.make_room(now) {
            return 0;
        }
        let id = loop {
            let id = draw() & i32::MAX;
            if id != 0 && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            epoch: 1,
            by_topic_id,
            last_used: now,
            order: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        for (wanted, said) in parts {
            session.want(wanted.clone());
            session.answer(wanted, Said { bytes: 0, ..*said });
        }
        self.sessions.insert(id, session);
        id
    }

    fn make_room(&mut self, now: Monotonic) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let oldest = self.sessions.iter().min_by_key(|(id, session)| (session.last_used, **id));
        let Some((&id, session)) = oldest else { return false };
        if now.since(session.last_used) < EVICTION_IDLE {
            return false;
        }
        self.sessions.remove(&id);
        true
    }
}

impl Session {
    fn want(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.partition);
        if let Some(cached) = self.places.get(&key).and_then(|at| self.order.get_mut(at)) {
            cached.wanted = wanted;
            return;
        }
        let cached = Cached { wanted, high_watermark: None, log_start: None };
        self.push(key, cached);
    }

    fn push(&mut self, key: Key, cached: Cached) {
        self.places.insert(key, self.next_place);
        self.order.insert(self.next_place, cached);
        self.next_place += 1;
    }

    fn forget(&mut self, key: &Key) {
        if let Some(at) = self.places.remove(key) {
            self.order.remove(&at);
        }
    }

    /// Whether the answer must name the partition; remembers what it says of it.
    fn answer(&mut self, wanted: &Wanted, said: Said) -> bool {
        let key = (wanted.topic.clone(), wanted.partition);
        let Some(at) = self.places.get(&key).copied() else { return true };
        let Some(cached) = self.order.get_mut(&at) else { return true };
        let changed = cached.high_watermark != Some(said.high_watermark)
            || cached.log_start != Some(said.log_start);
        cached.high_watermark = Some(said.high_watermark);
        cached.log_start = Some(said.log_start);
        if said.error {
            // Named again next time, even if the error is the same.
            cached.high_watermark = None;
        }
        if said.bytes > 0
            && let Some(cached) = self.order.remove(&at)
        {
            self.push(key, cached);
        }
        changed || said.error || said.diverging || said.elsewhere || said.bytes > 0
    }
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(Duration::ZERO);

    fn wanted(partition: i32, offset: i64) -> Wanted {
        Wanted {
            topic: TopicKey::Name("t".into()),
            partition,
            current_leader_epoch: LeaderEpoch::NONE,
            fetch_offset: Offset(offset),
            last_fetched_epoch: LeaderEpoch::NONE,
            max_bytes: 1024,
        }
    }

    fn said(bytes: usize, high_watermark: i64) -> Said {
        Said {
            error: false,
            bytes,
            high_watermark,
            log_start: 0,
            diverging: false,
            elsewhere: false,
        }
    }

    fn ask(id: i32, epoch: i32) -> Asked {
        Asked { id, epoch, by_topic_id: false }
    }

    fn open(sessions: &mut FetchSessions, now: Monotonic, id: i32) -> i32 {
        let (kind, parts) =
            sessions.begin(now, ask(0, 0), vec![wanted(0, 0), wanted(1, 0)], &[]).expect("full");
        assert_eq!(kind, Kind::Full);
        let answers: Vec<_> = parts.into_iter().map(|w| (w, said(0, 5))).collect();
        sessions.finish(now, kind, false, &answers, || id).0
    }

    #[test]
    fn an_incremental_answer_names_only_what_changed() {
        let mut sessions = FetchSessions::new(2);
        let id = open(&mut sessions, NOW, 7);
        assert_eq!(id, 7);
        let (kind, parts) = sessions.begin(NOW, ask(7, 1), vec![], &[]).expect("known");
        assert_eq!(parts.len(), 2);
        let answers = vec![(wanted(0, 0), said(0, 5)), (wanted(1, 0), said(10, 6))];
        let (_, named) = sessions.finish(NOW, kind, false, &answers, || 0);
        assert_eq!(named, [false, true]);
    }

    #[test]
    fn partitions_that_returned_data_go_to_the_end() {
        let mut sessions = FetchSessions::new(2);
        open(&mut sessions, NOW, 7);
        let (kind, _) = sessions.begin(NOW, ask(7, 1), vec![], &[]).expect("known");
        sessions.finish(NOW, kind, false, &[(wanted(0, 0), said(9, 5))], || 0);
        let (_, parts) = sessions.begin(NOW, ask(7, 2), vec![wanted(0, 3)], &[]).expect("known");
        assert_eq!(parts, [wanted(1, 0), wanted(0, 3)]);
    }

    #[test]
    fn wrong_ids_and_epochs_are_told_apart() {
        let mut sessions = FetchSessions::new(2);
        open(&mut sessions, NOW, 7);
        let mut begin = |asked| sessions.begin(NOW, asked, vec![], &[]).map(|(kind, _)| kind);
        assert_eq!(begin(ask(8, 1)), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(begin(ask(7, 2)), Err(ErrorCode::InvalidFetchSessionEpoch));
        let by_id = Asked { by_topic_id: true, ..ask(7, 1) };
        assert_eq!(begin(by_id), Err(ErrorCode::FetchSessionTopicIdError));
        assert_eq!(begin(ask(7, 1)), Ok(Kind::Incremental(7)));
        assert_eq!(begin(ask(7, -1)), Ok(Kind::Sessionless), "closes it");
        assert_eq!(begin(ask(7, 2)), Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn forgotten_partitions_are_not_fetched() {
        let mut sessions = FetchSessions::new(2);
        open(&mut sessions, NOW, 7);
        let forgotten = [(TopicKey::Name("t".into()), 0)];
        let (_, parts) = sessions.begin(NOW, ask(7, 1), vec![], &forgotten).expect("known");
        assert_eq!(parts, [wanted(1, 0)]);
    }

    #[test]
    fn a_full_cache_gives_a_slot_only_of_an_idle_session() {
        let mut sessions = FetchSessions::new(1);
        assert_eq!(open(&mut sessions, NOW, 7), 7);
        assert_eq!(open(&mut sessions, NOW, 8), 0, "no slot, so no session");
        assert_eq!(open(&mut sessions, NOW.after(EVICTION_IDLE), 8), 8);
        assert_eq!(sessions.sessions.keys().collect::<Vec<_>>(), [&8]);
    }

    #[test]
    fn the_epoch_after_the_last_is_1() {
        assert_eq!(next_epoch(i32::MAX), 1);
    }

    #[test]
    fn an_error_is_named_until_it_is_gone() {
        let mut sessions = FetchSessions::new(1);
        open(&mut sessions, NOW, 7);
        for epoch in 1..4 {
            let (kind, _) = sessions.begin(NOW, ask(7, epoch), vec![], &[]).expect("known");
            let failed = Said { error: true, ..said(0, -1) };
            let (_, named) = sessions.finish(NOW, kind, false, &[(wanted(0, 0), failed)], || 0);
            assert_eq!(named, [true]);
        }
    }
}
