//! # What lives here
//! Observers: they read everything and change nothing. The list of Gs (`goroutines`), with those that have what they
//! wait for (`parties`), schedtrace (`snapshot` reads the numbers, `schedtrace` formats them, `printer` prints the
//! text), output to a reader that may be slow (`outbox`), dumps with stacks (`dump`, `trace`, `whose`), plain numbers
//! (`metrics`), the growth of a stack, as an event (`growth`), and the calling G (`current`).
//!
//! # Who may come in
//! `sysmon`, which prints; `boot`, whose public types return what is seen; `go`, for the growth of a stack; users,
//! through the public functions.
//!
//! # Invariants
//! 1. No thread waits for an observer: it reads the numbers one after the other without stopping anything, so they
//!    may be of slightly different moments. A G whose stack is traced is claimed meanwhile (`trace`), for some
//!    microseconds; an unpark that comes then takes effect afterwards. A thread that is blocked in a G is interrupted
//!    by a signal.
//!
//! # Tests
//! `schedtrace/tests.rs` compares the formats with what Go prints; `tests/detail.rs`, `tests/dumps.rs`,
//! `tests/readers.rs`.

#![cfg(not(loom))]

mod current;
mod cycles;
mod dump;
mod goroutines;
mod growth;
mod metrics;
mod outbox;
mod parties;
mod printer;
mod schedtrace;
mod self_wait;
mod snapshot;
mod trace;
mod waits;
mod whose;

pub use current::{Current, current, current_gid};
pub(crate) use cycles::{Cycle, describe_cycles, find_cycles};
pub(crate) use dump::{describe_blocked, dump, dump_and_count, dump_some};
pub use goroutines::{Goroutine, StackUse, State, WaitsOn, stack_use};
pub(crate) use goroutines::{goroutines, goroutines_of, list};
pub(crate) use growth::Growth;
pub use metrics::Metrics;
pub(crate) use metrics::metrics;
pub(crate) use outbox::{Outbox, plural};
pub use parties::Holder;
pub(crate) use printer::{Format, Printer};
pub(crate) use waits::{longest_wait, thread_waits, woken_by_clock};

// For `internal`.
pub use self_wait::report_self_wait;
pub use waits::{Wait, WaitSource, add_waits};
