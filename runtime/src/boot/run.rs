//! A runtime for one call.

use super::builder::Builder;

/// Starts a runtime from the environment, runs `f` as its first G, shuts it down, and returns the result.
///
/// # Panics
/// If the runtime cannot be built, with the error that [`Builder::build`] returns; and with the payload of `f` if it
/// panics.
#[track_caller]
pub fn run<F, R>(f: F) -> R
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    match Builder::new().build() {
        Ok(runtime) => runtime.run(f),
        Err(error) => panic!("pirn::run: {error}"),
    }
}
