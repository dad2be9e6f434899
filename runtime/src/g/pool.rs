//! Where G records come from: slabs for the whole process, a free list for each P.

#![cfg(not(loom))]

use super::control::G;
use crate::config::FREE_GS_MAX;
use crate::os::{Mutex, MutexGuard};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many records are made at a time.
const SLAB: usize = 64;

struct Pool {
    slabs: Vec<&'static [G]>,
    free: Vec<&'static G>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { slabs: Vec::new(), free: Vec::new() });

fn pool() -> MutexGuard<'static, Pool> {
    // A panic under the lock can only be an allocation that failed, before anything was changed.
    POOL.lock().unwrap_or_else(|e| e.into_inner())
}

impl Pool {
    fn take(&mut self, into: &mut Vec<&'static G>, count: usize) {
        if self.free.is_empty() {
            let slab: &'static [G] = Box::leak((0..SLAB).map(|_| G::free()).collect());
            self.slabs.push(slab);
            self.free.extend(slab.iter().rev());
        }
        let keep = self.free.len().saturating_sub(count);
        into.extend(self.free.drain(keep..));
    }
}

/// The free records of one P. Only its owner uses it; anything may ask for its length.
#[derive(Debug)]
pub(crate) struct FreeGs {
    len: AtomicU32,
    gs: [Cell<Option<&'static G>>; FREE_GS_MAX],
}

impl FreeGs {
    /// None.
    pub(crate) fn new() -> FreeGs {
        FreeGs { len: AtomicU32::new(0), gs: [const { Cell::new(None) }; FREE_GS_MAX] }
    }

    /// How many there are.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed) as usize
    }

    #[inline(always)]
    fn set_len(&self, len: usize) {
        self.len.store(len as u32, Ordering::Relaxed);
    }

    /// A free record, the one that was used last if possible.
    #[inline]
    pub(crate) fn take(&self) -> &'static G {
        loop {
            let len = self.len();
            if let Some(at) = len.checked_sub(1)
                && let Some(g) = self.gs[at % FREE_GS_MAX].get()
            {
                self.set_len(at);
                return g;
            }
            self.refill();
        }
    }

    #[cold]
    fn refill(&self) {
        let mut batch = Vec::with_capacity(SLAB);
        pool().take(&mut batch, SLAB);
        self.set_len(batch.len());
        batch.into_iter().zip(&self.gs).for_each(|(g, place)| place.set(Some(g)));
    }

    /// Whether a record can be given without sending others away.
    #[inline]
    pub(crate) fn has_place(&self) -> bool {
        self.len() + 1 < FREE_GS_MAX
    }

    /// Gives a free record back.
    #[inline]
    pub(crate) fn give(&self, g: &'static G) {
        let len = self.len();
        self.gs[len % FREE_GS_MAX].set(Some(g));
        self.set_len(len + 1);
        if len + 1 >= FREE_GS_MAX {
            self.spill(FREE_GS_MAX / 2);
        }
    }

    /// Keeps `keep` records and gives the others to the common list.
    #[cold]
    fn spill(&self, keep: usize) {
        let spilled = self.gs[keep..self.len()].iter().filter_map(Cell::take);
        pool().free.extend(spilled);
        self.set_len(keep);
    }
}

impl Drop for FreeGs {
    fn drop(&mut self) {
        self.spill(0);
    }
}

/// Calls `f` with every record of the process, free ones too.
pub(crate) fn for_each(mut f: impl FnMut(&'static G)) {
    // On a copy of the list, without the lock: `f` may start Gs, which takes it.
    let slabs = pool().slabs.clone();
    slabs.into_iter().flatten().for_each(&mut f);
}

/// A free record, for a caller without a P.
pub(crate) fn take_free() -> &'static G {
    let mut one = Vec::with_capacity(1);
    loop {
        pool().take(&mut one, 1);
        if let Some(g) = one.pop() {
            return g;
        }
    }
}

/// Gives a free record back, without a P.
pub(crate) fn give_free(g: &'static G) {
    pool().free.push(g);
}
