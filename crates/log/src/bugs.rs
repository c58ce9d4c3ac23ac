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
    pub(crate) fn plant(bug: Option<&'static str>) {
        PLANTED.set(bug);
    }

    pub(crate) fn is(bug: &str) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(test)]
pub(crate) use planted::plant;

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        $($(#[$doc])*
        #[inline]
        pub(crate) fn $name() -> bool {
            #[cfg(test)]
            return planted::is(stringify!($name));
            #[cfg(not(test))]
            return false;
        })+
    };
}

bugs! {
    /// Recovery ignores TRUNCATE_TO.
    drop_truncations;
    /// The sidecar holds one batch for each producer, as Kafka's snapshot does.
    one_batch_sidecar;
    /// FLUSHED is journaled before the files are synced.
    leave_out_segment_sync;
    /// A new segment's directory entry is not synced.
    leave_out_directory_sync;
    /// Files of a truncated past stay where they are.
    keep_stale_files;
    /// Segments are unlinked before the start that allows it is durable.
    unlink_before_start_is_durable;
}
