//! The breaker: it admits calls, and learns how they end.

use super::change::{BreakerMetrics, Change, State};
use super::config::{BreakerBuilder, Trip};
use super::counts::Counts;
use super::error::{BreakerError, Rejected};
use super::state::{Inner, Outcome};
use crate::keyed::{self, AsNew};
use pirn_sync::Mutex;
use pirn_sync::context::{Context, ContextError};
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// Stops making calls that are likely to fail, so that callers get an error at once and the other side can recover.
///
/// Closed, it makes all calls and counts how they end. After too many failures it opens: for some time it makes none.
/// Then it is half-open: it makes **exactly so many** as trials as it was told. If all succeed it closes; one failure
/// opens it again. A call that ends after the state has changed does not count for the new state: it says something
/// about the past.
///
/// It has no timer: the call that comes after the time finds it half-open. A trial that does not end keeps it
/// half-open, so calls should have a timeout. To have one for each host, use [`Keyed`](crate::Keyed).
///
/// A call takes a lock twice, for some nanoseconds; the clock is read only if there is a window, or it is open.
/// Goroutines and OS threads may share one.
///
/// The states and generations are those of sony/gobreaker.
///
/// ```
/// use pirn::patterns::breaker::{BreakerError, CircuitBreaker, State};
/// use std::time::Duration;
///
/// let breaker = CircuitBreaker::builder().failures(2).open_for(Duration::from_secs(60)).build();
/// for _ in 0..2 {
///     assert_eq!(breaker.call(|| Err::<(), _>("no answer")), Err(BreakerError::Failed("no answer")));
/// }
/// assert_eq!(breaker.state(), State::Open);
/// let error = breaker.call(|| -> Result<(), &str> { unreachable!("it is not called") });
/// assert!(matches!(error, Err(BreakerError::Rejected(_))));
/// ```
pub struct CircuitBreaker {
    config: BreakerBuilder,
    inner: Mutex<Inner>,
}

/// What a result says about the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// Nothing: the caller has made a mistake, or has given up.
    Ignore,
}

// The verb that ends the settings is here, as they do not know what is made of them.
impl BreakerBuilder {
    /// Makes the breaker. It is closed.
    pub fn build(self) -> CircuitBreaker {
        let inner = Mutex::new(Inner::new(&self));
        CircuitBreaker { config: self, inner }
    }
}

impl CircuitBreaker {
    /// Settings for a breaker.
    pub fn builder() -> BreakerBuilder {
        BreakerBuilder::new()
    }

    /// Calls `f` if the breaker admits it. An error and a panic are failures; the panic goes on.
    ///
    /// # Errors
    /// If the call was not made, or has failed.
    pub fn call<T, E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, BreakerError<E>> {
        self.call_judged(verdict_of, f)
    }

    /// As [`call`](Self::call), with a context, which `f` gets. If that was cancelled when `f` fails, the failure is
    /// ignored: the caller has given up. A deadline that has passed is a failure as any other.
    ///
    /// # Errors
    /// If the call was not made, as the context had ended or the breaker is not closed; if it has failed.
    pub fn call_ctx<T, E>(
        &self,
        context: &Context,
        f: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<T, BreakerError<E>> {
        context.check().map_err(BreakerError::Ended)?;
        let verdict = |result: &Result<T, E>| match context.err() {
            Some(ContextError::Cancelled) if result.is_err() => Verdict::Ignore,
            _ => verdict_of(result),
        };
        self.call_judged(verdict, || f(context))
    }

    /// As [`call`](Self::call); `verdict` says what a result means. A "not found" is an error, but no failure of the
    /// other side.
    ///
    /// # Errors
    /// If the call was not made, or has returned an error, whatever the verdict.
    ///
    /// ```
    /// use pirn::patterns::breaker::{CircuitBreaker, State, Verdict};
    ///
    /// let breaker = CircuitBreaker::builder().failures(1).build();
    /// let verdict = |result: &Result<(), u16>| match result {
    ///     Err(404) => Verdict::Ignore,
    ///     Err(_) => Verdict::Failure,
    ///     Ok(()) => Verdict::Success,
    /// };
    /// breaker.call_judged(verdict, || Err(404)).unwrap_err();
    /// assert_eq!(breaker.state(), State::Closed);
    /// breaker.call_judged(verdict, || Err(503)).unwrap_err();
    /// assert_eq!(breaker.state(), State::Open);
    /// ```
    pub fn call_judged<T, E>(
        &self,
        verdict: impl FnOnce(&Result<T, E>) -> Verdict,
        f: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, BreakerError<E>> {
        let permit = self.permit().map_err(BreakerError::Rejected)?;
        let result = f();
        permit.end(verdict(&result));
        result.map_err(BreakerError::Failed)
    }

    /// Asks for a call that the caller makes by itself, and then says how it has ended. A permit that is dropped is a
    /// failure.
    ///
    /// # Errors
    /// If the call is not to be made.
    ///
    /// ```
    /// use pirn::patterns::breaker::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::builder().build();
    /// let permit = breaker.permit().unwrap();
    /// // The call.
    /// permit.success();
    /// assert_eq!(breaker.metrics().succeeded, 1);
    /// ```
    pub fn permit(&self) -> Result<Permit<'_>, Rejected> {
        let (admitted, change) = self.inner.lock().admit(&self.config);
        // The permit is there before user code runs, which may panic.
        let permit = admitted.map(|generation| Permit { breaker: self, generation });
        self.tell(change);
        permit
    }

    /// Rejects a call that would be rejected now. One that would be admitted is not, and does not count yet.
    pub(crate) fn reject_early(&self) -> Result<(), Rejected> {
        let (rejected, change) = self.inner.lock().reject_early(&self.config);
        self.tell(change);
        rejected.map_or(Ok(()), Err)
    }

    /// What it does with calls now.
    pub fn state(&self) -> State {
        let (state, change) = {
            let mut inner = self.inner.lock();
            let change = inner.look(&self.config);
            (inner.state, change)
        };
        self.tell(change);
        state
    }

    /// What it has counted since it closed, or in its window. Nothing, if it is not closed.
    pub fn counts(&self) -> Counts {
        let mut inner = self.inner.lock();
        let now = inner.now();
        inner.window.counts(now)
    }

    /// What has become of the calls so far.
    pub fn metrics(&self) -> BreakerMetrics {
        self.inner.lock().metrics
    }

    /// Opens it, if it is not open, for as long as it was told.
    pub fn trip(&self) {
        self.change_to(State::Open);
    }

    /// Closes it, if it is not closed.
    pub fn reset(&self) {
        self.change_to(State::Closed);
    }

    fn change_to(&self, state: State) {
        let change = self.inner.lock().change(state, &self.config);
        self.tell(change);
    }

    fn end(&self, generation: u64, outcome: Outcome) {
        let (change, to_judge) = self.inner.lock().end(generation, outcome, &self.config);
        self.tell(change);
        let (Some((counts, generation)), Trip::Rule(rule)) = (to_judge, &self.config.trip) else { return };
        if self.call_user(|| rule(&counts)) == Some(true) {
            let change = {
                let mut inner = self.inner.lock();
                let is_same = inner.generation == generation;
                is_same.then(|| inner.change(State::Open, &self.config)).flatten()
            };
            self.tell(change);
        }
    }

    /// Tells the user of a change.
    fn tell(&self, change: Option<Change>) {
        if let (Some(change), Some(on_change)) = (change, &self.config.on_change) {
            self.call_user(|| on_change(change));
        }
    }

    /// Calls user code. A permit may be dropped while its call panics: then a second panic ends here.
    fn call_user<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(value) => Some(value),
            Err(_) if thread::panicking() => None,
            Err(payload) => resume_unwind(payload),
        }
    }
}

/// An error is a failure.
fn verdict_of<T, E>(result: &Result<T, E>) -> Verdict {
    if result.is_ok() { Verdict::Success } else { Verdict::Failure }
}

impl AsNew for CircuitBreaker {}

impl keyed::Sealed for CircuitBreaker {
    fn is_as_new(&self) -> bool {
        let mut inner = self.inner.lock();
        let now = inner.now();
        let counts = inner.window.counts(now);
        let counts_nothing = match self.config.trip {
            Trip::Consecutive(_) => counts.consecutive_failures == 0,
            Trip::Share { .. } => counts.requests() == 0,
            Trip::Rule(_) => counts == Counts::default(),
        };
        inner.state == State::Closed && counts_nothing
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock();
        let mut debug = f.debug_struct("CircuitBreaker");
        debug.field("state", &inner.state).field("generation", &inner.generation);
        debug.field("metrics", &inner.metrics).field("config", &self.config).finish()
    }
}

/// The right to make one call, from [`CircuitBreaker::permit`]. Say how it has ended; to drop it is a failure.
#[must_use = "to drop it counts as a failure"]
pub struct Permit<'a> {
    breaker: &'a CircuitBreaker,
    generation: u64,
}

impl Permit<'_> {
    /// The call has succeeded.
    pub fn success(self) {
        self.end(Verdict::Success);
    }

    /// The call has failed.
    pub fn failure(self) {
        self.end(Verdict::Failure);
    }

    /// The call was not made, or says nothing about the other side.
    pub fn ignore(self) {
        self.end(Verdict::Ignore);
    }

    /// The call has ended so.
    pub fn end(self, verdict: Verdict) {
        let outcome = match verdict {
            Verdict::Success => Outcome::Succeeded,
            Verdict::Failure => Outcome::Failed,
            Verdict::Ignore => Outcome::Ignored,
        };
        let (breaker, generation) = (self.breaker, self.generation);
        mem::forget(self);
        breaker.end(generation, outcome);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.breaker.end(self.generation, Outcome::Failed);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("generation", &self.generation).finish_non_exhaustive()
    }
}
