//! What the Ms know of sysmon, whose thread they wake: it sleeps without a limit while every P is idle (*asleep*),
//! and takes a long pause while there is nothing that it could help with (*drowsy*).

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
    /// Work was queued that nobody may come to, as all Ps are held, or by Ms that block. Has sysmon look, which is late
    /// without this, and not too late.
    pub(crate) fn poke_sysmon(&self) {
        self.sysmon.wake_if(&self.sysmon.is_drowsy);
    }

    /// Wakes sysmon, if it sleeps because every P is idle: there is something that it has to try again.
    pub(crate) fn wake_sysmon(&self) {
        self.sysmon.wake_if(&self.sysmon.is_asleep);
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

    /// Has sysmon sleep for long, out of which it may be poked. Returns whether it was.
    pub(crate) fn doze_as_sysmon(&self, sleep: impl FnOnce()) -> bool {
        self.sysmon.is_drowsy.store(true, Ordering::Relaxed);
        sleep();
        !self.sysmon.is_drowsy.swap(false, Ordering::Relaxed)
    }

    /// Has sysmon sleep until somebody takes a P, or until the moment that `sleep` is given, for timers that have no
    /// keeper; not if a P is taken, if work waits, or if a G waits for a stack, which only sysmon has try again.
    ///
    /// Decided under the lock (sysmon I2): who takes an idle P takes it under the lock, and wakes sysmon after that.
    /// A G that finds no stack is listed under the lock too, before its P becomes idle.
    pub(crate) fn sleep_as_sysmon(&self, sleep: impl FnOnce(u64)) {
        let queues = self.lock();
        let all_idle = queues.idle.ps().len() == self.ps.len();
        if !all_idle || !queues.stackless.is_empty() || self.has_visible_work() {
            return;
        }
        // It happens that there is no M to keep the time: the system gave no thread.
        let timers_ns = if queues.idle.keeper().is_some() { NEVER } else { self.earliest_ns() };
        self.sysmon.is_asleep.store(true, Ordering::Release);
        drop(queues);
        sleep(timers_ns);
        self.sysmon.is_asleep.store(false, Ordering::Release);
    }
}
