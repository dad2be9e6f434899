//! The handle of a G: waiting for its result.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the result in a record; a ticket on a stack that waits")]

use crate::g::{Dropped, G, Gid};
use crate::m::fork::{end_in_fork, is_fork};
use crate::os::thread_id;
use crate::park::{checkpoint, current_g};
use crate::probe::fatal;
use crate::reason::{Kind, Owner, Party, Reason};
use crate::sched::{Entered, Shared};
use crate::shut_down::ShutDown;
use crate::user_code::contain;
use crate::wait::{Ticket, on_unwind};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard};
use std::thread;

/// A `join`. The owner of what it waits for is the G itself.
static JOIN: Reason = Reason::new("join", Kind::Goroutine).with_owner(|g| Some(Owner::of(Party::G(g as u64))));

/// How a G ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Returned,
    Panicked,
    ShutDown,
}

impl Ended {
    /// What the result says.
    #[inline]
    pub(crate) fn of<T>(result: &thread::Result<T>) -> Ended {
        match result {
            Ok(_) => Ended::Returned,
            Err(payload) if payload.is::<ShutDown>() => Ended::ShutDown,
            Err(_) => Ended::Panicked,
        }
    }
}

/// The handle's half of the join word, without the bounds that the public handles have.
pub(crate) struct JoinInner<T> {
    g: &'static G,
    result: PhantomData<fn() -> T>,
}

impl<T> JoinInner<T> {
    /// For a G that has been started with a handle; there is only this one.
    #[inline]
    pub(crate) fn new(g: &'static G) -> JoinInner<T> {
        JoinInner { g, result: PhantomData }
    }

    /// The G's number: the record is its own as long as there is a handle.
    pub(crate) fn id(&self) -> Gid {
        Gid(self.g.id())
    }

    /// Whether the result is there.
    pub(crate) fn is_finished(&self) -> bool {
        checkpoint();
        self.g.join.has_result()
    }

    /// Waits for the result and takes it.
    #[track_caller]
    pub(crate) fn join(self) -> thread::Result<T> {
        if current_g().is_some_and(|me| std::ptr::eq(me, self.g)) {
            panic!("join: a goroutine can not wait for its own end");
        }
        let word = &self.g.join;
        if !word.has_result() {
            let ticket = Ticket::for_caller();
            let address = address_of(&ticket);
            if word.wait(address) {
                let _known = Waiting::note(self.g);
                let g = self.g.id() as usize;
                // If the ticket cannot be taken back, the G is about to tell it.
                let unwound = on_unwind(|| {
                    if !word.withdraw(address) {
                        ticket.wait_uninterruptibly(&JOIN, g);
                    }
                });
                ticket.wait(&JOIN, g, None);
                unwound.disarm();
            }
        }
        self.finish()
    }

    /// Waits for the result and takes it, also when the runtime of the caller closes: the G borrows from the caller.
    pub(crate) fn join_uninterruptibly(self) -> thread::Result<T> {
        let word = &self.g.join;
        let ticket = Ticket::for_caller();
        if word.wait(address_of(&ticket)) {
            let _known = Waiting::note(self.g);
            ticket.wait_uninterruptibly(&JOIN, self.g.id() as usize);
        }
        self.finish()
    }

    /// Takes the result, which is there, and releases the record.
    fn finish(self) -> thread::Result<T> {
        let result = self.take();
        let g = self.g;
        std::mem::forget(self);
        release_record(g);
        result
    }

    /// Takes the result, which is there. Once.
    fn take(&self) -> thread::Result<T> {
        // SAFETY: RESULT is set, so the G has put it there, and it is the handle's.
        unsafe { self.g.storage.take() }
    }
}

impl<T> Drop for JoinInner<T> {
    /// Detaches the G, or drops its result if it has ended.
    #[inline]
    fn drop(&mut self) {
        match self.g.join.drop_handle() {
            Dropped::Detached => {}
            Dropped::HasResult => {
                drop_result(self.take());
                release_record(self.g);
            }
        }
    }
}

/// Drops a result that no handle will take.
pub(crate) fn drop_result<T>(result: thread::Result<T>) {
    if contain(|| drop(result)).is_none() {
        // As std does for threads: nothing is left to report it to.
        fatal("the result of a goroutine panicked while it was dropped");
    }
}

/// The form in which the join word holds the ticket of the joiner.
fn address_of(ticket: &Ticket) -> usize {
    std::ptr::from_ref(ticket).expose_provenance()
}

/// Tells and wakes the joiner of a G.
///
/// # Safety
/// The address is out of the G's join word, which has been settled just now.
#[inline]
pub(crate) unsafe fn tell_waiter(address: usize) {
    let ticket: *const Ticket = std::ptr::with_exposed_provenance(address);
    // SAFETY: the word holds the joiner's ticket, and only the G that settles it tells it.
    unsafe { Ticket::tell(ticket, ()) }.wake();
}

/// An OS thread that waits for the end of a G, for the deadlock check.
struct Waiting(u64);

/// A thread in a `join` or a `run`.
#[derive(Clone, Copy)]
pub(crate) struct WaitingThread {
    /// The G that it waits for, by record and number.
    record: &'static G,
    pub(crate) g: u64,
    /// The kernel's number of the thread.
    pub(crate) tid: i32,
}

impl WaitingThread {
    /// Whether it continues only if its G ends.
    pub(crate) fn is_stuck(&self) -> bool {
        self.record.id() == self.g && !self.record.join.has_result()
    }
}

/// The OS threads that wait for Gs.
static WAITING: Mutex<Vec<WaitingThread>> = Mutex::new(Vec::new());

fn waiting() -> MutexGuard<'static, Vec<WaitingThread>> {
    // Nothing panics under it but an allocation that fails, before anything was changed.
    WAITING.lock().unwrap_or_else(|e| e.into_inner())
}

impl Waiting {
    /// Registers that the caller waits for `g`. None if the caller is a G, which the check sees anyway.
    fn note(g: &'static G) -> Option<Waiting> {
        if current_g().is_some() {
            return None;
        }
        if is_fork() {
            end_in_fork("a thread waits for a goroutine of its parent");
        }
        waiting().push(WaitingThread { record: g, g: g.id(), tid: thread_id() });
        Some(Waiting(g.id()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut all = waiting();
        // A G has one handle, so no other thread waits for it.
        if let Some(at) = all.iter().position(|waiting| waiting.g == self.0) {
            all.swap_remove(at);
        }
    }
}

/// The OS threads that wait for Gs, of all runtimes.
pub(crate) fn all_waiting_threads() -> Vec<WaitingThread> {
    waiting().clone()
}

/// Why a thread waits that waits for the end of `g`, and on what.
pub(crate) fn join_of(g: u64) -> (&'static Reason, usize) {
    (&JOIN, g as usize)
}

/// The OS threads that wait for Gs of that runtime.
pub(crate) fn threads_waiting_in(shared: *const Shared) -> Vec<WaitingThread> {
    waiting().iter().filter(|waiting| std::ptr::eq(waiting.record.shared_ptr(), shared)).copied().collect()
}

/// The handle does not need the record any more.
#[inline]
fn release_record(g: &'static G) {
    if g.join.release_record() {
        g.clear();
        match Entered::new().as_ref().and_then(Entered::p) {
            Some(p) => p.free_gs().give(g),
            None => crate::g::give_free(g),
        }
    }
}

/// Waits for the end of a G; made by [`go`](crate::go). Dropping it detaches the G.
///
/// ```
/// # pirn::run(|| {
/// let failed = pirn::go(|| panic!("no")).join().unwrap_err();
/// assert_eq!(failed.downcast_ref::<&str>(), Some(&"no"));
/// # });
/// ```
pub struct JoinHandle<T>(JoinInner<T>);

// SAFETY: the handle owns the result, which is Send; the record behind it is made to be shared.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: a shared handle shows only whether the G has ended.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    #[inline]
    pub(crate) fn new(handle: JoinInner<T>) -> JoinHandle<T> {
        JoinHandle(handle)
    }

    /// Waits for the G to end and returns its result. A G parks; an OS thread sleeps.
    ///
    /// # Errors
    /// The payload of the G's panic, or [`ShutDown`] if its runtime was shut down, so that it was unwound or never
    /// began.
    ///
    /// # Panics
    /// If a G joins itself.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.0.join()
    }

    /// Whether the G has its result, so that [`join`](Self::join) returns at once.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The G's number.
    pub fn id(&self) -> Gid {
        self.0.id()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.id()).finish()
    }
}
