//! The tasks of an [`ErrGroup`](super::ErrGroup): which run, what has become of the others, who waits for the end.
//!
//! A task counts before its G exists: the G may run, and wait for its own group, before [`Tasks::begin`]'s caller goes on.
//! At its end a task leaves its error, ends the context, gives its slot back, and counts no longer, in this order: so who
//! has waited finds all of it (group I2, I4). The count is that of a [`WaitGroup`](crate::WaitGroup) (`count.rs`): a
//! wait ends when no task has run for a moment since it began, whatever is started after that. Which Gs run is known
//! for observers only.

#![cfg_attr(loom, allow(dead_code, reason = "a model has no panics"))]

use super::first_panic::{Payload, keep_first};
use crate::context::Cancel;
use crate::count::Count;
use crate::loom::{Mutex, MutexGuard};
use crate::lot::Until;
use pirn_channels::Receiver;
use pirn_runtime::internal::{Kind, Reason};
use std::collections::BTreeSet;
use std::mem;
use std::thread;

/// A wait for a group, in any of its forms.
static GROUP_WAIT: Reason = Reason::new("group wait", Kind::Event);

/// See the head of this file.
pub(super) struct Tasks<E> {
    count: Count,
    state: Mutex<State<E>>,
    cancel: Option<Cancel>,
}

struct State<E> {
    /// The numbers of their Gs; of one that is being started it is not known.
    running: BTreeSet<u64>,
    outcome: Outcome<E>,
}

/// What those that have ended have left.
pub(super) struct Outcome<E> {
    /// In the order in which they came.
    pub(super) errors: Vec<E>,
    /// The first.
    pub(super) panic: Option<Payload>,
}

impl<E> Outcome<E> {
    fn new() -> Outcome<E> {
        Outcome { errors: Vec::new(), panic: None }
    }
}

/// A task's slot of the limit. Its drop gives it back.
pub(super) struct Permit(pub(super) Option<Receiver<()>>);

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slots) = &self.0 {
            _ = slots.try_recv();
        }
    }
}

/// A task that is being started, and counts. Dropped without a number: its G could not be made.
pub(super) struct Starting<'a, E>(&'a Tasks<E>);

impl<E> Starting<'_, E> {
    /// It has a G, and ends by [`Tasks::end`], with the number of it.
    pub(super) fn runs_on(self, id: u64) {
        self.0.lock().running.insert(id);
        mem::forget(self);
    }
}

impl<E> Drop for Starting<'_, E> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<E> Tasks<E> {
    /// None of them runs. The first that fails calls `cancel`.
    pub(super) fn new(cancel: Option<Cancel>) -> Tasks<E> {
        let state = State { running: BTreeSet::new(), outcome: Outcome::new() };
        Tasks { count: Count::new(), state: Mutex::new(state), cancel }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        // Nothing panics under it but an allocation that fails.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// One will be started at once.
    pub(super) fn begin(&self) -> Starting<'_, E> {
        assert!(self.count.add(1), "there is no room for so many Gs");
        Starting(self)
    }

    /// One counts no longer.
    fn leave(&self) {
        let is_left = self.count.done();
        debug_assert!(is_left);
    }

    /// One has ended so.
    pub(super) fn end(&self, id: u64, permit: Permit, result: thread::Result<Result<(), E>>) {
        self.hear(result);
        drop(permit);
        self.lock().running.remove(&id);
        self.leave();
    }

    fn hear(&self, result: thread::Result<Result<(), E>>) {
        let why = match result {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                self.lock().outcome.errors.push(error);
                "a task of the group has failed"
            }
            Err(payload) => {
                keep_first(self.lock(), |state| &mut state.outcome.panic, payload);
                "a task of the group has panicked"
            }
        };
        if let Some(cancel) = &self.cancel {
            cancel.cancel_with(why);
        }
    }

    /// The numbers of those that run, but for one that is being started.
    pub(super) fn running(&self) -> BTreeSet<u64> {
        self.lock().running.clone()
    }

    /// How many run.
    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// One has waited: ends the context, and takes what the tasks have left.
    pub(super) fn take_outcome(&self) -> Outcome<E> {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
        mem::replace(&mut self.lock().outcome, Outcome::new())
    }

    /// Waits until nothing runs, for as long as that says. False: some still run.
    pub(super) fn wait(&self, until: Until<'_>) -> bool {
        self.count.wait(&GROUP_WAIT, until)
    }
}

#[cfg(all(test, loom))]
#[path = "group_loom.rs"]
mod models;
