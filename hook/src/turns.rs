//! What blocks its thread, as libc has no other way: few Gs do so at a time, and the others park. If none of the few comes
//! back for a while, one more goes on: it may be the one for whom they wait.
//!
//! No turn is lost: `taken` is the word of the bucket's argument (`futex_table.rs`). Who gives a turn back changes it before it
//! looks for waiters. One that was woken, and finds that another was faster, is in the list again when that one comes back.

#![cfg(not(loom))]

use crate::futex_table::{Bucket, Waited};
use pirn_runtime::blocking;
use pirn_runtime::internal::{Call, Hooked, has_come, now, wake_from_anywhere};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// When no turn has begun for so long, one more begins.
const PATIENCE: Duration = Duration::from_millis(100);

/// The Gs that may block a thread with one call. Its atomics guard nothing, so they are relaxed; the bucket orders them with a
/// wait.
pub(crate) struct Turns {
    call: &'static Call,
    at_once: usize,
    /// How many Gs have a turn.
    taken: AtomicUsize,
    /// How many turns have begun. It may wrap.
    begun: AtomicUsize,
    waiters: Bucket,
}

/// All wait at one address, for all.
const ADDRESS: usize = 0;
const BITS: u32 = u32::MAX;

impl Turns {
    pub(crate) const fn new(at_once: usize, call: &'static Call) -> Turns {
        Turns { call, at_once, taken: AtomicUsize::new(0), begun: AtomicUsize::new(0), waiters: Bucket::new() }
    }

    /// Calls `block` when its turn has come. `g` may park. None: the runtime closes.
    pub(crate) fn take<R>(&self, g: Hooked, block: impl FnOnce() -> R) -> Option<R> {
        g.checkpoint();
        let _turn = self.wait(g)?;
        Some(blocking(block))
    }

    fn wait(&self, g: Hooked) -> Option<Turn<'_>> {
        loop {
            let more = |taken: usize| (taken < self.at_once).then_some(taken + 1);
            if self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
                self.begun.fetch_add(1, Ordering::Relaxed);
                return Some(Turn { turns: self });
            }
            let begun = self.begun.load(Ordering::Relaxed);
            let deadline = now() + PATIENCE;
            let still = || self.taken.load(Ordering::Relaxed) >= self.at_once;
            let waited = self.waiters.wait(ADDRESS, BITS, still, |ticket| {
                while !ticket.is_told() {
                    if g.is_cancelled() || has_come(deadline) {
                        return false;
                    }
                    g.park(self.call, 0, Some(deadline));
                }
                true
            });
            if waited != Waited::Ended {
                continue;
            }
            if g.is_cancelled() {
                return None;
            }
            // One of those whose time is over.
            if self.begun.compare_exchange(begun, begun.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.taken.fetch_add(1, Ordering::Relaxed);
                return Some(Turn { turns: self });
            }
        }
    }
}

struct Turn<'t> {
    turns: &'t Turns,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let turns = self.turns;
        let taken = turns.taken.fetch_sub(1, Ordering::Relaxed) - 1;
        if taken < turns.at_once && !turns.waiters.is_empty() {
            turns.waiters.wake(ADDRESS, BITS, 1, wake_from_anywhere);
        }
    }
}
