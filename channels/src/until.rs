//! How long an operation may wait.

use crate::loom::now;
use std::time::{Duration, Instant};

/// So long a receive waits for a value that a select has promised it, when its time is over: the select is about to send
/// it, but may have to wait for a P.
const GRACE: Duration = Duration::from_millis(10);

/// When a promise is not waited for any longer.
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
            // What does not fit waits for ever.
            Until::For(duration) => now().checked_add(duration),
        }
    }

    /// Not at all.
    pub(crate) fn now() -> Until {
        Until::For(Duration::ZERO)
    }

    /// The same as `deadline`, and from here on it stays that one.
    #[inline]
    pub(crate) fn fix(&mut self) -> Option<Instant> {
        let deadline = self.deadline();
        *self = deadline.map_or(Until::Ever, Until::At);
        deadline
    }
}
