//! `pirn`, but that `run` starts a runtime whose goroutines share the thread-locals of their threads.

pub use pirn_itself::*;

/// As [`pirn_itself::run`], in the other mode.
///
/// # Panics
/// As that does.
#[track_caller]
pub fn run<F, R>(f: F) -> R
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    // SAFETY: no example keeps a thread-local, or its address, while it waits.
    let builder = unsafe { Builder::new().shared_thread_locals() };
    builder.build().expect("a runtime can be built").run(f)
}
