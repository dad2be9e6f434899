//! Contexts: cancellation, deadlines and values that are passed from caller to callee, as in Go.
//!
//! A function that may take long gets a [`Context`] as its first argument, and gives up when that has ended. It looks
//! ([`Context::err`]), waits ([`Context::wait`], [`Context::sleep`]), or has a case for it in a select
//! ([`Context::done`]). Who has made a context ends it by its [`Cancel`], or lets its deadline pass; then all contexts
//! that were made from it have ended too.
//!
//! ```
//! use pirn::channel::unbounded;
//! use pirn::context::{Context, ContextError};
//! use pirn::select;
//! use std::time::Duration;
//!
//! pirn::run(|| {
//!     let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
//!     let (_results_in, results) = unbounded::<u32>();
//!     let error = select! {
//!         recv(results) -> _ => unreachable!("nobody sends"),
//!         recv(context.done()) -> _ => context.err(),
//!     };
//!     assert_eq!(error, Some(ContextError::DeadlineExceeded));
//! });
//! ```
//!
//! All waits of `sync` have a form that ends with a context: [`Mutex::lock_ctx`](crate::Mutex::lock_ctx),
//! [`Semaphore::acquire_ctx`](crate::Semaphore::acquire_ctx), [`WaitGroup::wait_ctx`](crate::WaitGroup::wait_ctx); so has a
//! join ([`Context::join`]); and any future can be run until the end of one ([`Context::run_until_end`]).
//!
//! What differs from Go: a `Cancel` that is never called leaks nothing, because a context is freed with its last
//! handle, however long its parent lives; a cause may be given to every `Cancel`; keys have types.
//!
//! The rest of this page is for those who work on it.
//!
//! # What lives here
//! The handle ([`Context`]: a branch and values), what ends it ([`Cancel`], [`CancelOnDrop`]), what is called at the end
//! ([`Stop`], `calls`), the branch (`branch`; `strong`, how it is
//! counted; `lazy_box`, for what most never need), the tree of branches (`tree`; `root`, who owns it), the values (`values`), the errors (`error`),
//! one that waits for the end (`end`), and the waits of locks and the like that end with a context (`waits`;
//! `poison_waits`; `join`, of a G's handle).
//!
//! # Who may come in
//! Users, and `group`.
//!
//! # Invariants
//! 1. *A tree has one lock*: it guards who is whose child, the calls, and the marks against each other. Branches that were
//!    made from `background` or `without_cancel` are roots of trees of their own. Under the lock no code of the user's
//!    runs, nothing is waited for, no runtime is called: an end collects what it has marked, and tells it after
//!    unlocking.
//! 2. *A branch is marked once, and its parent before it.* All that one call ends is marked in one turn of the lock. The
//!    marks are read without the lock: who sees a branch marked sees its ancestors marked.
//! 3. *After `cancel` has returned, all descendants are marked*, also if another call has marked them: that one held the
//!    lock while it did. What is told after that (channels closed, timers stopped, calls started) goes by the same
//!    order, parents first, and is done by the call that has marked. A second call does not wait for it; so `done`
//!    looks at the mark each time, and closes the channel itself.
//! 4. *A child that enters the tree is marked or will be*: it looks at its parent's mark under the lock, in the same turn
//!    in which it becomes a child.
//! 5. *A parent knows its children weakly.* The last handle of a branch takes it out of the tree. A branch that is just
//!    being dropped may still be found by an end: it cannot be upgraded then, has no children (a child keeps its
//!    parent), is left out, and takes itself out when it gets the lock.
//! 6. *A call is started once or not at all*: the end takes the calls out together with the mark, under the lock; `stop`
//!    takes one out under the lock if there is no mark.
//! 7. Chains of branches and of values are walked and dropped in loops: their depth has no limit.
//! 8. *The tree lives as long as its branches.* Its root owns it. A branch keeps its parent, and so the root, as long as it
//!    may be used; in its drop it gives the parent away only when it has taken itself out. The loop that drops those above
//!    takes the parent out of a branch first, and keeps it until that branch has been dropped.
//! 9. *What is to be told of an end* (`ToTell`) is used under the tree's lock until the branch is marked. From then on it
//!    is that of the call that has marked it: nobody adds anything to a marked branch, or takes anything back.
//!
//! # Locks and ordering
//! The tree's lock comes first; under it no other lock is taken. The lock of a timer's alarm guards only the place: an
//! alarm is set, and dropped, outside. An alarm that is put there looks at the mark under that lock, and an end takes it
//! out after the mark; so one of the two sees the other. The channel of `done` is made without a lock, and then entered
//! into the tree under the tree's lock: either the mark is seen there, and who has made the channel closes it; or the end
//! that comes later finds the entry.
//!
//! # Tests
//! `context_loom.rs` models I2 to I6; `tests/context.rs`, `tests/context_exam.rs` (Go's tests by name),
//! `tests/context_stress.rs`.

mod join;
mod poison_waits;
mod waits;
mod handle;
mod end;
mod cancel;
mod branch;
mod calls;
mod lazy_box;
mod root;
mod tree;
mod strong;
mod values;
mod error;

pub use cancel::{Cancel, CancelOnDrop, Stop};
pub use error::{Cause, ContextError};
pub use handle::Context;
pub use values::Key;
pub use waits::AcquireCtxError;

#[cfg(all(test, loom))]
#[path = "context_loom.rs"]
mod models;
