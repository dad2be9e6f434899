//! How connections and listeners are made: [`ConnectOptions`], [`ListenOptions`].

use super::dial::Dial;
use super::listener::TcpListener;
use super::sockets::Listen;
use super::stream::TcpStream;
use crate::addresses::ToSocketAddrs;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How to connect: Go's `net.Dialer`.
///
/// ```
/// use pirn::net::{ConnectOptions, TcpListener};
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let listener = TcpListener::bind("localhost:0").unwrap();
///     let address = ("localhost", listener.local_addr().unwrap().port());
///     let options = ConnectOptions::new().timeout(Duration::from_secs(5)).nodelay(true);
///     assert!(options.connect(address).unwrap().nodelay().unwrap());
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it does nothing before `connect`"]
pub struct ConnectOptions(Dial);

impl ConnectOptions {
    /// As [`TcpStream::connect`] does it.
    pub fn new() -> ConnectOptions {
        ConnectOptions::default()
    }

    /// Limits the time for all of it: the lookup of the name, and all addresses. While others of its family are left, an
    /// address gets its share of what is left, but two seconds at least. As in Go.
    /// A lookup that is not done by then goes on in the background, as the system cannot be told to stop.
    pub fn timeout(mut self, timeout: Duration) -> ConnectOptions {
        self.0.timeout = Some(timeout);
        self
    }

    /// See [`TcpStream::set_nodelay`].
    pub fn nodelay(mut self, nodelay: bool) -> ConnectOptions {
        self.0.nodelay = nodelay;
        self
    }

    /// See [`TcpStream::set_keepalive`].
    pub fn keepalive(mut self, idle: Duration) -> ConnectOptions {
        self.0.keepalive = Some(idle);
        self
    }

    /// The address at this end; port 0 is any.
    pub fn local_addr(mut self, address: SocketAddr) -> ConnectOptions {
        self.0.local_addr = Some(address);
        self
    }

    /// How long addresses of the second family, IPv4 or IPv6, wait for the first: 300 ms if this is not called, as in Go.
    /// Which is first, the first address says. When all of the first have failed, those of the second are tried at once.
    /// None for one line of all addresses.
    pub fn fallback_delay(mut self, delay: Option<Duration>) -> ConnectOptions {
        self.0.fallback_delay = delay;
        self
    }

    /// Connects to the first of the addresses that answers: one after the other, but those of
    /// [two families](Self::fallback_delay) at the same time if the first does not answer soon.
    ///
    /// # Errors
    /// That of the attempt that has failed last, or of the lookup; [`TimedOut`](io::ErrorKind::TimedOut) if the time was over.
    pub fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<TcpStream> {
        self.0.connect(address).map(TcpStream)
    }
}

/// How to listen: Go's `net.ListenConfig`.
///
/// ```
/// use pirn::net::ListenOptions;
///
/// // Several processes, or listeners, share the connections.
/// let first = ListenOptions::new().reuse_port(true).bind("127.0.0.1:0").unwrap();
/// let second = ListenOptions::new().reuse_port(true).bind(first.local_addr().unwrap()).unwrap();
/// assert_eq!(first.local_addr().unwrap(), second.local_addr().unwrap());
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before `bind`"]
pub struct ListenOptions(Listen);

impl ListenOptions {
    /// As [`TcpListener::bind`] does it.
    pub fn new() -> ListenOptions {
        ListenOptions(Listen::new())
    }

    /// How many connections wait to be accepted, at most; the others' connects wait. 4096 at first.
    pub fn backlog(mut self, backlog: i32) -> ListenOptions {
        self.0.backlog = backlog;
        self
    }

    /// Whether several sockets may listen at one address, `SO_REUSEPORT`; the system shares connections out to them.
    pub fn reuse_port(mut self, reuse_port: bool) -> ListenOptions {
        self.0.reuse_port = reuse_port;
        self
    }

    /// Whether a listener at an IPv6 address takes no connections of IPv4. At first, what the system has set.
    pub fn only_v6(mut self, only_v6: bool) -> ListenOptions {
        self.0.only_v6 = Some(only_v6);
        self
    }

    /// Listens at the first of the addresses that is to be had.
    ///
    /// # Errors
    /// That of the last address, or of a lookup.
    pub fn bind<A: ToSocketAddrs>(&self, address: A) -> io::Result<TcpListener> {
        self.0.bind(address).map(TcpListener)
    }
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions::new()
    }
}
