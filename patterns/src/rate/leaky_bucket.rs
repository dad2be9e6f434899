//! The leaky bucket as a queue: events leave it evenly.

use super::algorithm::{Algorithm, Refused, Sealed, Slot};
use super::value::Rate;
use std::time::Instant;

/// A queue that lets events out one by one, each an interval after the one before, however they come. There are no
/// bursts. At most so many may wait; those that come then are refused.
#[derive(Clone, Debug)]
pub struct LeakyBucket {
    rate: Rate,
    queue: usize,
    /// When the next event may leave. None: never used.
    next: Option<Instant>,
}

impl LeakyBucket {
    pub(super) const fn new(rate: Rate, queue: usize) -> LeakyBucket {
        LeakyBucket { rate, queue, next: None }
    }
}

impl Algorithm for LeakyBucket {}

impl Sealed for LeakyBucket {
    fn take(&mut self, now: Instant, n: usize, latest: Option<Instant>) -> Result<Slot, Refused> {
        let at = self.next.map_or(now, |next| next.max(now));
        let slot = Slot { at, n, per_sec: self.rate.as_per_sec() };
        if n == 0 || self.rate.is_infinite() {
            return Ok(slot);
        }
        if self.rate == Rate::ZERO {
            return Err(Refused::Never);
        }
        let full = self.rate.time_of(self.queue as f64).and_then(|time| now.checked_add(time));
        let latest = [latest, full].into_iter().flatten().min();
        Refused::if_late(now, at, latest)?;
        let next = self.rate.time_of(n as f64).and_then(|time| at.checked_add(time));
        self.next = Some(next.ok_or(Refused::Never)?);
        Ok(slot)
    }

    /// Only the last one leaves no gap.
    fn give_back(&mut self, now: Instant, slot: &Slot) {
        let next = self.rate.time_of(slot.n as f64).and_then(|time| slot.at.checked_add(time));
        if slot.at >= now && slot.n > 0 && next == self.next {
            self.next = Some(slot.at);
        }
    }

    fn is_as_new(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }
}
