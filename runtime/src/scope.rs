//! Gs that borrow from the caller's stack.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "Gs that borrow from a stack that waits")]

use crate::g::{G, Gid};
use crate::go::{After, GoBuilder, expect_started, handle_without_g, leave_to_handle, start};
use crate::join::{Ended, JoinInner};
use crate::locals::Locals;
use crate::park::{current_g, in_closing, unwind_if_closing};
use crate::reason::{Kind, Reason};
use crate::wait::Ticket;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::thread;

/// The end of a [`scope`], which waits for the Gs that it started.
static SCOPE: Reason = Reason::new("scope", Kind::Scope);

/// Runs `f`, which may start Gs that borrow from the caller's stack, and waits for all of them.
///
/// As [`std::thread::scope`], it waits for Gs that were not joined, and panics if one of them panicked. So when it
/// returns, each of its Gs has returned, or a [`ScopedJoinHandle::join`] has reported that it has not, or a shutdown
/// has ended it early and `scope` was called in a destructor.
///
/// When the runtime is shut down, the Gs of a scope are unwound first, and then the G that waits for them: `scope`
/// unwinds with [`ShutDown`](crate::ShutDown), unless it was called in a destructor that runs while the G unwinds or
/// ends. There a panic would end the process, so it returns after its Gs have ended.
///
/// # Panics
/// If a G that was not joined panicked, or was unwound by a shutdown while the runtime of the caller continues.
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
        left: AtomicUsize::new(1),
        unheard: Unheard { panics: AtomicIsize::new(0), shutdowns: AtomicIsize::new(0) },
        ticket: Ticket::for_caller(),
        scope: PhantomData,
        env: PhantomData,
    };
    // Its Gs are waited for before its borrows end, also if `f` panics.
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // Acquire: what the Gs did (partner: the drop of a `Member`).
    if scope.left.fetch_sub(1, Ordering::AcqRel) != 1 {
        scope.ticket.wait_uninterruptibly(&SCOPE, scope.address());
    }
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(result) => {
            scope.unheard.unwind_if_any();
            result
        }
    }
}

/// Starts Gs that may borrow from outside of [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    /// The number of Gs that have not ended, plus one for `f`. If a G ends last, it tells the caller. It cannot
    /// overflow: each is a G with a record.
    left: AtomicUsize,
    unheard: Unheard,
    /// The ticket of the caller, which waits for the end of the scope.
    ticket: Ticket,
    /// Invariant, as in std: a longer or shorter 'scope would let borrows out.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// What a scope is called by: the address of the ticket of its caller.
fn address_of(ticket: &Ticket) -> usize {
    std::ptr::from_ref(ticket).addr()
}

/// How many Gs of a scope did not return, without a `join` that has reported it.
///
/// A G adds itself when its result is settled, and a `join` takes it off again, perhaps before: only when all have
/// ended, and with them all callers that may join, the numbers are exact. They wrap only after 2^63 Gs.
struct Unheard {
    panics: AtomicIsize,
    shutdowns: AtomicIsize,
}

impl Unheard {
    fn add(&self, ended: Ended, count: isize) {
        // Relaxed: the scope reads them after it has acquired `left`, or in the same thread.
        match ended {
            Ended::Returned => {}
            Ended::Panicked => _ = self.panics.fetch_add(count, Ordering::Relaxed),
            Ended::ShutDown => _ = self.shutdowns.fetch_add(count, Ordering::Relaxed),
        }
    }

    /// Unwinds the caller if there are any.
    #[track_caller]
    fn unwind_if_any(&self) {
        if self.panics.load(Ordering::Relaxed) != 0 {
            panic!("a scoped goroutine panicked");
        }
        if self.shutdowns.load(Ordering::Relaxed) == 0 {
            return;
        }
        match current_g() {
            // It does not unwind in a destructor, where that would abort.
            Some(g) if in_closing(g) => unwind_if_closing(g),
            _ => panic!("a scoped goroutine was unwound by a shutdown before its end"),
        }
    }
}

/// One running G of a scope. It counts from before its start until its result has been settled.
struct Member<'scope> {
    left: &'scope AtomicUsize,
    unheard: &'scope Unheard,
    ticket: &'scope Ticket,
}

impl<T> After<T> for Member<'_> {
    type Handle = JoinInner<T>;

    fn begin(&self, g: &'static G) {
        g.join.init();
        g.set_scope(address_of(self.ticket));
    }

    fn handle(g: &'static G) -> JoinInner<T> {
        JoinInner::new(g)
    }

    #[inline(always)]
    fn end(self, g: &'static G, locals: Locals, result: thread::Result<T>) {
        let ended = Ended::of(&result);
        leave_to_handle(g, locals, result);
        g.set_scope(0);
        self.unheard.add(ended, 1);
    }

    fn refuse(self, result: thread::Result<T>) -> JoinInner<T> {
        let ended = Ended::of(&result);
        let handle = handle_without_g(result);
        self.unheard.add(ended, 1);
        handle
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the scope has taken itself off and waits until it is told, and only one is the last.
            unsafe { Ticket::tell(self.ticket, ()) }.wake();
        }
    }
}

impl Scope<'_, '_> {
    /// What the records of its Gs have of it.
    pub(crate) fn address(&self) -> usize {
        address_of(&self.ticket)
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
        let options = builder.options(None, birthplace)?;
        self.left.fetch_add(1, Ordering::Relaxed);
        let member = Member { left: &self.left, unheard: &self.unheard, ticket: &self.ticket };
        // SAFETY: the scope is not left while a member has not ended (`scope`), and everything outlives 'scope.
        let handle = unsafe { start(options, f, member) }?;
        Ok(ScopedJoinHandle { handle, unheard: &self.unheard })
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("running", &self.left.load(Ordering::Relaxed).saturating_sub(1))
            .finish_non_exhaustive()
    }
}

/// Waits for the end of a G of a scope.
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinInner<T>,
    unheard: &'scope Unheard,
}

// SAFETY: as `JoinHandle`.
unsafe impl<T: Send> Send for ScopedJoinHandle<'_, T> {}
// SAFETY: as `JoinHandle`.
unsafe impl<T: Send> Sync for ScopedJoinHandle<'_, T> {}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the G to end and returns its result.
    ///
    /// # Errors
    /// The payload of the G's panic, or [`ShutDown`](crate::ShutDown) if its runtime was shut down, so that it was
    /// unwound or never began.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        let result = self.handle.join();
        // The caller knows of it now.
        self.unheard.add(Ended::of(&result), -1);
        result
    }

    /// Whether the G has its result.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The G's number.
    pub fn id(&self) -> Gid {
        self.handle.id()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}
