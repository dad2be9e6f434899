//! What the ways to limit a rate have in common: they give out permits for moments.

use std::fmt;
use std::time::Duration;

/// A way to limit a rate: [`TokenBucket`](super::TokenBucket), [`LeakyBucket`](super::LeakyBucket),
/// [`FixedWindow`](super::FixedWindow), [`SlidingWindow`](super::SlidingWindow). It runs under the lock of a limiter,
/// so there are no others.
pub trait Algorithm: Sealed + fmt::Debug {}

/// The verbs of an algorithm. Moments are nanoseconds since the limiter was used for the first time. `now_ns` never goes
/// back from one call to the next.
#[expect(unnameable_types, reason = "others can not have it")]
pub trait Sealed {
    /// Takes `n` permits for the earliest moment at which they may be used. As long as nothing was given back, that is
    /// not before the moment of any permit that was given out earlier. If it is later than `latest_ns`, nothing is taken;
    /// that is not before `now_ns`.
    fn take(&mut self, now_ns: u64, n: usize, latest_ns: u64) -> Result<Slot, Refused>;

    /// Takes back what was given out and will not be used, as far as nobody else relies on it.
    fn give_back(&mut self, now_ns: u64, slot: &Slot);

    /// Whether it would do as a new one does.
    fn is_as_new(&self, now_ns: u64) -> bool;
}

/// Permits that were given out.
#[derive(Clone, Debug)]
#[expect(unnameable_types, reason = "the trait that it is in is sealed")]
pub struct Slot {
    /// When they may be used.
    pub(super) at_ns: u64,
    pub(super) n: usize,
    /// The rate at which they were given out, where that may be set anew.
    pub(super) per_sec: f64,
}

/// Why there are no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// They can not be had within the time that the caller, or the limiter's queue, allows. Not earlier than after this
    /// time is it worth to ask again.
    NotYet(Duration),
    /// They can never be had: they are more than fit in, or the rate is zero.
    Never,
}

impl Refused {
    /// `Ok` if what is to be had at `at_ns` is in time.
    #[inline]
    pub(super) fn if_late(at_ns: u64, latest_ns: u64) -> Result<(), Refused> {
        if at_ns <= latest_ns {
            return Ok(());
        }
        // To ask again is worth it as soon as the wait that is left is as long as the caller allows.
        Err(Refused::NotYet(Duration::from_nanos(at_ns - latest_ns)))
    }
}

/// In nanoseconds. What is too long for them is longer than any process runs.
#[inline]
pub(super) const fn ns_of(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos() as u64)
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NotYet(time) => write!(f, "over the rate limit; ask again in {time:?}"),
            Refused::Never => f.write_str("the rate limit never permits that much"),
        }
    }
}

impl std::error::Error for Refused {}
