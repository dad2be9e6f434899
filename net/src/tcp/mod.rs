//! # What lives here
//! TCP: [`TcpListener`], [`TcpStream`], and how they are made: [`ListenOptions`], [`ConnectOptions`].
//!
//! # Who may come in
//! Users, and the rooms above that take the types as they are.
//!
//! # Invariants
//! 1. The descriptor of each socket is non-blocking from its birth: `socket` and `accept4` make it so. One from elsewhere
//!    is made so when it is adopted (`forward.rs`).
//! 2. A connect has succeeded when the socket has a peer. It has failed when it has an error and no peer; else it goes on,
//!    and when it ends, the socket becomes writable.
//!
//! # Tests
//! `tests/dial.rs`, `tests/nettest.rs`, `tests/sockets.rs`, `tests/weather.rs`,
//! `tests/storms.rs`, `tests/tokio_semantics.rs`; std's own by `ci/net-suites`.

mod accept;
mod dial;
mod listener;
mod options;
mod sockets;
mod stream;

pub(crate) use accept::{accept, accept_now, close, next};
pub use listener::{Incoming, IntoIncoming, TcpListener};
pub use options::{ConnectOptions, ListenOptions};
pub(crate) use sockets::BACKLOG;
pub use stream::TcpStream;
