//! How the process ends.

/// Exit codes. A supervisor may restart on 1, 4 and 5; 2 and 3 need somebody to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command is done; for `start`: the node was asked to stop and stopped in order.
    Done = 0,
    /// The node could not be started.
    NotStarted = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Configuration = 3,
    /// The storage stopped, such as after a failed sync. What was acknowledged is on disk.
    Storage = 4,
    /// A second signal ended the node before it had stopped in order. What was acknowledged is on
    /// disk.
    Interrupted = 5,
}
