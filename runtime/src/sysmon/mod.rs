//! # What lives here
//! The watchman (sysmon): a thread that needs no P, and that holds one only while it stands in for a missing M. It
//! prints schedtrace, dumps and warnings (`output`), keeps the coarse clock and gives idle stacks back. It helps where
//! the Ms alone would be late: it takes Ps back from Ms that block or compute (`watch`), frees a G that is stuck in
//! runnext behind a long slice, and looks after timers that no M checks, descriptors that no M has asked about for a
//! millisecond, and work that no idle P has heard of. It starts Gs for the chores of crates above. It reports that all
//! Gs wait for ever (`deadlock`), that some of them do (`partial`), or that nothing has run for long (`stall`).
//!
//! # Who may come in
//! `boot`, which starts and stops it. Ms and other threads wake it through `sched/sysmon_link.rs`.
//!
//! # How often it looks
//! A round costs 15 to 30 us of CPU time. So the pause is 20 us after a round that found something to do, and doubles
//! after each that did not: up to 1 ms while any M may block, up to 4 ms while all running Ms pick many Gs, up to 10 ms
//! while they all compute for long and no G waits to run. While every P is idle, sysmon does not look at all. After a
//! sleep of less than 10 ms it goes on with the pause that it was at: what rests and goes on again and again, as a server
//! does, is as one that runs. A thread that finds sysmon in a long pause and all Ps taken wakes it (`poke_sysmon`). The
//! states (`pace`):
//!
//! ```text
//!                  every P is idle,
//!                  nothing waits              the same                the same
//!   +----------+  ---------------->  +----------+  ------>  +----------+  ------>  +--------+
//!   | Watching |                     |  Quiet   |           |  Quiet   |           | Asleep |
//!   |          |  <----------------  |   once   |           |  twice   |           |        |
//!   +----------+   a P is held, or   +----------+           +----------+           +--------+
//!     |  ^   ^     something waits        ^                      |                   |    |
//!     +--+   +----------------------------|----------------------+-------------------+    |
//!   a pause; out of a long one            +------- a deadline, and nothing else ----------+
//!   it may be poked
//! ```
//!
//! # Invariants
//! 1. Nothing depends on sysmon alone, with six exceptions: what waits behind a G that does not enter the runtime; what
//!    comes from outside while the last M that is awake computes and the others rest as surplus; if the system gives no
//!    thread, timers without a keeper and work without an M, for which sysmon tries to find one; Gs without a stack, for
//!    which it tries again; chores, for which nobody waits; and what the hook leaves to it (`hooked.rs`): wakes of
//!    threads that nobody knows.
//! 2. sysmon sleeps without a limit only while every P is idle. It says so under the scheduler's lock, and whoever
//!    takes a P after that wakes it (`sched/rest.rs`, `took_p`). It wakes by itself for what has a deadline: a line
//!    of schedtrace, a SIGQUIT to answer, a stall to look for, a long wait for a lock to look at, a chore.
//! 3. sysmon never waits for a reader of what it prints, except for its last words.
//!
//! # Tests
//! `pace_tests.rs` and `slice_tests.rs` test the decisions; `tests/retake.rs`, `tests/deadlocks.rs`, `tests/stalls.rs`
//! and `tests/threads.rs` what follows from them.

#![cfg(not(loom))]

mod crowd;
mod deadlock;
mod no_stack;
mod no_thread;
mod output;
mod pace;
mod partial;
mod slice;
mod stall;
mod watch;
mod watchman;

pub(crate) use output::Trace;
pub(crate) use watchman::{Sysmon, start};
