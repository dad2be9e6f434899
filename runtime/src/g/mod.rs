//! # What lives here
//! The goroutine: its record ([`control`]), the word that says whether it is parked ([`word`]), the park that needs no
//! word ([`line_park`]), the handles that say who owns it ([`Runnable`]), its own values ([`values`]), and where records
//! come from ([`pool`]).
//!
//! # Who may come in
//! `sched` moves Gs; `park` parks and claims them; `go` and `join` fill the record and read the result; `observe`
//! looks at the atomics.
//!
//! # Invariants
//! 1. A G is in exactly one place, and that place owns it:
//!
//!    | status   | place                                | has a stack   | who moves it on            |
//!    |----------|--------------------------------------|---------------|----------------------------|
//!    | Runnable | one queue, or an M's `picked`        | once it ran   | the M that takes it out    |
//!    | Running  | one M's `g`                          | yes, it is on | itself, by suspending      |
//!    | Waiting  | nowhere: the park word says PARKED   | yes           | the one claimer of the word|
//!    |          | or a line: its line park says so     | yes           | who takes it from the line |
//!    | Dead     | one free list, or a `JoinHandle`     | no            | the list's owner           |
//!
//!    A G that has left its stack for another G's is still the M's, in its `left`, until that one has finished it.
//!
//! 2. A G has one [`Runnable`] at a time. `go` makes it, or a claim of the park word or of a line park, or an M whose G
//!    yields; running the G consumes it. It cannot be copied.
//! 3. Records are never freed, only recycled: an old pointer to one reads another G's id in the park word, and does
//!    nothing.
//! 4. The park word says PARKED only after the G has left its stack: the M's loop commits, or the G that it has switched
//!    to. So a claimer may resume it at once. A line park is committed at the same place, by unlocking the line.
//! 5. The M that retires the G and its `JoinHandle` both need the record; the last of the two recycles it
//!    (`join_word` argues it).
//!
//! # Locks and ordering
//! Whoever hands a G on publishes with Release, whoever takes it acquires: the queues do, and the park word does. The
//! atomics `status`, `reason` and `since` are for observers only and are Relaxed.
//!
//! # Tests
//! `word_loom.rs` models the park word, also with the direct switch, `line_park_loom.rs` the line park; `tests/park.rs`,
//! `tests/direct.rs` and `tests/stress.rs` test the rest.

#![allow(unsafe_code, reason = "records outlive their owners")]

mod control;
mod join_word;
mod line_park;
mod pool;
#[cfg(not(loom))]
mod prefetch;
mod runnable;
mod runs;
mod values;
mod word;

#[cfg(not(loom))]
pub use control::Gid;
pub use line_park::LineLock;
pub(crate) use line_park::LinePark;
#[cfg(all(test, not(loom)))]
pub(crate) use prefetch::locals_in;
pub use runs::Runs;
#[cfg(not(loom))]
pub(crate) use {
    control::G,
    join_word::{Dropped, Settled},
    line_park::{Exposer, Exposers},
    pool::{FreeGs, for_each, give_free, take_free},
    prefetch::{locals_lie_at, prefetch_all, prefetch_record, prefetch_stack},
    runnable::Runnable,
    values::OwnValues,
    word::Unparked,
};
