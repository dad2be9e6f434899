//! [`TcpListener`].

use super::accept::{accept, close, next};
use super::sockets::{KIND, Listen};
use super::stream::TcpStream;
use crate::addresses::ToSocketAddrs;
use crate::forward;
use crate::poll::Poll;
use socket2::SockAddr;
use std::io;
use std::iter::FusedIterator;
use std::net::{self, SocketAddr};
use std::os::fd::OwnedFd;

/// Accepts TCP connections: [`std::net::TcpListener`], name for name, but what waits for it holds no thread. For
/// goroutines, OS threads and async tasks; several may accept at the same time.
///
/// Besides, [`close`](Self::close) ends it from anywhere, and it has a [deadline](Self::set_deadline).
///
/// If there is no descriptor for a connection, `accept` waits until there is one, and pirn says so once.
///
/// # Errors
/// As [`TcpStream`].
///
/// # Cancellation
/// While the runtime shuts down, an `accept` that waits unwinds its goroutine with `pirn::ShutDown`, and has accepted
/// nothing.
///
/// ```
/// use pirn::net::TcpListener;
/// use std::sync::Arc;
///
/// pirn::run(|| {
///     let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
///     let server = pirn::go({
///         let listener = listener.clone();
///         move || {
///             for stream in listener.incoming() {
///                 pirn::go(move || std::io::copy(&mut stream.unwrap(), &mut std::io::sink()));
///             }
///         }
///     });
///     listener.close();
///     server.join().unwrap();
/// });
/// ```
pub struct TcpListener(pub(crate) Poll<net::TcpListener>);

impl TcpListener {
    /// Listens at the first of the addresses that is to be had; port 0 is any. Up to 4096 connections wait to be accepted,
    /// or as many as the system allows (`net.core.somaxconn`). [`ListenOptions`](crate::ListenOptions) has more.
    ///
    /// # Errors
    /// That of the last address, or of a lookup.
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<TcpListener> {
        Listen::new().bind(address).map(TcpListener)
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// A second descriptor for the same listener. [Closing](Self::close) one of them ends both.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        let clone = self.0.get_ref().try_clone()?;
        Ok(TcpListener(Poll::of(clone, KIND, self.0.shared().for_clone())))
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// If the listener was closed, its deadline has passed, or the system refuses. A connection that ended before it was
    /// accepted is no error.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        accept(&self.0).and_then(Self::accepted)
    }

    /// What has been accepted.
    pub(crate) fn accepted((fd, address): (OwnedFd, SockAddr)) -> io::Result<(TcpStream, SocketAddr)> {
        let address = address.as_socket().ok_or_else(|| io::Error::other("the peer has no internet address"))?;
        Ok((TcpStream::of(fd), address))
    }

    /// Connections, one after the other. Unlike with std there is an end: when the listener is [closed](Self::close).
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// As [`incoming`](Self::incoming), with the listener in it.
    pub fn into_incoming(self) -> IntoIncoming {
        IntoIncoming { listener: self }
    }

    /// Ends it, from anywhere: all that wait in `accept` return, and nobody can connect any more. Those that were not
    /// accepted yet are reset. The address can be used again when the listener is dropped.
    pub fn close(&self) {
        close(&self.0);
    }

    forward::listener!();

    /// Sets `IP_TTL`: through how many routers packets may go.
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

    forward::socket!(net::TcpListener);
}

/// What [`TcpListener::incoming`] returns.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

/// What [`TcpListener::into_incoming`] returns.
#[derive(Debug)]
pub struct IntoIncoming {
    listener: TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        next(&self.listener.0, self.listener.accept().map(|(stream, _)| stream))
    }
}

impl Iterator for IntoIncoming {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        self.listener.incoming().next()
    }
}

impl FusedIterator for Incoming<'_> {}
impl FusedIterator for IntoIncoming {}
