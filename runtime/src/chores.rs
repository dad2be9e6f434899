//! Chores: what crates above want to have done later, beside the work of their users. Pools age by them.
//!
//! A chore is a function and a moment. When that has come, the next sysmon that looks takes it and starts a G for it, as
//! a chore may run code of the user's. Any runtime will do. If no runtime looks, a crate may ask on a thread of the
//! user's ([`run_due`]). So a chore may be late, or never come, and nothing may depend on it.
//!
//! No timer is set for a chore, and no thread waits for it: it does not keep the deadlock check from its report.
//! `runtime/tests/chores.rs` tests it.

#![cfg(not(loom))]

use crate::clock::{NEVER, deadline, now_ns};
use crate::os::{Mutex, MutexGuard};
use crate::user_code::contain;
use std::mem::{forget, take};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When a chore is due again that was taken and could not be done.
const AGAIN: Duration = Duration::from_secs(1);

struct Chore {
    due_ns: u64,
    call: fn(),
}

static CHORES: Mutex<Vec<Chore>> = Mutex::new(Vec::new());

/// When the first is due. Changed under the lock. Relaxed: it is a hint, and who acts on it takes the lock.
static DUE_NS: AtomicU64 = AtomicU64::new(NEVER);

/// A chore that is due. It is to be [`run`](Self::run); if this is dropped instead, the chore is due again later.
#[derive(Debug)]
pub(crate) struct Due {
    call: fn(),
}

impl Due {
    /// Does it. A panic of it ends here.
    pub(crate) fn run(self) {
        let call = self.call;
        forget(self);
        contain(call);
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        call_later(AGAIN, self.call);
    }
}

fn lock() -> MutexGuard<'static, Vec<Chore>> {
    // Nothing panics under it but an allocation that fails, before anything was changed.
    CHORES.lock().unwrap_or_else(|e| e.into_inner())
}

fn note_first(chores: &[Chore]) {
    let first = chores.iter().map(|chore| chore.due_ns).min();
    DUE_NS.store(first.unwrap_or(NEVER), Ordering::Relaxed);
}

/// Has `call` called once, on a G or a thread of the user's, some time after `delay`.
pub fn call_later(delay: Duration, call: fn()) {
    let due_ns = deadline(delay);
    let mut chores = lock();
    chores.push(Chore { due_ns, call });
    note_first(&chores);
}

/// When the first is due.
pub(crate) fn due_ns() -> u64 {
    DUE_NS.load(Ordering::Relaxed)
}

/// Takes all that are due.
pub(crate) fn take_due(now_ns: u64) -> Vec<Due> {
    if now_ns < due_ns() {
        return Vec::new();
    }
    let mut chores = lock();
    let (due, later): (Vec<_>, Vec<_>) = take(&mut *chores).into_iter().partition(|chore| chore.due_ns <= now_ns);
    *chores = later;
    note_first(&chores);
    due.into_iter().map(|chore| Due { call: chore.call }).collect()
}

/// Does what is due, on the calling thread, which is the user's and runs no G.
pub fn run_due() {
    if due_ns() != NEVER {
        take_due(now_ns()).into_iter().for_each(Due::run);
    }
}
