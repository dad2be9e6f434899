//! How TCP sockets come to be connected, and to listen.

use crate::addresses::{ToSocketAddrs, each};
use crate::poll::{Poll, deadline};
use crate::shared::Shared;
use crate::sys;
use pirn_runtime::internal::now;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// What dumps call TCP.
pub(super) const KIND: &str = "tcp";
/// So many connections wait to be accepted, if the system allows as many. Std has 128, Go what the system allows.
pub(crate) const BACKLOG: i32 = 4096;
/// An address has at least so much of a timeout for all, if there are others after it. As in Go.
const SHARE_MIN: Duration = Duration::from_secs(2);

/// How to connect.
#[derive(Clone, Debug, Default)]
pub(super) struct Dial {
    pub(super) timeout: Option<Duration>,
    pub(super) nodelay: bool,
    pub(super) keepalive: Option<Duration>,
    pub(super) local_addr: Option<SocketAddr>,
}

impl Dial {
    /// Connects to the first of the addresses that can be reached, one after the other.
    pub(super) fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<Poll<TcpStream>> {
        let until = deadline(self.timeout);
        let addresses: Vec<_> = address.to_socket_addrs_until(until)?.collect();
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        each(addresses.into_iter(), |address| {
            let until = until.map(|until| share(until, left));
            left -= 1;
            self.connect_to(address, until)
        })
    }

    fn connect_to(&self, address: SocketAddr, until: Option<Instant>) -> io::Result<Poll<TcpStream>> {
        let socket = socket(address)?;
        if let Some(local) = self.local_addr {
            socket.bind(&local.into())?;
        }
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if self.keepalive.is_some() {
            set_keepalive(&SockRef::from(&socket), self.keepalive)?;
        }
        let begun = socket.connect(&address.into());
        let stream = Poll::of(TcpStream::from(socket), KIND, Shared::default());
        match begun {
            Err(error) if sys::is_in_progress(&error) => finish(&stream, until)?,
            begun => begun?,
        }
        Ok(stream)
    }
}

/// Waits for the end of a connect that goes on (tcp I2).
fn finish(stream: &Poll<TcpStream>, until: Option<Instant>) -> io::Result<()> {
    loop {
        stream.wait_connected(until)?;
        if let Some(error) = stream.get_ref().take_error()? {
            return Err(error);
        }
        match stream.get_ref().peer_addr() {
            // It was woken for no reason.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            done => return done.map(drop),
        }
    }
}

/// Until when the next address may take, of so many that are left.
fn share(until: Instant, left: u32) -> Instant {
    let now = now();
    let rest = until.saturating_duration_since(now);
    now + (rest / left.max(1)).max(SHARE_MIN).min(rest)
}

/// A TCP socket for such an address, closed by exec and non-blocking (tcp I1).
fn socket(address: SocketAddr) -> io::Result<Socket> {
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
