//! Where G records come from: slabs for the whole process, a free list for each P.

use super::control::G;
use crate::config::FREE_GS_MAX;
use std::sync::{Mutex, MutexGuard};

/// So many records are made at a time.
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

/// The free records of one P, or of nobody.
#[derive(Debug, Default)]
pub(crate) struct FreeGs(Vec<&'static G>);

impl FreeGs {
    /// A free record, the one that was used last if possible.
    #[inline]
    pub(crate) fn take(&mut self) -> &'static G {
        loop {
            if let Some(g) = self.0.pop() {
                return g;
            }
            pool().take(&mut self.0, SLAB);
        }
    }

    /// Gives a free record back.
    #[inline]
    pub(crate) fn give(&mut self, g: &'static G) {
        self.0.push(g);
        if self.0.len() >= FREE_GS_MAX {
            self.spill(FREE_GS_MAX / 2);
        }
    }

    /// Leaves `keep` records and gives the rest to everybody.
    #[cold]
    pub(crate) fn spill(&mut self, keep: usize) {
        let keep = keep.min(self.0.len());
        pool().free.extend(self.0.drain(keep..));
    }
}

impl Drop for FreeGs {
    fn drop(&mut self) {
        self.spill(0);
    }
}

/// Shows every record of the process, free ones too, to `f`.
pub(crate) fn for_each(mut f: impl FnMut(&'static G)) {
    // The slabs are copied out: `f` may do what makes Gs.
    let slabs = pool().slabs.clone();
    slabs.into_iter().flatten().for_each(&mut f);
}

/// A free record, for who has no P.
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
