//! What an immediate shutdown hands back.

use super::queue::Priority;
use super::state::Queued;
use std::fmt;
use std::sync::Arc;

/// A job that had not begun when its pool was shut down. Dropping it drops the job: its handle says so.
#[must_use = "the job is lost when this is dropped"]
pub struct Leftover(pub(super) Queued);

impl Leftover {
    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.0.about.name.as_ref()
    }

    /// How urgent it was.
    pub fn priority(&self) -> Priority {
        self.0.about.priority
    }

    /// Runs it here and now. Its handle gets the result, or the panic.
    pub fn run(self) {
        // Whoever asks the handle learns how it went. A shutdown of the caller's runtime goes on at its next wait.
        _ = self.0.work.run();
    }
}

impl fmt::Debug for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leftover")
            .field("name", &self.name())
            .field("priority", &self.priority())
            .finish_non_exhaustive()
    }
}
