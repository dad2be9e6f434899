//! [`UnixStream`].

use super::address::to_socket2;
use super::pauses::with_pauses;
use crate::forward;
use crate::poll::Poll;
use crate::shared::Shared;
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

/// What dumps call it.
pub(crate) const KIND: &str = "unix";

/// A connection on this machine: [`std::os::unix::net::UnixStream`], name for name, but what waits for it holds no
/// thread. For goroutines, OS threads and async tasks; several may use it at the same time.
///
/// Besides, it has Go's [deadlines](Self::set_deadline), and [`readable`](Self::readable) and
/// [`writable`](Self::writable).
///
/// # Errors
/// As [`TcpStream`](crate::TcpStream).
///
/// # Cancellation
/// As [`TcpStream`](crate::TcpStream).
///
/// ```
/// use pirn::os::unix::net::UnixStream;
/// use std::io::{Read, Write};
///
/// pirn::run(|| {
///     let (mut a, mut b) = UnixStream::pair().unwrap();
///     pirn::go(move || a.write_all(b"hello").unwrap());
///     let mut text = String::new();
///     b.read_to_string(&mut text).unwrap();
///     assert_eq!(text, "hello");
/// });
/// ```
pub struct UnixStream(pub(crate) Poll<net::UnixStream>);

impl UnixStream {
    /// One whose descriptor is non-blocking already.
    pub(crate) fn of(fd: OwnedFd) -> UnixStream {
        UnixStream(Poll::of(fd.into(), KIND, Shared::default()))
    }

    /// Connects to the socket with this path. If the queue of its listener is full, this waits.
    ///
    /// # Errors
    /// If nobody listens there, or the path is too long.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        // Std says what is wrong with a path.
        UnixStream::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Connects to the socket with this address, which may be an abstract name.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        let address = to_socket2(address)?;
        with_pauses(None, false, || socket.connect(&address))?;
        Ok(UnixStream::of(socket.into()))
    }

    /// Two that are connected to each other.
    ///
    /// # Errors
    /// If there are no descriptors to be had.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = Socket::pair(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        Ok((UnixStream::of(a.into()), UnixStream::of(b.into())))
    }

    /// A second descriptor for the same connection. It has the same timeouts, but deadlines of its own.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn try_clone(&self) -> io::Result<UnixStream> {
        let clone = self.0.get_ref().try_clone()?;
        Ok(UnixStream(Poll::of(clone, KIND, self.0.shared().for_clone())))
    }

    /// The address at this end.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// If it is not connected any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }

    /// Closes one direction or both, for all clones. Those that wait return: reads with 0, writes with an error. Only one that
    /// waits to write by a clone goes on when there is room, as Linux says nothing to it; so does one whose peer calls this
    /// for reading.
    ///
    /// # Errors
    /// If it is not connected any more.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.get_ref().shutdown(how)?;
        self.0.try_again();
        Ok(())
    }

    /// Reads without taking what it has read. Unstable in std.
    ///
    /// # Errors
    /// As a read.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_with(|inner| crate::sys::peek(&SockRef::from(inner), buf))
    }

    forward::timeouts!();
    forward::deadlines!();
    forward::socket!(net::UnixStream);
}

forward::read!(UnixStream, read_any, receive);
forward::write!(UnixStream, send);
