//! [`LazyLock`]: a [`OnceLock`], and the initialiser until it is called. Without a value and without an initialiser it is
//! poisoned.

#![allow(unsafe_code, reason = "the initialiser of a lazy value")]

use crate::once_lock::OnceLock;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A value that is made when it is used first: [`std::sync::LazyLock`], for goroutines, OS threads and async tasks. A
/// goroutine that waits for another one's initialiser parks, and its thread runs others.
///
/// The initialiser runs under no lock, and may wait. If it panics, or is unwound because the runtime of its goroutine
/// shuts down (`pirn::ShutDown`), the value is poisoned: there is only one initialiser, and each later use panics. What
/// runtimes use that come after each other is better in a [`OnceLock`]; so is what async tasks make, as a use that has to
/// wait blocks the thread that polls the task.
///
/// ```
/// use pirn::sync::LazyLock;
///
/// static SQUARES: LazyLock<Vec<u32>> = LazyLock::new(|| (0..10).map(|n| n * n).collect());
///
/// pirn::run(|| {
///     let g = pirn::go(|| SQUARES[3]);
///     assert_eq!(g.join().unwrap() + SQUARES[2], 13);
/// });
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    init: Cell<Option<F>>,
}

// SAFETY: the initialiser is used by the one that makes the value, and may be sent; the value is as in a OnceLock.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}

impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F> LazyLock<T, F> {
    /// The value, if it has been made. This does not wait.
    pub fn get(this: &LazyLock<T, F>) -> Option<&T> {
        this.value.get()
    }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// One whose value `init` makes.
    #[cfg(not(loom))]
    pub const fn new(init: F) -> LazyLock<T, F> {
        LazyLock { value: OnceLock::new(), init: Cell::new(Some(init)) }
    }

    /// One whose value `init` makes.
    #[cfg(loom)]
    pub fn new(init: F) -> LazyLock<T, F> {
        LazyLock { value: OnceLock::new(), init: Cell::new(Some(init)) }
    }

    /// The value; makes it, or waits for another one that does, if it is not there.
    ///
    /// # Panics
    /// If the initialiser panics or has panicked; if it is called by the initialiser.
    #[inline]
    #[track_caller]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        this.value.get_or_init(|| match this.init.take() {
            Some(init) => init(),
            None => poisoned(),
        })
    }

    /// The value, to change it; makes it if it is not there.
    ///
    /// # Panics
    /// As [`force`](Self::force).
    #[track_caller]
    pub fn force_mut(this: &mut LazyLock<T, F>) -> &mut T {
        LazyLock::force(this);
        this.value.get_mut().expect("it has just been made")
    }
}

#[cold]
#[track_caller]
fn poisoned() -> ! {
    panic!("LazyLock instance has previously been poisoned");
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> LazyLock<T> {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("LazyLock");
        match LazyLock::get(self) {
            Some(value) => debug.field(value),
            None => debug.field(&format_args!("<uninit>")),
        };
        debug.finish()
    }
}
