//! # What lives here
//! The timers of one P: a heap behind a lock (`heap`), with the earliest deadline beside it ([`Timers`]).
//!
//! # Who may come in
//! `sched/timers.rs`, which decides who wakes for them and does what is due.
//!
//! # Invariants
//! 1. `earliest_ns` is the heap's earliest deadline whenever the lock is free. It is read without the lock.
//! 2. Nothing is called and nobody is unparked under the lock.
//! 3. A timer stays in the heap of the P that it was started on, whoever holds that P; its [`TimerKey`] stays good.
//! 4. After [`Timers::close`] there is none, and none is added. A runtime that shuts down closes them when its Gs and
//!    Ms have ended: until then a destructor may wait for one, from then on one would keep the runtime for ever.
//! 5. A callback ([`Fire`]) runs without a G, on an M inside its section, which holds a P, or on sysmon while that stands in:
//!    what it delays, it delays for all Gs of that P. It may unpark, make Gs ready, start and cancel timers, start a G by way
//!    of the runtime's handle, and take a lock that is never held over a wait or over a call of the user's. It must not park,
//!    block or panic, and must not call what belongs to the user, but for the waker of an async task: that is for a G which it
//!    starts. `current_gid` is none in it, and thread-locals and `GLocal`s are those of the thread.
//!
//! # Locks and ordering
//! `earliest_ns` is stored under the lock. Who adds a timer and then looks for a keeper, and who becomes a keeper and
//! then looks for timers, have a fence in between: `sched/keeper.rs` argues it.
//!
//! # Tests
//! `heap_tests.rs` for the heap, `tests/time.rs` for the rest.

mod heap;

use crate::g::G;
use heap::{Heap, Key};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// No deadline.
pub(crate) const NEVER: u64 = u64::MAX;

/// What to do when a timer is due.
pub(crate) enum Action {
    /// Unpark the G with that id.
    Wake(&'static G, u64),
    /// Call it.
    Call(Arc<dyn Fire>),
}

/// Something that happens at a deadline, without a G: I5 says what it may do.
pub(crate) trait Fire: Send + Sync {
    /// The deadline `when_ns` has passed; it is `now_ns`.
    fn fire(self: Arc<Self>, when_ns: u64, now_ns: u64);

    /// The deadline never comes: the runtime has ended.
    fn end(self: Arc<Self>);
}

impl Action {
    /// The runtime has ended: drops what was to happen.
    pub(crate) fn end(self) {
        if let Action::Call(call) = self {
            call.end();
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Wake(_, id) => write!(f, "Wake(G{id})"),
            Action::Call(_) => f.write_str("Call"),
        }
    }
}

/// A pending timer: which P's heap, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    p: u32,
    key: Key,
}

impl TimerKey {
    /// The P whose heap it is in.
    pub(crate) fn p(self) -> usize {
        self.p as usize
    }
}

/// The timers of one P.
pub(crate) struct Timers {
    earliest_ns: AtomicU64,
    len: AtomicUsize,
    /// None: closed.
    heap: Mutex<Option<Heap<Action>>>,
}

impl Timers {
    /// None.
    pub(crate) fn new() -> Timers {
        Timers { earliest_ns: AtomicU64::new(NEVER), len: AtomicUsize::new(0), heap: Mutex::new(Some(Heap::new())) }
    }

    /// The earliest deadline, or [`NEVER`].
    #[inline]
    pub(crate) fn earliest_ns(&self) -> u64 {
        // Relaxed: see `sched/keeper.rs` for the fences.
        self.earliest_ns.load(Ordering::Relaxed)
    }

    /// How many are pending, for observers.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Starts a timer on P `p`, which is the one that these timers belong to. None if they are closed.
    pub(crate) fn insert(&self, p: usize, when_ns: u64, action: Action) -> Option<TimerKey> {
        let mut heap = self.lock();
        let heap = heap.as_mut()?;
        let key = heap.insert(when_ns, action);
        self.publish(heap);
        Some(TimerKey { p: p as u32, key })
    }

    /// Cancels a timer; false if it was due already, or never there.
    pub(crate) fn cancel(&self, key: TimerKey) -> bool {
        let mut heap = self.lock();
        let action = heap.as_mut().and_then(|heap| {
            let action = heap.cancel(key.key);
            self.publish(heap);
            action
        });
        drop(heap);
        // The action may hold the last reference to something: it is dropped outside the lock (I2).
        action.is_some()
    }

    /// Shows `look` what is to happen at each pending timer, in no order. Under the lock: it only looks.
    pub(crate) fn for_each(&self, look: impl FnMut(&Action)) {
        self.lock().iter().flat_map(Heap::actions).for_each(look);
    }

    /// Takes out up to `most` timers that are due at `now_ns`.
    pub(crate) fn take_due(&self, now_ns: u64, most: usize, into: &mut Vec<(u64, Action)>) {
        let mut heap = self.lock();
        let Some(heap) = &mut *heap else { return };
        while into.len() < most {
            let Some(due) = heap.pop_due(now_ns) else { break };
            into.push(due);
        }
        self.publish(heap);
    }

    /// Takes out all timers, due or not, and takes no more. The caller drops them, one by one: what they hold is the
    /// user's.
    pub(crate) fn close(&self) -> Vec<Action> {
        let mut open = self.lock();
        let mut heap = open.take().unwrap_or(Heap::new());
        self.publish(&Heap::new());
        drop(open);
        std::iter::from_fn(|| heap.pop_due(NEVER)).map(|(_, action)| action).collect()
    }

    fn publish(&self, heap: &Heap<Action>) {
        self.earliest_ns.store(heap.earliest_ns(), Ordering::Relaxed);
        self.len.store(heap.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Heap<Action>>> {
        // A panic under the lock can only be an allocation that failed, before the heap was changed.
        self.heap.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("len", &self.len()).finish_non_exhaustive()
    }
}
