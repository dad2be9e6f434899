//! [`OnceLock`]: a value behind a [`Once`]. The value is written by the initialiser that the `Once` runs, and shared from
//! when that is complete.

#![allow(unsafe_code, reason = "the value behind a once")]

use crate::once::{AfterPanic, Once, UNTIL_COMPLETE};
use crate::waiting::Wait;
use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A value that is written once: [`std::sync::OnceLock`], for goroutines, OS threads and async tasks. A goroutine that
/// waits for another one's initialiser parks, and its thread runs others.
///
/// The initialiser runs under no lock, and may wait. If it panics, or is unwound because the runtime of its goroutine
/// shuts down (`pirn::ShutDown`), there is no value, and the next caller runs its own.
///
/// ```
/// use pirn::sync::OnceLock;
///
/// static NAME: OnceLock<String> = OnceLock::new();
///
/// pirn::run(|| {
///     let g = pirn::go(|| NAME.wait().len());
///     assert_eq!(NAME.get_or_init(|| "pirn".to_owned()), "pirn");
///     assert_eq!(g.join().unwrap(), 4);
/// });
/// ```
pub struct OnceLock<T> {
    once: Once,
    /// There is one from when the once is complete.
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value may be sent; one writes it, and it is shared afterwards.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}

impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// One without a value.
    #[cfg(not(loom))]
    pub const fn new() -> OnceLock<T> {
        OnceLock { once: Once::new(), value: UnsafeCell::new(None) }
    }

    /// One without a value.
    #[cfg(loom)]
    pub fn new() -> OnceLock<T> {
        OnceLock { once: Once::new(), value: UnsafeCell::new(None) }
    }

    /// The value, if there is one. This does not wait.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.once.is_completed().then(|| self.value())
    }

    /// The value, if there is one.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Waits until there is a value. This does not make one.
    ///
    /// # Panics
    /// If it is called by the initialiser.
    #[track_caller]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.value()
    }

    /// As [`wait`](Self::wait), for async tasks. The future may be dropped at any time. One that is forgotten
    /// ([`std::mem::forget`]) after it was polled stays in the line until it is told, which harms nobody.
    pub async fn wait_async(&self) -> &T {
        while !self.once.is_completed() {
            Wait::new(self.once.waits_in(UNTIL_COMPLETE)).await;
        }
        self.value()
    }

    /// Writes the value.
    ///
    /// # Errors
    /// The value comes back if there is one already, or another one makes it: this waits for that.
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("the initialiser runs once"));
        value.map_or(Ok(()), Err)
    }

    /// The value; if there is none, the one that `f` makes. If another one makes it already, this waits for that.
    ///
    /// # Panics
    /// If `f` panics, and then there is no value; or if it is called by its own initialiser.
    #[inline]
    #[track_caller]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<T, Infallible>(f())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// As [`get_or_init`](Self::get_or_init); if `f` returns an error there is no value. (It is not stable in std yet.)
    ///
    /// # Errors
    /// The error of `f`.
    ///
    /// # Panics
    /// As `get_or_init`.
    #[inline]
    #[track_caller]
    pub fn get_or_try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if !self.once.is_completed() {
            self.once.call(false, AfterPanic::Forget, |_| {
                let value = f()?;
                // SAFETY: one at a time runs this, and nobody reads before it is complete.
                unsafe { *self.value.get() = Some(value) };
                Ok(())
            })?;
        }
        Ok(self.value())
    }

    /// As [`get_or_init`](Self::get_or_init), with an initialiser that is async: `get_or_init` of tokio's `OnceCell`. If the
    /// future is dropped while the initialiser runs, or that panics, there is no value, and the next caller runs its own.
    ///
    /// A task whose initialiser asks for this very value waits for ever. So do all if the future is forgotten
    /// ([`std::mem::forget`]) while its initialiser runs.
    ///
    /// ```
    /// use pirn::sync::OnceLock;
    ///
    /// static ADDRESS: OnceLock<String> = OnceLock::new();
    ///
    /// let address = pirn::block_on(ADDRESS.get_or_init_async(|| async { "localhost".to_owned() }));
    /// assert_eq!(address, "localhost");
    /// ```
    pub async fn get_or_init_async<F, Fut>(&self, f: F) -> &T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        match self.get_or_try_init_async(|| async { Ok::<T, Infallible>(f().await) }).await {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// As [`get_or_init_async`](Self::get_or_init_async); if the initialiser resolves to an error there is no value.
    ///
    /// # Errors
    /// That of `f`.
    pub async fn get_or_try_init_async<F, Fut, E>(&self, f: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        if !self.once.is_completed()
            && let Some(running) = self.once.begin_async().await
        {
            let value = f().await?;
            // SAFETY: one at a time runs this, and nobody reads before it is complete.
            unsafe { *self.value.get() = Some(value) };
            running.complete();
        }
        Ok(self.value())
    }

    /// The value.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out, so that there is none.
    pub fn take(&mut self) -> Option<T> {
        self.once = Once::new();
        self.value.get_mut().take()
    }

    /// The value: the once is complete.
    #[inline]
    fn value(&self) -> &T {
        debug_assert!(self.once.is_completed());
        // SAFETY: nobody writes it any more.
        unsafe { &*self.value.get() }.as_ref().expect("it was written before the once was complete")
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> OnceLock<T> {
        let cell = OnceLock::new();
        // It is nobody else's, so nothing is there.
        _ = cell.set(value);
        cell
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> OnceLock<T> {
        self.get().cloned().map_or_else(OnceLock::new, OnceLock::from)
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &OnceLock<T>) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => debug.field(value),
            None => debug.field(&format_args!("<uninit>")),
        };
        debug.finish()
    }
}
