//! How long to wait before the next try.

use pirn_runtime::internal::random_below;
use std::time::Duration;

/// How much of a delay is left to chance, so that callers that have failed together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// The delay is any time from zero to the computed one. This spreads callers best.
    #[default]
    Full,
    /// At least half of the computed time.
    Half,
    /// The computed time. For tests, and for a single caller.
    None,
}

/// Delays that grow from try to try, up to a limit.
///
/// The computed delay is `first` times `factor` to the number of retries before, at most `max`; the jitter takes from
/// it. The source of full jitter is "Exponential Backoff And Jitter" of the AWS Architecture Blog.
///
/// ```
/// use pirn::patterns::retry::{Backoff, Jitter};
/// use std::time::Duration;
///
/// let ms = Duration::from_millis;
/// let backoff = Backoff::exponential(ms(10), ms(50)).jitter(Jitter::None);
/// assert_eq!(backoff.delays().take(4).collect::<Vec<_>>(), [ms(10), ms(20), ms(40), ms(50)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    factor: f64,
    jitter: Jitter,
}

impl Backoff {
    /// Delays that double from `first` on, up to `max`, with full jitter.
    pub const fn exponential(first: Duration, max: Duration) -> Backoff {
        Backoff { first, max, factor: 2.0, jitter: Jitter::Full }
    }

    /// The same delay each time, without jitter.
    pub const fn constant(delay: Duration) -> Backoff {
        Backoff { first: delay, max: delay, factor: 1.0, jitter: Jitter::None }
    }

    /// No delay at all.
    pub const fn none() -> Backoff {
        Backoff::constant(Duration::ZERO)
    }

    /// Each delay is so many times the one before. Less than 1 counts as 1.
    #[must_use]
    pub const fn factor(mut self, factor: f64) -> Backoff {
        self.factor = if factor > 1.0 { factor } else { 1.0 };
        self
    }

    /// How much of a delay is left to chance.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Backoff {
        self.jitter = jitter;
        self
    }

    /// The delays, one after the other. They do not end.
    pub fn delays(&self) -> Delays {
        Delays { backoff: *self, next: self.first.min(self.max) }
    }
}

/// What [`Backoff::delays`] returns.
#[derive(Clone, Debug)]
pub struct Delays {
    backoff: Backoff,
    next: Duration,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let computed = self.next;
        let grown = computed.as_secs_f64() * self.backoff.factor;
        // Without a limit the product may be more than a `Duration` holds.
        self.next = Duration::try_from_secs_f64(grown).unwrap_or(Duration::MAX).min(self.backoff.max);
        Some(match self.backoff.jitter {
            Jitter::None => computed,
            Jitter::Full => up_to(computed),
            Jitter::Half => computed / 2 + up_to(computed - computed / 2),
        })
    }
}

/// Any time from zero to this one.
fn up_to(time: Duration) -> Duration {
    let ns = usize::try_from(time.as_nanos()).unwrap_or(usize::MAX - 1);
    Duration::from_nanos(random_below(ns + 1) as u64)
}
