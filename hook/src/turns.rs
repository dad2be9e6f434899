//! What blocks its thread, as libc has no other way: few Gs do so at a time, and the others park. Who comes back hands its
//! turn to the one that has waited longest. If no turn has begun for a while, one more does: a child that is being started may
//! wait for another, or its program may be on a disk that does not answer.
//!
//! # The argument
//! *No turn is lost.* Who comes back wakes a waiter, which has the turn then. If it finds none it gives the turn back, looks
//! again, and takes it anew if somebody has come. `taken` is the word of the bucket's argument (`futex_table.rs`): who waits
//! looks at it under the bucket's lock, so either it sees that the turn was given back, or it is seen by that second look.
//!
//! *Nobody overtakes.* A turn that is handed over is never free in between. A waiter stays in the list until it has a turn, or
//! its runtime closes.

#![cfg(not(loom))]

use crate::futex_table::{Bucket, Waited};
use pirn_runtime::blocking;
use pirn_runtime::internal::{Call, Hooked, has_come, now, wake_from_anywhere};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The Gs that may block a thread with one call. The atomics guard nothing, so they are relaxed; the bucket orders them with a
/// wait.
pub(crate) struct Turns {
    call: &'static Call,
    at_once: u64,
    /// When no turn has begun for so long, one more may be taken until all have come back. None: never.
    patience: Option<Duration>,
    /// How many Gs have a turn (`TURN`), and how many more may have one (`MORE`).
    taken: AtomicU64,
    /// How many turns have begun. It may wrap.
    begun: AtomicUsize,
    waiters: Bucket,
}

const TURN: u64 = 1;
const MORE: u64 = 1 << 32;

/// So long one turn takes, about: who waits behind others has more patience.
const USUAL: Duration = Duration::from_millis(1);

/// All wait at one address, for all.
const ADDRESS: usize = 0;
const BITS: u32 = u32::MAX;

impl Turns {
    pub(crate) const fn new(at_once: u32, patience: Option<Duration>, call: &'static Call) -> Turns {
        Turns {
            call,
            at_once: at_once as u64,
            patience,
            taken: AtomicU64::new(0),
            begun: AtomicUsize::new(0),
            waiters: Bucket::new(),
        }
    }

    /// Calls `block` when its turn has come. `g` may park. None: the runtime closes.
    pub(crate) fn take<R>(&self, g: Hooked, block: impl FnOnce() -> R) -> Option<R> {
        g.checkpoint();
        let turn = self.wait(g)?;
        Some(blocking(|| {
            let result = block();
            // It is handed on before the caller waits for a P.
            drop(turn);
            result
        }))
    }

    fn wait(&self, g: Hooked) -> Option<Turn<'_>> {
        loop {
            if self.takes_free() {
                return Some(self.begin());
            }
            let (ahead, before) = (self.waiters.len(), self.begun.load(Ordering::Relaxed));
            let mut more = None;
            let waited = self.waiters.wait(
                ADDRESS,
                BITS,
                || !self.is_free(),
                |ticket| {
                    let (mut seen, mut until) = (before, self.next_look(ahead));
                    while !ticket.is_told() {
                        if g.is_cancelled() {
                            return false;
                        }
                        if until.is_some_and(has_come) {
                            more = self.begin_one_more(seen);
                            if more.is_some() {
                                return false;
                            }
                            seen = self.begun.load(Ordering::Relaxed);
                            until = self.next_look(ahead.saturating_sub(seen.wrapping_sub(before)));
                        }
                        g.park(self.call, 0, until);
                    }
                    true
                },
            );
            match waited {
                Waited::Changed => {}
                // If it has one more besides, that is given back.
                Waited::Woken => return Some(self.begin()),
                Waited::Ended => return more,
            }
        }
    }

    /// When one that waits behind so many looks whether a turn has begun.
    fn next_look(&self, ahead: usize) -> Option<Instant> {
        let behind = USUAL.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
        now().checked_add(self.patience?.saturating_add(behind))
    }

    fn may_take(&self, taken: u64) -> bool {
        taken % MORE < self.at_once + taken / MORE
    }

    fn is_free(&self) -> bool {
        self.may_take(self.taken.load(Ordering::Relaxed))
    }

    /// Takes a turn that is free. False: there is none.
    fn takes_free(&self) -> bool {
        let take = |taken| self.may_take(taken).then_some(taken + TURN);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// The caller has taken a turn, or was handed one.
    fn begin(&self) -> Turn<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Turn { turns: self }
    }

    /// Begins a turn though none is free, if none has begun since there were so many.
    fn begin_one_more(&self, seen: usize) -> Option<Turn<'_>> {
        self.begun.compare_exchange(seen, seen.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.taken.fetch_add(MORE + TURN, Ordering::Relaxed);
        Some(Turn { turns: self })
    }

    /// A turn has ended.
    fn hand_on(&self) {
        loop {
            let has_waiter = !self.waiters.is_empty();
            if has_waiter && self.waiters.wake(ADDRESS, BITS, 1, wake_from_anywhere) > 0 {
                return;
            }
            // When nobody has a turn, no one is late.
            let give_back = |taken| Some(if taken % MORE == TURN { 0 } else { taken - TURN });
            _ = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give_back);
            if self.waiters.is_empty() || !self.takes_free() {
                return;
            }
        }
    }
}

/// The right to block a thread.
struct Turn<'t> {
    turns: &'t Turns,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.hand_on();
    }
}
