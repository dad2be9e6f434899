//! [`Runs`].

/// When a G that is woken runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Before the Gs that are ready already (Go's `runnext`): it works together with the one that wakes it.
    Next,
    /// After them. For those that one call wakes, however many: they run in the order of the calls in which they began to
    /// wait. If each was to run next, it would drive out the one before it, and the last would be the first. (In Go it is.)
    Last,
}
