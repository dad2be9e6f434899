//! [`Notify`]: one word, by the protocol of `waiting.rs`.
//!
//! ```text
//!   PERMIT      somebody was to be notified, and nobody waited
//!   WAITERS     somebody waits; changed only in a turn
//!   the rest    how often all were notified; it may wrap
//! ```
//! PERMIT and WAITERS are never both set: each comes in one step that finds the other not set. So a permit is never left
//! while somebody waits. In a turn in which the line is empty WAITERS means nothing, and is taken back.
//!
//! A wait has the count of when it began, and a [`Notified`] that of when it was made. If that has changed before it
//! stands in the line, it has been notified.

#![allow(unsafe_code, reason = "futures that wait")]

use crate::loom::{AtomicUsize, Ordering};
use crate::lot::{Turn, Until, key_of};
use crate::waiting::{self, Awaited, Wait};
use pirn_runtime::internal::{Kind, Reason};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const PERMIT: usize = 1;
const WAITERS: usize = 1 << 1;
/// All were notified once.
const ONE_OF_ALL: usize = 1 << 2;

/// What those that wait are told: one was notified, or all were.
const ONE: usize = 0;
const ALL: usize = 1;

/// A G waits until it is notified.
static WAIT: Reason = Reason::new("sync.Notify.Wait", Kind::Object("notify"));

/// Tells one that waits, or all, that something has happened: tokio's `Notify`, for goroutines, OS threads and async
/// tasks.
///
/// [`notify_one`](Self::notify_one) lets the one continue that has waited longest. If nobody waits it leaves a permit, and
/// the next wait returns at once; there is one permit at most. [`notify_waiters`](Self::notify_waiters) lets all continue
/// that wait, and leaves nothing.
///
/// No notification is lost: one that was notified by `notify_one` and does not return, because its future is dropped or
/// its goroutine is unwound while the runtime shuts down (`pirn::ShutDown`), notifies another one in its place. One
/// whose time is over ([`wait_timeout`](Self::wait_timeout)) has either returned notified or was not.
///
/// ```
/// use pirn::sync::{Mutex, Notify};
///
/// static QUEUE: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// static PUSHED: Notify = Notify::new();
///
/// pirn::run(|| {
///     pirn::go(|| {
///         QUEUE.lock().push(7);
///         PUSHED.notify_one();
///     });
///     let value = loop {
///         let value = QUEUE.lock().pop();
///         match value {
///             Some(value) => break value,
///             None => PUSHED.wait(),
///         }
///     };
///     assert_eq!(value, 7);
/// });
/// ```
pub struct Notify {
    state: AtomicUsize,
}

impl Notify {
    /// One without a permit.
    #[cfg(not(loom))]
    pub const fn new() -> Notify {
        Notify { state: AtomicUsize::new(0) }
    }

    /// One without a permit.
    #[cfg(loom)]
    pub fn new() -> Notify {
        Notify { state: AtomicUsize::new(0) }
    }

    /// Lets the one continue that has waited longest. If nobody waits, the next that would wait does not. What the caller
    /// did before has happened for that one.
    #[inline]
    pub fn notify_one(&self) {
        // Release: what the caller did (partner: `has_come`). Also if there is a permit: the caller may have done more
        // since.
        if self.state.fetch_update(Ordering::Release, Ordering::Relaxed, leave_permit).is_err() {
            self.tell_one();
        }
    }

    #[cold]
    fn tell_one(&self) {
        let mut turn = Turn::of(key_of(self));
        turn.tell_rest();
        if turn.is_empty() {
            // They have left since, or are not in this process (lot I7): then the bit is still set. Release: as above.
            let leave = |state| Some(state & !WAITERS | PERMIT);
            _ = self.state.fetch_update(Ordering::Release, Ordering::Relaxed, leave);
        } else {
            turn.tell_first(ONE);
            self.left(&mut turn);
        }
    }

    /// Lets all continue that wait now, and those of each [`notified`](Self::notified) that was called before. What the
    /// caller did before has happened for them. Who comes later waits.
    pub fn notify_waiters(&self) {
        let count = |state: usize| (state & WAITERS == 0).then_some(state.wrapping_add(ONE_OF_ALL));
        // Release: what the caller did (partner: the Acquire in `Notified`).
        if self.state.fetch_update(Ordering::Release, Ordering::Relaxed, count).is_err() {
            let mut turn = Turn::of(key_of(self));
            // Release: as above.
            self.state.fetch_add(ONE_OF_ALL, Ordering::Release);
            turn.tell_all(ALL, |turn| self.left(turn));
        }
    }

    /// Waits until notified. If there is a permit this takes it, and returns at once.
    #[inline]
    pub fn wait(&self) {
        waiting::wait(&self.begin(), Until::Told);
    }

    /// Waits until notified, or until `timeout` has passed: then this is false.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        waiting::wait_timeout(&self.begin(), timeout)
    }

    pub(crate) fn wait_within(&self, until: Until<'_>) -> bool {
        waiting::wait(&self.begin(), until)
    }

    /// As [`wait`](Self::wait), for async tasks. The task waits in the line from when the future is polled first, or from
    /// [`Notified::enable`]; but `notify_waiters` counts from here. A future that is forgotten ([`std::mem::forget`]) after
    /// it was polled keeps its place in the line, and takes the notification that comes to it.
    ///
    /// ```
    /// let notify = pirn::sync::Notify::new();
    /// let notified = notify.notified();
    /// notify.notify_waiters();
    /// pirn::block_on(notified);
    /// ```
    pub fn notified(&self) -> Notified<'_> {
        Notified { is_over: false, wait: Wait::new(self.begin()) }
    }

    fn begin(&self) -> FromNow<'_> {
        FromNow { notify: self, all: self.state.load(Ordering::Relaxed) / ONE_OF_ALL }
    }

    /// In a turn: some have left the line.
    fn left(&self, turn: &mut Turn) {
        if turn.is_empty() {
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }
}

/// In `notify_one`: leaves a permit, unless somebody waits.
fn leave_permit(state: usize) -> Option<usize> {
    (state & WAITERS == 0).then_some(state | PERMIT)
}

/// What a wait waits for: to be notified from when it began.
struct FromNow<'a> {
    notify: &'a Notify,
    /// How often all had been notified then.
    all: usize,
}

impl FromNow<'_> {
    /// Changes the word in one step: takes the permit, or leaves it as it is if all were notified, or else does what
    /// `wait` says. False if that was none.
    fn take_or(&self, wait: impl Fn(usize) -> Option<usize>) -> bool {
        let take = |state: usize| match state {
            _ if state / ONE_OF_ALL != self.all => Some(state),
            _ if state & PERMIT != 0 => Some(state & !PERMIT),
            _ => wait(state),
        };
        // Acquire: what was done before it was notified (partner: `notify_one`, `notify_waiters`).
        let taken = self.notify.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, take);
        taken.is_ok_and(|state| state / ONE_OF_ALL != self.all || state & PERMIT != 0)
    }
}

impl Awaited for FromNow<'_> {
    fn reason(&self) -> &'static Reason {
        &WAIT
    }

    #[inline]
    fn has_come(&self) -> bool {
        self.take_or(|_| None)
    }

    fn has_waiters(&self) -> bool {
        self.notify.state.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn will_wait(&self) -> bool {
        !self.take_or(|state| Some(state | WAITERS))
    }

    fn left(&self, turn: &mut Turn) {
        self.notify.left(turn);
    }

    fn undo(&self, answer: usize) {
        if answer == ONE {
            self.notify.notify_one();
        }
    }

    fn key(&self) -> usize {
        key_of(self.notify)
    }
}

impl Default for Notify {
    fn default() -> Notify {
        Notify::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_permit = self.state.load(Ordering::Relaxed) & PERMIT != 0;
        f.debug_struct("Notify").field("has_permit", &has_permit).finish_non_exhaustive()
    }
}

/// What [`Notify::notified`] returns: resolves when it is notified.
///
/// It may be dropped at any time. If it has been notified as the one, another is notified in its place.
#[must_use = "futures do nothing unless they are polled"]
pub struct Notified<'a> {
    /// It has resolved, or `enable` has said that it will.
    is_over: bool,
    wait: Wait<FromNow<'a>>,
}

impl Notified<'_> {
    /// Begins to wait, if it has not, without a task: `notify_one` notifies it from now on, though nobody is woken before
    /// it is polled. True if it has been notified: then it resolves as soon as it is polled.
    ///
    /// With this one can look at a condition between the beginning of a wait and the wait itself:
    ///
    /// ```
    /// # use std::pin::pin;
    /// # let notify = pirn::sync::Notify::new();
    /// # notify.notify_one();
    /// let mut notified = pin!(notify.notified());
    /// notified.as_mut().enable();
    /// // Whatever happens from here on notifies it.
    /// pirn::block_on(notified);
    /// ```
    pub fn enable(self: Pin<&mut Self>) -> bool {
        if !self.is_over && self.wait.is_in_line() {
            // SAFETY: nothing is moved.
            let this = unsafe { self.get_unchecked_mut() };
            // SAFETY: it is pinned with the future.
            this.is_over = unsafe { Pin::new_unchecked(&mut this.wait) }.is_told();
            return this.is_over;
        }
        self.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: it is pinned with the future.
        this.is_over = this.is_over || unsafe { Pin::new_unchecked(&mut this.wait) }.poll(context).is_ready();
        if this.is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
#[path = "notify_loom.rs"]
mod models;
