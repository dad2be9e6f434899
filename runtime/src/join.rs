//! The handle of a G: waiting for its result.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the result in a record; a ticket on a stack that waits")]

use crate::g::{Dropped, G, Gid};
use crate::m::fork::{end_in_fork, is_fork};
use crate::os::thread_id;
use crate::os::{Mutex, MutexGuard};
use crate::park::{Unparker, checkpoint, current_g, now};
use crate::probe::fatal;
use crate::reason::{Kind, Owner, Party, Reason};
use crate::sched::{Entered, Shared};
use crate::shut_down::ShutDown;
use crate::user_code::contain;
use crate::wait::{Ticket, Told, discard, on_unwind};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

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
        self.wait(None);
        self.finish()
    }

    /// Waits for the result. False: the deadline has passed.
    #[inline(always)]
    #[track_caller]
    fn wait(&self, deadline: Option<Instant>) -> bool {
        if current_g().is_some_and(|me| std::ptr::eq(me, self.g)) {
            panic!("join: a goroutine can not wait for its own end");
        }
        let word = &self.g.join;
        if word.has_result() {
            return true;
        }
        self.withdraw_task();
        let joiner = Joiner(Ticket::for_caller());
        let (ticket, address) = (&joiner.0, joiner.address());
        if !word.wait(address) {
            return true;
        }
        // With a deadline it continues by itself.
        let _known = if deadline.is_none() { Waiting::note(self.g) } else { None };
        let g = self.g.id() as usize;
        // If the ticket cannot be taken back, the G is about to tell it.
        let withdraw = || {
            let is_withdrawn = word.withdraw(address);
            if !is_withdrawn {
                ticket.wait_uninterruptibly(&JOIN, g);
            }
            is_withdrawn
        };
        let unwound = on_unwind(|| _ = withdraw());
        let ended = ticket.wait(&JOIN, g, deadline);
        unwound.disarm();
        ended || !withdraw()
    }

    /// Waits for the result and takes it, also when the runtime of the caller closes: the G borrows from the caller.
    pub(crate) fn join_uninterruptibly(self) -> thread::Result<T> {
        let word = &self.g.join;
        let joiner = Joiner(Ticket::for_caller());
        if word.wait(joiner.address()) {
            let _known = Waiting::note(self.g);
            joiner.0.wait_uninterruptibly(&JOIN, self.g.id() as usize);
        }
        self.finish()
    }

    /// Has a task woken when the result is there. Ready: it is.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_finished() {
            return Poll::Ready(());
        }
        // To clone a waker is the user's code, so it comes first.
        let task = Box::new(JoiningTask(Unparker::from(context.waker().clone())));
        self.withdraw_task();
        let task = Box::into_raw(task);
        if self.g.join.wait_as_task(task.expose_provenance()) {
            return Poll::Pending;
        }
        // SAFETY: the word has not taken it.
        discard(unsafe { Box::from_raw(task) }.0);
        Poll::Ready(())
    }

    /// Takes the task back that was to be woken, if there is one.
    #[inline]
    fn withdraw_task(&self) {
        if let Some(address) = self.g.join.withdraw_task() {
            // SAFETY: the word has given it back.
            discard(unsafe { JoiningTask::at(address) }.0);
        }
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
            Dropped::HasTask => self.drop_with_task(),
        }
    }
}

impl<T> JoinInner<T> {
    /// As the drop, with a task that was to be woken.
    #[cold]
    fn drop_with_task(&self) {
        self.withdraw_task();
        // Without a task there are two ends only.
        if self.g.join.drop_handle() != Dropped::Detached {
            drop_result(self.take());
            release_record(self.g);
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

/// A joiner that parks, on its stack. Its address leaves room for the flags of the join word.
#[repr(align(16))]
struct Joiner(Ticket);

impl Joiner {
    /// The form in which the join word holds it.
    fn address(&self) -> usize {
        std::ptr::from_ref(&self.0).expose_provenance()
    }
}

/// A joiner that is a task, in a box: the join word owns it. Its address leaves room for the flags.
#[repr(align(16))]
struct JoiningTask(Unparker);

impl JoiningTask {
    /// The one that the join word has had.
    ///
    /// # Safety
    /// The word has given it up, to the caller.
    unsafe fn at(address: usize) -> Box<JoiningTask> {
        // SAFETY: it came from `Box::into_raw`, and is the caller's.
        unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut(address)) }
    }
}

/// Wakes the task that waits for a G.
///
/// # Safety
/// The address is out of the G's join word, which has been settled just now.
#[cold]
pub(crate) unsafe fn wake_task(address: usize) {
    // SAFETY: as the caller promises.
    let task = unsafe { JoiningTask::at(address) };
    Told::from(task.0).wake();
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
///
/// It is a future too, for async tasks on any runtime. Its output is what [`join`](Self::join) returns. A `&mut` of it may
/// be polled as well, and be left: the next poll, or `join`, gets the result. Dropping it detaches the G here too.
///
/// ```
/// # pirn::run(|| {
/// let six = pirn::go(|| 6);
/// let seven = pirn::go(|| 7);
/// let product = pirn::block_on(async { six.await.unwrap() * seven.await.unwrap() });
/// assert_eq!(product, 42);
/// # });
/// ```
///
/// # Panics
/// As a future, if it is polled again after it has given the result, or joined then.
pub struct JoinHandle<T>(
    /// None: a poll has given the result.
    Option<JoinInner<T>>,
);

// SAFETY: the handle owns the result, which is Send; the record behind it is made to be shared.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: a shared handle shows only whether the G has ended.
unsafe impl<T: Send> Sync for JoinHandle<T> {}
// The result lies in the record of the G.
impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    #[inline]
    pub(crate) fn new(handle: JoinInner<T>) -> JoinHandle<T> {
        JoinHandle(Some(handle))
    }

    #[inline]
    #[track_caller]
    fn inner(&self) -> &JoinInner<T> {
        self.0.as_ref().expect(RESULT_GIVEN)
    }

    /// Waits for the G to end and returns its result. A G parks; an OS thread sleeps.
    ///
    /// # Errors
    /// The payload of the G's panic, or [`ShutDown`] if its runtime was shut down, so that it was unwound or never
    /// began.
    ///
    /// # Panics
    /// If a G joins itself.
    #[inline]
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        self.0.expect(RESULT_GIVEN).join()
    }

    /// As [`join`](Self::join), but waits for `timeout` at most.
    ///
    /// It takes the handle, as `join` does, so that a result cannot be asked for twice; and gives it back if the time is
    /// over.
    ///
    /// # Errors
    /// The handle, if the G has not ended in time.
    ///
    /// # Panics
    /// If a G joins itself.
    ///
    /// ```
    /// # pirn::run(|| {
    /// use std::time::Duration;
    ///
    /// let (s, r) = pirn::channel::bounded(0);
    /// let g = pirn::go(move || r.recv().unwrap());
    /// let g = g.join_timeout(Duration::from_millis(1)).unwrap_err();
    /// s.send(5).unwrap();
    /// assert_eq!(g.join_timeout(Duration::from_secs(60)).unwrap().unwrap(), 5);
    /// # });
    /// ```
    #[track_caller]
    pub fn join_timeout(self, timeout: Duration) -> Result<thread::Result<T>, JoinHandle<T>> {
        // A deadline that an `Instant` cannot hold never comes.
        if !self.inner().wait(now().checked_add(timeout)) {
            return Err(self);
        }
        Ok(self.0.expect(RESULT_GIVEN).finish())
    }

    /// Whether the G has its result, so that [`join`](Self::join) returns at once.
    pub fn is_finished(&self) -> bool {
        self.0.as_ref().is_none_or(JoinInner::is_finished)
    }

    /// The G's number.
    ///
    /// # Panics
    /// If a poll has given the result: the number may be forgotten then.
    #[track_caller]
    pub fn id(&self) -> Gid {
        self.inner().id()
    }
}

/// What is wrong when a handle is used after its end.
const RESULT_GIVEN: &str = "this JoinHandle has given the result already, to who has polled it";

impl<T> Future for JoinHandle<T> {
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<thread::Result<T>> {
        if self.inner().poll(context).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(self.0.take().expect(RESULT_GIVEN).finish())
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(inner) => f.debug_tuple("JoinHandle").field(&inner.id()).finish(),
            None => f.write_str("JoinHandle(its result was given)"),
        }
    }
}
