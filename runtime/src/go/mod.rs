//! # What lives here
//! The front door: starting a G (`start`; `builder` for a G with a name or a stack limit), what a G does between its
//! first run and its end (`body`), and yielding (`yield_now`); `chore` starts one for a chore, and
//! `task` one without a handle, whose result goes where it ends.
//!
//! # Who may come in
//! Users, through the public functions. `boot`, `scope` and `time` start Gs by [`start`], with [`StartOptions`] of
//! their own.
//!
//! # Invariants
//! 1. Only [`start`] starts a G: it makes the first [`Runnable`](crate::g::Runnable).
//! 2. What a closure, its result and its [`After`] borrow lives until `After::end` has returned, or `refuse`. The caller of
//!    [`start`] promises it; `body` touches none of them after that call.
//! 3. A panic of the user's closure ends in `body`. Nothing unwinds out of `body`.
//! 4. The thread-locals of a G are destroyed before its joiner is told, as those of a thread are.
//! 5. A shutdown misses no G: a G is counted before the shutdown can find that none is left. A G that starts another
//!    is itself counted; `start_foreign` has the argument for threads without a P.
//!
//! # Tests
//! `tests/spawn.rs`, `tests/shutdown.rs`, `tests/like_a_thread.rs`.

#![cfg(not(loom))]

mod body;
mod builder;
mod chore;
mod start;
mod task;
mod yield_now;

pub(crate) use body::{After, Unscoped, handle_without_g, leave_to_handle};
pub(crate) use builder::stack_class;
pub use builder::{GoBuilder, builder_at};
pub(crate) use chore::start_chore;
pub(crate) use start::{StartOptions, WhenClosing, expect_started, start};
pub use start::{go, try_go};
pub use task::{Ending, Task, go_task};
pub use yield_now::yield_now;
