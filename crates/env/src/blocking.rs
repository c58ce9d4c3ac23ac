//! Where code that waits for a disk runs.

/// Runs `work` where it may block, and returns what it returns.
///
/// It runs on the runtime's blocking pool; a build with the feature `sim` runs it in place, so that
/// the order of disk calls follows from the seed.
///
/// # Panics
///
/// When `work` panics, the panic goes on in the caller.
#[cfg(not(feature = "sim"))]
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

/// Runs `work` in place.
#[cfg(feature = "sim")]
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    work()
}
