//! Pipes, copying between descriptors, and standard input. What waits here holds no thread.
//!
//! # What lives here
//! [`pipe`], [`copy`], [`stdin`].
//!
//! # Who may come in
//! Users.
//!
//! # Invariants
//! 1. The descriptors of pipes are non-blocking from their birth, or from when they were adopted.
//! 2. The descriptor of standard input is left as it is: it is shared with other processes.
//!
//! # Tests
//! `tests/io.rs`, `tests/nettest.rs`.

mod copy;
mod pipe;
mod splice;
mod stdin;

pub use copy::copy;
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use stdin::{Lines, Stdin, StdinLock, stdin};
