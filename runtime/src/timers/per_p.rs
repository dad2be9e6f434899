//! The timers of one P: a heap behind a lock, with the earliest deadline beside it.

use super::action::Action;
use super::heap::{Heap, Key};
use crate::clock::NEVER;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

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

    /// Starts a timer on P `p`, to which these timers belong. None if they are closed.
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

    /// Calls `look` with the action of each pending timer, in no order. Under the lock: it may only look.
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

    /// Takes out all timers, due or not, and accepts no more. The caller drops them, one by one: they hold the user's
    /// values.
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
