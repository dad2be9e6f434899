//! The states of a breaker, their changes, and its figures.

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It admits them.
    Closed,
    /// It rejects them.
    Open,
    /// It admits some as trials.
    HalfOpen,
}

/// A change of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// The number of the change, from 1.
    pub generation: u64,
}

/// What has become of the calls of a breaker. At any moment `admitted` and `rejected` add up to `asked`; `succeeded`,
/// `failed`, `ignored` and `in_flight` to `admitted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerMetrics {
    /// All calls.
    pub asked: u64,
    /// Those that were made.
    pub admitted: u64,
    /// Those that were not.
    pub rejected: u64,
    /// Those that are running.
    pub in_flight: u64,
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that failed, panicked, or whose permit was dropped.
    pub failed: u64,
    /// Those that say nothing about the other side.
    pub ignored: u64,
    /// Those of the ended ones that came to their end after the state had changed, so that they did not count for it.
    pub late: u64,
    /// How often it has opened.
    pub opened: u64,
}
