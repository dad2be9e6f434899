//! The scheduler of pirn: goroutines on a G-M-P scheduler, park and unpark, timers, schedtrace.
//!
//! Use it by way of the `pirn` crate. The modules are floors: each uses only those below it.

#[cfg(not(loom))]
#[doc(hidden)]
pub mod internal;
#[cfg(not(loom))]
mod go;
#[cfg(not(loom))]
mod scope;
#[cfg(not(loom))]
mod boot;
#[cfg(not(loom))]
mod sysmon;
#[cfg(not(loom))]
mod observe;
#[cfg(not(loom))]
mod os_thread;
#[cfg(not(loom))]
mod join;
#[cfg(not(loom))]
mod task;
#[cfg(not(loom))]
pub mod time;
#[cfg(not(loom))]
mod g_local;
#[cfg(not(loom))]
mod park;
#[cfg(not(loom))]
mod shut_down;
mod sched;
mod m;
#[cfg(not(loom))]
mod p;
#[cfg(not(loom))]
mod timers;
mod g;
#[cfg(not(loom))]
mod locals;
#[cfg(not(loom))]
mod coro;
#[cfg(not(loom))]
mod stack;
#[cfg(not(loom))]
mod event;
#[cfg(not(loom))]
mod user_code;
#[cfg(not(loom))]
mod config;
#[cfg(not(loom))]
mod probe;
#[cfg(not(loom))]
mod os;
mod loom;

#[cfg(not(loom))]
pub use boot::{Builder, Handle, Runtime, maxprocs, num_goroutines, run};
#[cfg(not(loom))]
pub use g::Gid;
#[cfg(not(loom))]
pub use go::{GoBuilder, go, try_go, yield_now};
#[cfg(not(loom))]
pub use join::JoinHandle;
#[cfg(not(loom))]
pub use observe::{Current, Goroutine, Metrics, StackUse, State, WaitsOn, current, current_gid, stack_use};
#[cfg(not(loom))]
pub use os_thread::{OsThreadLock, blocking, lock_os_thread};
#[cfg(not(loom))]
pub use park::{Unparker, park, park_timeout};
#[cfg(not(loom))]
pub use probe::DeadlockReport;
#[cfg(not(loom))]
pub use scope::{Scope, ScopedJoinHandle, scope};
#[cfg(not(loom))]
pub use shut_down::ShutDown;
#[cfg(not(loom))]
pub use task::block_on;
#[cfg(not(loom))]
pub use time::sleep;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
