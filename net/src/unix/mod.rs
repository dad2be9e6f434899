//! # What lives here
//! Sockets of Unix: [`UnixListener`], [`UnixStream`], [`UnixDatagram`].
//!
//! # Who may come in
//! Users, by way of `os.rs`, and the rooms above that take the types as they are.
//!
//! # Invariants
//! 1. The descriptor of each socket is non-blocking from its birth, or from when it was adopted (as tcp I1).
//! 2. The system has two waits of which no poll is told: a connect to a listener whose queue is full, and a `send_to` to a
//!    socket whose queue is full. Both are tried again after short pauses (`pauses.rs`).
//!
//! # Tests
//! `tests/nettest.rs`, `tests/sockets.rs`, `tests/weather.rs`; std's own by `ci/net-suites`.

mod address;
mod datagram;
mod listener;
mod pauses;
mod stream;

pub use datagram::UnixDatagram;
pub use listener::{Incoming, UnixListener};
pub use stream::UnixStream;
