//! `AsyncRead` and `AsyncWrite` of tokio for [`Async`].

#![cfg(feature = "tokio-io")]

use crate::asynchronous::{Async, Pollable};
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

impl<T> AsyncRead for Async<T>
where
    T: Pollable + Unpin,
    for<'a> &'a T::Inner: Read,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.initialize_unfilled();
        let length = ready!(self.get_mut().poll_read_with(cx, |mut inner| inner.read(room)))?;
        buf.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<T> AsyncWrite for Async<T>
where
    T: Pollable + Unpin,
    for<'a> &'a T::Inner: Write,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |mut inner| inner.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |mut inner| inner.write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: what was written is the system's already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the writes of a socket: the peer reads the end.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_ref().end_writes())
    }
}
