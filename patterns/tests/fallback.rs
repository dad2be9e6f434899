//! Fallbacks.

use pirn_patterns::fallback::{Fallback, FallbackMetrics};
use pirn_sync::context::Context;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The figures of four ends.
fn figures(metrics: FallbackMetrics) -> [u64; 4] {
    [metrics.started, metrics.succeeded, metrics.recovered, metrics.failed]
}

#[test]
fn only_what_fails_falls_back() {
    let fallback = Fallback::new(|error: u32| if error > 9 { Err(error + 1) } else { Ok(error * 10) });
    assert_eq!(fallback.call(|| Ok(1)), Ok(1));
    assert_eq!(fallback.call(|| Err(2)), Ok(20));
    assert_eq!(fallback.call(|| Err(10)), Err(11));
    assert_eq!(figures(fallback.metrics()), [3, 1, 1, 1]);
}

#[test]
fn nobody_wants_the_fallback_of_a_context_that_has_ended() {
    let fallback = Fallback::new(|_: &str| panic!("nobody asked"));
    let (context, cancel) = Context::background().with_cancel();
    let result: Result<(), _> = fallback.call_ctx(&context, |_| {
        cancel.cancel();
        Err("cancelled")
    });
    assert_eq!(result, Err("cancelled"));
    assert_eq!(figures(fallback.metrics()), [1, 0, 0, 1]);
}

#[test]
fn a_panic_is_an_end_too() {
    let fallback = Fallback::new(|_: u32| panic!("the fallback breaks"));
    let call = |first: fn() -> Result<(), u32>| catch_unwind(AssertUnwindSafe(|| fallback.call(first)));
    assert!(call(|| panic!("the call breaks")).is_err());
    assert!(call(|| Err(1)).is_err());
    assert_eq!(figures(fallback.metrics()), [2, 0, 0, 2]);
}
