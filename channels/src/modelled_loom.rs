//! A replacement for the models: the alarm.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Instant;

loom::thread_local! {
    /// Alarms that this thread has set and that have not gone off, and whether they are still there. None: they go off
    /// at once.
    static KEPT: RefCell<Option<Vec<(Waker, Weak<()>)>>> = RefCell::new(None);
}

loom::thread_local! {
    /// The next alarm of this thread goes off at once, as its runtime ends.
    static RINGS_NEXT: Cell<bool> = Cell::new(false);
}

/// From here on the alarms that this thread sets go off when the model wakes them. That may be after they were dropped,
/// as an alarm may be too late to be stopped.
pub fn keep_alarms() {
    KEPT.with(|kept| *kept.borrow_mut() = Some(Vec::new()));
}

/// The next alarm goes off all the same, before who sets it has it.
pub fn ring_next_alarm() {
    RINGS_NEXT.with(|next| next.set(true));
}

/// Those that this thread has set since the last call of this.
#[cfg(test)]
pub(crate) fn take_alarms() -> Vec<Waker> {
    take_kept().into_iter().map(|(waker, _)| waker).collect()
}

/// Those of them that have not been dropped.
pub fn take_alarms_that_are_set() -> Vec<Waker> {
    take_kept().into_iter().filter(|(_, alarm)| alarm.strong_count() > 0).map(|(waker, _)| waker).collect()
}

fn take_kept() -> Vec<(Waker, Weak<()>)> {
    KEPT.with(|kept| kept.borrow_mut().as_mut().map(std::mem::take)).unwrap_or_default()
}

/// There is no time in a model: it goes off at once, or at any time.
#[derive(Debug, Default)]
pub struct Alarm(Arc<()>);

impl Alarm {
    /// Has the task polled.
    pub fn set(&mut self, _: Instant, context: &mut Context<'_>) {
        if RINGS_NEXT.with(Cell::take) {
            return context.waker().wake_by_ref();
        }
        let alarm = (context.waker().clone(), Arc::downgrade(&self.0));
        let is_kept = KEPT.with(|kept| kept.borrow_mut().as_mut().map(|kept| kept.push(alarm)));
        if is_kept.is_none() {
            context.waker().wake_by_ref();
        }
    }
}
