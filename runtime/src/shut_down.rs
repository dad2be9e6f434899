//! What a G that was ended by its runtime's end leaves behind.

/// The payload of the panic by which a G is unwound when its runtime is shut down.
///
/// [`JoinHandle::join`](crate::JoinHandle::join) returns it as the error. It passes no panic hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutDown;
