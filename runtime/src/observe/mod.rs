//! # What lives here
//! Readers: they look at everything and change nothing. The list of Gs (`goroutines`), schedtrace (`schedtrace` makes text
//! of numbers, `snapshot` takes the numbers, `printer` prints the text), the way to a reader that may be slow (`outbox`),
//! dumps with stacks (`dump`, `trace`, `whose`), plain numbers (`metrics`), and for who listens to events how much a stack
//! has grown (`growth`), and who calls (`current`).
//!
//! # Invariants
//! 1. Nobody waits for an observer: the numbers are read one after the other, without stopping anybody, so they may be
//!    of slightly different moments. A G whose stack is traced is claimed meanwhile (`trace`), for some microseconds; a
//!    wake-up that comes then is carried out after. A thread that is blocked in a G is interrupted by a signal.

#![cfg(not(loom))]

mod current;
mod dump;
mod goroutines;
mod growth;
mod metrics;
mod outbox;
mod printer;
mod schedtrace;
mod snapshot;
mod trace;
mod whose;

pub use current::{Current, current, current_gid};
pub(crate) use dump::{describe_blocked, dump, dump_and_count};
pub use goroutines::{Goroutine, StackUse, State, WaitsOn, stack_use};
pub(crate) use goroutines::{goroutines, look};
pub(crate) use growth::Growth;
pub use metrics::Metrics;
pub(crate) use metrics::metrics;
pub(crate) use outbox::{Outbox, plural};
pub(crate) use printer::{Format, Printer};
