//! Patterns of concurrent programs, ready to use, for goroutines and OS threads alike.
//!
//! A pattern that waits has a form that ends with a context, `*_ctx`. None of them calls user code under a lock of its
//! own. All read pirn's clock, and draw pirn's random numbers, so a test can set both.
//!
//! The modules are floors: each uses only those below it.

#![forbid(unsafe_code)]

pub mod rate; // rate limits: token bucket, leaky bucket, windows, shared ones
pub mod breaker; // circuit breakers
pub mod fallback; // what to answer when a call fails
mod keyed; // one of each for every key
mod count; // counters for metrics

pub use keyed::{AsNew, Held, Keyed};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
