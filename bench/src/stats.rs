//! Percentiles of a set of times.

use std::time::Duration;

/// Times of one run, sorted.
pub struct Times(Vec<Duration>);

impl Times {
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time below which `share` (0 to 1) of all lie.
    pub fn percentile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let at = (share * last as f64).round() as usize;
        self.0.get(at).copied().unwrap_or_default()
    }

    /// One line: count, rate and percentiles in microseconds.
    pub fn line(&self, over: Duration) -> String {
        let micros = |share| self.percentile(share).as_secs_f64() * 1e6;
        format!(
            "{} in {:.1} s = {:.0}/s  p50 {:.0} µs  p90 {:.0} µs  p99 {:.0} µs  p99.9 {:.0} µs",
            self.count(),
            over.as_secs_f64(),
            self.count() as f64 / over.as_secs_f64(),
            micros(0.5),
            micros(0.9),
            micros(0.99),
            micros(0.999),
        )
    }
}
