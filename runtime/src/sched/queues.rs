//! What the scheduler's lock guards. Each part belongs to the file of its type.

#![cfg(not(loom))]

use super::global::GlobalQueue;
use super::idle_lists::IdleLists;
use super::machines::Machines;
use super::shared::Shared;
use super::template::Template;
use crate::g::Runnable;
use crate::os::MutexGuard;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Queues {
    pub(super) global: GlobalQueue,
    pub(super) idle: IdleLists,
    pub(super) machines: Machines,
    pub(super) template: Template,
    /// Gs that found no stack for their first run (`stackless.rs`).
    pub(super) stackless: Vec<Runnable>,
    /// There was work and an idle P, but no M for it (`starved.rs`). The next M that is free takes a P; sysmon tries
    /// again.
    pub(super) starved: bool,
}

impl Queues {
    /// Those of a runtime with all Ps idle and no M yet.
    pub(super) fn new(procs: usize) -> Queues {
        Queues {
            global: GlobalQueue::new(),
            idle: IdleLists::new(procs),
            machines: Machines::new(),
            template: Template::new(),
            stackless: Vec::new(),
            starved: false,
        }
    }
}

impl Shared {
    /// The scheduler's lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, Queues> {
        // A panic under the lock can only be an allocation that failed, before anything was changed.
        self.queues.lock().unwrap_or_else(|e| e.into_inner())
    }
}
