//! # What lives here
//! What happens to Gs, Ms and Ps: one name for each kind of event ([`Event`]), how often it has happened
//! ([`Counters`]), and its readers: a listener of the project's own ([`hear`]), and a `tracing` subscriber of the
//! user's (`subscriber`). And how often Gs have waited in calls of libc's ([`CallCounts`]).
//!
//! # Who may come in
//! Only `m/emit.rs` emits events, in one line for each moment. `p` and `sched` keep the counters; observers read
//! them.
//!
//! # Invariants
//! 1. Every event goes to all its readers from one line, so all know it by the same name. It is counted and heard at
//!    that moment; it is delivered to the subscriber, which is the user's code, after the fact, outside of the
//!    section of a G.
//! 2. Only a P's owner writes the counters of that P (p I1), with a plain store. A thread without a P counts in the
//!    counters of the runtime.
//! 3. A G is counted as started before any M can run it, and as ended after everything else. So a reader that loads
//!    the ends first and then the starts never finds fewer Gs than there were.
//! 4. Without a listener and a subscriber an event costs its counter and a load of a flag. On the path of a switch
//!    the flag is loaded once, from the runtime's record: there are two copies of the code that makes a G ready, and
//!    of the code that runs a picked one; one emits, the other only counts. A call in the middle, even one that never
//!    happens, would cost the registers around it (measured: 3 % of the instructions of a hop over a channel).
//! 5. A P is heard to leave an M (`Release`, `HandOff`) before another M is heard to take it (`Acquire`). No event
//!    says that an M hands its P to the M of a locked G (`sched/locked.rs`).
//!
//! # Locks and ordering
//! The counts of a P are stored with Release and read with SeqCst: a reader that sees that the last G has ended sees
//! what it did. Those of the runtime are added SeqCst. A thread that starts a G without a P counts it and then looks
//! whether the runtime closes; a thread that closes the runtime sets that and then reads the count. So one of the two
//! sees the other (`start_foreign` in `go/start.rs`, `begin_closing` in `sched/closing.rs`).
//!
//! # Tests
//! `runtime/tests/events.rs`: what the listener hears, what a subscriber hears and what is counted agree;
//! `holders.rs`: I5.

#![cfg(not(loom))]

mod call_counts;
mod counters;
mod kinds;
mod listener;
#[cfg(feature = "tracing")]
mod subscriber;

pub(crate) use call_counts::CallCounts;
pub(crate) use counters::{Count, Counters, Tally};
pub(crate) use kinds::EventKind;
pub use kinds::{Emitter, Event};
pub use listener::listen;
pub(crate) use listener::{hear, is_heard};
#[cfg(feature = "tracing")]
pub(crate) use subscriber::{asks, deliver, may_ask};
