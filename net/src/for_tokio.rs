//! `AsyncRead` and `AsyncWrite` of tokio for [`Async`].

#![cfg(feature = "tokio-io")]

use crate::asynchronous::{Async, Pollable, write_half};
use std::io::{self, Read};
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

write_half!(AsyncWrite, poll_shutdown, is_write_vectored);
