//! The scheduler of pirn: goroutines on a G-M-P scheduler, park and unpark, timers, schedtrace.
//!
//! Use it by way of the `pirn` crate. The modules are floors: each uses only those below it. Those that no model needs
//! leave themselves out of the models (`#![cfg(not(loom))]`).

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

pub mod internal;
mod boot;
mod scope;
pub mod time;
mod go;
mod sysmon;
mod observe;
mod os_thread;
mod join;
mod task;
mod wait;
mod g_local;
mod park;
mod shut_down;
mod sched;
mod m;
mod p;
mod timers;
mod g;
mod locals;
mod coro;
mod stack;
mod event;
mod user_code;
mod reason;
mod config;
mod probe;
mod clock;
mod os;
mod loom;

#[cfg(not(loom))]
pub use {
    boot::{Builder, Handle, Runtime, maxprocs, num_goroutines, run},
    g::Gid,
    go::{GoBuilder, go, try_go, yield_now},
    join::JoinHandle,
    observe::{Current, Goroutine, Metrics, StackUse, State, WaitsOn, current, current_gid, stack_use},
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
