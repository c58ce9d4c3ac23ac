//! Where code that waits for a disk runs.

/// Runs `work` where it may block, and returns what it returns.
///
/// It runs on the runtime's blocking pool. A simulation runs it in place, so that the order of disk
/// calls follows from the seed, and then lets the time pass that the disk took.
///
/// # Panics
///
/// When `work` panics, the panic goes on in the caller.
#[cfg(not(chronik_sim))]
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being dropped and will not poll this task again.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Runs `work` in place, then waits as long as the simulated disk took.
#[cfg(chronik_sim)]
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // What others caused is not this caller's to wait for.
    let _ = crate::sim::latency::disk_time();
    let value = work();
    crate::disk_time_passed().await;
    value
}
