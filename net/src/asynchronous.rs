//! [`Async`]: our types in async code.

use crate::io::{PipeReader, PipeWriter};
use crate::poll::{Poll, try_ready};
use crate::sys;
use crate::tcp::{TcpListener, TcpStream, accept_now};
use crate::udp::UdpSocket;
use crate::unix::{UnixDatagram, UnixListener, UnixStream};
use futures_io::{AsyncRead, AsyncWrite};
use pirn_runtime::internal::{Direction, Place};
use std::future::poll_fn;
use std::io::{self, IoSliceMut, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net as unix;
use std::pin::Pin;
use std::task::{self, Context};

/// A socket, a pipe or any [`Poll`] for async code: with the traits `AsyncRead` and `AsyncWrite` of futures-io, and with
/// futures for all else. The features `tokio-io` and `hyper-rt` add those of tokio and of hyper 1.
///
/// It works where [`block_on`](https://docs.rs/pirn/latest/pirn/fn.block_on.html) runs on a goroutine; in async code that
/// no runtime of pirn runs, its futures fail with [`Unsupported`](io::ErrorKind::Unsupported). Timeouts of single
/// operations do not count here, as async code has its own; deadlines do.
///
/// A future may be dropped at any time: it has then done nothing, or all. Several may wait at the same time, but as the
/// traits have it, only one read by `AsyncRead`, and one write by `AsyncWrite`.
///
/// ```
/// use pirn::net::{Async, TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// pirn::run(|| {
///     let listener = Async::new(TcpListener::bind("127.0.0.1:0").unwrap());
///     let address = listener.get_ref().local_addr().unwrap();
///     let client = pirn::go(move || {
///         let mut text = String::new();
///         TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
///         text
///     });
///     pirn::block_on(async {
///         let stream = Async::new(listener.accept().await.unwrap().0);
///         stream.write_with(|mut stream| stream.write(b"hello")).await.unwrap();
///     });
///     assert_eq!(client.join().unwrap(), "hello");
/// });
/// ```
#[derive(Debug)]
pub struct Async<T> {
    inner: T,
    /// Where the one operation of each direction waits that the traits have begun.
    reads: Place,
    writes: Place,
}

/// What [`Async`] takes: all sockets and pipes, each [`Poll`], and what you build on one.
///
/// ```
/// use pirn::net::{Async, Poll, Pollable};
/// use std::io::{PipeReader, Read, Write};
///
/// struct Events(Poll<PipeReader>);
///
/// impl Pollable for Events {
///     type Inner = PipeReader;
///
///     fn as_poll(&self) -> &Poll<PipeReader> {
///         &self.0
///     }
/// }
///
/// pirn::run(|| {
///     let (reader, mut writer) = std::io::pipe().unwrap();
///     let events = Async::new(Events(Poll::new(reader).unwrap()));
///     writer.write_all(b"!").unwrap();
///     let length = pirn::block_on(events.read_with(|mut pipe| pipe.read(&mut [0; 10])));
///     assert_eq!(length.unwrap(), 1);
/// });
/// ```
pub trait Pollable {
    /// What the operations are called with.
    type Inner: AsFd;

    /// The part that waits.
    fn as_poll(&self) -> &Poll<Self::Inner>;

    /// After the last write: the peer reads the end. May be called more than once, and after the end of the connection.
    ///
    /// # Errors
    /// If the system refuses.
    fn end_writes(&self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: AsFd> Pollable for Poll<T> {
    type Inner = T;

    fn as_poll(&self) -> &Poll<T> {
        self
    }
}

impl<T: Pollable> Pollable for &T {
    type Inner = T::Inner;

    fn as_poll(&self) -> &Poll<T::Inner> {
        (**self).as_poll()
    }

    fn end_writes(&self) -> io::Result<()> {
        (**self).end_writes()
    }
}

macro_rules! pollable {
    ($($Type:ident: $Std:ty $(, $end_writes:expr)?;)*) => { $(
        impl Pollable for $Type {
            type Inner = $Std;

            fn as_poll(&self) -> &Poll<$Std> {
                &self.0
            }

            $(fn end_writes(&self) -> io::Result<()> {
                $end_writes(self)
            })?
        }
    )* };
}
pollable! {
    TcpListener: std::net::TcpListener;
    TcpStream: std::net::TcpStream, |stream: &TcpStream| unless_ended(stream.shutdown(Shutdown::Write));
    UdpSocket: std::net::UdpSocket;
    UnixListener: std::os::unix::net::UnixListener;
    UnixStream: std::os::unix::net::UnixStream, |stream: &UnixStream| unless_ended(stream.shutdown(Shutdown::Write));
    UnixDatagram: std::os::unix::net::UnixDatagram;
    PipeReader: io::PipeReader;
    PipeWriter: io::PipeWriter;
}

/// A connection that has ended, or was reset by the peer, has no writes to end.
fn unless_ended(shutdown: io::Result<()>) -> io::Result<()> {
    match shutdown {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        done => done,
    }
}

impl<T: Pollable> Async<T> {
    /// For async code.
    pub fn new(inner: T) -> Async<T> {
        Async { inner, reads: Place::default(), writes: Place::default() }
    }

    /// What it was made from. Its own operations wait for their caller; options can be set by it.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Gives back what it was made from.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Calls `operation` until it does not say that it would block, and waits in between until the descriptor may be
    /// readable.
    ///
    /// # Errors
    /// As [`Poll::read_with`].
    pub async fn read_with<R>(&self, operation: impl FnMut(&T::Inner) -> io::Result<R>) -> io::Result<R> {
        self.with(Direction::Read, operation).await
    }

    /// As [`read_with`](Self::read_with), for writes.
    ///
    /// # Errors
    /// As [`Poll::write_with`].
    pub async fn write_with<R>(&self, operation: impl FnMut(&T::Inner) -> io::Result<R>) -> io::Result<R> {
        self.with(Direction::Write, operation).await
    }

    async fn with<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&T::Inner) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut place = Place::default();
        poll_fn(|cx| self.inner.as_poll().poll_with(direction, &mut place, cx, &mut operation)).await
    }

    /// Waits until a read would not block.
    ///
    /// # Errors
    /// As [`Poll::readable`].
    pub async fn readable(&self) -> io::Result<()> {
        self.with(Direction::Read, |inner| try_ready(inner, Direction::Read)).await
    }

    /// Waits until a write would not block.
    ///
    /// # Errors
    /// As [`Poll::writable`].
    pub async fn writable(&self) -> io::Result<()> {
        self.with(Direction::Write, |inner| try_ready(inner, Direction::Write)).await
    }
}

impl Async<TcpListener> {
    /// As [`TcpListener::accept`], but if there is no descriptor to be had, that is an error.
    ///
    /// # Errors
    /// As [`TcpListener::accept`].
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match self.read_with(|listener| accept_now(&self.inner.0, listener)).await {
                Err(error) if sys::is_aborted(&error) => {}
                accepted => return accepted.and_then(TcpListener::accepted),
            }
        }
    }
}

impl Async<UnixListener> {
    /// As [`UnixListener::accept`], but if there is no descriptor to be had, that is an error.
    ///
    /// # Errors
    /// As [`UnixListener::accept`].
    pub async fn accept(&self) -> io::Result<(UnixStream, unix::SocketAddr)> {
        self.read_with(|listener| accept_now(&self.inner.0, listener)).await.and_then(UnixListener::accepted)
    }
}

impl<T: Pollable + Unpin> Async<T> {
    pub(crate) fn poll_read_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&T::Inner) -> io::Result<R>,
    ) -> task::Poll<io::Result<R>> {
        self.inner.as_poll().poll_with(Direction::Read, &mut self.reads, cx, operation)
    }

    pub(crate) fn poll_write_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&T::Inner) -> io::Result<R>,
    ) -> task::Poll<io::Result<R>> {
        self.inner.as_poll().poll_with(Direction::Write, &mut self.writes, cx, operation)
    }
}

impl<T> AsyncRead for Async<T>
where
    T: Pollable + Unpin,
    for<'a> &'a T::Inner: Read,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> task::Poll<io::Result<usize>> {
        self.get_mut().poll_read_with(cx, |mut inner| inner.read(buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> task::Poll<io::Result<usize>> {
        self.get_mut().poll_read_with(cx, |mut inner| inner.read_vectored(bufs))
    }
}

/// The write half of async traits, by the trait and its name for the end of writes: they differ in nothing else, except
/// that some ask whether several buffers are written at once.
macro_rules! write_half {
    ($Trait:path, $poll_end:ident $(, $is_vectored:ident)?) => {
        impl<T> $Trait for crate::asynchronous::Async<T>
        where
            T: crate::asynchronous::Pollable + Unpin,
            for<'a> &'a T::Inner: std::io::Write,
        {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.get_mut().poll_write_with(cx, |mut inner| std::io::Write::write(&mut inner, buf))
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.get_mut().poll_write_with(cx, |mut inner| std::io::Write::write_vectored(&mut inner, bufs))
            }

            $(fn $is_vectored(&self) -> bool {
                true
            })?

            /// Does nothing: what was written is the system's already.
            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            /// Ends the writes of a socket: the peer reads the end.
            fn $poll_end(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(self.get_ref().end_writes())
            }
        }
    };
}
#[cfg(any(feature = "hyper-rt", feature = "tokio-io"))]
pub(crate) use write_half;

write_half!(AsyncWrite, poll_close);
