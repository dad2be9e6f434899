//! # What lives here
//! One channel: its lock, what lies in it, and what each operation does to it (`channel.rs`). `Locked` is the channel
//! under its lock; its verbs return whom to wake after the lock was given back (`exchange.rs`, `buffer.rs`, and
//! `selects.rs` for what selects do more; what they return is in `results.rs`). What waits, and what it is told, is in
//! `waiting.rs`.
//!
//! # The protocol
//! An operation that can complete now does so under the lock. One that cannot puts a waiter, which lies on its stack or
//! in its future, into the channel's line under the same lock, gives the lock back, and waits until it is told. An
//! operation that comes later and can use one that waits claims it, moves the value straight out of its slot or into
//! it, tells it, gives the lock back, and wakes it: the wait line of the runtime (`wait`), whose door says who owns a
//! waiter when. So a value is moved once, nothing is allocated, and nobody who is woken has to compete for what it was
//! woken for. Go's channels work like this (`hchan`, `sudog`).
//!
//! A select stands in several lines with one ticket, and whoever claims the ticket first has it (`choose.rs`). What it
//! has chosen is completed later, by the user's call. Until then it has a token: room that is counted as taken, a value
//! in the buffer that is counted as gone, a value in a parcel, or a receiver that waits for it and nobody else (a
//! promise).
//!
//! # Invariants
//! 1. *Nobody who could go on waits.* Senders wait only when there is no room and no receiver, receivers only when
//!    there is no value and no sender; both find that out and stand in line in one turn of the lock, a select with all
//!    its locks held. So senders and receivers never wait at the same time, but for a select alone in both lines, and
//!    every verb has one line to look at: who makes room or takes a value looks at the senders (`take`, `refill`), who
//!    brings a value at the receivers (`give`, `give_back`), in the same turn of the lock. Whatever makes it possible
//!    to go on comes before the waiter stood in line, which has seen it, or after, and finds the waiter. Nobody stands
//!    in line any more once the channel is closed, and who closes it comes back until the lines are empty (`tell_all`).
//! 2. *No value is lost or there twice.* It belongs to the caller, to a slot whose owner is in the line, to the buffer,
//!    or to a token; it moves from one to the next under the lock. A slot belongs to the waiter before it stands in
//!    line and once it is told or gone, and in between to who holds the lock.
//! 3. *A waiter is there as long as others look at it* (wait I3). A receiver that was promised a value withdraws by
//!    striking itself off the promise under the lock. A waiter whose select was claimed in another line may still stand
//!    in this one: its owner takes all its waiters out under their locks before they go.
//! 4. *Two selects never wait for each other.* While a select makes up its mind it holds the locks, or it is in no line
//!    at all; who is in a line does nothing but wait. The locks are taken in one order.
//! 5. *Who is promised a value gets it, or is told, or goes.* Only a select promises, between its choice and its
//!    completion; if it is dropped in between it says so (`release`). The receiver is out of all lines until then. It
//!    goes first if its time is over, if its future is dropped, or if its G is unwound: it strikes itself off the
//!    promise under the lock (`abandon`), when it has not been told, and nobody looks at it after that. The value is
//!    the next receiver's then, or comes into the buffer, also of an unbuffered channel. Who waits with a timeout gives
//!    the select some time more before it goes (`GRACE`), so that what a select sends without delay has been received
//!    by the one who was there for it. Who has no timeout waits for as long as the select takes.
//! 6. *Who looks without the lock is not fooled.* The counts and the heads of the lines are atomic, and the lock counts
//!    its turns: equal before and after means that what was seen was one moment (`lock.rs`). Who has heard of a change
//!    in whatever way sees it, because reading the lock's count synchronises with the last turn. Who is told that its
//!    value was taken finds it in the buffer, or received.
//! 7. *No code of the user's runs under a lock, or in the middle of something.* That is: to clone, wake or drop a
//!    waker, to drop a value, and whatever an unpark calls (it may start a thread and ask for its name, and it tells
//!    `tracing`). It comes after the lock was given back, when all that the operation has changed is as it should be;
//!    so it may use the same channel. A panic in a waker ends there (wait I5). Those who watch (`Select::ready`) change
//!    nothing, so they are told a little later: whoever has made it possible to go on looks for them in further turns
//!    of the lock, until nobody watches or it is not possible any more (`tell_watchers`).
//!
//! `channels_loom.rs` models all of this on small channels, `lock_loom.rs` the lock, and the runtime has models of the
//! wait line.

mod buffer;
mod channel;
mod exchange;
mod results;
mod selects;
mod waiting;

pub(crate) use channel::{Channel, Head, Locked};
pub(crate) use results::{Choice, Given, Left, Taken};
pub(crate) use selects::Side;
pub(crate) use waiting::{Answer, Claimed, Purpose, Ticket, Token, Waiter};
