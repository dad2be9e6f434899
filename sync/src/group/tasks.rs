//! The tasks of an [`ErrGroup`](super::ErrGroup): which run, what has become of the others, who waits for the end.

#![cfg(not(loom))]

use crate::context::Cancel;
use pirn_channels::internal::wait_for_end;
use pirn_channels::{Receiver, Sender, bounded};
use pirn_runtime::Gid;
use pirn_runtime::internal::{Home, Kind, Reason};
use std::any::Any;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Duration;

/// A wait for a group, in any of its forms.
static GROUP_WAIT: Reason = Reason::new("group wait", Kind::Event);

pub(super) struct Inner<E> {
    pub(super) state: Mutex<State<E>>,
    pub(super) cancel: Option<Cancel>,
    pub(super) home: OnceLock<Option<Home>>,
}

pub(super) struct State<E> {
    pub(super) running: BTreeSet<Gid>,
    /// Dropped when nothing runs any more: then those that wait see the end of their channels.
    pub(super) waiters: Vec<Sender<Infallible>>,
    pub(super) errors: Vec<E>,
    pub(super) panic: Option<Box<dyn Any + Send>>,
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

impl<E> Inner<E> {
    pub(super) fn lock(&self) -> MutexGuard<'_, State<E>> {
        // Nothing panics under it but an allocation that fails.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A task has ended so.
    pub(super) fn heard(&self, result: thread::Result<Result<(), E>>) {
        let why = match result {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                self.lock().errors.push(error);
                "a task of the group has failed"
            }
            Err(payload) => {
                let unneeded = {
                    let place = &mut self.lock().panic;
                    if place.is_none() { place.replace(payload) } else { Some(payload) }
                };
                unneeded.into_iter().for_each(discard);
                "a task of the group has panicked"
            }
        };
        if let Some(cancel) = &self.cancel {
            cancel.cancel_with(why);
        }
    }

    /// A task counts no longer.
    pub(super) fn left(&self, id: Gid) {
        let told = {
            let mut state = self.lock();
            state.running.remove(&id);
            if state.running.is_empty() { mem::take(&mut state.waiters) } else { Vec::new() }
        };
        drop(told);
    }

    /// Waits until nothing runs. False: the time is over.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
        let end = {
            let mut state = self.lock();
            if state.running.is_empty() {
                return true;
            }
            let (waiter, end) = bounded::<Infallible>(0);
            state.waiters.push(waiter);
            end
        };
        wait_for_end(&end, timeout, &GROUP_WAIT) || self.lock().running.is_empty()
    }
}

/// Drops the payload of a panic, which may panic again.
pub(super) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another);
    }
}
