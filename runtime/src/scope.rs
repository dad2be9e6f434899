//! Gs that borrow from the caller's stack.

use crate::g::Gid;
use crate::go::{After, GoBuilder, expect_started, start};
use crate::join::Handle;
use crate::park::{Unparker, park_uninterruptibly};
use crate::probe::WaitReason;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Runs `f`, which may start Gs that borrow from the caller's stack, and waits for all of them.
///
/// As [`std::thread::scope`]: Gs that were not joined are waited for, and if one of them panicked, `scope` panics. When
/// the runtime is shut down, the Gs of a scope are unwound before the one that waits for them.
///
/// # Panics
/// If a G panicked whose handle was not joined.
///
/// ```
/// # pirn::run(|| {
/// let mut numbers = vec![1, 2, 3];
/// let mut sum = 0;
/// pirn::scope(|s| {
///     s.go(|| sum = numbers.iter().sum());
/// });
/// numbers.push(sum);
/// assert_eq!(numbers, [1, 2, 3, 6]);
/// # });
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        running: AtomicUsize::new(0),
        panicked: AtomicBool::new(false),
        waiter: Unparker::current(),
        scope: PhantomData,
        env: PhantomData,
    };
    // Whatever `f` does, its Gs are waited for before its borrows end.
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // Acquire: what the Gs did (partner: `Ticket::after`).
    while scope.running.load(Ordering::Acquire) != 0 {
        park_uninterruptibly(WaitReason::Scope, 0);
    }
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.panicked.load(Ordering::Relaxed) => panic!("a scoped goroutine panicked"),
        Ok(result) => result,
    }
}

/// Starts Gs that may borrow from outside of [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    running: AtomicUsize,
    panicked: AtomicBool,
    waiter: Unparker,
    /// Invariant, as in std: a longer or shorter 'scope would let borrows out.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// One running G of a scope. It counts from before its start until its result has been settled.
struct Ticket<'scope> {
    running: &'scope AtomicUsize,
    panicked: &'scope AtomicBool,
    waiter: &'scope Unparker,
}

impl After for Ticket<'_> {
    fn after(self, unheard_panic: bool) {
        if unheard_panic {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        // The scope may be gone as soon as the count is down, so the unparker is taken before.
        let waiter = self.waiter.clone();
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            waiter.unpark();
        }
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a G that may borrow what lives longer than the scope.
    ///
    /// # Panics
    /// As [`go`](crate::go).
    #[track_caller]
    pub fn go<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        expect_started(self.try_go_as(GoBuilder::new(), f, Location::caller()))
    }

    /// Starts a G with a name or a stack limit of its own.
    ///
    /// # Panics
    /// As [`GoBuilder::go`].
    #[track_caller]
    pub fn go_with<F, T>(&'scope self, builder: GoBuilder, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        expect_started(self.try_go_as(builder, f, Location::caller()))
    }

    fn try_go_as<F, T>(
        &'scope self,
        builder: GoBuilder,
        f: F,
        birthplace: &'static Location<'static>,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let place = builder.place(None, birthplace)?;
        self.running.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket { running: &self.running, panicked: &self.panicked, waiter: &self.waiter };
        // SAFETY: the scope is not left while a ticket is out (`scope`), and everything outlives 'scope.
        let handle = unsafe { start(place, f, ticket) }?;
        Ok(ScopedJoinHandle { handle: Some(handle), panicked: &self.panicked })
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("running", &self.running).finish_non_exhaustive()
    }
}

/// Waits for the end of a G of a scope.
pub struct ScopedJoinHandle<'scope, T> {
    handle: Option<Handle<T>>,
    panicked: &'scope AtomicBool,
}

// SAFETY: as `JoinHandle`.
unsafe impl<T: Send> Send for ScopedJoinHandle<'_, T> {}
// SAFETY: as `JoinHandle`.
unsafe impl<T: Send> Sync for ScopedJoinHandle<'_, T> {}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the G to end and returns its result.
    ///
    /// # Errors
    /// What the G panicked with.
    #[track_caller]
    pub fn join(mut self) -> std::thread::Result<T> {
        self.handle.take().expect("only join and drop take it").join()
    }

    /// Whether the G has its result.
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_some_and(Handle::is_finished)
    }

    /// The G's number.
    pub fn id(&self) -> Gid {
        self.handle.as_ref().expect("only join and drop take it").id()
    }
}

impl<T> Drop for ScopedJoinHandle<'_, T> {
    fn drop(&mut self) {
        if self.handle.take().is_some_and(Handle::discard) {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}
