//! What the Ms know of sysmon, whose thread they wake: it sleeps without a limit while every P is idle (*asleep*),
//! and takes a long pause while there is nothing that it could help with (*drowsy*).

#![cfg(not(loom))]

use super::shared::Shared;
use crate::os::thread_id;
use crate::timers::NEVER;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::Thread;

/// sysmon's number among the Ms. The first M is 0.
pub(crate) const SYSMON_ID: u32 = 1;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct SysmonLink {
    is_asleep: AtomicBool,
    is_drowsy: AtomicBool,
    thread: OnceLock<Thread>,
    /// The kernel's number of its thread; 0 before it has begun.
    tid: AtomicI32,
}

impl SysmonLink {
    /// There is no sysmon yet.
    pub(super) fn new() -> SysmonLink {
        SysmonLink {
            is_asleep: AtomicBool::new(false),
            is_drowsy: AtomicBool::new(false),
            thread: OnceLock::new(),
            tid: AtomicI32::new(0),
        }
    }

    /// Wakes sysmon's thread, or makes its next sleep return at once.
    pub(super) fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn wake_if(&self, sleeps: &AtomicBool) {
        // Acquire: partner is the Release in `sleep_as_sysmon`.
        if sleeps.load(Ordering::Acquire) && sleeps.swap(false, Ordering::AcqRel) {
            self.unpark();
        }
    }
}

impl Shared {
    /// Work was queued that no M may take soon: all Ps are held, perhaps by Ms that block. Makes sysmon look now;
    /// without this it would look later.
    pub(crate) fn poke_sysmon(&self) {
        self.sysmon.wake_if(&self.sysmon.is_drowsy);
    }

    /// Wakes sysmon, if it sleeps because every P is idle: there is something for it to try again.
    pub(crate) fn wake_sysmon(&self) {
        self.sysmon.wake_if(&self.sysmon.is_asleep);
    }

    /// sysmon looks again, now or when it would sleep next: something is left to it. From anywhere.
    pub(crate) fn rouse_sysmon(&self) {
        self.sysmon.unpark();
    }

    /// The calling thread is sysmon.
    pub(crate) fn begin_sysmon(&self) {
        // It is set once: this is the only sysmon of that runtime.
        let _ = self.sysmon.thread.set(std::thread::current());
        self.sysmon.tid.store(thread_id(), Ordering::Relaxed);
    }

    /// The kernel's number of sysmon's thread.
    pub(crate) fn sysmon_tid(&self) -> i32 {
        self.sysmon.tid.load(Ordering::Relaxed)
    }

    /// A long pause of sysmon, which a poke ends. Returns whether it was poked.
    pub(crate) fn doze_as_sysmon(&self, sleep: impl FnOnce()) -> bool {
        self.sysmon.is_drowsy.store(true, Ordering::Relaxed);
        sleep();
        !self.sysmon.is_drowsy.swap(false, Ordering::Relaxed)
    }

    /// sysmon sleeps until a P is taken, or until the moment that `sleep` is given, for timers and descriptors that
    /// have no keeper. It does not sleep if a P is taken, if work waits, or if a G waits for a stack, as only sysmon
    /// lets it try again.
    ///
    /// This is decided under the lock (sysmon I2): an idle P is taken under the lock, and sysmon is woken after that. A
    /// G that finds no stack is listed under the lock too, before its P becomes idle.
    pub(crate) fn sleep_as_sysmon(&self, sleep: impl FnOnce(u64)) {
        let queues = self.lock();
        let all_idle = queues.idle.ps().len() == self.ps.len();
        if !all_idle || !queues.stackless.is_empty() || self.has_visible_work() {
            return;
        }
        // There may be no M for the keeper: the system gave no thread.
        let has_keeper = queues.idle.keeper().is_some();
        let timers_ns = if has_keeper { NEVER } else { self.earliest_ns().min(self.must_ask_ns(false)) };
        self.sysmon.is_asleep.store(true, Ordering::Release);
        drop(queues);
        sleep(timers_ns);
        self.sysmon.is_asleep.store(false, Ordering::Release);
    }
}
