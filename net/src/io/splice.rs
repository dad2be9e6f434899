//! Moving bytes from one descriptor to another inside the system.

use crate::poll::Poll;
use crate::sys;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// So much is moved at a time, at most: what a pipe holds.
const CHUNK: usize = 1 << 16;

/// What can be spliced.
#[derive(Clone, Copy)]
pub(super) enum Splicable<'a> {
    Tcp(&'a Poll<std::net::TcpStream>),
    Unix(&'a Poll<std::os::unix::net::UnixStream>),
    Reader(&'a Poll<io::PipeReader>),
    Writer(&'a Poll<io::PipeWriter>),
}

/// The same for each of them.
macro_rules! each {
    ($this:expr, $poll:ident => $do:expr) => {
        match $this {
            Splicable::Tcp($poll) => $do,
            Splicable::Unix($poll) => $do,
            Splicable::Reader($poll) => $do,
            Splicable::Writer($poll) => $do,
        }
    };
}

impl Splicable<'_> {
    fn is_pipe(self) -> bool {
        matches!(self, Splicable::Reader(_) | Splicable::Writer(_))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        each!(self, poll => poll.as_fd())
    }

    /// Moves bytes from here: waits while there are none, and `to` has room.
    fn read_into(self, to: BorrowedFd<'_>, length: usize) -> io::Result<usize> {
        each!(self, poll => poll.read_with(|from| sys::splice(from.as_fd(), to, length)))
    }

    /// Moves bytes to here: waits while there is no room, and `from` has some.
    fn write_from(self, from: BorrowedFd<'_>, length: usize) -> io::Result<usize> {
        each!(self, poll => poll.write_with(|to| sys::splice(from, to.as_fd(), length)))
    }

    fn readable(self) -> io::Result<()> {
        each!(self, poll => poll.readable())
    }

    fn writable(self) -> io::Result<()> {
        each!(self, poll => poll.writable())
    }
}

/// Moves all bytes, up to the end. None if the system cannot do it between these two; then none has been moved.
pub(super) fn splice_all(from: Splicable<'_>, to: Splicable<'_>) -> io::Result<Option<u64>> {
    if from.is_pipe() || to.is_pipe() { directly(from, to) } else { through_a_pipe(from, to) }
}

/// One of them is a pipe. Whether the one has nothing or the other is full, the system does not say.
fn directly(from: Splicable<'_>, to: Splicable<'_>) -> io::Result<Option<u64>> {
    let mut total = 0;
    loop {
        match sys::splice(from.fd(), to.fd(), CHUNK) {
            Ok(0) => return Ok(Some(total)),
            Ok(length) => total += length as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                from.readable()?;
                to.writable()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && total == 0 => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Neither is a pipe, and the system wants one. It is empty before each read, so only the reader waits; and only the
/// writer does while there is something in it.
fn through_a_pipe(from: Splicable<'_>, to: Splicable<'_>) -> io::Result<Option<u64>> {
    let (reader, writer) = io::pipe()?;
    let mut total = 0;
    loop {
        let mut held = match from.read_into(writer.as_fd(), CHUNK) {
            Ok(0) => return Ok(Some(total)),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && total == 0 => return Ok(None),
            Err(error) => return Err(error),
        };
        while held > 0 {
            let length = to.write_from(reader.as_fd(), held)?;
            held -= length;
            total += length as u64;
        }
    }
}
