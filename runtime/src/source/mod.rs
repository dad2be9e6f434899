//! # What lives here
//! The verbs of waiting for a descriptor: the [`Source`] that a socket has beside its descriptor (`descriptor`), how a
//! G or an async task waits (`wait`), how a G waits for descriptors that are not ours (`foreign`), how a thread does that runs no G (`on_thread`), and the timer of a direction
//! (`alarm`).
//!
//! # Who may come in
//! The crates above, by way of `internal`. `boot` takes the descriptors away from a runtime that has ended.
//!
//! # Invariants
//! 1. An operation looks ([`Source::begin`]), tries, and waits with what it has seen. `netpoll/mod.rs` argues that it
//!    misses nothing. It may be woken for no reason, and tries again.
//! 2. A G and a task wait at the epoll where the descriptor is registered: at that of the runtime on which one of them
//!    waited first. When that runtime has ended, they look again, and the next wait registers it elsewhere.
//! 3. A thread that runs no G waits in the kernel, for the descriptor and for a bell. It is in the list of waiters too,
//!    so that `shut` and a deadline that is set find it as any other. It needs no runtime, and no runtime's end
//!    concerns it.
//! 4. A wait takes itself out of the list when it is over, unwound or dropped (`Place`). When its [`Source`] goes
//!    first, the number of the waiter finds nothing in the record, whoever has it by then.
//! 5. In the child of a fork nothing touches a record or an epoll: locks may be held that nobody gives back, and the
//!    epoll is the parent's. A wait asks the kernel, and nothing else.
//!
//! # Locks and ordering
//! The lock of a side is held while its timer is started, so it comes before the lock of a timer heap.
//!
//! # Tests
//! `tests/netpoll.rs`.

#![cfg(not(loom))]

mod alarm;
mod descriptor;
mod foreign;
mod on_thread;
mod place;
mod wait;

pub use crate::netpoll::Direction;
pub(crate) use descriptor::leave_runtime;
pub use descriptor::{Seen, Source};
pub(crate) use foreign::wait_for_foreign;
pub use foreign::{Began, Evidence, Glance};
pub use place::Place;
