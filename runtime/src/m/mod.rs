//! # What lives here
//! The machine (M), an OS thread that runs Gs: its record ([`machine`]), the thread-local by which code finds its M
//! ([`current`]), the protocol by which an M is inside or outside of the runtime ([`section`]), how it sleeps
//! (`sleep`), what remains of it after a fork ([`fork`]), and the emission of events ([`emit`]), because only this
//! room knows which M, or other thread, emits.
//!
//! # Who may come in
//! `sched` drives Ms. Code that runs on a G asks [`current`] for its M.
//!
//! # Invariants
//! 1. An M that holds a P has `m.p` set, and no other M has the same P. Only the M itself writes it while it is in
//!    its section; while it is outside, a borrower may take the P away. So an M that enters may find that it has no
//!    P.
//! 2. What belongs to a P's owner (runnext, free lists, the queue's owner side) is touched only by the M that holds
//!    the P while it is in its section, or by a borrower that found it outside ([`section`] has the argument). The
//!    evidence of the first is a [`Me`], of the second what [`M::borrow`] returns.
//! 3. An M lives as long as its thread runs, so a pointer from [`current::machine`] is good until the caller's next
//!    suspension point. It is never used after that: the G may continue on another M.
//!
//! # Locks and ordering
//! See [`section`], `sleep` for the token of a wake, and `wake_word` for the wake of an M that polls.
//!
//! # Tests
//! `section_loom.rs` models the section and retakes, `wake_word_loom.rs` the wake of an M; `tests/stress.rs` moves Gs
//! between Ms thousands of times, and `tests/retake.rs` takes Ps away all the time.

#![allow(unsafe_code, reason = "the P of an M; the thread-local")]

mod borrowed;
pub(crate) mod current;
pub(crate) mod emit;
pub(crate) mod fork;
mod machine;
mod me;
pub(crate) mod section;
mod sleep;
mod wake_word;

#[cfg(not(loom))]
pub(crate) use machine::{M, count_asking, is_any_asked};
#[cfg(not(loom))]
pub(crate) use me::Me;
#[cfg(not(loom))]
pub(crate) use wake_word::WakeBy;
#[cfg(all(test, loom))]
pub(crate) use wake_word::{WakeBy, WakeWord};
