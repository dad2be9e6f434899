//! What blocks its thread, as libc has no other way: it takes a permit, of which there are few, and the other Gs park. Who
//! comes back hands its permit to the one that has waited longest. If nobody has got one for a while, there is one more: a child
//! that is being started may wait for another, or its program may be on a disk that does not answer.
//!
//! # The argument
//! *No permit is lost.* Who comes back wakes a waiter, which has the permit then. If it finds none it gives the permit back,
//! looks again, and takes it anew if somebody has come. `taken` is the word of the bucket's argument (`futex_table.rs`): who
//! waits looks at it under the bucket's lock, so either it sees that the permit was given back, or it is seen by that second
//! look.
//!
//! *Nobody overtakes.* A permit that is handed over is never free in between. A waiter stays in the list until it has one, or
//! its runtime closes.

#![cfg(not(loom))]

use crate::futex_table::{Bucket, Waited};
use pirn_runtime::blocking;
use pirn_runtime::internal::{Call, Hooked, has_come, now, wake_from_anywhere};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The permits to block a thread with one call. The atomics guard nothing, so they are relaxed; the bucket orders them with a
/// wait.
pub(crate) struct Permits {
    call: &'static Call,
    at_once: u64,
    /// When nobody has got one for so long, there is one more until all have come back. None: never.
    patience: Option<Duration>,
    /// How many are taken (`ONE`), and how many more there are for now (`MORE`).
    taken: AtomicU64,
    /// How often one was got. It may wrap.
    got: AtomicUsize,
    waiters: Bucket,
}

const ONE: u64 = 1;
const MORE: u64 = 1 << 32;

/// So long one is taken, about: who waits behind others has more patience.
const USUAL: Duration = Duration::from_millis(1);

/// All wait at one address, for all.
const ADDRESS: usize = 0;
const BITS: u32 = u32::MAX;

impl Permits {
    pub(crate) const fn new(at_once: u32, patience: Option<Duration>, call: &'static Call) -> Permits {
        Permits {
            call,
            at_once: at_once as u64,
            patience,
            taken: AtomicU64::new(0),
            got: AtomicUsize::new(0),
            waiters: Bucket::new(),
        }
    }

    /// Calls `block` with a permit. `g` may park. None: the runtime closes.
    pub(crate) fn with_one<R>(&self, g: Hooked, block: impl FnOnce() -> R) -> Option<R> {
        g.checkpoint();
        let permit = self.wait(g)?;
        Some(blocking(|| {
            let result = block();
            // It is handed on before the caller waits for a P.
            drop(permit);
            result
        }))
    }

    fn wait(&self, g: Hooked) -> Option<Permit<'_>> {
        loop {
            if self.takes_free() {
                return Some(self.get());
            }
            let (ahead, before) = (self.waiters.len(), self.got.load(Ordering::Relaxed));
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
                            more = self.get_one_more(seen);
                            if more.is_some() {
                                return false;
                            }
                            seen = self.got.load(Ordering::Relaxed);
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
                Waited::Woken => return Some(self.get()),
                Waited::Ended => return more,
            }
        }
    }

    /// When one that waits behind so many looks whether somebody has got one.
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

    /// Takes one that is free. False: there is none.
    fn takes_free(&self) -> bool {
        let take = |taken| self.may_take(taken).then_some(taken + ONE);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// The caller has taken one, or was handed one.
    fn get(&self) -> Permit<'_> {
        self.got.fetch_add(1, Ordering::Relaxed);
        Permit { of: self }
    }

    /// Gets one though none is free, if nobody has got one since there were so many.
    fn get_one_more(&self, seen: usize) -> Option<Permit<'_>> {
        self.got.compare_exchange(seen, seen.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.taken.fetch_add(MORE + ONE, Ordering::Relaxed);
        Some(Permit { of: self })
    }

    /// One comes back.
    fn hand_on(&self) {
        loop {
            let has_waiter = !self.waiters.is_empty();
            if has_waiter && self.waiters.wake(ADDRESS, BITS, 1, wake_from_anywhere) > 0 {
                return;
            }
            // When all have come back, no one is late.
            let give_back = |taken| Some(if taken % MORE == ONE { 0 } else { taken - ONE });
            _ = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give_back);
            if self.waiters.is_empty() || !self.takes_free() {
                return;
            }
        }
    }
}

/// The right to block a thread.
struct Permit<'p> {
    of: &'p Permits,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.of.hand_on();
    }
}
