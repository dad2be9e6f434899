//! How TCP sockets are made, and how they come to listen.

use crate::addresses::{ToSocketAddrs, each};
use crate::poll::Poll;
use crate::shared::Shared;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// What dumps call TCP.
pub(super) const KIND: &str = "tcp";
/// So many connections wait to be accepted, if the system allows as many. Std has 128, Go what the system allows.
pub(crate) const BACKLOG: i32 = 4096;
/// A TCP socket for such an address, closed by exec and non-blocking (tcp I1).
pub(super) fn socket(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))
}

/// After how long without traffic the system looks whether the peer is there, and how often then; none for never.
pub(super) fn set_keepalive(socket: &SockRef<'_>, idle: Option<Duration>) -> io::Result<()> {
    match idle {
        Some(idle) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(idle)),
        None => socket.set_keepalive(false),
    }
}

/// How to listen.
#[derive(Clone, Debug)]
pub(super) struct Listen {
    pub(super) backlog: i32,
    pub(super) reuse_port: bool,
    pub(super) only_v6: Option<bool>,
}

impl Listen {
    pub(super) fn new() -> Listen {
        Listen { backlog: BACKLOG, reuse_port: false, only_v6: None }
    }

    /// Listens at the first of the addresses that is to be had.
    pub(super) fn bind<A: ToSocketAddrs>(&self, address: A) -> io::Result<Poll<TcpListener>> {
        each(address.to_socket_addrs()?, |address| self.bind_to(address))
    }

    fn bind_to(&self, address: SocketAddr) -> io::Result<Poll<TcpListener>> {
        let socket = socket(address)?;
        // As std and Go: otherwise a server cannot be started again while old connections of it end.
        socket.set_reuse_address(true)?;
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if let (Some(only_v6), true) = (self.only_v6, address.is_ipv6()) {
            socket.set_only_v6(only_v6)?;
        }
        socket.bind(&address.into())?;
        socket.listen(self.backlog)?;
        Ok(Poll::of(socket.into(), KIND, Shared::default()))
    }
}
