//! # What lives here
//! The wait line, with which everything waits that is told by others: a [`Ticket`] for each operation that waits, a
//! [`Waiter`] for each line that it waits in, and the [`Line`]. Timers, joins and scopes use it here, and every crate
//! above.
//!
//! # The protocol
//! An operation that cannot complete now makes a ticket, which lies on its stack or in its future. It puts a waiter
//! into a line under the lock of the line's owner, gives the lock back, and parks until it is told. Whoever can
//! complete it later takes its waiter out of the line under the same lock and has it [`Claimed`]; puts values where
//! they belong; tells it with an answer; gives the lock back; and wakes it, which is what the [`Told`] is for.
//!
//! ```text
//!   WAITING --claim--> CLAIMED --tell--> TOLD
//!      `-----------------tell--------------^
//! ```
//! A ticket in one line is claimed by being taken out of the line. One in several lines is claimed by its state: the
//! first has it, and the others pass it by. A ticket may also be in no line, if one other knows it: a joined G, the
//! last of a scope.
//!
//! # Invariants
//! 1. *A ticket is claimed once and told once.* A [`Claimed`] cannot be copied, and telling takes it.
//! 2. *Who owns a ticket and its waiters.* Their operation, until they stand in a line; then who holds the line's lock;
//!    who has claimed the ticket, from there until it is told; and then their operation again. The answer and the
//!    unparker pass on so.
//! 3. *They are there as long as others look at them.* The operation goes on only when it is told, or when it has
//!    withdrawn: it has taken its waiter out of the line under the lock and found it there, or has claimed its own
//!    ticket, or has taken the claim back from where its owner keeps that. If it cannot, another has claimed it, and it
//!    waits until it is told. Who tells takes the unparker out before it stores TOLD, and touches nothing of the
//!    operation's after.
//! 4. *An unpark may come after the operation has gone on.* It may have seen TOLD by itself. The unparker is a value of
//!    its own: a G's record, which is never freed, with the G's number; a thread's handle; or a waker. The operation's
//!    memory has no part in it. The unpark that was not needed leaves a token, which makes one later park return early
//!    (park I2).
//! 5. *No code of the user's runs under a lock of the owner.* To wake an async task is such code, and so is to clone or
//!    to drop its waker, and an unpark may call a subscriber of `tracing`. So telling is done under the lock, and
//!    waking after it. A panic of a waker ends there: it is a fault of the one who waits, and the caller may hold a
//!    value that only it has.
//! 6. *Whoever is unwound withdraws.* A wait in a G whose runtime closes does not return, and then what [`on_unwind`]
//!    was given does what the operation would do at the end of its time.
//!
//! # Tests
//! `wait_loom.rs` models claims, withdrawals and the line; the models of the channels go by here too.

mod line;
mod ticket;
mod told;

pub use line::{Claimed, Line, Waiter};
pub use ticket::{OnUnwind, Ticket, on_unwind};
pub use told::{Told, discard, wake};

#[cfg(loom)]
use crate::loom::parking;
#[cfg(not(loom))]
use crate::park as parking;

#[cfg(all(test, loom))]
mod wait_loom;
