//! Addresses of Unix, from std's to socket2's.

use socket2::SockAddr;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

/// The same address for socket2.
pub(super) fn to_socket2(address: &SocketAddr) -> io::Result<SockAddr> {
    if let Some(path) = address.as_pathname() {
        return SockAddr::unix(path);
    }
    match address.as_abstract_name() {
        // As the system has it: a nought byte comes first.
        Some(name) => SockAddr::unix(Path::new(OsStr::from_bytes(&[b"\0", name].concat()))),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "an unnamed socket has no address")),
    }
}

/// The same address for std.
pub(super) fn to_std(address: &SockAddr) -> io::Result<SocketAddr> {
    if let Some(name) = address.as_abstract_namespace() {
        return SocketAddr::from_abstract_name(name);
    }
    // An empty path is that of an unnamed socket.
    SocketAddr::from_pathname(address.as_pathname().unwrap_or(Path::new("")))
}
