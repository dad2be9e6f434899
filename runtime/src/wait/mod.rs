//! # What lives here
//! The wait line, with which every operation waits that another one tells: a [`Ticket`] for each operation that
//! waits, a [`Waiter`] for each line that it waits in, the [`Line`], and a [`Lock`] for owners of lines.
//!
//! # Who may come in
//! Timers, joins and scopes, and by way of `internal` every crate above.
//!
//! # The protocol
//! An operation that cannot complete now makes a ticket, which lies on its stack or in its future. It pushes a waiter
//! into a line under the lock of the line's owner, unlocks, and parks until it is told. Another operation that can
//! complete it later takes its waiter out of the line under the same lock, as a [`Claimed`]; puts values where they
//! belong; tells it with an answer, which returns a [`Told`]; unlocks; and wakes it by the `Told`.
//!
//! ```text
//!   WAITING --claim--> CLAIMED --tell--> TOLD
//!      `-----------------tell--------------^
//! ```
//! A ticket in one line is claimed by being taken out of the line. A ticket in several lines is claimed by its state:
//! the first claim wins, and later ones skip it. A ticket may also be in no line, if one other knows it: a joined G,
//! the last G of a scope.
//!
//! # Invariants
//! 1. *A ticket is claimed once and told once.* A [`Claimed`] cannot be copied, and telling consumes it.
//! 2. *The owner of a ticket and its waiters.* First their operation, until they are in a line; then the holder of
//!    the line's lock; then the claimer, until it tells; and then the operation again. The answer and the unparker
//!    have the same owners.
//! 3. *They live as long as others look at them.* The operation continues only when it is told, or when it has
//!    withdrawn: it has taken its waiter out of the line under the lock and found it there, or has claimed its own
//!    ticket, or has taken the claim back from where its owner keeps it. If it cannot withdraw, another has claimed it,
//!    and it waits until it is told. The teller takes the unparker out before it stores TOLD, and touches nothing of
//!    the operation afterwards; but for a G that it has taken from its line (I7), which stays until the teller makes it
//!    ready.
//! 4. *An unpark may come after the operation has gone on*, as the operation may have seen TOLD by itself. The
//!    unparker is a value of its own: a G's record, which is never freed, with the G's number; a thread's handle; or
//!    a waker. It does not use the operation's memory. An unpark that was not needed leaves a token, which makes one
//!    later park return early (park I2).
//! 5. *No code of the user's runs under a lock of the owner.* To wake an async task is such code, and so is to clone or
//!    to drop its waker, and an unpark may call a subscriber of `tracing`. So telling happens under the lock, and
//!    waking after it. A panic of a waker ends there: it is a fault of the operation that waits, and the caller may
//!    hold a value that only it has.
//! 6. *An operation that is unwound withdraws.* A wait in a G whose runtime closes does not return; then
//!    [`on_unwind`] runs what the operation would do at its deadline.
//! 7. *A G that stands in one line, and has no deadline, may park in that line* (`g/line_park.rs`): it holds the lock
//!    until it has left its stack. Who tells it holds the same lock, finds it parked, and owns it: no park word is
//!    asked. So all who tell such a ticket hold the lock of its line.
//!
//! # Tests
//! `wait_loom.rs` models claims, withdrawals and the line; the models of the channels use this code too.

#![allow(unsafe_code, reason = "waiters on stacks that wait")]

mod line;
mod lock;
mod ticket;
mod told;
mod told_line;

pub use line::{Claimed, Line, Waiter};
pub use lock::Lock;
pub use ticket::{OnUnwind, Ticket, on_unwind};
pub use told::{Told, discard, wake};
pub use told_line::ToldLine;

#[cfg(loom)]
use crate::loom::parking;
#[cfg(not(loom))]
use crate::park as parking;

#[cfg(all(test, loom))]
mod wait_loom;
