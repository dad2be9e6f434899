//! Work waits and a P is idle, but there is no M for it.

#![cfg(not(loom))]

use super::queues::Queues;
use super::setup::Setup;
use super::shared::Shared;
use crate::m::M;
use crate::os::MutexGuard;
use crate::os::thread_sleeps;
use crate::p::FreeP;
use crate::probe::exit_with_report;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Shared {
    /// There is no M for `p`: it becomes idle. An M on its way to the idle list takes it; otherwise sysmon tries again,
    /// and ends the process if this lasts.
    #[cold]
    pub(super) fn starve(&self, mut queues: MutexGuard<'_, Queues>, p: FreeP<'_>) -> bool {
        queues.starved = true;
        self.put_idle_p(&mut queues, p);
        self.call_off_search();
        drop(queues);
        self.wake_sysmon();
        false
    }

    /// Whether work waits for an M, though a P is idle.
    pub(crate) fn is_starved(&self) -> bool {
        self.lock().starved
    }

    /// Work waits, a P is idle, and there is no M for it. sysmon does what needs no M: due timers, and Gs that are
    /// locked to an M, which waits for them. Other Gs wait for an M that returns, or for a thread. Returns whether it
    /// could do something.
    pub(crate) fn stand_in(&self, now_ns: u64) -> bool {
        let mut queues = self.lock();
        if !queues.starved {
            return false;
        }
        let Some(p) = self.take_idle_p(&mut queues) else { return false };
        drop(queues);
        self.look_outside(p.owned(), now_ns);
        let mut queues = self.lock();
        let Queues { global, idle, .. } = &mut *queues;
        // Work on the other idle Ps too: it stayed there when there was no M for them.
        for owned in std::iter::once(p.owned()).chain(idle.owned_ps(&self.ps)) {
            while let Some(g) = owned.take_next().or_else(|| owned.pop()) {
                global.push(g);
            }
        }
        let locked = queues.global.take_locked();
        self.publish_global(&queues);
        let Some(locked) = locked else {
            self.put_idle_p(&mut queues, p);
            return false;
        };
        drop(queues);
        self.hand_with_p(locked, p);
        true
    }

    /// Whether work waits for an M, but there may be no more Ms, and each one is blocked in a G.
    pub(crate) fn is_exhausted(&self) -> bool {
        let queues = self.lock();
        if !queues.starved || queues.machines.is_stopping() || self.is_closing() || self.may_start_m(&queues) {
            return false;
        }
        let ms: Vec<Arc<M>> = queues.machines.all().cloned().collect();
        drop(queues);
        // An M in the runtime will find the work. A G that computes will end, or call the runtime.
        ms.iter().all(|m| {
            m.has_g() && !m.section.is_inside() && thread_sleeps(m.tid()) == Some(true)
                || m.waits_for_locked.load(Ordering::Relaxed)
        })
    }

    /// Ends the program, as Go does; otherwise it would hang without a reason that the user can see.
    #[cold]
    pub(crate) fn exhausted(&self) -> ! {
        let queues = self.lock();
        let (all, locked) = (queues.machines.len(), queues.machines.count_locked());
        drop(queues);
        let Setup { name, max_threads, .. } = &self.setup;
        exit_with_report(&format!(
            "thread exhaustion: the runtime {name:?} needs more than the {max_threads} threads that \
             Builder::max_threads allows. Of {all}, {locked} wait for a goroutine that is locked to them, and the others \
             are blocked in one: in a system call, a lock of std, or pirn::blocking. Let fewer goroutines block at the \
             same time, or allow more threads; PIRN_DEBUG=blockers=1 names those that block"
        ));
    }
}
