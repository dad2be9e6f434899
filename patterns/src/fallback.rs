//! What to answer when a call fails.

use crate::count::{Counter, EndsAs};
use pirn_sync::context::Context;
use std::fmt;

/// Answers in the place of calls that fail: with what is in a cache, with a default, by another service.
///
/// Use it outermost, around retries and breakers: their errors fall back too. For a single call without figures,
/// [`Result::or_else`] is the same.
///
/// As the policy of failsafe-go and of Polly.
///
/// ```
/// use pirn::patterns::fallback::Fallback;
///
/// let greeting = Fallback::new(|_error: String| Ok("hello".to_owned()));
/// assert_eq!(greeting.call(|| Ok("bonjour".to_owned())), Ok("bonjour".to_owned()));
/// assert_eq!(greeting.call(|| Err("no translation".to_owned())), Ok("hello".to_owned()));
/// assert_eq!(greeting.metrics().recovered, 1);
/// ```
pub struct Fallback<F> {
    instead: F,
    started: Counter,
    succeeded: Counter,
    recovered: Counter,
    failed: Counter,
}

/// How the calls of a [`Fallback`] ended. When none runs, `succeeded`, `recovered` and `failed` add up to `started`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackMetrics {
    /// All calls.
    pub started: u64,
    /// Without the fallback.
    pub succeeded: u64,
    /// With its answer.
    pub recovered: u64,
    /// The fallback failed too, the context had ended, or there was a panic.
    pub failed: u64,
}

impl<F> Fallback<F> {
    /// Calls that fail are answered by `instead`, which gets the error. It may fail too.
    pub const fn new(instead: F) -> Fallback<F> {
        Fallback {
            instead,
            started: Counter::new(),
            succeeded: Counter::new(),
            recovered: Counter::new(),
            failed: Counter::new(),
        }
    }

    /// Calls `f`, and the fallback if that fails.
    ///
    /// # Errors
    /// The error of the fallback.
    pub fn call<T, E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        F: Fn(E) -> Result<T, E>,
    {
        self.call_ctx(&Context::background(), |_| f())
    }

    /// As [`call`](Self::call), with a context. If that has ended when `f` fails, nobody wants an answer any more: the
    /// error is returned as it is.
    ///
    /// # Errors
    /// The error of the fallback; that of `f` if the context has ended.
    pub fn call_ctx<T, E>(&self, context: &Context, f: impl FnOnce(&Context) -> Result<T, E>) -> Result<T, E>
    where
        F: Fn(E) -> Result<T, E>,
    {
        self.started.add_one();
        let failed = EndsAs(&self.failed);
        let error = match f(context) {
            Ok(value) => {
                failed.ends_as(&self.succeeded);
                return Ok(value);
            }
            Err(error) => error,
        };
        if context.err().is_some() {
            return Err(error);
        }
        let answer = (self.instead)(error)?;
        failed.ends_as(&self.recovered);
        Ok(answer)
    }

    /// How the calls ended so far.
    pub fn metrics(&self) -> FallbackMetrics {
        // The starts last: there are never more ends.
        let (succeeded, recovered, failed) = (self.succeeded.get(), self.recovered.get(), self.failed.get());
        FallbackMetrics { started: self.started.get(), succeeded, recovered, failed }
    }
}

impl<F> fmt::Debug for Fallback<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}
