//! `Read` and `Write` of hyper 1 for [`Async`].

#![cfg(feature = "hyper-rt")]
#![allow(unsafe_code, reason = "hyper's buffers, which are not initialised")]

use crate::asynchronous::{Async, Pollable, write_half};
use hyper::rt;
use std::io::{self, Read};
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

write_half!(rt::Write, poll_shutdown, is_write_vectored);
