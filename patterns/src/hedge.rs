//! Hedging: when an answer is late, the same is asked once more, and the first answer counts.

use crate::count::{Counter, EndsAs};
use crate::place::{End, Place};
use crate::retry::Budget;
use pirn_channels::{Receiver, select, unbounded};
use pirn_sync::context::{Context, ContextError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Asks again when an answer is late, without giving up the first attempt: the first success counts, and the contexts
/// of the others end.
///
/// It is for calls whose slowest few make the whole slow, and which may be made twice: with the delay at the 95th
/// percentile, a twentieth more calls cut off the slow tail. An attempt that fails starts the next one at once; so this
/// retries too. Give it a [`Budget`], so that it does not double the load on a service that is slow for all.
///
/// Each attempt runs on a goroutine of its own (without a runtime, on a thread of its own). One that does not
/// heed its context runs on after the call.
///
/// From "The Tail at Scale" (Dean and Barroso, 2013), as in gRPC (gRFC A6).
///
/// ```
/// use pirn::patterns::hedge::Hedge;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let hedge = Hedge::new(Duration::from_millis(1));
///     // The first replica does not answer.
///     let answer = hedge.run(|attempt| match attempt.number {
///         1 => Err(attempt.context.wait().to_string()),
///         n => Ok(n),
///     });
///     assert_eq!(answer, Ok(2));
///     assert_eq!(hedge.metrics().won_by_hedges, 1);
/// });
/// ```
#[derive(Debug)]
pub struct Hedge {
    delay: Duration,
    attempts_max: u32,
    budget: Option<Arc<Budget>>,
    calls: Counter,
    hedges: Counter,
    succeeded: Counter,
    won_by_hedges: Counter,
    failed: Counter,
    ended: Counter,
}

/// One attempt of a hedged call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HedgedAttempt {
    /// Its number, from 1.
    pub number: u32,
    /// It ends when the call has its answer, or its caller does not wait any more.
    pub context: Context,
}

/// What has become of the calls of a [`Hedge`]. When none runs, `succeeded`, `failed` and `ended` add up to `calls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeMetrics {
    /// All calls.
    pub calls: u64,
    /// Attempts that were not the first of a call.
    pub hedges: u64,
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Those of them whose answer came from a later attempt than the first.
    pub won_by_hedges: u64,
    /// Calls of which all attempts failed.
    pub failed: u64,
    /// Calls whose context ended first, and those that panicked or were unwound.
    pub ended: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HedgeError<E> {
    /// All attempts have failed; this is the error of the last one to fail.
    Failed(E),
    /// The context has ended, before or meanwhile.
    Ended(ContextError),
}

/// An attempt has ended.
type Answers<T, E> = Receiver<End<(u32, Result<T, E>)>>;

impl Hedge {
    /// Asks once more if there is no answer after `delay`.
    pub const fn new(delay: Duration) -> Hedge {
        let (calls, hedges, succeeded) = (Counter::new(), Counter::new(), Counter::new());
        let (won_by_hedges, failed, ended) = (Counter::new(), Counter::new(), Counter::new());
        Hedge { delay, attempts_max: 2, budget: None, calls, hedges, succeeded, won_by_hedges, failed, ended }
    }

    /// At most so many attempts, the first one included; the next one begins `delay` after the one before. 2 by
    /// default.
    #[must_use]
    pub fn attempts(mut self, n: u32) -> Hedge {
        self.attempts_max = n.max(1);
        self
    }

    /// All attempts but the first are taken from this budget, which may be shared.
    #[must_use]
    pub fn budget(mut self, budget: Arc<Budget>) -> Hedge {
        self.budget = Some(budget);
        self
    }

    /// Calls `f`, again while no answer comes, and returns the first success.
    ///
    /// # Errors
    /// If all attempts have failed.
    ///
    /// # Panics
    /// If an attempt panics before there is an answer. If no goroutine or thread can be started.
    #[track_caller]
    pub fn run<T, E, F>(&self, f: F) -> Result<T, HedgeError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Fn(&HedgedAttempt) -> Result<T, E> + Send + Sync + 'static,
    {
        self.run_ctx(&Context::background(), f)
    }

    /// As [`run`](Self::run), until the context ends. The attempts get contexts that are made from it.
    ///
    /// # Errors
    /// If all attempts have failed, or the context has ended.
    ///
    /// # Panics
    /// As `run`.
    #[track_caller]
    pub fn run_ctx<T, E, F>(&self, context: &Context, f: F) -> Result<T, HedgeError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Fn(&HedgedAttempt) -> Result<T, E> + Send + Sync + 'static,
    {
        self.calls.add_one();
        let ended = EndsAs(&self.ended);
        context.check().map_err(HedgeError::Ended)?;
        let (inner, cancel) = context.with_cancel();
        let _ends_with_the_call = cancel.guard();
        let (to, answers): (_, Answers<T, E>) = unbounded();
        let (place, f) = (Place::current(), Arc::new(f));
        let begin = |number: u32| {
            let (f, attempt) = (f.clone(), HedgedAttempt { number, context: inner.clone() });
            place.call(to.clone(), move || (number, f(&attempt)));
        };
        begin(1);
        let (mut begun, mut failed, mut may_hedge) = (1, 0, self.attempts_max > 1);
        let answer = loop {
            let error = match self.next_answer(&answers, context, may_hedge) {
                None => None,
                Some(Err(error)) => return Err(HedgeError::Ended(error)),
                Some(Ok(end)) => match end.value() {
                    (number, Ok(value)) => break Ok((number, value)),
                    (_, Err(error)) => Some(error),
                },
            };
            failed += u32::from(error.is_some());
            if may_hedge && self.budget.as_ref().is_none_or(|budget| budget.take()) {
                begun += 1;
                self.hedges.add_one();
                begin(begun);
                may_hedge = begun < self.attempts_max;
                continue;
            }
            may_hedge = false;
            if let Some(error) = error.filter(|_| failed == begun) {
                break Err(error);
            }
        };
        self.budget.iter().for_each(|budget| budget.pay_in());
        match answer {
            Ok((number, value)) => {
                if number > 1 {
                    self.won_by_hedges.add_one();
                }
                ended.ends_as(&self.succeeded);
                Ok(value)
            }
            Err(error) => {
                ended.ends_as(&self.failed);
                Err(HedgeError::Failed(error))
            }
        }
    }

    /// What has become of the calls so far.
    pub fn metrics(&self) -> HedgeMetrics {
        // Beginnings last: there are never more ends.
        let (won_by_hedges, succeeded, failed) = (self.won_by_hedges.get(), self.succeeded.get(), self.failed.get());
        let (ended, hedges) = (self.ended.get(), self.hedges.get());
        HedgeMetrics { calls: self.calls.get(), hedges, succeeded, won_by_hedges, failed, ended }
    }

    /// The next attempt that ends, or that the context has ended. None: it is time for another attempt.
    fn next_answer<T>(
        &self,
        answers: &Receiver<T>,
        context: &Context,
        may_hedge: bool,
    ) -> Option<Result<T, ContextError>> {
        let ended = || context.err().expect("it has ended");
        let answer = |answer: Result<T, _>| Some(Ok(answer.expect("the caller has a sender")));
        if may_hedge {
            select! {
                recv(answers) -> next => answer(next),
                recv(context.done()) -> _ => Some(Err(ended())),
                default(self.delay) => None,
            }
        } else {
            select! {
                recv(answers) -> next => answer(next),
                recv(context.done()) -> _ => Some(Err(ended())),
            }
        }
    }
}

impl<E: fmt::Display> fmt::Display for HedgeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HedgeError::Failed(error) => error.fmt(f),
            HedgeError::Ended(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for HedgeError<E> {}
