//! # What lives here
//! Time and randomness. The runtime and the crates above it read the clock here and nowhere else (`time`), and draw
//! their random numbers here (`random`). A test may control both: then the clock stands still and moves when the test
//! moves it (`hand`), and the random numbers come from a seed.
//!
//! The clock has two forms: nanoseconds, which timers and the scheduler use, and [`Instant`](std::time::Instant),
//! which the public API takes and returns. Both are the same clock: on every platform `os::monotonic_ns` reads what
//! `Instant` reads. One function converts, [`ns_of`].
//!
//! # Who may come in
//! Every room above, and the other crates by way of `internal`. Below it only `os` reads a clock, where it waits for
//! another process or for a signal handler: no test moves that.
//!
//! # Invariants
//! 1. The clock never goes back while a runtime lives: a test takes it before it builds one, and gives it back after
//!    the last one has ended (`hand`).
//! 2. A thread that sleeps until a moment of the clock sleeps in [`park_thread`], [`rest_thread`] or
//!    [`sleep_thread`]. So it is woken when a test moves the clock. One that waits for the system meanwhile asks
//!    [`rest_ns`] how long it may, and soon looks again.
//! 3. A deadline that is made of a duration or an `Instant` is never earlier than that: the conversion reads the
//!    clock last.
//! 4. Two generators with the same seed and number give the same numbers. Each P has its own generator, so the
//!    numbers on one P do not depend on what happens on another.
//!
//! # Locks and ordering
//! The clock is one number, which says where it stands, or that it runs. It is read without a lock, `Relaxed`: a
//! thread that has to see that the clock has moved is woken for it, or looks again. The lock of `hand` guards the
//! list of sleepers; it is a leaf.
//!
//! # Tests
//! `runtime/tests/clock.rs` and `channels/tests/set_clock.rs` under a set clock; `random.rs` has its own.

#![cfg(not(loom))]

mod hand;
mod random;
mod time;

pub(crate) use hand::Reader;
pub(crate) use random::{Random, random_below};
pub(crate) use time::{NEVER, deadline, ns_of, park_thread, rest_ns, rest_thread, sleep_thread, stands_still};

// For `internal`.
pub use hand::SetClock;
pub use random::set_seed;
pub use time::{has_come, now, now_ns};
