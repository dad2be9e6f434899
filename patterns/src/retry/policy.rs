//! The loop of tries.

use super::backoff::Backoff;
use super::budget::Budget;
use super::error::{GaveUp, RetryError};
use crate::count::{Counter, EndsAs};
use pirn_runtime::internal::now;
use pirn_sync::context::{Context, ContextError};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes a call again when it fails, after a delay that grows, until it succeeds or there is a reason to give up.
///
/// A call that has failed may have had its effect all the same: only the answer was lost. So retry only what may be
/// done twice, or give the other side a key by which it knows the call again ([`Attempt::key`]): the same for all tries
/// of a call. The key comes from you, as it has to be that of the order, not of this process.
///
/// Retries multiply: where each of three layers makes three tries, the last one sees 27. Retry in one layer, and share
/// a [`Budget`] among all calls to one service.
///
/// If you need no context, budget and figures, the crate backon does it too: give its `BlockingRetryable` the sleeper
/// `pirn::sleep`.
///
/// ```
/// use pirn::patterns::retry::{Backoff, Retry};
/// use std::time::Duration;
///
/// let retry = Retry::new(Backoff::exponential(Duration::from_millis(1), Duration::from_millis(10))).tries(5);
/// let answer = retry.run(|attempt| if attempt.number < 3 { Err("busy") } else { Ok("done") });
/// assert_eq!(answer, Ok("done"));
/// assert_eq!(retry.metrics().retries, 2);
/// ```
pub struct Retry<E> {
    backoff: Backoff,
    tries: u32,
    time_max: Option<Duration>,
    predicate: Option<Predicate<E>>,
    hint: Option<Hint<E>>,
    budget: Option<Arc<Budget>>,
    calls: Counter,
    attempts: Counter,
    retries: Counter,
    succeeded: Counter,
    failed: Counter,
}

type Predicate<E> = Box<dyn Fn(&E) -> bool + Send + Sync>;
type Hint<E> = Box<dyn Fn(&E) -> Option<Duration> + Send + Sync>;

/// One try of a call.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// Its number, from 1.
    pub number: u32,
    /// The context of the call.
    pub context: &'a Context,
    /// By what the other side knows that it is the same call, if the caller has said so.
    pub key: Option<&'a str>,
}

/// What has become of the calls of a [`Retry`]. When none runs, `succeeded` and `failed` add up to `calls`; and
/// `attempts` are `retries` and one more for each call whose context had not ended before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryMetrics {
    /// All calls.
    pub calls: u64,
    /// All tries.
    pub attempts: u64,
    /// Those that were not the first of a call.
    pub retries: u64,
    /// Calls that succeeded in the end.
    pub succeeded: u64,
    /// Calls that did not, or panicked.
    pub failed: u64,
}

impl<E> Retry<E> {
    /// Three tries, with these delays between them.
    pub const fn new(backoff: Backoff) -> Retry<E> {
        Retry {
            backoff,
            tries: 3,
            time_max: None,
            predicate: None,
            hint: None,
            budget: None,
            calls: Counter::new(),
            attempts: Counter::new(),
            retries: Counter::new(),
            succeeded: Counter::new(),
            failed: Counter::new(),
        }
    }

    /// So many tries in all, at least one. [`u32::MAX`] is as good as no limit.
    #[must_use]
    pub fn tries(mut self, n: u32) -> Retry<E> {
        self.tries = n.max(1);
        self
    }

    /// No try begins later than so long after the call.
    #[must_use]
    pub fn time_max(mut self, duration: Duration) -> Retry<E> {
        self.time_max = Some(duration);
        self
    }

    /// Only errors for which this is true are tried again.
    #[must_use]
    pub fn retry_if(mut self, predicate: impl Fn(&E) -> bool + Send + Sync + 'static) -> Retry<E> {
        self.predicate = Some(Box::new(predicate));
        self
    }

    /// Some errors say when to come again, as the `Retry-After` of HTTP: then that is the delay, without jitter.
    #[must_use]
    pub fn delay_of(mut self, hint: impl Fn(&E) -> Option<Duration> + Send + Sync + 'static) -> Retry<E> {
        self.hint = Some(Box::new(hint));
        self
    }

    /// Retries are taken from this budget, which may be shared.
    #[must_use]
    pub fn budget(mut self, budget: Arc<Budget>) -> Retry<E> {
        self.budget = Some(budget);
        self
    }

    /// Calls `f` until it succeeds, or there is a reason to give up.
    ///
    /// # Errors
    /// The last error, and why there are no more tries.
    pub fn run<T>(&self, f: impl FnMut(&Attempt<'_>) -> Result<T, E>) -> Result<T, RetryError<E>> {
        self.run_ctx(&Context::background(), None, f)
    }

    /// As [`run`](Self::run), with a context, and with the key of the call, if it has one. The context ends a wait; a
    /// wait past its deadline is not begun.
    ///
    /// # Errors
    /// As `run`; if the context has ended.
    ///
    /// ```
    /// use pirn::context::Context;
    /// use pirn::patterns::retry::{Backoff, Retry};
    /// use std::collections::HashMap;
    ///
    /// // The other side does what a key asks for once, and remembers its answer. The first answer is lost.
    /// let mut orders = HashMap::new();
    /// let mut serve = |key: &str, number: u32| {
    ///     let next = orders.len();
    ///     let answer = *orders.entry(key.to_owned()).or_insert(next);
    ///     if number == 1 { Err("connection reset") } else { Ok(answer) }
    /// };
    /// let retry = Retry::new(Backoff::none());
    /// let place = |attempt: &pirn::patterns::retry::Attempt<'_>| serve(attempt.key.unwrap(), attempt.number);
    /// assert_eq!(retry.run_ctx(&Context::background(), Some("order-17"), place), Ok(0));
    /// assert_eq!(orders.len(), 1);
    /// ```
    pub fn run_ctx<T>(
        &self,
        context: &Context,
        key: Option<&str>,
        mut f: impl FnMut(&Attempt<'_>) -> Result<T, E>,
    ) -> Result<T, RetryError<E>> {
        self.calls.add_one();
        let failed = EndsAs(&self.failed);
        context.check().map_err(|ended| RetryError { why: GaveUp::Ended(ended), error: None, tries: 0 })?;
        let too_late = self.time_max.and_then(|time| now().checked_add(time));
        let mut delays = self.backoff.delays();
        for number in 1.. {
            self.attempts.add_one();
            let error = match f(&Attempt { number, context, key }) {
                Ok(value) => {
                    failed.ends_as(&self.succeeded);
                    self.pay_in();
                    return Ok(value);
                }
                Err(error) => error,
            };
            let computed = delays.next().expect("they do not end");
            let delay = self.hint.as_ref().and_then(|hint| hint(&error)).unwrap_or(computed);
            let gave_up = self.why_not_again(number, &error, delay, context, too_late);
            let gave_up = gave_up.or_else(|| context.sleep(delay).err().map(GaveUp::Ended));
            if let Some(why) = gave_up {
                self.pay_in();
                return Err(RetryError { why, error: Some(error), tries: number });
            }
            self.retries.add_one();
        }
        unreachable!("the tries have a limit")
    }

    /// What has become of the calls so far.
    pub fn metrics(&self) -> RetryMetrics {
        // Beginnings last: there are never more ends.
        let (succeeded, failed) = (self.succeeded.get(), self.failed.get());
        let (retries, attempts) = (self.retries.get(), self.attempts.get());
        RetryMetrics { calls: self.calls.get(), attempts, retries, succeeded, failed }
    }

    fn pay_in(&self) {
        self.budget.iter().for_each(|budget| budget.pay_in());
    }

    /// Why there is to be no try after this one, if so. If not, the budget has granted it.
    fn why_not_again(
        &self,
        number: u32,
        error: &E,
        delay: Duration,
        context: &Context,
        too_late: Option<Instant>,
    ) -> Option<GaveUp> {
        if number >= self.tries {
            return Some(GaveUp::Tries);
        }
        if self.predicate.as_ref().is_some_and(|predicate| !predicate(error)) {
            return Some(GaveUp::NotRetryable);
        }
        if let Some(ended) = context.err() {
            return Some(GaveUp::Ended(ended));
        }
        if context.deadline().is_some() || too_late.is_some() {
            // A moment that an `Instant` can not hold is later than all others.
            let next = now().checked_add(delay);
            let is_after = |moment: Instant| next.is_none_or(|next| next > moment);
            if too_late.is_some_and(is_after) {
                return Some(GaveUp::Time);
            }
            if context.deadline().is_some_and(is_after) {
                return Some(GaveUp::Ended(ContextError::DeadlineExceeded));
            }
        }
        let has_budget = self.budget.as_ref().is_none_or(|budget| budget.take());
        (!has_budget).then_some(GaveUp::Budget)
    }
}

impl<E> fmt::Debug for Retry<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Retry");
        debug.field("backoff", &self.backoff).field("tries", &self.tries).field("time_max", &self.time_max);
        debug.field("budget", &self.budget).field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}
