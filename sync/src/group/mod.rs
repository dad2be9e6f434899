//! Groups of Gs that end together: with the first error, in any order, or as a race.
//!
//! | I want to | use |
//! | --- | --- |
//! | start Gs that may fail, wait for all, and get the first error | [`ErrGroup`], as in Go |
//! | the same with borrows from the caller's stack, so that no G outlives the call | [`task_group`] |
//! | have the results of several closures, in their order | [`gather`], [`try_gather`] |
//! | take results as they come | [`as_completed`] |
//! | have the first result, and stop the others | [`race`] |
//!
//! ```
//! use pirn::context::ContextError;
//! use pirn::group::task_group;
//! use std::time::Duration;
//!
//! pirn::run(|| {
//!     let files = ["a", "b", "missing"];
//!     let result = task_group(|tasks| {
//!         for file in &files {
//!             tasks.go(move |context| {
//!                 if *file == "missing" {
//!                     return Err(format!("{file}: not found"));
//!                 }
//!                 // The error ends this sleep.
//!                 context.sleep(Duration::from_secs(3600)).map_err(|error: ContextError| error.to_string())
//!             });
//!         }
//!         Ok(())
//!     });
//!     assert_eq!(result, Err("missing: not found".to_owned()));
//! });
//! ```
//!
//! A task that is cancelled is not stopped: it has to look at its context. All groups wait for all their tasks. A
//! panic of a task is printed by the panic hook when it happens, cancels the others at once, and is resumed where the
//! group is waited for.
//!
//! The rest of this page is for those who work on it.
//!
//! # What lives here
//! `err_group` (tasks that are `'static`; `tasks` counts them), `task_group` (tasks that borrow, on `pirn_runtime`'s scope;
//! what they share is in `shared`), `gather` (what is made of the latter), `completed` (results as they come);
//! `first_panic` is what both kinds of groups keep of panics.
//!
//! # Who may come in
//! Users.
//!
//! # Invariants
//! 1. A task of an [`ErrGroup`] counts until its G has destroyed its thread-locals and left its result: it is a G without a
//!    handle, which owns what counts (`Running`). A task of a [`task_group`] is a G of a scope.
//! 2. The first error and the first panic are kept before the context is cancelled; and it is cancelled before the task
//!    stops counting. So who has waited finds them, and the context ended.
//! 3. Nothing of the user's is called or dropped under a lock: not errors, payloads, results, wakers.
//! 4. A permit of a limit is given back before its task stops counting: who has waited finds all permits there.
//!
//! # Tests
//! `group_loom.rs` models I2 and I4, `shared_loom.rs` I2 of a `task_group`; `tests/group.rs`, and `tests/group_exam.rs` (Go's errgroup, tokio's JoinSet and TaskTracker by name).

mod gather;
mod task_group;
mod err_group;
mod shared;
mod tasks;
mod first_panic;
mod completed;

#[cfg(not(loom))]
pub use {
    completed::{AsCompleted, as_completed},
    err_group::ErrGroup,
    gather::{gather, race, try_gather},
    task_group::{TaskGroup, TaskHandle, task_group, task_group_with},
};
