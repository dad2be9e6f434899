//! What the models have in the place of std and the runtime.

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::Arc;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU8, AtomicUsize, Ordering, fence};
use loom::sync::{Condvar, Mutex};
pub(crate) use loom::thread::yield_now as yield_thread;
use pirn_runtime::internal::Reason;
use std::cell::Cell;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// The model is told by the scheduler of loom who waits: any pause is a chance for others.
pub(crate) fn pause(_: u32) {
    loom::thread::yield_now();
}

/// Where those stand who want the lock: loom can not see that who spins waits. The lock has models of its own, which
/// do not come by here.
#[derive(Debug)]
pub(crate) struct Gate {
    is_held: Mutex<bool>,
    given_back: Condvar,
    number: usize,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        static NUMBERS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Gate { is_held: Mutex::new(false), given_back: Condvar::new(), number }
    }

    /// Addresses are others in each run of a model.
    pub(crate) fn order(&self, _: usize) -> usize {
        self.number
    }

    pub(crate) fn enter(&self) {
        let mut is_held = self.is_held.lock().expect("no panic");
        while *is_held {
            is_held = self.given_back.wait(is_held).expect("no panic");
        }
        *is_held = true;
    }

    pub(crate) fn leave(&self) {
        *self.is_held.lock().expect("no panic") = false;
        self.given_back.notify_one();
    }
}

/// Wakes a thread of the model, or a task.
#[derive(Debug)]
pub(crate) enum Unparker {
    Thread(Arc<Seat>),
    Task(Waker),
}

impl Unparker {
    pub(crate) fn current() -> Unparker {
        Unparker::Thread(SEAT.with(Arc::clone))
    }

    pub(crate) fn unpark(&self) {
        match self {
            Unparker::Thread(seat) => seat.unpark(),
            Unparker::Task(waker) => waker.wake_by_ref(),
        }
    }
}

impl From<Waker> for Unparker {
    fn from(waker: Waker) -> Unparker {
        Unparker::Task(waker)
    }
}

/// Where a thread of the model parks. Loom's own `unpark` also wakes who waits for something else.
#[derive(Debug)]
pub(crate) struct Seat {
    has_token: Mutex<bool>,
    unparked: Condvar,
}

impl Seat {
    fn park(&self) {
        let mut has_token = self.has_token.lock().expect("no panic");
        while !*has_token {
            has_token = self.unparked.wait(has_token).expect("no panic");
        }
        *has_token = false;
    }

    fn unpark(&self) {
        *self.has_token.lock().expect("no panic") = true;
        self.unparked.notify_one();
    }
}

loom::thread_local! {
    static SEAT: Arc<Seat> = Arc::new(Seat { has_token: Mutex::new(false), unparked: Condvar::new() });
}

pub(crate) fn park_on(_: &'static Reason, _: usize) {
    SEAT.with(Arc::clone).park();
}

/// There is no time in a model: whoever has a deadline waits a little, and meets it.
pub(crate) fn park_until(_: &'static Reason, _: usize, _: Instant) {
    loom::thread::yield_now();
}

pub(crate) fn sleep(_: Duration) {
    loom::thread::yield_now();
}

loom::thread_local! {
    static ASKED: Cell<u32> = Cell::new(0);
}

/// There is no time in a model: it goes off at once.
#[derive(Debug, Default)]
pub(crate) struct Alarm;

impl Alarm {
    pub(crate) fn set(&mut self, _: Instant, context: &mut Context<'_>) {
        context.waker().wake_by_ref();
    }
}

/// The third time that somebody asks it has.
pub(crate) fn has_come(_: Instant) -> bool {
    ASKED.with(|asked| {
        asked.set(asked.get() + 1);
        asked.get() % 3 == 0
    })
}

pub(crate) fn random() -> u64 {
    0
}

/// Nobody is asked to let others run.
pub(crate) fn checkpoint() {}
