//! What a G that was ended by its runtime's end leaves behind.

#![cfg(not(loom))]

/// The payload of the panic by which a G is unwound when its runtime is shut down.
///
/// [`JoinHandle::join`](crate::JoinHandle::join) returns it as the error. It passes no panic hook. A G whose
/// destructor waits is not unwound out of that wait, not even inside `catch_unwind`:
/// [`Runtime::shutdown_timeout`](crate::Runtime::shutdown_timeout) says what becomes of each wait. A std mutex that
/// the G holds is poisoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutDown;
