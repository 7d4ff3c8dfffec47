use std::time::Duration;

use criterion::Criterion;

/// Criterion, as the command line wants it, with the patience that a whole report allows.
#[must_use]
pub fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
}

/// Whether this is one pass to see that the bench still runs (`cargo test --bench "*"`), not a
/// measurement: cargo passes `--bench` to the latter only.
#[must_use]
pub fn is_smoke_run() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}
