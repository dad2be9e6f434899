//! # What lives here
//! The processor (P), the right to run Gs: its queues, its free lists, its part of the timers.
//!
//! # Who may come in
//! `sched`, by way of an [`OwnedP`]; thieves by the stealer; timers by their lock; observers by the atomics.
//!
//! # Invariants
//! 1. One thread at a time uses the owner's side ([`OwnedP`]): the M that holds the P, inside its section (`Me`); or
//!    the thread that has borrowed that M (`BorrowedM`); or, if no M holds the P, whoever has taken it from an M or
//!    off the idle list ([`FreeP`]): while it is on its way to another M, or while sysmon stands in
//!    (`sched/starved.rs`). On the idle list the P belongs to the holder of the scheduler's lock.
//! 2. The local queue has two parts: the shown part, which thieves steal from, and the lane, which only the owner
//!    touches. Every G in the shown part came before every G in the lane, so both together are first in, first out. What
//!    was stolen from a P whose M has no CPU is taken to have come before the lane.
//! 3. A G in runnext or in the lane is hidden: thieves cannot take it. Its M runs it soon, or shows it: when the M
//!    picks, sees an idle P, and the Gs of the lane have so much to do that a wake is worth it. If the M does not pick,
//!    sysmon borrows it and shows the G. A few Gs that have come from outside at once are shown without being announced
//!    (`sched/arrivals.rs`): Ms that are awake take them. If their M does not pick, sysmon announces them.
//! 4. The queue holds at most [`LOCAL_QUEUE_MAX`](crate::config::LOCAL_QUEUE_MAX) Gs.
//!
//! The lane makes a switch cheap: a pop from the shown part is a read-modify-write (5 ns), a pop from the lane is
//! not. The lane is used while slices are short, so that a hidden G does not wait long for its M's next pick.
//!
//! # Tests
//! `tests.rs` here; `tests/places.rs` and `tests/stress.rs` with threads.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the owner's side of a P")]

mod free;
mod ids;
mod owned;
mod processor;
#[cfg(test)]
mod tests;

pub(crate) use free::FreeP;
pub(crate) use ids::fresh_id;
pub use ids::{SHORT_ID_BITS, latest_id_like};
pub(crate) use owned::OwnedP;
pub(crate) use processor::P;
