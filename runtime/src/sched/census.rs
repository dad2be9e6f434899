//! What observers and sysmon see of the Ms and the queues, all at one moment.

#![cfg(not(loom))]

use super::queues::Queues;
use super::shared::Shared;
use crate::m::M;
use crate::os::MutexGuard;
use std::sync::Arc;

/// One look under the scheduler's lock.
#[derive(Debug)]
pub(crate) struct Census {
    /// Every M, those too that have no thread yet.
    pub(crate) ms: Vec<Arc<M>>,
    /// Those that sleep, the keeper among them.
    pub(crate) sleeping: Vec<Arc<M>>,
    /// How many wait for a G that is locked to them.
    pub(crate) locked_ms: usize,
    /// The length of the global queue.
    pub(crate) global: usize,
    /// How many Gs wait for a stack.
    pub(crate) stackless: usize,
}

/// Every P is idle, every M sleeps or waits for a G that is locked to it, and no G is queued. This stays so for as long
/// as the value lives. No M can be woken meanwhile, so keep it for a moment only.
#[derive(Debug)]
pub(crate) struct AllAsleep<'a>(MutexGuard<'a, Queues>);

impl AllAsleep<'_> {
    /// How many Ms there are.
    pub(crate) fn count_ms(&self) -> usize {
        self.0.machines.len()
    }
}

impl Shared {
    /// Looks.
    pub(crate) fn census(&self) -> Census {
        let queues = self.lock();
        Census {
            ms: queues.machines.all().cloned().collect(),
            sleeping: queues.idle.sleepers().cloned().collect(),
            locked_ms: queues.machines.count_locked(),
            global: queues.global.len(),
            stackless: queues.stackless.len(),
        }
    }

    /// Every M, those too that have no thread yet.
    pub(crate) fn machines(&self) -> Vec<Arc<M>> {
        self.lock().machines.all().cloned().collect()
    }

    /// The M with that number, if it is there.
    pub(crate) fn machine(&self, id: u32) -> Option<Arc<M>> {
        self.lock().machines.all().find(|m| m.id == id).cloned()
    }

    /// Whether everything is asleep.
    pub(crate) fn all_asleep(&self) -> Option<AllAsleep<'_>> {
        let queues = self.lock();
        let asleep = queues.idle.sleepers().count() + queues.machines.count_locked();
        let all_sleep = queues.idle.ps().len() == self.ps.len() && asleep == queues.machines.len();
        let nothing_queued = queues.global.is_empty() && queues.stackless.is_empty() && !self.has_visible_work();
        (all_sleep && nothing_queued).then_some(AllAsleep(queues))
    }
}
