//! Retries: a call that has failed is made again, after a while.
//!
//! # What lives here
//! How long to wait (`backoff`), how many retries all calls together may make (`budget`), the loop (`policy`), and why
//! it gave up (`error`).
//!
//! # Who may come in
//! Users, and the rooms above. `hedge` uses the budget.
//!
//! # Invariants
//! 1. There is one loop, in `policy`. What decides about another try is asked in one order: the number of tries, the
//!    user's predicate, the context, the time, the budget. So a retry that something else forbids takes nothing from
//!    the budget.
//! 2. No lock is held while user code runs or the loop sleeps.
//!
//! # Tests
//! `patterns/tests/retry.rs` under a set clock, `patterns/tests/properties.rs`, `patterns/tests/stress.rs`.

mod backoff;
mod budget;
mod error;
mod policy;

pub use backoff::{Backoff, Delays, Jitter};
pub use budget::{Budget, BudgetMetrics};
pub use error::{GaveUp, RetryError};
pub use policy::{Attempt, Retry, RetryMetrics};
