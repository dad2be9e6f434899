//! The part of `std::thread` and of `crossbeam_utils::thread` that the tests use.

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use pirn_runtime::{JoinHandle, ScopedJoinHandle, sleep, yield_now};
pub use std::thread::{Result, panicking};

/// As [`std::thread::spawn`].
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    pirn_runtime::go(f)
}

/// As `crossbeam_utils::thread::scope`: an error if a G panicked that was not joined.
///
/// # Errors
/// What the scope panicked with.
pub fn scope<'env, F, R>(f: F) -> Result<R>
where
    F: for<'scope> FnOnce(&Scope<'scope, 'env>) -> R,
{
    catch_unwind(AssertUnwindSafe(|| pirn_runtime::scope(|scope| f(&Scope(scope)))))
}

/// As `crossbeam_utils::thread::Scope`.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'scope, 'env>(&'scope pirn_runtime::Scope<'scope, 'env>);

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a G that may borrow what lives longer than the scope.
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce(&Scope<'scope, 'env>) -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let scope = *self;
        self.0.go(move || f(&scope))
    }
}
