//! Rate limits: how many events may happen in how much time.
//!
//! | I want | use |
//! | --- | --- |
//! | a rate on average, and bursts | [`RateLimiter::new`], a [`TokenBucket`] |
//! | events spaced evenly, and a bounded queue | [`RateLimiter::leaky_bucket`] |
//! | never more than so many in any minute | [`RateLimiter::sliding_window`] |
//! | the same counted by the wall clock, in little memory | [`RateLimiter::fixed_window`] |
//! | a limit for each user | [`Keyed`](crate::Keyed) of any of these |
//! | a limit for several processes | [`SharedLimiter`] over a [`Store`] |
//! | a message once in a while | [`Sometimes`] |
//!
//! # What lives here
//! The verbs (`limiter`), which are the same for all, over an algorithm that gives out permits for moments
//! (`algorithm`, and a file for each). The shared limiter, whose algorithm is a step that a store does. `Sometimes`.
//!
//! # Who may come in
//! Users, and the rooms above. `Keyed` asks a limiter whether it is as new.
//!
//! # Invariants
//! 1. A permit is taken before its caller sleeps, under the lock of the limiter. So no other can have it, and the order
//!    of the moments is that of the lock.
//! 2. `now` does not go back under the lock: a reading of the clock that was overtaken on its way there counts as the
//!    later one. So a race between callers gives nobody more, and the moments that an algorithm gives out do not go
//!    back.
//! 3. Permits that are given back move nobody who waits. What is free again is for those that come later, who may so be
//!    served before some that wait already; the limit is kept all the same.
//! 4. Under the lock there is arithmetic, and no code of users.
//!
//! # Tests
//! `token_bucket_tests.rs` for what Go's tests say of moments, `patterns/tests/rate.rs` under a set clock,
//! `patterns/tests/rate_properties.rs` against a log of all events, `patterns/tests/stress.rs`.

mod algorithm;
mod fixed_window;
mod leaky_bucket;
mod limiter;
mod memory_store;
mod shared;
mod sliding_window;
mod sometimes;
mod token_bucket;
mod value;

pub use algorithm::{Algorithm, Refused};
pub use fixed_window::FixedWindow;
pub use leaky_bucket::LeakyBucket;
pub use limiter::{RateLimiter, RateMetrics, Reservation, WaitError};
pub use memory_store::MemoryStore;
pub use shared::{Quota, SharedError, SharedLimiter, Store};
pub use sliding_window::SlidingWindow;
pub use sometimes::Sometimes;
pub use token_bucket::TokenBucket;
pub use value::Rate;
