//! # What lives here
//! The watchman: a thread that needs no P, but holds one while it stands in for an M that is not to be had. It prints
//! schedtrace, dumps and warnings (`output`), keeps the coarse clock, gives idle stacks back, and helps where the Ms by
//! themselves would be late: it takes Ps back from Ms that block or compute (`watch`), frees a G that is stuck in
//! runnext behind a long slice, and sees to timers that nobody looks at and work that no idle P has heard of. It
//! reports that all Gs wait for ever (`deadlock`), or that nothing has run for long (`stall`).
//!
//! # How often it looks
//! A round costs 15 to 30 us of somebody's time, so: 20 us after something was found to do, then twice as long each time,
//! up to 1 ms while any M may block, up to 10 ms while all that run compute for long and nobody waits, and not at all
//! while every P is idle. Who finds it in a long sleep and all Ps taken pokes it (`poke_sysmon`). The states (`pace`):
//!
//! ```text
//!                  every P is idle,
//!                  nothing waits              the same                the same
//!   +----------+  ---------------->  +----------+  ------>  +----------+  ------>  +--------+
//!   | Watching |                     | Settling |           | Settling |           | Asleep |
//!   |          |  <----------------  |   once   |           |  twice   |           |        |
//!   +----------+   a P is held, or   +----------+           +----------+           +--------+
//!     |  ^   ^     something waits        ^                      |                   |    |
//!     +--+   +----------------------------|----------------------+-------------------+    |
//!   a pause; out of a long one            +------- a time has come, and nothing else -----+
//!   it may be poked
//! ```
//!
//! # Invariants
//! 1. Nothing depends on sysmon to happen at all, but what waits behind a G that does not come into the runtime; and, if the
//!    system has given no thread, timers without a keeper and work without an M, which it tries to find one for; and Gs
//!    without a stack, which it has try again.
//! 2. sysmon sleeps without a limit only while every P is idle; it says so under the scheduler's lock, and whoever takes
//!    a P after that wakes it (`sched/rest.rs`, `took_p`). It wakes by itself for what has a time: a line of schedtrace, a
//!    SIGQUIT to be answered, a stall to be looked for.
//! 3. sysmon never waits for a reader of what it prints, but in its last words.

#![cfg(not(loom))]

mod deadlock;
mod no_stack;
mod no_thread;
mod output;
mod pace;
mod slice;
mod stall;
mod watch;
mod watchman;

pub(crate) use output::Trace;
pub(crate) use watchman::{Sysmon, start};
