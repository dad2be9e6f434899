//! The models' substitutes for parking, time and chance.

#![allow(unsafe_code, reason = "as the verbs of `park` that it stands for")]

use crate::g::{LineLock, LinePark, Runs};
use crate::loom::Arc;
use crate::reason::{Party, Reason};
use loom::sync::{Condvar, Mutex};
use std::cell::Cell;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Wakes a thread of the model, or a task.
#[derive(Debug)]
pub struct Unparker(Target);

#[derive(Debug)]
enum Target {
    Thread(Arc<Seat>),
    Task(Waker),
}

impl Unparker {
    /// The one that wakes the caller.
    pub fn current() -> Unparker {
        Unparker(Target::Thread(SEAT.with(Arc::clone)))
    }

    /// The one that wakes the caller, its word, and a moment: there is no time in a model.
    pub fn current_at() -> (Unparker, u64, u64) {
        (Unparker::current(), party_word(), now_ns())
    }

    /// Makes its park return.
    pub fn unpark(&self) {
        match &self.0 {
            Target::Thread(seat) => seat.unpark(),
            Target::Task(waker) => waker.wake_by_ref(),
        }
    }
}

impl Unparker {
    /// A model has no caches.
    pub fn prefetch(&self) {}

    /// In a model all run at once.
    pub fn unpark_to_run(&self, _when: Runs) {
        self.unpark();
    }

    /// Ends the park of a thread in its line.
    pub(crate) unsafe fn ready(&self, _when: Runs) {
        match &self.0 {
            Target::Thread(seat) => seat.ready(),
            Target::Task(_) => unreachable!("a task does not park in a line"),
        }
    }

    /// The same for one that may be gone as soon as the waiter is ready.
    pub(crate) unsafe fn ready_from(unparker: *const Unparker, when: Runs) {
        // SAFETY: it is used up.
        let unparker = unsafe { unparker.read() };
        // SAFETY: as the caller promises.
        unsafe { unparker.ready(when) };
    }
}

loom::thread_local! {
    static PARKS_IN_LINES: Cell<bool> = Cell::new(false);
}

/// From here on the calling thread parks in lines, as a G.
#[cfg(test)]
pub(crate) fn park_in_lines() {
    PARKS_IN_LINES.with(|parks| parks.set(true));
}

/// A thread waits as by the park word, unless it has chosen otherwise. Then nothing but `ready` ends the park.
pub(crate) unsafe fn park_in_line<L>(line: &LinePark, lock: &L, _: &'static Reason, _: usize)
where
    L: LineLock + 'static,
{
    if !PARKS_IN_LINES.with(Cell::get) {
        return lock.unlock();
    }
    let seat = SEAT.with(Arc::clone);
    line.begin(lock);
    lock.unlock();
    seat.wait_until_ready();
}

impl From<Waker> for Unparker {
    fn from(waker: Waker) -> Unparker {
        Unparker(Target::Task(waker))
    }
}

/// Where a thread of the model parks. Loom's own `unpark` also wakes who waits for something else.
#[derive(Debug)]
struct Seat {
    has_token: Mutex<bool>,
    unparked: Condvar,
    is_ready: Mutex<bool>,
    made_ready: Condvar,
}

impl Seat {
    fn park(&self) {
        let mut has_token = self.has_token.lock().expect("no panic");
        while !*has_token {
            has_token = self.unparked.wait(has_token).expect("no panic");
        }
        *has_token = false;
    }

    fn wait_until_ready(&self) {
        let mut is_ready = self.is_ready.lock().expect("no panic");
        while !*is_ready {
            is_ready = self.made_ready.wait(is_ready).expect("no panic");
        }
        *is_ready = false;
    }

    fn ready(&self) {
        *self.is_ready.lock().expect("no panic") = true;
        self.made_ready.notify_one();
    }

    fn unpark(&self) {
        *self.has_token.lock().expect("no panic") = true;
        self.unparked.notify_one();
    }
}

loom::thread_local! {
    static SEAT: Arc<Seat> = Arc::new(Seat {
        has_token: Mutex::new(false),
        unparked: Condvar::new(),
        is_ready: Mutex::new(false),
        made_ready: Condvar::new(),
    });
}

loom::thread_local! {
    static PARTY: Party = Party::Thread(next_party());
}

/// A number that no other thread of any run of a model has. It is no part of what is tried, so it is std's.
fn next_party() -> i32 {
    static NEXT: AtomicI32 = AtomicI32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The word of the party that calls: the thread.
pub fn party_word() -> u64 {
    PARTY.with(|party| party.to_word())
}

/// Parks the thread.
pub fn park_on(_: &'static Reason, _: usize) {
    SEAT.with(Arc::clone).park();
}

/// Parks the thread: no runtime closes in a model.
pub(crate) fn park_uninterruptibly(reason: &'static Reason, what: usize) {
    park_on(reason, what);
}

/// There is no time in a model: a caller with a deadline yields some times, and then the deadline has come.
pub fn park_until(_: &'static Reason, _: usize, _: Instant) {
    loom::thread::yield_now();
}

/// There is no time in a model.
pub fn sleep(_: Duration) {
    loom::thread::yield_now();
}

loom::thread_local! {
    static ASKED: Cell<u32> = Cell::new(0);
}

/// Every third time that a thread asks, the moment has come.
pub fn has_come(_: Instant) -> bool {
    ASKED.with(|asked| {
        asked.set(asked.get() + 1);
        asked.get() % 3 == 0
    })
}

/// A moment, for callers that compute with it. No model waits for it.
pub fn now() -> Instant {
    Instant::now()
}

/// The same.
pub fn now_ns() -> u64 {
    0
}

/// Chance has no part in a model: loom tries all orders.
pub fn random_below(_n: usize) -> usize {
    0
}

/// Nobody is asked to let others run.
pub fn checkpoint() {}

/// A thread of a model does not spin.
pub fn may_spin() -> bool {
    false
}

/// The scheduler of loom tries all orders by itself.
pub fn give_way() {}
