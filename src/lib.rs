//! Go's concurrency for Rust.
pub use pirn_runtime::*;
