//! Work waits for an M, and all Ms that may exist are blocked in Gs: if this lasts, the process ends.

use crate::p::P;
use crate::sched::Shared;

/// How long that may last, and at how many looks it must have been seen: on a busy machine much time may pass between
/// two looks.
const HOPELESS_NS: u64 = 100_000_000;
const HOPELESS_LOOKS: u32 = 20;

/// Since when work waits for an M, there can be none, and no P has picked a G.
#[derive(Debug)]
pub(super) struct NoThread {
    picks: u64,
    since_ns: u64,
    looks: u32,
}

impl NoThread {
    /// No work waits.
    pub(super) fn new(now_ns: u64) -> NoThread {
        NoThread { picks: 0, since_ns: now_ns, looks: 0 }
    }

    /// Looks. `waits` says that work waits, and a P is idle.
    pub(super) fn look(&mut self, shared: &Shared, now_ns: u64, waits: bool) {
        let picks = shared.ps.iter().map(P::schedtick).sum();
        let goes_on = std::mem::replace(&mut self.picks, picks) != picks;
        if goes_on || !waits || !shared.is_exhausted() {
            *self = NoThread { picks, since_ns: now_ns, looks: 0 };
        }
        self.looks = self.looks.saturating_add(1);
        if now_ns - self.since_ns > HOPELESS_NS && self.looks > HOPELESS_LOOKS {
            shared.exhausted();
        }
    }
}
