//! What ends a context, and what takes a call back.

use super::branch::Branch;
use super::error::{ContextError, cause_of};
use super::strong::Strong;
use std::error::Error;
use std::fmt;

/// Ends a context, and with it all that were made from it.
///
/// To drop it ends nothing: then only the deadline or an ancestor can. Use [`guard`](Self::guard) where the end of a
/// function is to be the end of the context. Any thread, G or task may call it, any number of times; the first call that
/// ends the context counts.
///
/// When a call returns, all descendants report the end ([`Context::err`](super::Context::err)). Parents are marked
/// before their children. Then those that wait are told, in the same order.
#[derive(Clone)]
pub struct Cancel(pub(super) Strong<Branch>);

impl Cancel {
    /// Ends the context. Its error is [`ContextError::Cancelled`], which is its cause too.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    ///
    /// let (context, cancel) = Context::background().with_cancel();
    /// let (child, _) = context.with_cancel();
    /// cancel.cancel();
    /// assert_eq!(child.err(), Some(ContextError::Cancelled));
    /// ```
    pub fn cancel(&self) {
        Branch::end(&self.0, ContextError::Cancelled, None);
    }

    /// Ends the context, and says why. If it has ended already, the cause that it has stays.
    ///
    /// ```
    /// use pirn::context::Context;
    ///
    /// let (context, cancel) = Context::background().with_cancel();
    /// cancel.cancel_with("the user has gone");
    /// assert_eq!(context.cause().unwrap().to_string(), "the user has gone");
    /// ```
    pub fn cancel_with(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        Branch::end(&self.0, ContextError::Cancelled, Some(&cause_of(cause)));
    }

    /// Ends the context when the guard is dropped.
    ///
    /// ```
    /// use pirn::context::Context;
    ///
    /// let (context, cancel) = Context::background().with_cancel();
    /// {
    ///     let _ends_here = cancel.guard();
    ///     assert!(context.err().is_none());
    /// }
    /// assert!(context.err().is_some());
    /// ```
    pub fn guard(self) -> CancelOnDrop {
        CancelOnDrop(Some(self))
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("err", &self.0.error()).finish()
    }
}

/// Ends a context when it is dropped: see [`Cancel::guard`].
#[derive(Debug)]
#[must_use = "the context ends when this is dropped"]
pub struct CancelOnDrop(Option<Cancel>);

impl CancelOnDrop {
    /// Gives the `Cancel` back, so that nothing happens at the drop.
    pub fn disarm(mut self) -> Cancel {
        self.0.take().expect("it is there until the drop")
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

/// Takes back a call that is to come at the end of a context: see
/// [`Context::after_func`](super::Context::after_func).
#[must_use = "the call is forgotten when this and the context have gone"]
pub struct Stop {
    /// None: the context never ends.
    pub(super) call: Option<(Strong<Branch>, u64)>,
}

impl Stop {
    /// Takes the call back, and drops it. False if it has been started, or was taken back before. It does not wait for a
    /// call that has been started.
    pub fn stop(&self) -> bool {
        let Some((branch, number)) = &self.call else { return false };
        branch.take_call(*number).is_some()
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}
