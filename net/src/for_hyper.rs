//! `Read` and `Write` of hyper 1 for [`Async`].

#![cfg(feature = "hyper-rt")]
#![allow(unsafe_code, reason = "hyper's buffers, which are not initialised")]

use crate::asynchronous::{Async, Pollable};
use hyper::rt;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, ready};

impl<T> rt::Read for Async<T>
where
    T: Pollable + Unpin,
    for<'a> &'a T::Inner: Read,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: rt::ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        // SAFETY: nothing is uninitialised in it afterwards that was not before.
        let room = unsafe { buf.as_mut() };
        room.fill(MaybeUninit::new(0));
        // SAFETY: it has been initialised in the line before.
        let room = unsafe { &mut *(ptr::from_mut(room) as *mut [u8]) };
        let length = ready!(self.get_mut().poll_read_with(cx, |mut inner| inner.read(room)))?;
        // SAFETY: so many bytes were read into it.
        unsafe { buf.advance(length) };
        Poll::Ready(Ok(()))
    }
}

impl<T> rt::Write for Async<T>
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
