//! # What lives here
//! Starting and stopping a runtime: reading the environment (`env`), building a runtime (`builder`), the runtime and
//! its handles (`runtime`), a runtime for one call (`run`), shutting it down (`stop`), and what a process needs once
//! (`process`), which includes that panics name their G (`panics`).
//!
//! # Who may come in
//! Users, through the public types.
//!
//! # Invariants
//! 1. Only `env` reads the environment.
//! 2. A runtime that could not be built leaves nothing behind.
//! 3. When a runtime has been shut down, its threads have ended, except those that run a G which did not end in time:
//!    that G, its thread and what they use are never freed.
//!
//! # Tests
//! `env.rs` and `panics.rs` have their own; `tests/settings.rs`, `tests/shutdown.rs`, `tests/two_runtimes.rs`.

#![cfg(not(loom))]

mod builder;
pub(crate) mod env;
mod panics;
mod process;
mod run;
mod runtime;
mod stop;

pub use builder::Builder;
pub use run::run;
pub use runtime::{Handle, Runtime, maxprocs, num_goroutines};
