//! The calls of the system that neither std nor socket2 has.

#![allow(unsafe_code, reason = "system calls")]

use socket2::{SockAddr, SockRef};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// A direction as `poll` knows it.
pub(crate) const READABLE: i16 = libc::POLLIN | libc::POLLRDHUP;
pub(crate) const WRITABLE: i16 = libc::POLLOUT;

/// Accepts a connection whose descriptor is non-blocking, in one call.
pub(crate) fn accept(listener: &impl AsFd) -> io::Result<(OwnedFd, SockAddr)> {
    let (socket, address) = SockRef::from(listener).accept4(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)?;
    Ok((socket.into(), address))
}

/// A set of descriptors, which is itself readable as long as one of them is writable or has failed.
pub(crate) fn writable_set(fds: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    // SAFETY: a number goes in, and one comes out.
    let set = match unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) } {
        -1 => return Err(io::Error::last_os_error()),
        // SAFETY: it is new, so nobody else has it.
        set => unsafe { OwnedFd::from_raw_fd(set) },
    };
    for fd in fds {
        let mut event = libc::epoll_event { events: libc::EPOLLOUT as u32, u64: 0 };
        // SAFETY: one record, which is there for the whole call.
        if unsafe { libc::epoll_ctl(set.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(set)
}

/// Whether an operation in this direction would not block now: it would give something, an end, or an error.
pub(crate) fn is_ready(fd: BorrowedFd<'_>, events: i16) -> io::Result<bool> {
    loop {
        match poll(fd, events, 0) {
            // A signal is pending.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ready => return ready,
        }
    }
}

pub(crate) fn poll(fd: BorrowedFd<'_>, events: i16, timeout_ms: i32) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // SAFETY: one record, which is there for the whole call.
    match unsafe { libc::poll(&raw mut poll, 1, timeout_ms) } {
        -1 => Err(io::Error::last_os_error()),
        count => Ok(count > 0),
    }
}

/// No more of this kind of thing now, for this process or for the system: it may be had later.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// A connection that ended before it was accepted.
pub(crate) fn is_aborted(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECONNABORTED)
}

/// A connect that has begun and goes on.
pub(crate) fn is_in_progress(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EALREADY | libc::EINTR))
}

/// Reads from a socket, and leaves there what it has read.
pub(crate) fn peek(socket: &SockRef<'_>, buf: &mut [u8]) -> io::Result<usize> {
    socket.peek(uninit(buf))
}

/// The same, with the sender.
pub(crate) fn peek_from(socket: &SockRef<'_>, buf: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    socket.peek_from(uninit(buf))
}

/// As socket2 wants buffers: it writes only what is initialised.
fn uninit(buf: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: of the same layout; socket2 says of its calls that they never write uninitialised bytes.
    unsafe { &mut *(ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) }
}

/// Reads from a descriptor that may block; 0 at the end.
pub(crate) fn read_blocking(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: a buffer of so many bytes.
        let length = unsafe { libc::read(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
        match usize::try_from(length) {
            Ok(length) => return Ok(length),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Reads from a pipe; 0 at the end.
pub(crate) fn read(fd: &impl AsFd, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: a buffer of so many bytes.
    unsafe { transfer(libc::SYS_read, fd, buf.as_mut_ptr(), buf.len(), 0) }
}

/// Reads from a socket; 0 at the end.
pub(crate) fn receive(fd: &impl AsFd, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: as above.
    unsafe { transfer(libc::SYS_recvfrom, fd, buf.as_mut_ptr(), buf.len(), 0) }
}

/// Writes to a pipe.
pub(crate) fn write(fd: &impl AsFd, buf: &[u8]) -> io::Result<usize> {
    // SAFETY: as above; it is only read.
    unsafe { transfer(libc::SYS_write, fd, buf.as_ptr().cast_mut(), buf.len(), 0) }
}

/// Writes to a socket. If the peer has closed it, that is an error and no signal.
pub(crate) fn send(fd: &impl AsFd, buf: &[u8]) -> io::Result<usize> {
    // SAFETY: as above.
    unsafe { transfer(libc::SYS_sendto, fd, buf.as_ptr().cast_mut(), buf.len(), libc::MSG_NOSIGNAL) }
}

/// The call of the system with that number, for a descriptor that is non-blocking. Libc's functions for these calls are
/// points of cancellation: around each call they change the thread's control block, by two locked instructions and on a
/// cache line that a goroutine has in its own thread-locals and does not touch otherwise.
///
/// # Safety
/// As for that call, which has these arguments and then zeros.
#[inline]
unsafe fn transfer(
    number: libc::c_long,
    fd: &impl AsFd,
    at: *mut u8,
    length: usize,
    flags: libc::c_int,
) -> io::Result<usize> {
    let none = ptr::null::<u8>();
    // SAFETY: as the caller promises. What it returns of errors is the kernel's `errno`.
    let done = unsafe { libc::syscall(number, fd.as_fd().as_raw_fd(), at, length, flags, none, none) };
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

/// Moves up to so many bytes from one descriptor to another, one of which is a pipe; 0 at the end. Does not wait for a
/// pipe, nor for a descriptor that is non-blocking.
pub(crate) fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, length: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: both are open, and neither has an offset.
    let moved = unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), length, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// A descriptor for a child, which is readable when it has ended.
pub(crate) fn pidfd(process: u32) -> io::Result<OwnedFd> {
    // SAFETY: numbers go in, and one comes out. It is closed by exec.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    match RawFd::try_from(fd) {
        // SAFETY: it is new, so nobody else has it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
