//! # What lives here
//! The parking lot: who waits for a lock, or for anything else of this crate, stands in a line by its address. So a lock
//! is one word, is made at compile time, and needs no memory. As parking_lot's (which has the name from WebKit's) and
//! the table of semaphores of Go's runtime.
//!
//! # Who may come in
//! The primitives, each under its own address (`key_of`). What the words mean that they keep there is theirs alone.
//!
//! # The table
//! ```text
//!   bucket (lock) ---> queue of key a ---> queue of key b
//!                        |                   |
//!                      spot 1  spot 2      spot 3            a spot lies where its operation waits
//! ```
//! A spot is an operation's place: its ticket, its waiter, and room for a queue. The queue of a key lies in the spot of
//! one of those who stand in it. When that one leaves, the queue moves to the spot of its last, which is still there when
//! all others have left by their turn. So another key in the same bucket costs one look, and not one for each of those who
//! wait there.
//!
//! Who is going to stand there is a [`Newcomer`], which is made before the turn: what it needs is read outside of the lock.
//!
//! # Invariants
//! 1. *A bucket's lock guards its queues, their lines, and the spots in them*, and whatever the primitive says that it
//!    guards: a primitive changes its bit "somebody waits" only in a [`Turn`] of its key.
//! 2. *A queue has one spot at least*, and lies in one of them.
//! 3. *A spot stays until it is told or withdrawn.* It is told in a turn, after it has left its queue and its queue has
//!    left it; and it withdraws in a turn (wait I3). So while a spot of key `k` that lies on a stack stands in the
//!    table, the object at `k` is there, because the operation borrows it. An observer may look at the object in a turn
//!    in which it has found such a spot there ([`Turn::is_borrowed`]).
//! 4. *All who tell a spot hold the bucket's lock*, as a G may park in that line (wait I7).
//! 5. *Waking comes after unlocking* (wait I5): a turn keeps whom it has told, and wakes them at its end. It tells
//!    some at most, so that the lock is held shortly: then it ends, wakes them, and another one begins. So who has told
//!    one looks at the line and at the object anew.
//! 6. *A future may be forgotten* (`std::mem::forget`). Its spot stands in the table for good, and its object may be
//!    gone, moved, or another one by now. So who is going to stand in a line looks first whether the line and the
//!    object's bit agree, and believes the bit ([`Turn::settle`]).
//! 7. *The child of a fork finds all locks free and nobody in the table.* Of the threads it has only the one that forked.
//!    So that one takes the locks of all buckets before: no other one is within a turn, and nobody else holds more than
//!    one, or waits for another while holding one. In the child it takes everyone out: those who stood there are threads
//!    and Gs that are not there, and libc may use their stacks for new threads. What the words of the primitives say stays:
//!    a lock that another thread had is held for ever.
//!
//! # Tests
//! `locks_loom.rs` and the models of the other primitives use it.

#![allow(unsafe_code, reason = "spots on stacks that wait")]

mod newcomer;
mod place;
mod table;
mod wait;
mod watch;

pub(crate) use newcomer::Newcomer;
pub(crate) use place::Place;
pub(crate) use table::{Turn, Want, key_of};
pub(crate) use wait::{Before, Ends, Until};
pub(crate) use watch::owner_of;
