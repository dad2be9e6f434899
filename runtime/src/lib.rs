//! The scheduler of pirn: goroutines on a G-M-P scheduler, park and unpark, timers, schedtrace.
//!
//! Use it by way of the `pirn` crate. The modules are floors: each uses only those below it. Those that no model needs
//! leave themselves out of the models (`#![cfg(not(loom))]`).

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

pub mod internal; // the back door: what only the other crates of pirn use
mod boot; // starting and stopping a runtime, the environment
mod scope; // Gs that borrow from the caller's stack
pub mod time; // `sleep`, `Timer`, `Ticker`, `after_func`
mod go; // the front door: `go`, `GoBuilder`, `yield_now`, the body that every G runs
mod sysmon; // the watchman: takes Ps from Ms that block or compute
mod observe; // readers, which change nothing: schedtrace, dumps, metrics, `current`
mod os_thread; // the thread under a G: `blocking`, `lock_os_thread`
mod join; // `JoinHandle`
mod task; // `block_on`
mod hooked; // what the crate `hook` docks on
mod source; // the verbs of waiting for a descriptor
mod wait; // the wait line: tickets, waiters, lines
mod g_local; // values that each G has of its own, in both thread-local modes
mod park; // the verbs of waiting: `park`, `Unparker`
mod shut_down; // the payload by which a G is unwound
mod sched; // the scheduler: the one knot, kept in one room
mod netpoll; // readiness of descriptors: who waits, and the epoll
mod m; // the OS thread: its record, the section, its sleep; `emit!`
mod p; // the right to run: queues, free lists, counters
mod timers; // the timers of one P
mod g; // the goroutine: its record, park word, join word
mod locals; // whose thread-locals a G uses
mod coro; // the stack switch
mod stack; // stack memory, and the overflow report
mod event; // what happens, by name; its counters and receivers
mod chores; // what crates above want to have done later
mod user_code; // calls of user code in the middle of the runtime's own: its panic ends there
mod reason; // `Reason`: why a G waits
mod config; // plain numbers, each with its reason
mod probe; // names of statuses; the two ways to end the process
mod clock; // time and randomness; a test may set both
mod loom; // the atomics and locks of std, or those of loom
mod os; // the platform

#[cfg(not(loom))]
pub use {
    boot::{Builder, Handle, Runtime, maxprocs, num_goroutines, run},
    g::Gid,
    go::{GoBuilder, go, try_go, yield_now},
    join::JoinHandle,
    observe::{Current, Goroutine, Holder, Metrics, StackUse, State, WaitsOn, current, current_gid, stack_use},
    os_thread::{OsThreadLock, blocking, lock_os_thread},
    park::{Unparker, park, park_timeout},
    probe::DeadlockReport,
    scope::{Scope, ScopedJoinHandle, scope},
    shut_down::ShutDown,
    task::block_on,
    time::sleep,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
