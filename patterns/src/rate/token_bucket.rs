//! The token bucket: bursts up to a size, and a rate on average.

use super::algorithm::{Algorithm, Refused, Sealed, Slot};
use super::value::Rate;
use std::time::Duration;

/// A bucket that fills with tokens at a rate, up to the size of a burst. Who takes more than there are leaves a debt,
/// and waits until that is paid. It begins full.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    /// As many tokens come in a nanosecond.
    per_ns: f64,
    burst: usize,
    /// Those that were there at `last_ns`; less than none are a debt.
    tokens: f64,
    last_ns: u64,
    /// The latest moment for which permits were given out.
    latest_event_ns: u64,
}

impl TokenBucket {
    pub(super) const fn new(rate: Rate, burst: usize) -> TokenBucket {
        TokenBucket { rate, per_ns: rate.per_ns(), burst, tokens: burst as f64, last_ns: 0, latest_event_ns: 0 }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn burst(&self) -> usize {
        self.burst
    }

    /// How many tokens there are.
    #[inline]
    pub(super) fn tokens(&self, now_ns: u64) -> f64 {
        let (elapsed_ns, burst) = (now_ns.saturating_sub(self.last_ns), self.burst as f64);
        // Without a limit the product of no time would be no number.
        let tokens = if elapsed_ns == 0 { self.tokens } else { self.tokens + elapsed_ns as f64 * self.per_ns };
        if tokens < burst { tokens } else { burst }
    }

    /// From now on another rate and burst count. The tokens that there are stay, as far as they fit.
    pub(super) fn set(&mut self, now_ns: u64, rate: Rate, burst: usize) {
        self.tokens = self.tokens(now_ns);
        self.last_ns = now_ns;
        (self.rate, self.per_ns, self.burst) = (rate, rate.per_ns(), burst);
    }

    /// Why nobody gets that many tokens more than there are, who would wait for so long.
    fn refusal(&self, tokens: f64, patience_ns: u64) -> Refused {
        match self.rate.ns_of(tokens) {
            Some(wait_ns) => Refused::NotYet(Duration::from_nanos(wait_ns.saturating_sub(patience_ns))),
            None => Refused::Never,
        }
    }
}

impl Algorithm for TokenBucket {}

impl Sealed for TokenBucket {
    #[inline]
    fn take(&mut self, now_ns: u64, n: usize, latest_ns: u64) -> Result<Slot, Refused> {
        let slot = |at_ns| Slot { at_ns, n, per_sec: self.rate.as_per_sec() };
        if self.rate.is_infinite() {
            return Ok(slot(now_ns));
        }
        if n > self.burst {
            return Err(Refused::Never);
        }
        let tokens = self.tokens(now_ns) - n as f64;
        // A moment is rounded down to a nanosecond, so what comes in the next one may be missing. The moment itself is
        // computed only where it is asked for: a caller that is refused, and asks for no more, pays for no division.
        let most_ns = (latest_ns - now_ns).saturating_add(1);
        if tokens < 0.0 && -tokens >= most_ns as f64 * self.per_ns {
            return Err(self.refusal(-tokens, latest_ns - now_ns));
        }
        let at_ns = if tokens < 0.0 {
            now_ns.saturating_add(self.rate.ns_of(-tokens).unwrap_or(u64::MAX)).min(latest_ns)
        } else {
            now_ns
        };
        let slot = slot(at_ns);
        (self.tokens, self.last_ns, self.latest_event_ns) = (tokens, now_ns, at_ns);
        Ok(slot)
    }

    fn give_back(&mut self, now_ns: u64, slot: &Slot) {
        if self.rate.is_infinite() || slot.at_ns < now_ns {
            return;
        }
        let rate = Rate::per_sec(slot.per_sec);
        // What was given out later relies on these tokens, for as long as it comes after them.
        let later_ns = self.latest_event_ns.saturating_sub(slot.at_ns);
        let restored = slot.n as f64 - rate.events_in(later_ns);
        if restored <= 0.0 {
            return;
        }
        self.tokens = (self.tokens(now_ns) + restored).min(self.burst as f64);
        self.last_ns = now_ns;
        if self.latest_event_ns == slot.at_ns {
            let before_ns = rate.ns_of(slot.n as f64).and_then(|ns| slot.at_ns.checked_sub(ns));
            self.latest_event_ns = before_ns.filter(|before_ns| *before_ns >= now_ns).unwrap_or(slot.at_ns);
        }
    }

    fn is_as_new(&self, now_ns: u64) -> bool {
        self.rate.is_infinite() || self.tokens(now_ns) >= self.burst as f64
    }
}

#[cfg(test)]
#[path = "token_bucket_tests.rs"]
mod tests;
