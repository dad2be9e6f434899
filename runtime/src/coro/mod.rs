//! # What lives here
//! The stack switch: a coroutine on a stack of ours, how it is resumed, suspends, and switches to another one; and how
//! a suspended one leaves its stack trace.
//!
//! # Who may come in
//! `sched` resumes and switches, `park` suspends by way of `sched`, `observe` traces, and `locals` tests itself.
//!
//! # Two implementations
//! `x86_64` is the switch of our own, for Linux on that CPU; `portable` is made of corosensei, for everything else and
//! for the feature `portable-switch`. Both have the same verbs ([`Coro`], [`Home`]):
//!
//! - [`Coro::resume`]: code on a stack of its own, its home, runs a coroutine, until one leaves for that home.
//! - [`Coro::leave`]: a coroutine leaves its stack, for the home or, where [`DIRECT`] is true, for another coroutine.
//! - [`Coro::trace`]: a suspended coroutine leaves its stack trace.
//!
//! A coroutine ends when its entry returns, which it does with where to go.
//!
//! # Invariants
//! 1. A coroutine is resumed, switched to or traced by its one owner, and never while it runs.
//! 2. Nothing unwinds out of a coroutine: the entry catches every panic.
//! 3. A coroutine that has not finished is never dropped: its frames may be borrowed. Its G keeps it whole.
//! 4. A coroutine stays where it is in memory from its first run to its end.
//!
//! # What a switch costs
//! A CPU predicts a `ret` by the `call` that came last. After a switch the frames are others, so each frame that is
//! open between the coroutine's first and the switch may cost a wrong prediction, about 20 ns if they are mixed up by
//! one. That is why the way from the public functions to here is inlined. Calls that return before the switch are free.
//!
//! # Tests
//! `tests/direct.rs`, `tests/torture.rs`, `tests/places.rs`, and every test of the runtime; `ci/matrix` runs them on both
//! implementations, and `ci/test` those that a switch is most likely to break.
//! `tests/profilers.rs` unwinds at every instruction.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "stack switches")]

#[cfg(any(feature = "portable-switch", not(all(target_os = "linux", target_arch = "x86_64"))))]
mod portable;
mod tracer;
mod what;
#[cfg(all(not(feature = "portable-switch"), target_os = "linux", target_arch = "x86_64"))]
mod x86_64;

#[cfg(any(feature = "portable-switch", not(all(target_os = "linux", target_arch = "x86_64"))))]
pub(crate) use portable::{Coro, DIRECT, Home};
pub(crate) use tracer::Tracer;
pub(crate) use what::{Arrival, Handover, LeaveFor, Outcome, PackedOutcome, Suspend};
#[cfg(all(not(feature = "portable-switch"), target_os = "linux", target_arch = "x86_64"))]
pub(crate) use x86_64::{Coro, DIRECT, Home};
