//! Programs that have no thread but their own, in which all wait: which of them are deadlocks, and are reported at once.
//! The program runs itself, once for each case.

#[path = "../../runtime/tests/common/deadlock_cases.rs"]
mod deadlock_cases;

use deadlock_cases::Case;
use pirn_runtime::go;
use pirn_sync::Pool;
use pirn_sync::context::Context;
use pirn_sync::group::ErrGroup;
use std::process::ExitCode;
use std::time::Duration;

const CASES: &[Case] = &[
    ("nobody_cancels", nobody_cancels, true),
    ("a_call_is_registered", a_call_is_registered, true),
    ("a_group_waits_for_its_own_end", a_group_waits_for_its_own_end, true),
    ("a_pool_has_values", a_pool_has_values, true),
    ("a_deadline", a_deadline, false),
];

fn nobody_cancels() {
    let (context, _cancel) = Context::background().with_cancel();
    context.wait();
}

/// It remembers the runtime of its caller, and does not count as something from outside.
fn a_call_is_registered() {
    let (context, _cancel) = Context::background().with_cancel();
    let _stop = context.after_func(|| unreachable!("nobody cancels"));
    let g = go(move || context.wait());
    _ = g.join();
}

fn a_group_waits_for_its_own_end() {
    let group = std::sync::Arc::new(ErrGroup::<()>::new());
    let inner = group.clone();
    group.go(move || inner.wait());
    _ = group.wait();
}

/// They will be dropped in some seconds, which is nothing to wait for.
fn a_pool_has_values() {
    static POOL: Pool<Vec<u8>> = Pool::new(|| Vec::with_capacity(100));
    drop(POOL.get());
    assert_eq!(POOL.kept(), 1);
    pirn_runtime::park();
}

fn a_deadline() {
    let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(50));
    let (child, _cancel) = context.with_cancel();
    child.wait();
}

fn main() -> ExitCode {
    deadlock_cases::run(CASES)
}
