//! # What lives here
//! The front door: starting a G (`start`; `builder` for one with a name or a stack limit of its own), what it does
//! between its first run and its end (`body`), and letting others run (`yield_now`).
//!
//! # Who may come in
//! Users, through the public functions; `boot`, `scope` and `time`, which start Gs by [`start`] at a [`StartOptions`] of theirs.
//!
//! # Invariants
//! 1. A G is started by [`start`] alone, which makes its first [`Runnable`](crate::g::Runnable).
//! 2. What a closure, its result and its [`After`] borrow lives until `After::after` has been called. The caller of
//!    [`start`] promises it; `body` touches none of them after that call.
//! 3. A panic of the user's closure ends in `body`. Nothing unwinds out of `body`.
//! 4. The thread-locals of a G are destroyed before its joiner is told, as those of a thread are.
//! 5. A shutdown misses no G: a G is counted before the shutdown can find that none is left. A G that starts another is
//!    itself counted; for threads without a P `start_foreign` has the argument.
//!
//! # Tests
//! `tests/spawn.rs`, `tests/shutdown.rs`, `tests/like_a_thread.rs`.

#![cfg(not(loom))]

mod body;
mod builder;
mod start;
mod yield_now;

pub(crate) use body::{After, Unscoped};
pub use builder::GoBuilder;
pub(crate) use builder::stack_class;
pub(crate) use start::{StartOptions, WhenClosing, expect_started, start};
pub use start::{go, try_go};
pub use yield_now::yield_now;
