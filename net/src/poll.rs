//! [`Poll`], on which all sockets are built: tries an operation, and waits in the runtime's netpoll while it would block.

use crate::shared::Shared;
use crate::sys;
use pirn_runtime::internal::{Direction, Place, Seen, Source, now};
use socket2::SockRef;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::task::{self, ready};
use std::time::{Duration, Instant};

/// Any descriptor that the system's `epoll` takes, as one whose operations wait without a thread: an eventfd, a timerfd,
/// inotify, a serial port, the socket of a C library.
///
/// The descriptor is made non-blocking. [`read_with`](Self::read_with) and [`write_with`](Self::write_with) call an
/// operation again and again until it does not say [`WouldBlock`](io::ErrorKind::WouldBlock), and wait in between.
/// Goroutines, OS threads and async tasks may use it at the same time, also several in the same direction.
///
/// Other code that waits for the descriptor itself gets `WouldBlock`. A descriptor that the system cannot poll, as that
/// of a file, never would block, and its operations go ahead.
///
/// # Errors
/// Each operation returns, besides errors of its own,
/// - [`TimedOut`](io::ErrorKind::TimedOut) if a deadline has passed;
/// - [`NotConnected`](io::ErrorKind::NotConnected) after [`close`](Self::close);
/// - on a goroutine, what the system says if it gives no epoll to the runtime: there is no descriptor left, or a filter of
///   system calls refuses it. A thread that runs no goroutine can wait all the same.
///
/// # If somebody else closes the descriptor
/// That takes unsafe code, or a `T` that does not own it. A goroutine that waits here is not told, as the system tells
/// nobody: it waits for its deadline, or for [`close`](Self::close). A thread that runs no goroutine may be told. If the number is given to another file meanwhile, the next operation is
/// on that file. So close it by dropping its owner, after all that wait have ended.
///
/// # Cancellation
/// While the runtime shuts down, an operation that waits unwinds its goroutine with `pirn::ShutDown`. It has done nothing
/// then. The futures of async tasks may be dropped at any time.
///
/// ```
/// use pirn::net::Poll;
/// use std::io::{Read, Write};
///
/// pirn::run(|| {
///     let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
///     let (a, b) = (Poll::new(a).unwrap(), Poll::new(b).unwrap());
///     let reader = pirn::go(move || {
///         let mut text = [0; 5];
///         a.read_with(|mut a| a.read(&mut text)).unwrap();
///         text
///     });
///     b.write_with(|mut b| b.write(b"hello")).unwrap();
///     assert_eq!(&reader.join().unwrap(), b"hello");
/// });
/// ```
pub struct Poll<T: AsFd> {
    source: Source,
    shared: Shared,
    /// None only when it has been taken out, by `into_inner`.
    inner: Option<T>,
}

impl<T: AsFd> Poll<T> {
    /// Makes the descriptor non-blocking. Netpoll learns of it when somebody waits first.
    ///
    /// # Errors
    /// If it is not open.
    pub fn new(inner: T) -> io::Result<Poll<T>> {
        Poll::named(inner, "fd")
    }

    /// As [`new`](Self::new); `kind` is what dumps call it.
    pub(crate) fn named(inner: T, kind: &'static str) -> io::Result<Poll<T>> {
        // It does so for any descriptor.
        SockRef::from(&inner).set_nonblocking(true)?;
        Ok(Poll::of(inner, kind, Shared::default()))
    }

    /// One that is non-blocking already.
    pub(crate) const fn of(inner: T, kind: &'static str, shared: Shared) -> Poll<T> {
        Poll { source: Source::new(kind), shared, inner: Some(inner) }
    }

    /// What it was made from. For operations that never block, as setting options.
    #[inline]
    pub fn get_ref(&self) -> &T {
        self.inner.as_ref().expect("it is taken out at the end")
    }

    /// As [`get_ref`](Self::get_ref). Do not put another descriptor in its place.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("it is taken out at the end")
    }

    /// Gives back what it was made from. The descriptor stays non-blocking.
    pub fn into_inner(mut self) -> T {
        self.source.forget(self.as_fd());
        self.inner.take().expect("it is taken out once")
    }

    /// Calls `operation` until it does not say that it would block, and waits in between until the descriptor may be
    /// readable.
    ///
    /// # Errors
    /// Those of the operation, but [`Interrupted`](io::ErrorKind::Interrupted), after which it is tried again; besides,
    /// those that the type names.
    #[inline]
    pub fn read_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.with(Direction::Read, operation)
    }

    /// A read of a TCP stream, with room for so many bytes. After one that got less, the next waits for an event first: that
    /// saves a call of the system in vain for each message.
    #[inline]
    pub(crate) fn read_stream(
        &self,
        room: usize,
        mut operation: impl FnMut(&T) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut last = None;
        // While nobody waits nobody need take events from the system, so what never waits has to try.
        let may_skip = !self.is_nonblocking();
        let length = self.with_seen(Direction::Read, may_skip, |inner, seen| {
            last = Some(seen);
            operation(inner)
        })?;
        if let Some(seen) = last
            && (1..room).contains(&length)
        {
            self.source.drained(seen);
        }
        Ok(length)
    }

    /// A read of anything else.
    #[inline]
    pub(crate) fn read_any(&self, _: usize, operation: impl FnMut(&T) -> io::Result<usize>) -> io::Result<usize> {
        self.read_with(operation)
    }

    /// Calls `operation` until it does not say that it would block, and waits in between until the descriptor may be
    /// writable.
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    #[inline]
    pub fn write_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.with(Direction::Write, operation)
    }

    #[inline]
    fn with<R>(&self, direction: Direction, mut operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.with_seen(direction, false, |inner, _| operation(inner))
    }

    /// Tries, and waits, until it succeeds. The first attempt may be left out if it would be in vain.
    #[inline]
    fn with_seen<R>(
        &self,
        direction: Direction,
        mut may_skip: bool,
        mut operation: impl FnMut(&T, Seen) -> io::Result<R>,
    ) -> io::Result<R> {
        // The timeout of this operation begins when it waits first.
        let mut until = None;
        loop {
            let seen = self.source.begin(direction)?;
            let is_skipped = mem::take(&mut may_skip) && seen.is_drained();
            let result =
                if is_skipped { Err(io::ErrorKind::WouldBlock.into()) } else { operation(self.get_ref(), seen) };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.is_nonblocking() => {
                    let until = *until.get_or_insert_with(|| self.deadline_from_now(direction));
                    match self.source.wait(self.as_fd(), seen, until) {
                        // What has come since may not have been taken from the system yet.
                        Err(error) if is_skipped && error.kind() == io::ErrorKind::TimedOut => {}
                        waited => waited?,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// The same for async tasks: if it is pending, the task is woken when it is worth to try again. Timeouts of single
    /// operations are not looked at, deadlines are.
    pub(crate) fn poll_with<R>(
        &self,
        direction: Direction,
        place: &mut Place,
        cx: &mut task::Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> task::Poll<io::Result<R>> {
        loop {
            let seen = self.source.begin(direction)?;
            match operation(self.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.source.poll_wait(self.as_fd(), seen, place, cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return task::Poll::Ready(done),
            }
        }
    }

    /// Waits until a read would not block: there is something to read, or an end, or an error. A read by somebody else
    /// may come first.
    ///
    /// With this a connection that is idle needs no buffer.
    ///
    /// # Errors
    /// Those that the type names.
    pub fn readable(&self) -> io::Result<()> {
        self.with(Direction::Read, |inner| try_ready(inner, Direction::Read))
    }

    /// Waits until a write would not block.
    ///
    /// # Errors
    /// Those that the type names.
    pub fn writable(&self) -> io::Result<()> {
        self.with(Direction::Write, |inner| try_ready(inner, Direction::Write))
    }

    /// Sets a moment for all reads, those that wait now included: from then on each fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut), until another deadline is set. One in the past takes effect at once. None
    /// takes it away.
    ///
    /// As Go's `SetReadDeadline`.
    pub fn set_read_deadline(&self, deadline: Option<Instant>) {
        self.source.set_deadline(Direction::Read, deadline);
    }

    /// As [`set_read_deadline`](Self::set_read_deadline), for writes.
    pub fn set_write_deadline(&self, deadline: Option<Instant>) {
        self.source.set_deadline(Direction::Write, deadline);
    }

    /// Sets both deadlines.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.set_read_deadline(deadline);
        self.set_write_deadline(deadline);
    }

    /// Ends its use: all that wait return, and each operation from now on fails with
    /// [`NotConnected`](io::ErrorKind::NotConnected). The descriptor itself is closed when this is dropped, as others may
    /// be in the middle of an operation.
    pub fn close(&self) {
        self.source.shut();
    }

    /// All that wait try again: an epoll does not hear that a socket of Unix, which is full, was shut for writing.
    pub(crate) fn try_again(&self) {
        self.source.try_again();
    }

    /// Whether it was [closed](Self::close).
    pub fn is_closed(&self) -> bool {
        self.source.is_shut()
    }

    /// The error of an operation after it was closed.
    pub(crate) fn closed(&self) -> io::Error {
        io::Error::new(io::ErrorKind::NotConnected, "it has been closed")
    }

    /// Whether operations of the user's return instead of waiting.
    #[inline]
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.shared.get().is_some_and(|shared| shared.is_nonblocking.load(Ordering::Relaxed))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The end of an operation that begins to wait now.
    #[cold]
    fn deadline_from_now(&self, direction: Direction) -> Option<Instant> {
        let shared = self.shared.get()?;
        let timeout = match direction {
            Direction::Read => shared.read_timeout.get(),
            Direction::Write => shared.write_timeout.get(),
        };
        deadline(timeout)
    }

    /// Waits until it may be ready, as a connect is to be written to when it has ended; until a moment at most.
    pub(crate) fn wait_ready(&self, direction: Direction, until: Option<Instant>) -> io::Result<()> {
        let seen = self.source.begin(direction)?;
        match try_ready(self, direction) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.source.wait(self.as_fd(), seen, until),
            ready => ready,
        }
    }

    /// The end of a write that begins now, by its timeout.
    pub(crate) fn write_until(&self) -> Option<Instant> {
        self.deadline_from_now(Direction::Write)
    }

    /// An error if it was closed, or the deadline of writes has passed.
    pub(crate) fn check_write(&self) -> io::Result<()> {
        self.source.begin(Direction::Write).map(drop)
    }
}

/// An operation that does nothing: it would block if others would.
pub(crate) fn try_ready(inner: &impl AsFd, direction: Direction) -> io::Result<()> {
    let events = match direction {
        Direction::Read => sys::READABLE,
        Direction::Write => sys::WRITABLE,
    };
    if sys::is_ready(inner.as_fd(), events)? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

/// The moment that a timeout from now ends; none if never.
pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| now().checked_add(timeout))
}

impl<T: AsFd> AsFd for Poll<T> {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

/// The kernel takes what is closed out of netpoll by itself, but only with the last descriptor for it.
impl<T: AsFd> Drop for Poll<T> {
    fn drop(&mut self) {
        if let Some(inner) = &self.inner
            && self.shared.has_clones()
        {
            self.source.forget(inner.as_fd());
        }
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Poll<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get_ref().fmt(f)
    }
}
