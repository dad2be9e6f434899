//! What the tasks of a [`task_group`](super::task_group) share: the context, and what counts of their ends.
//!
//! An error or a panic is kept before the context is ended, under the lock; so a task that fails because of that end comes
//! second. A `cancel` is noted before the context is ended, so a task that fails because of that finds it noted.

#![cfg_attr(loom, allow(dead_code, reason = "a model has no panics"))]

use super::first_panic::{Payload, keep_first};
use crate::context::{Cancel, Context};
use crate::loom::{Mutex, MutexGuard};
#[cfg(not(loom))]
use pirn_runtime::internal::Home;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// See the head of this file.
pub(super) struct Shared<E> {
    pub(super) context: Context,
    cancel: Cancel,
    #[cfg(not(loom))]
    pub(super) home: Option<Home>,
    outcome: Mutex<Outcome<E>>,
}

struct Outcome<E> {
    error: Option<E>,
    panic: Option<Payload>,
    /// By [`TaskGroup::cancel`].
    is_cancelled: bool,
}

impl<E> Shared<E> {
    /// That of a group below `parent`, whose Gs are on the runtime `home`.
    pub(super) fn new(parent: &Context, #[cfg(not(loom))] home: Option<Home>) -> Shared<E> {
        let (context, cancel) = parent.with_cancel();
        let outcome = Outcome { error: None, panic: None, is_cancelled: false };
        Shared {
            context,
            cancel,
            #[cfg(not(loom))]
            home,
            outcome: Mutex::new(outcome),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outcome<E>> {
        // Nothing panics under it but an allocation that fails.
        self.outcome.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Runs a task. None: the group knows why.
    pub(super) fn run<T>(&self, f: impl FnOnce() -> Result<T, E>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => self.failed(error, true),
            Err(payload) => self.panicked(payload),
        }
    }

    /// Ends the context. Errors of tasks that come after this do not count.
    pub(super) fn cancel(&self) {
        self.lock().is_cancelled = true;
        self.cancel.cancel();
    }

    /// All tasks have ended: ends the context, for what they have made from it and left behind, and takes what counts.
    pub(super) fn finish(&self) -> (Option<E>, Option<Payload>) {
        self.cancel.cancel();
        let mut outcome = self.lock();
        (outcome.error.take(), outcome.panic.take())
    }

    /// An error, of a task or of the group's own closure.
    pub(super) fn failed<T>(&self, error: E, of_task: bool) -> Option<T> {
        let unneeded = {
            let mut outcome = self.lock();
            let counts = outcome.error.is_none() && !(of_task && outcome.is_cancelled);
            if counts { outcome.error.replace(error) } else { Some(error) }
        };
        drop(unneeded);
        self.cancel.cancel_with("a task of the group has failed");
        None
    }

    pub(super) fn panicked<T>(&self, payload: Payload) -> Option<T> {
        keep_first(self.lock(), |outcome| &mut outcome.panic, payload);
        self.cancel.cancel_with("a task of the group has panicked");
        None
    }
}

#[cfg(all(test, loom))]
#[path = "shared_loom.rs"]
mod models;
