//! The context: a branch that may end, and values.

use super::branch::{Branch, open};
use super::calls::Call;
use super::cancel::{Cancel, Stop};
use super::end::End;
use super::error::{Cause, ContextError, cause_of};
use super::strong::Strong;
use super::values::{Key, Value};
use crate::lot::Ends;
use pirn_channels::internal::wait_for_end;
use pirn_channels::{Receiver, never};
use pirn_runtime::internal::{Kind, Reason, now, park_on, sleep};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::{Duration, Instant};

/// A [`Context::wait`].
static CONTEXT_WAIT: Reason = Reason::new("context wait", Kind::Event);
/// A [`Context::sleep`].
static CONTEXT_SLEEP: Reason = Reason::new("context sleep", Kind::Event);

/// Says when work is to be given up, and carries values along the way. Clones are the same context.
///
/// Gs, OS threads and async tasks may use one context at the same time. It keeps its ancestors alive; they do not keep
/// it. A context may be made anywhere, on a runtime or not.
///
/// All contexts that descend from one with a `Cancel` or a deadline share a lock with it, which is held for a moment when
/// one of them is made, dropped or ended. An end takes some 100 ns for each descendant.
#[derive(Clone, Default)]
pub struct Context {
    /// None: it never ends.
    pub(super) branch: Option<Strong<Branch>>,
    values: Option<Arc<Value>>,
}

impl Context {
    /// The context that never ends and has no values: where all begin.
    pub const fn background() -> Context {
        Context { branch: None, values: None }
    }

    fn below(&self, deadline: Option<Instant>, cause: Option<Cause>) -> (Context, Cancel) {
        let (branch, other) = open(self.branch.as_ref(), deadline, cause);
        (Context { branch: Some(branch), values: self.values.clone() }, Cancel(other))
    }

    /// A context that ends when the `Cancel` is called, or this one ends: Go's `WithCancel` and `WithCancelCause`.
    ///
    /// ```
    /// use pirn::context::Context;
    ///
    /// pirn::run(|| {
    ///     let (context, cancel) = Context::background().with_cancel();
    ///     let works = pirn::go(move || context.wait());
    ///     cancel.cancel();
    ///     assert_eq!(works.join().unwrap().to_string(), "context cancelled");
    /// });
    /// ```
    pub fn with_cancel(&self) -> (Context, Cancel) {
        self.below(None, None)
    }

    /// A context that ends in `timeout` from now, when the `Cancel` is called, or when this one ends.
    ///
    /// See [`with_deadline`](Self::with_deadline).
    pub fn with_timeout(&self, timeout: Duration) -> (Context, Cancel) {
        // A deadline that an `Instant` cannot hold never comes.
        self.below(now().checked_add(timeout), None)
    }

    /// As [`with_timeout`](Self::with_timeout), with the cause that it has when the time is over.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    /// use std::time::Duration;
    ///
    /// let (context, _cancel) = Context::background().with_timeout_cause(Duration::ZERO, "the database is slow");
    /// assert_eq!(context.err(), Some(ContextError::DeadlineExceeded));
    /// assert_eq!(context.cause().unwrap().to_string(), "the database is slow");
    /// ```
    pub fn with_timeout_cause(
        &self,
        timeout: Duration,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> (Context, Cancel) {
        self.below(now().checked_add(timeout), Some(cause_of(cause)))
    }

    /// A context that ends at `deadline`, when the `Cancel` is called, or when this one ends. A deadline that has passed
    /// ends it at once; one that is not earlier than this context's changes nothing.
    ///
    /// It has a timer only if its deadline is earlier than this context's. The timer is one of the runtime that the
    /// caller runs on, and moves on if that ends earlier. Made on a thread outside of any runtime, it uses a thread that
    /// is started once for all such timers; then no deadlock is reported any more.
    pub fn with_deadline(&self, deadline: Instant) -> (Context, Cancel) {
        self.below(Some(deadline), None)
    }

    /// As [`with_deadline`](Self::with_deadline), with the cause that it has when the deadline has passed.
    pub fn with_deadline_cause(
        &self,
        deadline: Instant,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> (Context, Cancel) {
        self.below(Some(deadline), Some(cause_of(cause)))
    }

    /// The same context with one more value. It ends when this one does.
    ///
    /// Use values for what belongs to a request and crosses interfaces, as an identity; not for arguments.
    ///
    /// ```
    /// use pirn::context::{Context, Key};
    ///
    /// static REQUEST: Key<u32> = Key::new("request");
    ///
    /// let context = Context::background().with_value(&REQUEST, 7);
    /// assert_eq!(context.value(&REQUEST), Some(&7));
    /// ```
    pub fn with_value<T: Send + Sync + 'static>(&self, key: &'static Key<T>, value: T) -> Context {
        let values = Arc::new(Value::new(key, value, self.values.clone()));
        Context { branch: self.branch.clone(), values: Some(values) }
    }

    /// A context with the values of this one, which does not end when this one does: it never ends, and has no deadline.
    pub fn without_cancel(&self) -> Context {
        Context { branch: None, values: self.values.clone() }
    }

    /// The channel that is closed when the context ends, for a case of a `select!`. Nothing is ever sent on it. It is made when it is asked for the first time.
    ///
    /// ```
    /// use pirn::context::Context;
    /// use pirn::select;
    ///
    /// let (context, cancel) = Context::background().with_cancel();
    /// cancel.cancel();
    /// select! {
    ///     recv(context.done()) -> _ => {}
    ///     default => unreachable!("it has ended"),
    /// }
    /// ```
    pub fn done(&self) -> &Receiver<Infallible> {
        static NEVER: LazyLock<Receiver<Infallible>> = LazyLock::new(never);
        self.branch.as_ref().map_or_else(|| &*NEVER, |branch| branch.done())
    }

    /// How it has ended. None: it has not. This does not wait, and takes no lock.
    pub fn err(&self) -> Option<ContextError> {
        self.branch.as_ref()?.error()
    }

    /// As [`err`](Self::err), for the `?` operator.
    ///
    /// # Errors
    /// If it has ended.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    ///
    /// fn sum(context: &Context, numbers: &[u64]) -> Result<u64, ContextError> {
    ///     let mut sum = 0;
    ///     for number in numbers {
    ///         context.check()?;
    ///         sum += number;
    ///     }
    ///     Ok(sum)
    /// }
    /// assert_eq!(sum(&Context::background(), &[1, 2]), Ok(3));
    /// ```
    pub fn check(&self) -> Result<(), ContextError> {
        self.err().map_or(Ok(()), Err)
    }

    /// Why it has ended: what was given to [`Cancel::cancel_with`] or as the cause of a deadline, of the context that
    /// ended first; otherwise its [`ContextError`]. None: it has not ended.
    pub fn cause(&self) -> Option<Cause> {
        let branch = self.branch.as_ref()?;
        let error = branch.error()?;
        Some(branch.cause().unwrap_or_else(|| Arc::new(error)))
    }

    /// When it ends at the latest: the earliest deadline of it and its ancestors. None: there is none.
    pub fn deadline(&self) -> Option<Instant> {
        self.branch.as_ref()?.deadline()
    }

    /// The value of that key: the latest, if the key was used more than once. This looks through all values.
    pub fn value<T: 'static>(&self, key: &'static Key<T>) -> Option<&T> {
        Value::find(self.values.as_ref(), key)
    }

    /// Has `f` called when the context ends, on a G of its own; at once if it has ended. The G belongs to the runtime
    /// that the caller of `after_func` runs on. Outside of any runtime it is a thread of its own.
    ///
    /// Several calls are independent of each other. `f` is dropped without a call if it is taken back
    /// ([`Stop::stop`]), if its runtime has ended, or if nothing is left that may end the context: when the context, its
    /// `Cancel`s, all that descend from it, and the `Stop` have been dropped. So `f` should not own the context.
    ///
    /// ```
    /// use pirn::channel::unbounded;
    /// use pirn::context::Context;
    ///
    /// pirn::run(|| {
    ///     let (context, cancel) = Context::background().with_cancel();
    ///     let (done_in, done) = unbounded();
    ///     let _stop = context.after_func(move || done_in.send("cleaned up").unwrap());
    ///     cancel.cancel();
    ///     assert_eq!(done.recv(), Ok("cleaned up"));
    /// });
    /// ```
    #[track_caller]
    pub fn after_func(&self, f: impl FnOnce() + Send + 'static) -> Stop {
        let Some(branch) = &self.branch else { return Stop { call: None } };
        match branch.add_call(Call::new(f)) {
            Ok(number) => Stop { call: Some((branch.clone(), number)) },
            Err(call) => {
                call.start();
                Stop { call: None }
            }
        }
    }

    /// Sleeps for `duration`, or until the context ends.
    ///
    /// # Errors
    /// If it has ended, before or meanwhile.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    /// use std::time::Duration;
    ///
    /// let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
    /// assert_eq!(context.sleep(Duration::from_secs(3600)), Err(ContextError::DeadlineExceeded));
    /// ```
    pub fn sleep(&self, duration: Duration) -> Result<(), ContextError> {
        let Some(branch) = &self.branch else {
            sleep(duration);
            return Ok(());
        };
        self.check()?;
        if wait_for_end(branch.done(), Some(duration), &CONTEXT_SLEEP) { self.check() } else { Ok(()) }
    }

    /// Waits until it has ended, and returns how. A context that never ends is waited for for ever.
    pub fn wait(&self) -> ContextError {
        let end = self.branch.as_ref().map(End::of);
        loop {
            if let Some(error) = self.err() {
                return error;
            }
            if let Some(end) = end.as_ref().filter(|end| !end.has_begun()) {
                end.begin();
                continue;
            }
            park_on(&CONTEXT_WAIT, 0);
        }
    }

    /// As [`wait`](Self::wait), for async tasks, of pirn or of any other runtime.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    ///
    /// let (context, cancel) = Context::background().with_cancel();
    /// cancel.cancel();
    /// assert_eq!(pirn::block_on(context.wait_async()), ContextError::Cancelled);
    /// ```
    pub async fn wait_async(&self) -> ContextError {
        loop {
            if let Some(error) = self.err() {
                return error;
            }
            _ = self.done().recv_async().await;
        }
    }

    /// Runs a future until it has resolved or the context ends, whichever comes first; then it is dropped. As
    /// `run_until_cancelled` of tokio's tokens.
    ///
    /// Locks and the like are acquired in this way in async tasks: their futures may be dropped at any time. Those of
    /// goroutines and threads have calls of their own ([`Mutex::lock_ctx`](crate::Mutex::lock_ctx)).
    ///
    /// # Errors
    /// If the context has ended, before or meanwhile. The future is not polled after that.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    /// use pirn::sync::Mutex;
    ///
    /// let (context, cancel) = Context::background().with_cancel();
    /// let mutex = Mutex::new(1);
    /// pirn::block_on(async {
    ///     let guard = context.run_until_end(mutex.lock_async()).await.unwrap();
    ///     std::thread::spawn(move || cancel.cancel());
    ///     let error = context.run_until_end(mutex.lock_async()).await.err();
    ///     assert_eq!(error, Some(ContextError::Cancelled));
    ///     drop(guard);
    /// });
    /// ```
    pub async fn run_until_end<F: Future>(&self, future: F) -> Result<F::Output, ContextError> {
        let (mut end, mut future) = (pin!(self.wait_async()), pin!(future));
        poll_fn(|task| match end.as_mut().poll(task) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => future.as_mut().poll(task).map(Ok),
        })
        .await
    }
}

/// What has become of it, its deadline, and the names of its values.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.branch, self.cause()) {
            (None, _) => f.write_str("context without end")?,
            (_, Some(cause)) => write!(f, "ended context: {cause}")?,
            (Some(branch), None) => {
                f.write_str("open context")?;
                if let Some(deadline) = branch.deadline() {
                    write!(f, ", {:?} left", deadline.saturating_duration_since(now()))?;
                }
            }
        }
        for (nth, name) in Value::names(self.values.as_ref()).enumerate() {
            f.write_str(if nth == 0 { ", with " } else { ", " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({self})")
    }
}
