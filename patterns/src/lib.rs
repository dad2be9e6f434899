//! Patterns of concurrent programs, ready to use, for goroutines and OS threads alike.
//!
//! A pattern that waits has a form that ends with a context, `*_ctx`. None of them calls user code under a lock of its
//! own. All read pirn's clock, and draw pirn's random numbers, so pirn's own tests set both.
//!
//! The modules are floors: each uses only those below it.

#![forbid(unsafe_code)]

pub mod pipeline; // stages with bounded channels between them
pub mod parallel; // the same call for many items, some at a time
pub mod executor; // closures in, results out
pub mod pool; // workers for jobs
pub mod job; // the handle of a job
pub mod cache; // entries that expire
pub mod flight; // one call for all that want the same at the same time
pub mod rate; // rate limits: token bucket, leaky bucket, windows, shared ones
pub mod hedge; // an answer that is late is asked for once more
pub mod timeout; // calls that are waited for only for some time
pub mod retry; // calls that have failed are made again
pub mod guarded; // a bulkhead and a breaker around the same calls
pub mod bulkhead; // so many calls at a time, so many that wait
pub mod breaker; // circuit breakers
pub mod fallback; // what to answer when a call fails
mod place; // where work runs
mod keyed; // one of each for every key
mod count; // counters for metrics

pub use keyed::{AsNew, Held, Keyed};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
