//! [`UnixDatagram`].

use super::address::to_std;
use super::pauses::with_pauses;
use crate::poll::Poll;
use crate::shared::Shared;
use crate::{forward, sys};
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

/// What dumps call it.
pub(crate) const KIND: &str = "unixgram";

/// A socket for datagrams on this machine: [`std::os::unix::net::UnixDatagram`], name for name, but what waits for it
/// holds no thread. For goroutines, OS threads and async tasks; several may use it at the same time.
///
/// Besides, it has Go's [deadlines](Self::set_deadline), and [`readable`](Self::readable) and
/// [`writable`](Self::writable).
///
/// # Errors
/// As [`UdpSocket`](crate::UdpSocket).
///
/// # Cancellation
/// As [`UdpSocket`](crate::UdpSocket).
///
/// ```
/// use pirn::os::unix::net::UnixDatagram;
///
/// pirn::run(|| {
///     let (a, b) = UnixDatagram::pair().unwrap();
///     pirn::go(move || a.send(b"hello").unwrap());
///     let mut buf = [0; 100];
///     let length = b.recv(&mut buf).unwrap();
///     assert_eq!(&buf[..length], b"hello");
/// });
/// ```
pub struct UnixDatagram(pub(crate) Poll<net::UnixDatagram>);

impl UnixDatagram {
    /// One whose descriptor is non-blocking already.
    fn of(fd: OwnedFd) -> UnixDatagram {
        UnixDatagram(Poll::of(fd.into(), KIND, Shared::default()))
    }

    /// A socket at this path, where nothing may be.
    ///
    /// # Errors
    /// If the path is in use, or too long, or not allowed.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::adopted(net::UnixDatagram::bind(path)?)
    }

    /// A socket at this address, which may be an abstract name.
    ///
    /// # Errors
    /// If it is in use.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::adopted(net::UnixDatagram::bind_addr(address)?)
    }

    fn adopted(socket: net::UnixDatagram) -> io::Result<UnixDatagram> {
        socket.set_nonblocking(true)?;
        Ok(UnixDatagram(Poll::of(socket, KIND, Shared::default())))
    }

    /// A socket without an address.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn unbound() -> io::Result<UnixDatagram> {
        Ok(UnixDatagram::of(Socket::new(Domain::UNIX, Type::DGRAM.nonblocking(), None)?.into()))
    }

    /// Two that are connected to each other.
    ///
    /// # Errors
    /// If there are no descriptors to be had.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (a, b) = Socket::pair(Domain::UNIX, Type::DGRAM.nonblocking(), None)?;
        Ok((UnixDatagram::of(a.into()), UnixDatagram::of(b.into())))
    }

    /// Makes the socket with this path the one for [`send`](Self::send), and takes datagrams from no other any more.
    ///
    /// # Errors
    /// If there is none.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.0.get_ref().connect(path)
    }

    /// As [`connect`](Self::connect), with an address, which may be an abstract name.
    ///
    /// # Errors
    /// If there is no such socket.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.0.get_ref().connect_addr(address)
    }

    /// A second descriptor for the same socket. It has the same timeouts, but deadlines of its own.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn try_clone(&self) -> io::Result<UnixDatagram> {
        let clone = self.0.get_ref().try_clone()?;
        Ok(UnixDatagram(Poll::of(clone, KIND, self.0.shared().for_clone())))
    }

    /// Its own address.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// The address that it is connected to.
    ///
    /// # Errors
    /// If there is none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }

    /// Takes a datagram, and says where it comes from. What does not fit is lost.
    ///
    /// # Errors
    /// As the type says.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.read_with(|inner| inner.recv_from(buf))
    }

    /// Takes a datagram. What does not fit is lost.
    ///
    /// # Errors
    /// As the type says.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_with(|inner| inner.recv(buf))
    }

    /// Reads a datagram, which stays. Unstable in std.
    ///
    /// # Errors
    /// As the type says.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_with(|inner| sys::peek(&SockRef::from(inner), buf))
    }

    /// As [`peek`](Self::peek), and says where it comes from. Unstable in std.
    ///
    /// # Errors
    /// As the type says.
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, address) = self.0.read_with(|inner| sys::peek_from(&SockRef::from(inner), buf))?;
        Ok((length, to_std(&address)?))
    }

    /// Sends a datagram to the socket with this path. If its queue is full, this waits.
    ///
    /// # Errors
    /// As the type says.
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(buf, &SocketAddr::from_pathname(path)?)
    }

    /// Sends a datagram to the socket with this address, which may be an abstract name. If its queue is full, this waits.
    ///
    /// # Errors
    /// As the type says.
    pub fn send_to_addr(&self, buf: &[u8], address: &SocketAddr) -> io::Result<usize> {
        let until = self.0.write_until();
        with_pauses(until, self.0.is_nonblocking(), || {
            self.0.check_write()?;
            self.0.get_ref().send_to_addr(buf, address)
        })
    }

    /// Sends a datagram to the socket that it is connected to. If its queue is full, this waits.
    ///
    /// # Errors
    /// As the type says.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.write_with(|inner| inner.send(buf))
    }

    /// Closes one direction or both, for all clones. Those that wait return.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.get_ref().shutdown(how)?;
        self.0.try_again();
        Ok(())
    }

    forward::timeouts!();
    forward::deadlines!();
    forward::socket!(net::UnixDatagram);
}
