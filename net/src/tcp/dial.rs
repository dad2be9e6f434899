//! How TCP sockets come to be connected.

use super::sockets::{KIND, set_keepalive, socket};
use crate::addresses::{ToSocketAddrs, each};
use crate::poll::{Poll, deadline};
use crate::shared::Shared;
use crate::sys;
use pirn_runtime::internal::now;
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

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
