//! What several types have alike, written once: their field `0` is a [`Poll`](crate::Poll).

/// `read_timeout` and the like, as std has them.
macro_rules! timeouts {
    () => {
        /// Sets how long each read may wait; none for as long as it takes. As in std, clones share it, and so does the
        /// socket that [`into_std`](Self::into_std) returns. A read that has waited so long fails with
        /// [`TimedOut`](std::io::ErrorKind::TimedOut).
        ///
        /// For a moment after which all reads fail, use [`set_read_deadline`](Self::set_read_deadline).
        ///
        /// # Errors
        /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) if the timeout is nought.
        ///
        /// ```
        /// use std::io::{ErrorKind, Read};
        /// use std::time::Duration;
        ///
        /// let (mut a, _b) = pirn::os::unix::net::UnixStream::pair().unwrap();
        /// a.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        /// assert_eq!(a.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        /// ```
        pub fn set_read_timeout(&self, timeout: Option<std::time::Duration>) -> std::io::Result<()> {
            crate::forward::check_timeout(timeout)?;
            self.0.shared().made().read_timeout.set(timeout);
            Ok(())
        }

        /// As [`set_read_timeout`](Self::set_read_timeout), for writes.
        ///
        /// # Errors
        /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) if the timeout is nought.
        pub fn set_write_timeout(&self, timeout: Option<std::time::Duration>) -> std::io::Result<()> {
            crate::forward::check_timeout(timeout)?;
            self.0.shared().made().write_timeout.set(timeout);
            Ok(())
        }

        /// How long a read may wait; none for as long as it takes.
        ///
        /// # Errors
        /// None; the signature is std's.
        pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
            Ok(self.0.shared().get().and_then(|shared| shared.read_timeout.get()))
        }

        /// How long a write may wait; none for as long as it takes.
        ///
        /// # Errors
        /// None; the signature is std's.
        pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
            Ok(self.0.shared().get().and_then(|shared| shared.write_timeout.get()))
        }
    };
}
pub(crate) use timeouts;

/// Deadlines, which are Go's.
macro_rules! deadlines {
    () => {
        /// Sets a moment for all reads and writes, those that wait now included: from then on each fails with
        /// [`TimedOut`](std::io::ErrorKind::TimedOut), until another deadline is set. One in the past takes effect at
        /// once. None takes it away. A clone has deadlines of its own.
        ///
        /// As Go's `SetDeadline`.
        ///
        /// ```
        /// use std::io::{ErrorKind, Read};
        /// use std::sync::Arc;
        /// use std::time::Instant;
        ///
        /// pirn::run(|| {
        ///     let (a, _b) = pirn::os::unix::net::UnixStream::pair().unwrap();
        ///     let a = Arc::new(a);
        ///     let reader = pirn::go({
        ///         let a = a.clone();
        ///         move || (&*a).read(&mut [0]).unwrap_err().kind()
        ///     });
        ///     // Ends the read.
        ///     a.set_deadline(Some(Instant::now()));
        ///     assert_eq!(reader.join().unwrap(), ErrorKind::TimedOut);
        /// });
        /// ```
        pub fn set_deadline(&self, deadline: Option<std::time::Instant>) {
            self.0.set_deadline(deadline);
        }

        /// As [`set_deadline`](Self::set_deadline), for reads alone.
        pub fn set_read_deadline(&self, deadline: Option<std::time::Instant>) {
            self.0.set_read_deadline(deadline);
        }

        /// As [`set_deadline`](Self::set_deadline), for writes alone.
        pub fn set_write_deadline(&self, deadline: Option<std::time::Instant>) {
            self.0.set_write_deadline(deadline);
        }

        /// Waits until a read would not block: there is something to read, or an end, or an error. A connection that is
        /// idle needs no buffer with this.
        ///
        /// # Errors
        /// If the read deadline or timeout has passed.
        pub fn readable(&self) -> std::io::Result<()> {
            self.0.readable()
        }

        /// Waits until a write would not block.
        ///
        /// # Errors
        /// If the write deadline or timeout has passed.
        pub fn writable(&self) -> std::io::Result<()> {
            self.0.writable()
        }
    };
}
pub(crate) use deadlines;

/// What every socket has.
macro_rules! socket {
    ($Std:ty) => {
        /// Whether operations that would wait fail with [`WouldBlock`](std::io::ErrorKind::WouldBlock) instead. As in std,
        /// clones share it. (The descriptor itself is always non-blocking.)
        ///
        /// # Errors
        /// None; the signature is std's.
        ///
        /// ```
        /// use std::io::{ErrorKind, Read};
        ///
        /// let (mut a, _b) = pirn::os::unix::net::UnixStream::pair().unwrap();
        /// a.set_nonblocking(true).unwrap();
        /// assert_eq!(a.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        /// ```
        pub fn set_nonblocking(&self, nonblocking: bool) -> std::io::Result<()> {
            self.0.shared().made().is_nonblocking.store(nonblocking, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        }

        /// Takes the socket's pending error, `SO_ERROR`.
        ///
        /// # Errors
        /// If the system does not say.
        pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
            self.0.get_ref().take_error()
        }

        /// The socket of std. Its descriptor blocks again, unless it was
        /// [set to be non-blocking](Self::set_nonblocking), and has the timeouts that were set. That concerns clones too,
        /// which stand for the same socket: from then on they block their thread when they wait.
        ///
        /// ```
        /// use pirn::os::unix::net::UnixStream;
        ///
        /// let (a, _b) = UnixStream::pair().unwrap();
        /// let std: std::os::unix::net::UnixStream = a.into_std();
        /// let _a = UnixStream::from(std);
        /// ```
        pub fn into_std(self) -> $Std {
            crate::forward::restore(self.0)
        }
    };
}
pub(crate) use socket;

/// What every listener has.
macro_rules! listener {
    () => {
        /// Sets a moment from which on each `accept` fails with [`TimedOut`](std::io::ErrorKind::TimedOut), those that
        /// wait now included, until another deadline is set. None takes it away.
        pub fn set_deadline(&self, deadline: Option<std::time::Instant>) {
            self.0.set_read_deadline(deadline);
        }

        /// Waits until there is a connection to accept. Somebody else may accept it first.
        ///
        /// # Errors
        /// As [`accept`](Self::accept).
        pub fn readable(&self) -> std::io::Result<()> {
            self.0.readable()
        }
    };
}
pub(crate) use listener;

/// `Read` for a type and its references, by the type that it wraps: with `read_stream` or `read_any` of `Poll`, and `read`
/// or `receive` of `sys`.
macro_rules! read {
    ($Type:ty, $read:ident, $call:ident) => {
        impl std::io::Read for $Type {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                std::io::Read::read(&mut &*self, buf)
            }

            fn read_vectored(&mut self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                std::io::Read::read_vectored(&mut &*self, bufs)
            }
        }

        impl std::io::Read for &$Type {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.0.$read(buf.len(), |inner| crate::sys::$call(inner, buf))
            }

            fn read_vectored(&mut self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                let room = bufs.iter().map(|buf| buf.len()).sum();
                self.0.$read(room, |mut inner| std::io::Read::read_vectored(&mut inner, bufs))
            }
        }
    };
}
pub(crate) use read;

/// `Write`, in the same way, by `write` or `send` of `sys`.
macro_rules! write {
    ($Type:ty, $call:ident) => {
        impl std::io::Write for $Type {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                std::io::Write::write(&mut &*self, buf)
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                std::io::Write::write_vectored(&mut &*self, bufs)
            }

            /// Does nothing: what was written is the system's already.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Write for &$Type {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                self.0.write_with(|inner| crate::sys::$call(inner, buf))
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.0.write_with(|mut inner| std::io::Write::write_vectored(&mut inner, bufs))
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}
pub(crate) use write;

use crate::poll::Poll;
use crate::shared::Shared;
use socket2::SockRef;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Std refuses the same.
pub(crate) fn check_timeout(timeout: Option<Duration>) -> io::Result<()> {
    if timeout == Some(Duration::ZERO) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
    }
    Ok(())
}

/// A socket of ours from one that was made elsewhere. What it has been set to is kept: it is non-blocking for the user if
/// its descriptor was, and has the descriptor's timeouts.
pub(crate) fn adopt<T: AsFd>(inner: T, kind: &'static str) -> Poll<T> {
    let shared = Shared::default();
    let socket = SockRef::from(&inner);
    // None of these fails for an open socket. One that stays blocking works all the same: it blocks its thread.
    if socket.nonblocking().unwrap_or(false) {
        shared.made().is_nonblocking.store(true, Ordering::Relaxed);
    } else {
        _ = socket.set_nonblocking(true);
    }
    if let Ok(timeout @ Some(_)) = socket.read_timeout() {
        shared.made().read_timeout.set(timeout);
    }
    if let Ok(timeout @ Some(_)) = socket.write_timeout() {
        shared.made().write_timeout.set(timeout);
    }
    Poll::of(inner, kind, shared)
}

/// The reverse.
pub(crate) fn restore<T: AsFd>(poll: Poll<T>) -> T {
    let is_nonblocking = poll.is_nonblocking();
    let timeouts = poll.shared().get().map(|shared| (shared.read_timeout.get(), shared.write_timeout.get()));
    let inner = poll.into_inner();
    let socket = SockRef::from(&inner);
    // As above, nothing fails here. A pipe has no timeouts.
    if !is_nonblocking {
        _ = socket.set_nonblocking(false);
    }
    if let Some((read, write)) = timeouts {
        _ = socket.set_read_timeout(read);
        _ = socket.set_write_timeout(write);
    }
    inner
}
