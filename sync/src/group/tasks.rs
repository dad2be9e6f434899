//! The tasks of an [`ErrGroup`](super::ErrGroup): how many run, what has become of the others, who waits for the end.
//!
//! A task counts before its G exists: the G may run, and wait for its own group, before [`Tasks::begin`]'s caller goes on.
//! At its end a task leaves its error, ends the context, gives its slot back, and counts no longer, in this order: so who
//! has waited finds all of it (group I2, I4). The count is that of a [`WaitGroup`](crate::WaitGroup) (`count.rs`): a
//! wait ends when no task has run for a moment since it began, whatever is started after that. Which Gs run is written
//! in their records, by the address of this ([`Tasks::tag`]), for observers only.

#![cfg_attr(loom, allow(dead_code, reason = "a model has no panics"))]

use super::first_panic::{Payload, keep_first};
use crate::context::Cancel;
use crate::count::Count;
use crate::loom::{Mutex, MutexGuard};
use crate::lot::Until;
use pirn_channels::{Receiver, Sender, bounded};
use pirn_runtime::internal::{Kind, Reason};
use std::mem;
use std::ptr;
use std::sync::Arc;
use std::thread;

/// A wait for a group, in any of its forms.
static GROUP_WAIT: Reason = Reason::new("group wait", Kind::Event);

/// See the head of this file.
pub(super) struct Tasks<E> {
    count: Count,
    /// With a limit: a value in the channel is a task that runs.
    slots: Option<(Sender<()>, Receiver<()>)>,
    outcome: Mutex<Outcome<E>>,
    cancel: Option<Cancel>,
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

/// A task that counts, until this is dropped.
pub(super) struct Running<E>(
    /// It is there until the task has ended.
    Option<Arc<Tasks<E>>>,
);

impl<E> Running<E> {
    pub(super) fn tasks(&self) -> &Tasks<E> {
        self.0.as_ref().expect("the task has not ended")
    }

    /// It counts no longer. Returns the tasks if nobody else has them any more: what they have left may be the user's.
    pub(super) fn end(mut self) -> Option<Tasks<E>> {
        let tasks = self.0.take()?;
        tasks.leave();
        Arc::into_inner(tasks)
    }
}

impl<E> Drop for Running<E> {
    fn drop(&mut self) {
        if let Some(tasks) = self.0.take() {
            tasks.leave();
        }
    }
}

impl<E> Tasks<E> {
    /// None of them runs. The first that fails calls `cancel`.
    pub(super) fn new(cancel: Option<Cancel>) -> Tasks<E> {
        Tasks { count: Count::new(), slots: None, outcome: Mutex::new(Outcome::new()), cancel }
    }

    /// The same, of which at most `limit` run at a time. None runs.
    pub(super) fn limited(&self, limit: usize) -> Tasks<E> {
        let outcome = mem::replace(&mut *self.lock(), Outcome::new());
        let (slots, cancel) = (Some(bounded(limit)), self.cancel.clone());
        Tasks { count: Count::new(), slots, outcome: Mutex::new(outcome), cancel }
    }

    fn lock(&self) -> MutexGuard<'_, Outcome<E>> {
        // Nothing panics under it but an allocation that fails.
        self.outcome.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What observers find its Gs by.
    pub(super) fn tag(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// One will be started at once. With a limit, this waits until there is room.
    pub(super) fn begin(self: &Arc<Self>) -> Running<E> {
        if let Some((take, _)) = &self.slots {
            take.send(()).expect("the group has a receiver");
        }
        self.count_one()
    }

    /// The same, if there is room now.
    pub(super) fn try_begin(self: &Arc<Self>) -> Option<Running<E>> {
        let has_room = self.slots.as_ref().is_none_or(|(take, _)| take.try_send(()).is_ok());
        has_room.then(|| self.count_one())
    }

    fn count_one(self: &Arc<Self>) -> Running<E> {
        if !self.count.add(1) {
            self.give_slot_back();
            panic!("there is no room for so many Gs");
        }
        Running(Some(self.clone()))
    }

    fn give_slot_back(&self) {
        if let Some((_, slots)) = &self.slots {
            _ = slots.try_recv();
        }
    }

    /// One counts no longer.
    fn leave(&self) {
        self.give_slot_back();
        let is_left = self.count.done();
        debug_assert!(is_left);
    }

    /// One that counts still has ended so. This calls what is the user's.
    pub(super) fn hear(&self, result: thread::Result<Result<(), E>>) {
        let why = match result {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                self.lock().errors.push(error);
                "a task of the group has failed"
            }
            Err(payload) => {
                keep_first(self.lock(), |outcome| &mut outcome.panic, payload);
                "a task of the group has panicked"
            }
        };
        if let Some(cancel) = &self.cancel {
            cancel.cancel_with(why);
        }
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
        mem::replace(&mut *self.lock(), Outcome::new())
    }

    /// Waits until nothing runs, for as long as that says. False: some still run.
    pub(super) fn wait(&self, until: Until<'_>) -> bool {
        self.count.wait(&GROUP_WAIT, until)
    }
}

#[cfg(all(test, loom))]
#[path = "group_loom.rs"]
mod models;
