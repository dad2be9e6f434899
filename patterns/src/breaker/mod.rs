//! Circuit breakers: calls that are likely to fail are not made for a while.
//!
//! # What lives here
//! The breaker (`circuit`) over its state (`state`), which one lock guards; its nouns (`change`); what it counts
//! (`counts`); how it is made (`config`); what it answers (`error`).
//!
//! ```text
//!            too many failures                 open_for has passed
//!   closed ---------------------> open ------------------------------> half-open
//!     ^                            ^                                   |      |
//!     |                            +----------- one failed ------------+      |
//!     +-------------------------- all trials succeeded -----------------------+
//! ```
//!
//! # Who may come in
//! Users, and the rooms above. `Keyed` asks a breaker whether it is as new.
//!
//! # Invariants
//! 1. Each change of the state begins a new generation. A call belongs to the generation that admitted it; when it ends
//!    in another one, its result changes nothing but the figures.
//! 2. In one generation half-open, trials that are running or have succeeded are never more than the configured number.
//!    An ignored one makes room for another.
//! 3. Each admitted call has one `Permit`, and each permit ends once: by a verb, or as a failure when it is dropped.
//! 4. No user code runs under the lock. A rule of the user's looks at counts of a generation, and opens the breaker
//!    only if that has not ended meanwhile; changes are told after unlocking, so two of them may be told in either
//!    order.
//!
//! # Tests
//! `patterns/tests/breaker.rs` under a set clock, `patterns/tests/properties.rs` against a model,
//! `patterns/tests/stress.rs`.

mod change;
mod circuit;
mod config;
mod counts;
mod error;
mod state;

pub use change::{BreakerMetrics, Change, State};
pub use circuit::{CircuitBreaker, Permit, Verdict};
pub use config::BreakerBuilder;
pub use counts::Counts;
pub use error::{BreakerError, Rejected};
