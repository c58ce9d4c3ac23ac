//! Bugs planted on order, so that tests can show that they would be seen. In a build that is not a
//! test each of these is the constant `false`.

#[cfg(test)]
mod planted {
    use std::cell::Cell;

    thread_local! {
        /// Per thread, because tests run side by side.
        static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Plants this bug, or none, in everything this thread does.
    pub fn plant(bug: Option<&'static str>) {
        PLANTED.set(bug);
    }

    pub fn is(bug: &str) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(test)]
pub use planted::plant;

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        $($(#[$doc])*
        #[inline]
        pub fn $name() -> bool {
            #[cfg(test)]
            return planted::is(stringify!($name));
            #[cfg(not(test))]
            return false;
        })+
    };
}

bugs! {
    /// A group is reported durable without a sync.
    leave_out_sync;
    /// Files are recycled although the last flush fact of a log is in them.
    forget_facts;
    /// What recovery read counts as durable as it is.
    trust_the_page_cache;
    /// A recovered journal ignores flush facts when it replays.
    replay_below_flushed;
    /// A file is used again although a log has unflushed records in it.
    recycle_unflushed;
    /// The vote is not repeated at the head of a file.
    forget_vote;
}
