//! The timers of one P: a heap behind a lock, with the earliest deadline beside it.

use super::action::Action;
use super::heap::{Heap, Key};
use crate::clock::NEVER;
use crate::os::{Mutex, MutexGuard};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A timer: which P's heap it was put in, where in it, and for when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    when_ns: u64,
    p: u32,
    key: Key,
}

impl TimerKey {
    /// The P whose heap it is in.
    pub(crate) fn p(self) -> usize {
        self.p as usize
    }

    /// Its deadline.
    pub(crate) fn when_ns(self) -> u64 {
        self.when_ns
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
        Some(TimerKey { when_ns, p: p as u32, key })
    }

    /// Cancels a timer; false if it was due already.
    ///
    /// The caller has the key from `insert`, so that came before. As long as the timer is in the heap, the earliest
    /// deadline is not later than its own, and every value that was stored after the insertion says so (I1). So a later
    /// value shows that the timer has been taken out: neither the lock nor the cold memory of the heap is needed. A G
    /// that has slept to the end finds this in most cases.
    pub(crate) fn cancel(&self, key: TimerKey) -> bool {
        // Relaxed: it is about the values of one variable, which come in one order for all.
        if self.earliest_ns() > key.when_ns {
            return false;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timers::Fire;
    use std::sync::Arc;

    struct Idle;

    impl Fire for Idle {
        fn fire(self: Arc<Self>, _: u64, _: u64) {}
        fn end(self: Arc<Self>) {}
    }

    fn insert(timers: &Timers, when_ns: u64) -> TimerKey {
        timers.insert(0, when_ns, Action::Call(Arc::new(Idle))).expect("they are open")
    }

    #[test]
    fn what_was_due_is_not_cancelled() {
        let timers = Timers::new();
        let keys = [10, 20, 20, 30, NEVER].map(|when_ns| insert(&timers, when_ns));
        let mut due = Vec::new();
        timers.take_due(20, 2, &mut due);
        assert_eq!(due.iter().map(|(when_ns, _)| *when_ns).collect::<Vec<_>>(), [10, 20]);
        // The third has the deadline of the second, and is still there.
        assert_eq!(keys.map(|key| timers.cancel(key)), [false, false, true, true, true]);
        assert_eq!(keys.map(|key| timers.cancel(key)), [false; 5]);
        assert_eq!(timers.earliest_ns(), NEVER);
    }

    #[test]
    fn the_end_of_a_sleep_needs_no_lock() {
        let timers = Timers::new();
        let key = insert(&timers, 10);
        insert(&timers, 11);
        timers.take_due(10, 1, &mut Vec::new());
        let _held = timers.lock();
        assert!(!timers.cancel(key));
    }
}
