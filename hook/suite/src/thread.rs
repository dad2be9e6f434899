//! `std::thread`, with Gs for its threads. What waits (`sleep`, `park`, `yield_now`) is std's, and hooked. What
//! std's `Builder` starts are threads.

pub use pirn_runtime::{JoinHandle, ScopedJoinHandle};
pub use std::thread::*;

/// As [`std::thread::spawn`].
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    pirn_runtime::go(f)
}

/// As [`std::thread::scope`].
pub fn scope<'env, F, R>(f: F) -> R
where
    F: for<'scope> FnOnce(&Scope<'scope, 'env>) -> R,
{
    pirn_runtime::scope(|scope| f(&Scope(scope)))
}

/// As [`std::thread::Scope`].
#[derive(Clone, Copy, Debug)]
pub struct Scope<'scope, 'env>(&'scope pirn_runtime::Scope<'scope, 'env>);

impl<'scope> Scope<'scope, '_> {
    /// Starts a G that may borrow what lives longer than the scope.
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.0.go(f)
    }
}
