//! In the place of the runtime's netpoll until it is there: the same names, and each wait blocks its thread.

use crate::sys;
use pirn_runtime::internal::{checkpoint, give_way, now};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(Direction);

#[derive(Default, Debug)]
pub(crate) struct Place {
    _nothing: u8,
}

#[derive(Debug)]
pub(crate) struct Source {
    is_shut: AtomicBool,
    deadlines: Mutex<[Option<Instant>; 2]>,
}

impl Source {
    pub(crate) const fn new(_: &'static str) -> Source {
        Source { is_shut: AtomicBool::new(false), deadlines: Mutex::new([None; 2]) }
    }

    fn deadline(&self, direction: Direction) -> Option<Instant> {
        self.deadlines.lock().unwrap_or_else(|e| e.into_inner())[direction as usize]
    }

    pub(crate) fn begin(&self, direction: Direction) -> io::Result<Seen> {
        if self.is_shut() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "closed"));
        }
        if self.deadline(direction).is_some_and(|deadline| deadline <= now()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Seen(direction))
    }

    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, Seen(direction): Seen, deadline: Option<Instant>) -> io::Result<()> {
        let events = if direction == Direction::Read { sys::READABLE } else { sys::WRITABLE };
        loop {
            self.begin(direction)?;
            if deadline.is_some_and(|deadline| deadline <= now()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            checkpoint();
            if sys::poll(fd, events, 5)? {
                give_way();
                return Ok(());
            }
            pirn_runtime::internal::sleep(Duration::from_micros(1));
        }
    }

    pub(crate) fn poll_wait(
        &self,
        fd: BorrowedFd<'_>,
        Seen(direction): Seen,
        _: &mut Place,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        let events = if direction == Direction::Read { sys::READABLE } else { sys::WRITABLE };
        let (fd, waker) = (fd.try_clone_to_owned()?, cx.waker().clone());
        std::thread::spawn(move || {
            _ = sys::poll(fd.as_fd(), events, 50);
            waker.wake();
        });
        task::Poll::Pending
    }

    pub(crate) fn set_deadline(&self, direction: Direction, deadline: Option<Instant>) {
        self.deadlines.lock().unwrap_or_else(|e| e.into_inner())[direction as usize] = deadline;
    }

    pub(crate) fn shut(&self) {
        self.is_shut.store(true, Ordering::Release);
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::Acquire)
    }

    pub(crate) fn forget(&self, _: BorrowedFd<'_>) {}
}
