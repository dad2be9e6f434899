//! The leaky bucket as a queue: events leave it evenly.

use super::algorithm::{Algorithm, Refused, Sealed, Slot};
use super::value::Rate;

/// A queue that lets events out one by one, each an interval after the one before, however they come. There are no
/// bursts. At most so many may wait; those that come then are refused.
#[derive(Clone, Debug)]
pub struct LeakyBucket {
    rate: Rate,
    queue: usize,
    /// When the next event may leave.
    next_ns: u64,
}

impl LeakyBucket {
    pub(super) const fn new(rate: Rate, queue: usize) -> LeakyBucket {
        LeakyBucket { rate, queue, next_ns: 0 }
    }
}

impl Algorithm for LeakyBucket {}

impl Sealed for LeakyBucket {
    fn take(&mut self, now_ns: u64, n: usize, latest_ns: u64) -> Result<Slot, Refused> {
        let at_ns = self.next_ns.max(now_ns);
        let slot = Slot { at_ns, n, per_sec: self.rate.as_per_sec() };
        if n == 0 || self.rate.is_infinite() {
            return Ok(slot);
        }
        if self.rate == Rate::ZERO {
            return Err(Refused::Never);
        }
        if at_ns > now_ns {
            // A queue that is longer than any process runs does not get full.
            let full_ns = self.rate.ns_of(self.queue as f64).and_then(|ns| now_ns.checked_add(ns));
            Refused::if_late(at_ns, full_ns.map_or(latest_ns, |full_ns| full_ns.min(latest_ns)))?;
        }
        let next_ns = self.rate.ns_of(n as f64).and_then(|ns| at_ns.checked_add(ns));
        self.next_ns = next_ns.ok_or(Refused::Never)?;
        Ok(slot)
    }

    /// Only the last one leaves no gap.
    fn give_back(&mut self, now_ns: u64, slot: &Slot) {
        let next_ns = self.rate.ns_of(slot.n as f64).and_then(|ns| slot.at_ns.checked_add(ns));
        if slot.at_ns >= now_ns && slot.n > 0 && next_ns == Some(self.next_ns) {
            self.next_ns = slot.at_ns;
        }
    }

    fn is_as_new(&self, now_ns: u64) -> bool {
        self.next_ns <= now_ns
    }
}
