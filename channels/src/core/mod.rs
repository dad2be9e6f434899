//! # What lives here
//! One channel: its lock, what lies in it, and what each operation does to it (`channel.rs`). `Locked` is the channel
//! under its lock; its verbs return the waiters to wake after unlocking (`exchange.rs`, `buffer.rs`, and `selects.rs`
//! for what only selects do; their results are in `results.rs`). `waiting.rs` has the waiters, and what they are told.
//!
//! # Who may come in
//! `channel`, whose handles hold it; `blocking` and `futures` for one channel; `cases`, `choose` and `select` for a
//! select.
//!
//! # The protocol
//! An operation that can complete now does so under the lock. An operation that cannot puts a waiter, which lies on its
//! stack or in its future, into the channel's line under the same lock, unlocks, and waits until it is told. A later
//! operation that can use a waiting one claims it, moves the value straight out of its slot or into it, tells it,
//! unlocks, and wakes it. This is the wait line of the runtime (`wait`), whose door says who owns a waiter when. A G that
//! waits for one channel without a deadline keeps the lock until it has left its stack (wait I7). So a
//! value is moved once, nothing is allocated, and a woken operation does not have to compete for what it was woken for.
//! Go's channels work like this (`hchan`, `sudog`).
//!
//! A select stands in several lines with one ticket, and the first claim of the ticket wins (`choose.rs`). What it has
//! chosen is completed later, by the user's call. Until then it has a reservation: room that is counted as taken, a
//! value in the buffer that is counted as gone, a value in a parcel, or a receiver that waits for this select alone (a
//! promise).
//!
//! # Invariants
//! 1. *No operation waits that could complete.* Senders wait only when there is no room and no receiver, receivers only
//!    when there is no value and no sender. Both check this and enter the line in one turn of the lock, a select with
//!    all its locks held. So senders and receivers never wait at the same time (except one select alone in both lines),
//!    and every verb has one line to look at, in the same turn of the lock: a verb that makes room or takes a value
//!    looks at the senders (`take`, `refill`), a verb that brings a value looks at the receivers (`give`, `give_back`).
//!    A change that lets an operation complete comes either before its waiter entered the line, and then the waiter has
//!    seen it, or after, and then it finds the waiter. No waiter enters a line of a closed channel, and the close
//!    repeats until the lines are empty (`tell_all`).
//! 2. *No value is lost or duplicated.* It belongs to the caller, to a slot whose owner is in the line, to the buffer,
//!    or to a reservation; it moves from one to the next under the lock. A slot belongs to the waiter before it enters
//!    the line and after it is told or has left, and in between to the holder of the lock.
//! 3. *A waiter lives as long as others look at it* (wait I3). A receiver that was promised a value withdraws by
//!    removing itself from the promise under the lock. A waiter whose select was claimed in another line may still
//!    stand in this one: its owner takes all its waiters out of the lines, under their locks, before it frees them.
//! 4. *Two selects never wait for each other.* While a select chooses, it holds the locks, or it is in no line at all.
//!    An operation in a line only waits. The locks are taken in one order.
//! 5. *A receiver with a promise gets the value, or is told otherwise, or withdraws.* Only a select promises, between
//!    its choice and its completion. If it is dropped in between, it tells the receiver (`release`). The receiver is
//!    out of all lines until then. It withdraws if its time is over, if its future is dropped, or if its G is unwound,
//!    unless it has been told: it removes itself from the promise under the lock (`abandon`), and after that no other
//!    operation looks at it. Then the next receiver gets the value, or it goes into the buffer, even of an unbuffered
//!    channel. A receiver with a timeout gives the select some more time before it withdraws (`GRACE`), so that it
//!    receives what a select sends without delay. A receiver without a timeout waits for as long as the select takes.
//! 6. *A look without the lock is consistent.* The counts and the heads of the lines are atomic, and the lock counts
//!    its turns: if the count is equal before and after, all that was seen held at one moment (`wait/lock.rs` in the
//!    runtime). A thread that has learned of a change in any way sees it, because reading the lock's count synchronises
//!    with the last turn. A sender that is told that its value was taken finds it in the buffer, or received.
//! 7. *No user code runs under a lock, or while something is half done.* User code is: to clone, wake or drop a waker,
//!    to drop a value, and whatever an unpark calls (it may start a thread and ask for its name, and it tells
//!    `tracing`). It runs after unlocking, when all changes of the operation are complete, so it may use the same
//!    channel. A panic in a waker ends there (wait I5). Watchers (`Select::ready`) change nothing, so they are told a
//!    little later: the operation that lets them continue looks for them in further turns of the lock, until there are
//!    none or they cannot continue any more (`tell_watchers`).
//!
//! # Tests
//! `channels_loom.rs` models all of this on small channels. The runtime has models of the lock and of the wait line.

#![allow(unsafe_code, reason = "what lies under a channel's lock")]

mod buffer;
mod channel;
mod exchange;
mod results;
mod selects;
mod waiting;

pub(crate) use channel::{Channel, Head, Locked};
pub(crate) use results::{Choice, Given, Left, Taken};
pub(crate) use selects::Side;
pub(crate) use waiting::{Answer, Claimed, Purpose, Reservation, Ticket, Waiter};
