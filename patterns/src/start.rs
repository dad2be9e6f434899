//! Work beside its caller: on a G of its own, or, if the caller is no G, on a thread of its own.

use pirn_channels::Sender;
use pirn_runtime::{current_gid, go};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// Runs `f` beside the caller, and sends what it returns, or the payload of its panic.
#[track_caller]
pub(crate) fn start<T, F>(to: Sender<thread::Result<T>>, f: F)
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let work = move || {
        let result = catch_unwind(AssertUnwindSafe(f));
        // Nobody may wait for it any more.
        drop(to.send(result));
    };
    if current_gid().is_some() {
        drop(go(work));
    } else {
        drop(thread::spawn(work));
    }
}
