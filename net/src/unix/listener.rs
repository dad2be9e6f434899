//! [`UnixListener`].

use super::UnixStream;
use super::address::{to_socket2, to_std};
use crate::forward;
use crate::poll::Poll;
use crate::shared::Shared;
use crate::tcp::{BACKLOG, accept, close, next};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::iter::FusedIterator;
use std::os::fd::OwnedFd;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

/// What dumps call it.
pub(crate) const KIND: &str = "unix";

/// Accepts connections on this machine: [`std::os::unix::net::UnixListener`], name for name, but what waits for it holds
/// no thread. For goroutines, OS threads and async tasks; several may accept at the same time.
///
/// Besides, [`close`](Self::close) ends it from anywhere, and it has a [deadline](Self::set_deadline). As in std, the file
/// of its path stays when it is dropped.
///
/// # Errors
/// As [`TcpListener`](crate::TcpListener).
///
/// # Cancellation
/// As [`TcpListener`](crate::TcpListener).
///
/// ```
/// use pirn::os::unix::net::{UnixListener, UnixStream};
/// use std::io::{Read, Write};
/// use std::os::linux::net::SocketAddrExt;
/// use std::os::unix::net::SocketAddr;
///
/// pirn::run(|| {
///     let name = format!("an example of pirn, {}", std::process::id());
///     let address = SocketAddr::from_abstract_name(name).unwrap();
///     let listener = UnixListener::bind_addr(&address).unwrap();
///     pirn::go(move || {
///         let (mut stream, _) = listener.accept().unwrap();
///         stream.write_all(b"hello").unwrap();
///     });
///     let mut text = String::new();
///     UnixStream::connect_addr(&address).unwrap().read_to_string(&mut text).unwrap();
///     assert_eq!(text, "hello");
/// });
/// ```
pub struct UnixListener(pub(crate) Poll<net::UnixListener>);

impl UnixListener {
    /// Listens at this path, where nothing may be.
    ///
    /// # Errors
    /// If the path is in use, or too long, or not allowed.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Listens at this address, which may be an abstract name.
    ///
    /// # Errors
    /// If it is in use.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.bind(&to_socket2(address)?)?;
        socket.listen(BACKLOG)?;
        Ok(UnixListener(Poll::of(socket.into(), KIND, Shared::default())))
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// If the listener was closed, its deadline has passed, or the system refuses.
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        accept(&self.0).and_then(Self::accepted)
    }

    /// What has been accepted.
    pub(crate) fn accepted((fd, address): (OwnedFd, SockAddr)) -> io::Result<(UnixStream, SocketAddr)> {
        Ok((UnixStream::of(fd), to_std(&address)?))
    }

    /// A second descriptor for the same listener. [Closing](Self::close) one of them ends both.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn try_clone(&self) -> io::Result<UnixListener> {
        let clone = self.0.get_ref().try_clone()?;
        Ok(UnixListener(Poll::of(clone, KIND, self.0.shared().for_clone())))
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Connections, one after the other. Unlike with std there is an end: when the listener is [closed](Self::close).
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Ends it, from anywhere: all that wait in `accept` return, and nobody can connect any more.
    pub fn close(&self) {
        close(&self.0);
    }

    forward::listener!();

    forward::socket!(net::UnixListener);
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// What [`UnixListener::incoming`] returns.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        next(&self.listener.0, self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
