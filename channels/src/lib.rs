//! Channels and select: crossbeam-channel's API, name for name, with Go's behaviour.
//!
//! Goroutines, OS threads and async tasks may use the two ends of one channel at the same time, and wait in the same
//! lines: a goroutine is parked, a thread is blocked, a task is woken. A program that uses crossbeam-channel needs
//! another `use`. The published tests of crossbeam-channel pass on threads and on goroutines, except one assertion:
//! that a value whose destructor panics, when the last receiver is dropped, keeps the values behind it from being
//! dropped.
//!
//! ```
//! use pirn::channel::{bounded, unbounded};
//! use pirn::select;
//! use std::time::Duration;
//!
//! pirn::run(|| {
//!     let (jobs_in, jobs) = bounded(2);
//!     let (results_in, results) = unbounded();
//!     for _ in 0..3 {
//!         let (jobs, results_in) = (jobs.clone(), results_in.clone());
//!         pirn::go(move || jobs.iter().for_each(|n: u64| results_in.send(n * n).unwrap()));
//!     }
//!     drop(results_in);
//!     pirn::go(move || (1..=10).for_each(|n| jobs_in.send(n).unwrap()));
//!
//!     let mut sum = 0;
//!     loop {
//!         select! {
//!             recv(results) -> square => match square {
//!                 Ok(square) => sum += square,
//!                 Err(_) => break, // All workers have gone.
//!             },
//!             default(Duration::from_secs(5)) => panic!("stuck"),
//!         }
//!     }
//!     assert_eq!(sum, 385);
//! });
//! ```
//!
//! A waker may use a channel in any way while it is cloned, woken or dropped. If it panics when an operation wakes or
//! drops it, the operation continues as if it had not, and only the panic hook is called.
//!
//! Beyond crossbeam's API: [`Sender::close`], [`Sender::send_async`], [`Receiver::recv_async`], [`Receiver::stream`],
//! [`timer`], [`joined`].
//! What differs from Go: a send to a closed channel returns its value instead of panicking, a receive returns a
//! `Result`, and the nil channel is [`never()`]. How it works, and why it may, stands in `core/mod.rs`.
//!
//! The modules are floors: each uses only those below it.

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

mod select_macro; // `select!` and `select_biased!`
pub mod internal; // what the macros expand to, and what `sync` uses
mod select; // `Select`: a list of operations, and the one that was selected
mod choose; // how a select looks at its cases, chooses one, or waits at all of them
mod cases; // one case of a select
mod futures; // the operations for async tasks
mod timer; // `Timer`: a channel of the clock that may be set again
mod joined; // the end of a G as a channel
mod alarm; // has a task polled again at a given time
mod iter; // iterators over received values
mod channel; // the handles: `Sender`, `Receiver`
mod blocking; // what send and receive do when they cannot complete at once
mod operation; // an operation that waits on one channel: its ticket, waiter and value
mod core; // one channel: what each operation does to it under its lock
mod clock; // the channels of the clock: `after`, `at`, `tick`
mod parcel; // a value on its way to or from a select
mod until; // how long an operation may wait
mod error; // the errors
mod loom; // the atomics and threads of std, or those of loom

pub use channel::{Receiver, Sender, after, at, bounded, never, tick, unbounded};
pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
pub use futures::{RecvFuture, RecvStream, SendFuture};
pub use iter::{IntoIter, Iter, TryIter};
#[cfg(not(loom))]
pub use joined::joined;
pub use select::{Select, SelectedOperation};
pub use timer::{Timer, timer};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
