//! # What lives here
//! Waiting: [`park`] and its counterpart [`Unparker`], the primitive that everything else waits with.
//!
//! # Who may come in
//! Everything that waits or wakes. The public functions work on Gs and on OS threads; an [`Unparker`] may also stand
//! for an async task.
//!
//! # Invariants
//! 1. One park consumes one token, one unpark leaves at most one; an unpark before the park counts (`g/word.rs`).
//! 2. A park may return without an unpark: the caller looks again whether what it waits for has come.
//! 3. When the runtime closes, a park unwinds the G instead of returning, unless the G unwinds already, or waits for
//!    Gs that borrow from its stack.
//! 4. In shared mode a G that unwinds stays with its M while it is parked (`sched/locked.rs`): std counts panics in a
//!    thread-local. In isolated mode the thread-local moves with the G.
//!
//! 5. A park in a line (`in_line.rs`) takes no token and is ended by no unpark: only by who tells its ticket, or by who
//!    has exposed it. A token that comes meanwhile is for a later park.
//!
//! # Tests
//! `tests/park.rs`; `g/word_loom.rs` models the park word, `tests/shutdown.rs` shows I3.

#![cfg(not(loom))]

mod in_line;
mod on_g;
mod unparker;
mod verbs;

pub(crate) use in_line::{expose, expose_all, park_in_line};
pub use on_g::checkpoint;
pub(crate) use on_g::{checkpoint_if, give_way, in_closing, unwind_if_closing, yield_on_g};
pub use unparker::Unparker;
pub(crate) use unparker::unpark_g;
pub(crate) use verbs::{current_g, defer, park_uninterruptibly, park_until_ns};
pub use verbs::{park, park_on, park_timeout, park_until};
// As the models have it: what parks until a moment asks whether it has come, and a lock asks who the caller is.
pub use crate::clock::{has_come, now, now_ns};
pub use crate::m::current::party_word;
