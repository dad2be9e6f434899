//! What only some platforms have.

/// What Unix has.
pub mod unix {
    /// Sockets of Unix: names of [`std::os::unix::net`].
    pub mod net {
        pub use crate::unix::{Incoming, UnixDatagram, UnixListener, UnixStream};
        pub use std::os::unix::net::SocketAddr;
    }
}
