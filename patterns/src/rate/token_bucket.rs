//! The token bucket: bursts up to a size, and a rate on average.

use super::algorithm::{Algorithm, Refused, Sealed, Slot};
use super::value::Rate;
use std::time::Instant;

/// A bucket that fills with tokens at a rate, up to the size of a burst. Who takes more than there are leaves a debt,
/// and waits until that is paid. It begins full.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    burst: usize,
    /// Those that were there at `last`; less than none are a debt.
    tokens: f64,
    /// None: never used.
    last: Option<Instant>,
    /// The latest moment for which permits were given out.
    latest_event: Option<Instant>,
}

impl TokenBucket {
    pub(super) const fn new(rate: Rate, burst: usize) -> TokenBucket {
        TokenBucket { rate, burst, tokens: burst as f64, last: None, latest_event: None }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn burst(&self) -> usize {
        self.burst
    }

    /// How many tokens there are.
    pub(super) fn tokens(&self, now: Instant) -> f64 {
        let elapsed = self.last.map_or_else(Default::default, |last| now.saturating_duration_since(last));
        (self.tokens + self.rate.events_in(elapsed)).min(self.burst as f64)
    }

    /// From now on another rate and burst count. The tokens that there are stay, as far as they fit.
    pub(super) fn set(&mut self, now: Instant, rate: Rate, burst: usize) {
        self.tokens = self.tokens(now);
        self.last = Some(now);
        (self.rate, self.burst) = (rate, burst);
    }
}

impl Algorithm for TokenBucket {}

impl Sealed for TokenBucket {
    fn take(&mut self, now: Instant, n: usize, latest: Option<Instant>) -> Result<Slot, Refused> {
        let slot = |at| Slot { at, n, per_sec: self.rate.as_per_sec() };
        if self.rate.is_infinite() {
            return Ok(slot(now));
        }
        if n > self.burst {
            return Err(Refused::Never);
        }
        let tokens = self.tokens(now) - n as f64;
        let wait = self.rate.time_of(-tokens).ok_or(Refused::Never)?;
        let at = now.checked_add(wait).ok_or(Refused::Never)?;
        Refused::if_late(now, at, latest)?;
        let slot = slot(at);
        (self.tokens, self.last, self.latest_event) = (tokens, Some(now), Some(at));
        Ok(slot)
    }

    fn give_back(&mut self, now: Instant, slot: &Slot) {
        if self.rate.is_infinite() || slot.at < now {
            return;
        }
        let rate = Rate::per_sec(slot.per_sec);
        // What was given out later relies on these tokens, for as long as it comes after them.
        let later = self.latest_event.map_or_else(Default::default, |latest| latest.saturating_duration_since(slot.at));
        let restored = slot.n as f64 - rate.events_in(later);
        if restored <= 0.0 {
            return;
        }
        self.tokens = (self.tokens(now) + restored).min(self.burst as f64);
        self.last = Some(now);
        if self.latest_event == Some(slot.at) {
            let before = rate.time_of(slot.n as f64).and_then(|time| slot.at.checked_sub(time));
            self.latest_event = before.filter(|before| *before >= now).or(self.latest_event);
        }
    }

    fn is_as_new(&self, now: Instant) -> bool {
        self.rate.is_infinite() || self.tokens(now) >= self.burst as f64
    }
}

#[cfg(test)]
#[path = "token_bucket_tests.rs"]
mod tests;
