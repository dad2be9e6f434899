//! A replacement for the models: the alarm.

use std::cell::RefCell;
use std::task::{Context, Waker};
use std::time::Instant;

loom::thread_local! {
    /// Alarms that this thread has set and that have not gone off. None: they go off at once.
    static KEPT: RefCell<Option<Vec<Waker>>> = RefCell::new(None);
}

/// From here on the alarms that this thread sets go off when the model wakes them. That may be after they were dropped,
/// as an alarm may be too late to be stopped.
#[cfg(test)]
pub(crate) fn keep_alarms() {
    KEPT.with(|kept| *kept.borrow_mut() = Some(Vec::new()));
}

/// Those that this thread has set since the last call of this.
#[cfg(test)]
pub(crate) fn take_alarms() -> Vec<Waker> {
    KEPT.with(|kept| kept.borrow_mut().as_mut().map(std::mem::take)).unwrap_or_default()
}

/// There is no time in a model: it goes off at once, or at any time.
#[derive(Debug, Default)]
pub struct Alarm;

impl Alarm {
    /// Has the task polled.
    pub fn set(&mut self, _: Instant, context: &mut Context<'_>) {
        let is_kept = KEPT.with(|kept| kept.borrow_mut().as_mut().map(|kept| kept.push(context.waker().clone())));
        if is_kept.is_none() {
            context.waker().wake_by_ref();
        }
    }
}
