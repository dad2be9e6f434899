//! # What lives here
//! The machine, an OS thread that runs Gs: its record ([`machine`]), the runtime's only thread-local ([`current`]),
//! the protocol by which an M is in or out of the runtime ([`section`]), how it sleeps (`sleep`), what is left in a fork of
//! it ([`fork`]), and the line by which everybody says what has happened ([`emit`]), as only here is known who says it.
//!
//! # Who may come in
//! `sched` drives Ms. What runs on a G asks [`current`] who it is.
//!
//! # Invariants
//! 1. An M that holds a P has `m.p` set, and no other M has the same P. Only the M itself writes it while it is in
//!    its section; while it is out, a borrower may take the P away. So an M that comes in may find that it has none.
//! 2. What belongs to a P's owner (runnext, free lists, the queue's owner side) is touched only by the M that holds
//!    the P while it is in its section, or by a borrower that found it outside ([`section`] has the argument). The
//!    evidence for the one is a [`Me`], for the other what [`M::borrow`] returns.
//! 3. An M lives as long as its thread runs, so a pointer from [`current::machine`] is good until the caller's next
//!    suspension point. It is never used after that: the G may go on on another M.
//!
//! # Locks and ordering
//! See [`section`], and `sleep` for the token of a wake.
//!
//! # Tests
//! `section_loom.rs` models the section and retakes; `tests/stress.rs` moves Gs between Ms thousands of times, and
//! `tests/retake.rs` takes Ps away all the time.

mod borrowed;
pub(crate) mod current;
pub(crate) mod emit;
pub(crate) mod fork;
mod machine;
mod me;
pub(crate) mod section;
mod sleep;

#[cfg(not(loom))]
pub(crate) use machine::{M, count_asking, is_any_asked};
#[cfg(not(loom))]
pub(crate) use me::Me;
