//! [`TcpStream`].

use super::dial::Dial;
use super::sockets::{KIND, set_keepalive};
use crate::addresses::ToSocketAddrs;
use crate::forward;
use crate::poll::Poll;
use crate::shared::Shared;
use socket2::SockRef;
use std::io;
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A TCP connection: [`std::net::TcpStream`], name for name, but what waits for it holds no thread. For goroutines, OS
/// threads and async tasks; several may use it at the same time.
///
/// Besides, it has Go's [deadlines](Self::set_deadline), and [`readable`](Self::readable) and
/// [`writable`](Self::writable). It converts from and into std's type, and from and into descriptors.
///
/// It is closed when it is dropped. To wake those that read from it or write to it, use [`shutdown`](Self::shutdown).
///
/// # Errors
/// An operation that has waited for its timeout, or whose deadline has passed, fails with
/// [`TimedOut`](io::ErrorKind::TimedOut); one that would wait while the socket is
/// [set to be non-blocking](Self::set_nonblocking), with [`WouldBlock`](io::ErrorKind::WouldBlock). None fails with
/// [`Interrupted`](io::ErrorKind::Interrupted).
///
/// # Cancellation
/// While the runtime shuts down, an operation that waits unwinds its goroutine with `pirn::ShutDown`, and has transferred
/// nothing. `read_exact` and `write_all` may have transferred a part, also if they fail.
///
/// ```
/// use pirn::net::{TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// pirn::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let address = listener.local_addr().unwrap();
///     pirn::go(move || {
///         let (mut stream, _) = listener.accept().unwrap();
///         stream.write_all(b"hello").unwrap();
///     });
///     let mut text = String::new();
///     TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
///     assert_eq!(text, "hello");
/// });
/// ```
pub struct TcpStream(pub(crate) Poll<net::TcpStream>);

impl TcpStream {
    /// One whose descriptor is non-blocking already.
    pub(crate) fn of(fd: OwnedFd) -> TcpStream {
        TcpStream(Poll::of(fd.into(), KIND, Shared::default()))
    }

    /// Connects to the first of the addresses that answers, one after the other. A name is looked up as by
    /// [`lookup_host`](crate::lookup_host). If it has addresses of IPv4 and of IPv6, and no address of the first family
    /// answers within 300 ms, those of the other are tried at the same time. [`ConnectOptions`](crate::ConnectOptions) has a
    /// timeout for all of that.
    ///
    /// # Errors
    /// That of the attempt that has failed last, or of the lookup.
    pub fn connect<A: ToSocketAddrs>(address: A) -> io::Result<TcpStream> {
        Dial::default().connect(address).map(TcpStream)
    }

    /// Connects to an address, and waits so long at most.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) after the timeout; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is
    /// nought.
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        forward::check_timeout(Some(timeout))?;
        Dial { timeout: Some(timeout), ..Dial::default() }.connect(address).map(TcpStream)
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// If it is not connected any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }

    /// The address at this end.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Closes one direction or both, for all clones. Those that wait return: reads with 0, writes with an error.
    ///
    /// # Errors
    /// If it is not connected any more.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.get_ref().shutdown(how)
    }

    /// A second descriptor for the same connection. It has the same timeouts, but deadlines of its own.
    ///
    /// An `Arc<TcpStream>` does as well and needs no descriptor: `&TcpStream` reads and writes.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        let clone = self.0.get_ref().try_clone()?;
        Ok(TcpStream(Poll::of(clone, KIND, self.0.shared().for_clone())))
    }

    /// Reads without taking what it has read. Waits as a read does.
    ///
    /// # Errors
    /// As a read.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_with(|inner| inner.peek(buf))
    }

    /// Sets how long closing it waits in the background for data to be sent, `SO_LINGER`; nought means that closing it
    /// resets the connection. Unstable in std.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(linger)
    }

    /// What [`set_linger`](Self::set_linger) has set.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets whether small pieces are sent at once, `TCP_NODELAY`, instead of being collected for a while. Unlike in Go this
    /// is off at first, as in std.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.get_ref().set_nodelay(nodelay)
    }

    /// What [`set_nodelay`](Self::set_nodelay) has set.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.get_ref().nodelay()
    }

    /// Sets whether segments are acknowledged at once, `TCP_QUICKACK`. In std this is Linux's `TcpStreamExt`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_quickack(quickack)
    }

    /// What [`set_quickack`](Self::set_quickack) has set.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn quickack(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_quickack()
    }

    /// Sets after how long without traffic the system looks whether the peer is still there, and how often then; none for
    /// never. Whole seconds count.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        set_keepalive(&SockRef::from(self), idle)
    }

    /// What [`set_keepalive`](Self::set_keepalive) has set.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn keepalive(&self) -> io::Result<Option<Duration>> {
        let socket = SockRef::from(self);
        if socket.keepalive()? { socket.tcp_keepalive_time().map(Some) } else { Ok(None) }
    }

    /// Sets `IP_TTL`: through how many routers its packets may go.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.0.get_ref().set_ttl(ttl)
    }

    /// What [`set_ttl`](Self::set_ttl) has set.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn ttl(&self) -> io::Result<u32> {
        self.0.get_ref().ttl()
    }

    forward::timeouts!();
    forward::deadlines!();
    forward::socket!(net::TcpStream);
}

forward::read!(TcpStream, read_stream, receive);
forward::write!(TcpStream, send);
