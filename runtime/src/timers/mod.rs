//! # What lives here
//! The timers of one P: a heap (`heap`) behind a lock, with the earliest deadline beside it (`per_p`), and what
//! happens when a timer is due (`action`).
//!
//! # Who may come in
//! `sched/timers.rs`, which decides which M wakes for timers, and runs those that are due.
//!
//! # Invariants
//! 1. `earliest_ns` is the heap's earliest deadline whenever the lock is free. It is read without the lock.
//! 2. Under the lock nothing is called and no G is unparked.
//! 3. A timer stays in the heap of the P that it was started on, whoever holds that P; its [`TimerKey`] stays valid.
//! 4. After [`Timers::close`] there are no timers, and none are added. A runtime that shuts down closes them when its
//!    Gs and Ms have ended. Until then a destructor may wait for a timer; after that a timer would keep the runtime
//!    for ever.
//! 5. A callback ([`Fire`]) runs without a G: on an M inside its section, which holds a P, or on sysmon while sysmon
//!    stands in. Its delay delays all Gs of that P. It may unpark, make Gs ready, start and cancel timers, start a G
//!    by way of the runtime's handle, and take a lock that is never held over a wait or over a call of the user's. It
//!    must not park, block or panic, and must not call what belongs to the user: that is for a G which it starts. As
//!    there is no G, `current_gid` returns none, and thread-locals and `GLocal`s are those of the thread.
//!
//! # Locks and ordering
//! `earliest_ns` is stored under the lock. A thread that adds a timer and then looks for a keeper, and an M that
//! becomes the keeper and then looks for timers, each have a fence in between: `sched/keeper.rs` has the argument.
//!
//! # Tests
//! `heap_tests.rs` for the heap, `tests/time.rs` for the rest.

#![cfg(not(loom))]

mod action;
mod heap;
mod per_p;

pub(crate) use action::{Action, Fire};
pub(crate) use per_p::{TimerKey, Timers};

// No deadline.
pub(crate) use crate::clock::NEVER;
