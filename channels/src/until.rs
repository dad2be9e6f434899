//! How long an operation may wait.

use crate::loom::now;
use std::time::{Duration, Instant};

/// How much longer a receive whose time is over waits for a value that a select has promised it: the select is about to
/// send it, but may have to wait for a P.
const GRACE: Duration = Duration::from_millis(10);

/// When a receive stops waiting for a value that was promised.
pub(crate) fn end_of_grace() -> Instant {
    now() + GRACE
}

/// How long an operation may wait. The clock is read only when it has to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Ever,
    At(Instant),
    For(Duration),
}

impl Until {
    /// The deadline, if there is one.
    #[inline]
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Until::Ever => None,
            Until::At(deadline) => Some(deadline),
            // A deadline that an `Instant` cannot hold never comes.
            Until::For(duration) => now().checked_add(duration),
        }
    }

    /// It may not wait at all.
    pub(crate) fn now() -> Until {
        Until::For(Duration::ZERO)
    }

    /// The deadline, which is the same at all later calls.
    #[inline]
    pub(crate) fn fix(&mut self) -> Option<Instant> {
        let deadline = self.deadline();
        *self = deadline.map_or(Until::Ever, Until::At);
        deadline
    }
}
