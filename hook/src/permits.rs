//! Permits, of which there are few. Who gives one back hands it to the one that has waited longest. Who has waited for long
//! may have one more be made.
//!
//! # The argument
//! *No permit is lost.* Who gives one back takes the first waiter out of the list, which has the permit then; or, if there is
//! none, makes it free under the same lock. Under that lock, too, who waits looks whether one is free, and goes into the list.
//! Who is handed one while it has one more made gives that back.
//!
//! *Nobody overtakes.* A permit that is handed over is never free in between. A waiter stays in the list until it has one, or
//! its wait ends.
//!
//! `permits_loom.rs` models it.

use crate::futex_table::{Bucket, Waited};
use pirn_runtime::internal::{AtomicUsize, Ordering, Ticket, Told};

/// See the head of this file. The atomics guard nothing, so they are relaxed; the bucket orders them with a wait.
pub(crate) struct Permits {
    at_once: usize,
    /// How many are taken (`ONE`), and how many more there are for now (`MORE`).
    taken: AtomicUsize,
    /// How often one was got. It may wrap.
    got: AtomicUsize,
    waiters: Bucket,
    /// How a waiter is woken.
    wake: fn(Told),
}

const ONE: usize = 1;
const MORE: usize = 1 << 32;

/// All wait at one address, for all.
const ADDRESS: usize = 0;
const BITS: u32 = u32::MAX;

/// One of them. It is given back when it is dropped.
pub(crate) struct Permit<'p> {
    of: &'p Permits,
}

impl Permits {
    /// So many, all free.
    #[cfg(not(loom))]
    pub(crate) const fn new(at_once: u32, wake: fn(Told)) -> Permits {
        let (taken, got) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Permits { at_once: at_once as usize, taken, got, waiters: Bucket::new(), wake }
    }

    /// So many, all free.
    #[cfg(all(test, loom))]
    fn new(at_once: u32, wake: fn(Told)) -> Permits {
        let (taken, got) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Permits { at_once: at_once as usize, taken, got, waiters: Bucket::new(), wake }
    }

    /// Takes one, or waits for it. `sleep` is as for [`Bucket::wait`]; it is given a place for one more, with which it ends the
    /// wait by itself. None: it has done so without.
    pub(crate) fn take<'p>(
        &'p self,
        mut sleep: impl FnMut(&Ticket<()>, &mut Option<Permit<'p>>) -> bool,
    ) -> Option<Permit<'p>> {
        loop {
            if self.takes_free() {
                return Some(self.get());
            }
            let mut more = None;
            let still = || !self.may_take(self.taken.load(Ordering::Relaxed));
            match self.waiters.wait(ADDRESS, BITS, still, |ticket| sleep(ticket, &mut more)) {
                Waited::Changed => {}
                Waited::Woken => return Some(self.get()),
                Waited::Ended => return more,
            }
        }
    }

    /// How many wait, or are about to.
    #[cfg(not(loom))]
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// How often one was got, by anybody. It may wrap.
    pub(crate) fn got(&self) -> usize {
        self.got.load(Ordering::Relaxed)
    }

    /// Gets one though none is free, if nobody has got one since there were so many. It is there until all are free.
    pub(crate) fn get_one_more(&self, got: usize) -> Option<Permit<'_>> {
        self.got.compare_exchange(got, got.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.taken.fetch_add(MORE + ONE, Ordering::Relaxed);
        Some(Permit { of: self })
    }

    fn may_take(&self, taken: usize) -> bool {
        taken % MORE < self.at_once + taken / MORE
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

    /// One comes back.
    fn hand_on(&self) {
        let give_back = |taken| Some(if taken % MORE == ONE { 0 } else { taken - ONE });
        let free = || _ = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give_back);
        self.waiters.wake_first_or(free, self.wake);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.of.hand_on();
    }
}

#[cfg(all(test, loom))]
#[path = "permits_loom.rs"]
mod tests;
