//! The verbs of a rate limiter, which are the same for all algorithms.

use super::algorithm::{Algorithm, Refused, Slot, ns_of};
use super::fixed_window::FixedWindow;
use super::leaky_bucket::LeakyBucket;
use super::sliding_window::SlidingWindow;
use super::token_bucket::TokenBucket;
use super::value::Rate;
use crate::keyed::{self, AsNew};
use pirn_runtime::internal::now;
use pirn_sync::context::{Context, ContextError};
use pirn_sync::{Mutex, MutexGuard};
use std::fmt;
use std::time::{Duration, Instant};

/// Limits how many events happen in how much time.
///
/// A caller that has to wait gets its permits, and the moment from which on it may use them, before it sleeps. So
/// callers are served in the order in which they came, and never more events happen than the limit says, however many
/// ask at the same time. A wait that is given up gives its permits back.
///
/// Use [`allow`](Self::allow) where an event over the limit is dropped, [`wait`](Self::wait) where it is put off, and
/// [`reserve`](Self::reserve) where you wait in a way of your own. [`Keyed`](crate::Keyed) has a limiter for each user
/// or address; [`SharedLimiter`](super::SharedLimiter) is for several processes.
///
/// A call takes a lock for some nanoseconds and reads the clock. Goroutines and OS threads may share a limiter. While
/// the runtime of a goroutine shuts down, a `wait` unwinds it with `pirn::ShutDown`, and its permits are given back.
///
/// The token bucket is that of Go's `golang.org/x/time/rate`.
///
/// ```
/// use pirn::patterns::rate::{Rate, RateLimiter};
///
/// // Five at once, and then one in each 10 ms.
/// static LIMIT: RateLimiter = RateLimiter::new(Rate::per_sec(100.0), 5);
///
/// pirn::run(|| {
///     let gs: Vec<_> = (0..8).map(|_| pirn::go(|| LIMIT.wait())).collect();
///     gs.into_iter().for_each(|g| g.join().unwrap().unwrap());
///     // At least 30 ms have passed.
///     assert_eq!(LIMIT.metrics().granted, 8);
/// });
/// ```
pub struct RateLimiter<A = TokenBucket> {
    state: Mutex<State<A>>,
}

struct State<A> {
    algorithm: A,
    /// When the limiter was used for the first time. All moments count from there, in nanoseconds.
    begin: Option<Instant>,
    /// The latest reading of the clock that has come in: a reading that is overtaken on the way counts as this one.
    latest_ns: u64,
    /// But `asked`, which is the sum of the calls that have got permits and that have got none.
    metrics: RateMetrics,
}

/// The state, for one caller, and what time it is.
struct Entered<'a, A> {
    state: MutexGuard<'a, State<A>>,
    begin: Instant,
    now_ns: u64,
}

impl<A> Entered<'_, A> {
    /// That moment; now, if it has passed.
    fn moment_ns(&self, moment: Instant) -> u64 {
        ns_of(moment.saturating_duration_since(self.begin)).max(self.now_ns)
    }
}

/// What has become of the calls of a limiter. `granted` and `refused` add up to `asked` at any moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateMetrics {
    /// All calls that asked for permits.
    pub asked: u64,
    /// Those that got them.
    pub granted: u64,
    /// Those of them that got them for a later moment.
    pub delayed: u64,
    /// Those of them that were cancelled: the context of a wait has ended, or a reservation was cancelled.
    pub cancelled: u64,
    /// Those that got none.
    pub refused: u64,
}

/// Why a wait has no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitError {
    /// There are none before the deadline of the context, or the queue is full. This was known at once: nobody has
    /// waited.
    Refused(Refused),
    /// The context has ended, before or meanwhile.
    Ended(ContextError),
}

impl RateLimiter {
    /// A token bucket: on average `rate`, and up to `burst` events at once after a pause. It begins full.
    ///
    /// With a burst of none nothing is ever permitted, unless the rate is [`Rate::INFINITE`]: then everything is. With
    /// [`Rate::ZERO`] the first burst is permitted, and nothing after it.
    pub const fn new(rate: Rate, burst: usize) -> RateLimiter {
        RateLimiter::of(TokenBucket::new(rate, burst))
    }

    /// Its rate.
    pub fn rate(&self) -> Rate {
        self.state.lock().algorithm.rate()
    }

    /// How many events may happen at once.
    pub fn burst(&self) -> usize {
        self.state.lock().algorithm.burst()
    }

    /// How many tokens there are now. Less than none: so many are owed to those that wait.
    pub fn tokens(&self) -> f64 {
        let entered = self.enter();
        entered.state.algorithm.tokens(entered.now_ns)
    }

    /// From now on another rate counts. Those that wait already wait as long as they were told.
    pub fn set_rate(&self, rate: Rate) {
        let Entered { mut state, now_ns, .. } = self.enter();
        let burst = state.algorithm.burst();
        state.algorithm.set(now_ns, rate, burst);
    }

    /// From now on another size of bursts counts.
    pub fn set_burst(&self, burst: usize) {
        let Entered { mut state, now_ns, .. } = self.enter();
        let rate = state.algorithm.rate();
        state.algorithm.set(now_ns, rate, burst);
    }
}

impl RateLimiter<LeakyBucket> {
    /// A leaky bucket: events happen evenly, each an interval after the one before, and at most `queue` wait.
    ///
    /// ```
    /// use pirn::patterns::rate::{Rate, RateLimiter};
    ///
    /// let limit = RateLimiter::leaky_bucket(Rate::per_minute(1.0), 2);
    /// let delays: Vec<_> = (0..3).map(|_| limit.reserve(1).unwrap().delay().as_secs().div_ceil(60)).collect();
    /// assert_eq!(delays, [0, 1, 2]);
    /// assert!(limit.reserve(1).is_err());
    /// ```
    pub const fn leaky_bucket(rate: Rate, queue: usize) -> RateLimiter<LeakyBucket> {
        RateLimiter::of(LeakyBucket::new(rate, queue))
    }
}

impl RateLimiter<FixedWindow> {
    /// At most `limit` events in each window. Around the end of one there may be twice as many: see [`FixedWindow`].
    ///
    /// # Panics
    /// If the window has no length.
    pub const fn fixed_window(limit: usize, window: Duration) -> RateLimiter<FixedWindow> {
        RateLimiter::of(FixedWindow::new(limit, window))
    }
}

impl RateLimiter<SlidingWindow> {
    /// At most `limit` events in any span of time of that length. It needs memory for each event: see
    /// [`SlidingWindow`].
    ///
    /// # Panics
    /// If the window has no length.
    pub const fn sliding_window(limit: usize, window: Duration) -> RateLimiter<SlidingWindow> {
        RateLimiter::of(SlidingWindow::new(limit, window))
    }
}

impl<A> RateLimiter<A> {
    const fn of(algorithm: A) -> RateLimiter<A> {
        let metrics = RateMetrics { asked: 0, granted: 0, delayed: 0, cancelled: 0, refused: 0 };
        RateLimiter { state: Mutex::new(State { algorithm, begin: None, latest_ns: 0, metrics }) }
    }

    /// Its state, and what time it is there. It is not the state that is waited for when the clock is read.
    #[inline]
    fn enter(&self) -> Entered<'_, A> {
        let read = now();
        let mut state = self.state.lock();
        let begin = *state.begin.get_or_insert(read);
        let now_ns = ns_of(read.saturating_duration_since(begin)).max(state.latest_ns);
        state.latest_ns = now_ns;
        Entered { state, begin, now_ns }
    }

    /// What has become of the calls so far.
    pub fn metrics(&self) -> RateMetrics {
        let metrics = self.state.lock().metrics;
        RateMetrics { asked: metrics.granted + metrics.refused, ..metrics }
    }
}

impl<A: Algorithm> RateLimiter<A> {
    /// Whether an event may happen now. If so, it counts.
    pub fn allow(&self) -> bool {
        self.allow_n(1)
    }

    /// Whether `n` events may happen now. If so, they count.
    pub fn allow_n(&self, n: usize) -> bool {
        let mut entered = self.enter();
        let now_ns = entered.now_ns;
        Self::take(&mut entered, n, now_ns).is_ok()
    }

    /// Takes `n` permits, which may have to be used later: the reservation says from which moment on.
    ///
    /// To drop the reservation changes nothing: [`cancel`](Reservation::cancel) gives the permits back.
    ///
    /// # Errors
    /// If there will never be so many at once, or the queue of a leaky bucket is full.
    ///
    /// ```
    /// use pirn::patterns::rate::{Rate, RateLimiter, Refused};
    /// use std::time::Duration;
    ///
    /// let limit = RateLimiter::new(Rate::every(Duration::from_secs(60)), 1);
    /// assert!(limit.reserve(1).unwrap().delay().is_zero());
    /// let next = limit.reserve(1).unwrap();
    /// assert!(next.delay() > Duration::from_secs(50));
    /// next.cancel();
    /// assert_eq!(limit.reserve(2).err(), Some(Refused::Never));
    /// ```
    pub fn reserve(&self, n: usize) -> Result<Reservation<'_, A>, Refused> {
        self.reserve_until(n, |_| u64::MAX)
    }

    /// As [`reserve`](Self::reserve), if the permits may be used within `wait` from now.
    ///
    /// # Errors
    /// If they may not, or never.
    pub fn reserve_within(&self, n: usize, wait: Duration) -> Result<Reservation<'_, A>, Refused> {
        self.reserve_until(n, |entered| entered.now_ns.saturating_add(ns_of(wait)))
    }

    /// Waits until an event may happen.
    ///
    /// # Errors
    /// If it may never, or the queue of a leaky bucket is full.
    pub fn wait(&self) -> Result<(), WaitError> {
        self.wait_n(1)
    }

    /// Waits until `n` events may happen.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_n(&self, n: usize) -> Result<(), WaitError> {
        self.wait_ctx(&Context::background(), n)
    }

    /// Waits until `n` events may happen, or the context ends. A wait that would last past the deadline of the context
    /// is not begun.
    ///
    /// # Errors
    /// If the context has ended, or ends meanwhile; then the permits are given back. If there are none before its
    /// deadline, or as [`wait`](Self::wait).
    ///
    /// ```
    /// use pirn::context::Context;
    /// use pirn::patterns::rate::{Rate, RateLimiter, Refused, WaitError};
    /// use std::time::Duration;
    ///
    /// let limit = RateLimiter::new(Rate::every(Duration::from_secs(60)), 1);
    /// let (context, _cancel) = Context::background().with_timeout(Duration::from_secs(10));
    /// assert_eq!(limit.wait_ctx(&context, 1), Ok(()));
    /// // The next one would be in a minute.
    /// assert!(matches!(limit.wait_ctx(&context, 1), Err(WaitError::Refused(Refused::NotYet(_)))));
    /// ```
    pub fn wait_ctx(&self, context: &Context, n: usize) -> Result<(), WaitError> {
        context.check().map_err(WaitError::Ended)?;
        let deadline = context.deadline();
        let latest_ns = |entered: &Entered<'_, A>| deadline.map_or(u64::MAX, |deadline| entered.moment_ns(deadline));
        let reservation = self.reserve_until(n, latest_ns).map_err(WaitError::Refused)?;
        let delay = reservation.delay();
        if delay.is_zero() {
            return Ok(());
        }
        let unwound = Unwound(Some(reservation));
        let slept = context.sleep(delay);
        let reservation = unwound.disarm();
        slept.map_err(|error| {
            reservation.cancel();
            WaitError::Ended(error)
        })
    }

    /// Takes `n` permits for a moment that is not later than `latest_ns` says.
    fn reserve_until(
        &self,
        n: usize,
        latest_ns: impl FnOnce(&Entered<'_, A>) -> u64,
    ) -> Result<Reservation<'_, A>, Refused> {
        let mut entered = self.enter();
        let latest_ns = latest_ns(&entered);
        let slot = Self::take(&mut entered, n, latest_ns)?;
        // An `Instant` holds more than the centuries that this may be.
        let at = entered.begin + Duration::from_nanos(slot.at_ns);
        Ok(Reservation { limiter: self, slot, at })
    }

    /// The same, under the lock. `allow` is nothing else.
    #[inline]
    fn take(entered: &mut Entered<'_, A>, n: usize, latest_ns: u64) -> Result<Slot, Refused> {
        let (state, now_ns) = (&mut *entered.state, entered.now_ns);
        let taken = state.algorithm.take(now_ns, n, latest_ns);
        match &taken {
            Ok(slot) => {
                state.metrics.granted += 1;
                state.metrics.delayed += u64::from(slot.at_ns > now_ns);
            }
            Err(_) => state.metrics.refused += 1,
        }
        taken
    }
}

impl<A: Algorithm> AsNew for RateLimiter<A> {}

impl<A: Algorithm> keyed::Sealed for RateLimiter<A> {
    fn is_as_new(&self) -> bool {
        let entered = self.enter();
        entered.state.algorithm.is_as_new(entered.now_ns)
    }
}

impl<A: fmt::Debug> fmt::Debug for RateLimiter<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics = self.metrics();
        f.debug_struct("RateLimiter")
            .field("algorithm", &self.state.lock().algorithm)
            .field("metrics", &metrics)
            .finish()
    }
}

/// Permits of a [`RateLimiter`], and the moment from which on they may be used.
#[must_use = "the permits are used up, whether the event happens or not"]
pub struct Reservation<'a, A: Algorithm = TokenBucket> {
    limiter: &'a RateLimiter<A>,
    slot: Slot,
    at: Instant,
}

impl<A: Algorithm> Reservation<'_, A> {
    /// How long to wait from now until they may be used. Zero: now.
    pub fn delay(&self) -> Duration {
        self.at.saturating_duration_since(now())
    }

    /// The moment from which on they may be used.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// How many permits they are.
    pub fn count(&self) -> usize {
        self.slot.n
    }

    /// Gives the permits back, as far as nobody relies on it that they are used: others that wait for later moments do
    /// not come earlier. After their moment nothing is given back.
    pub fn cancel(self) {
        let Entered { mut state, now_ns, .. } = self.limiter.enter();
        state.algorithm.give_back(now_ns, &self.slot);
        state.metrics.cancelled += 1;
    }
}

impl<A: Algorithm> fmt::Debug for Reservation<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("count", &self.slot.n).field("delay", &self.delay()).finish()
    }
}

/// Cancels a reservation when a G is unwound while it waits.
struct Unwound<'a, A: Algorithm>(Option<Reservation<'a, A>>);

impl<'a, A: Algorithm> Unwound<'a, A> {
    fn disarm(mut self) -> Reservation<'a, A> {
        self.0.take().expect("it is taken once")
    }
}

impl<A: Algorithm> Drop for Unwound<'_, A> {
    fn drop(&mut self) {
        if let Some(reservation) = self.0.take() {
            reservation.cancel();
        }
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::Refused(refused) => refused.fmt(f),
            WaitError::Ended(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WaitError {}
