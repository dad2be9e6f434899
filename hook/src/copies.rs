//! `sendfile`, `splice`: the kernel copies from one descriptor to another. std's `io::copy` calls `splice` from a socket or
//! a pipe. Nothing says of one such call that it must not block, so the descriptors are asked first.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::attempts::{Not, Waits, answer, is_nonblocking, is_ready, until_done};
use crate::calls::COPY;
use crate::errno::checked;
use crate::next;
use crate::writes::send_all;
use libc::{c_int, c_uint, off64_t, size_t, socklen_t, ssize_t};
use pirn_runtime::internal::{Direction, Hooked};

/// A page.
const PART_MIN: usize = 4096;

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile(to: c_int, from: c_int, offset: *mut off64_t, count: size_t) -> ssize_t {
    // SAFETY: as the caller.
    send_file(to, count, |count| unsafe { next::sendfile(to, from, offset, count) })
}

/// In the place of libc's: the same.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(to: c_int, from: c_int, offset: *mut off64_t, count: size_t) -> ssize_t {
    // SAFETY: as the caller.
    send_file(to, count, |count| unsafe { next::sendfile64(to, from, offset, count) })
}

/// A socket gets it in parts that fit in when it says that it takes something, until all is sent or the file ends.
#[inline(always)]
fn send_file(to: c_int, count: size_t, send: impl Fn(size_t) -> ssize_t) -> ssize_t {
    let Some(g) = Hooked::current().filter(|_| count > 0 && !is_nonblocking(to)) else { return send(count) };
    let waits = Waits::new(to, Direction::Write, &COPY);
    let attempt = |count| if is_ready(to, Direction::Write) { checked(send(count)) } else { Err(libc::EAGAIN) };
    let result = match part_of(to) {
        Some(part) => send_all(g, &waits, count, |done| attempt(part.min(count - done))),
        // A pipe takes what it has room for, and a regular file takes all.
        None => until_done(g, &waits, || attempt(count)),
    };
    answer(result, || send(count))
}

/// How much a socket takes at once when it says that it takes something: TCP's has a third of its buffer free then, and
/// Unix's three quarters. None: it is no socket.
fn part_of(fd: c_int) -> Option<usize> {
    let mut room: c_int = 0;
    let mut bytes = size_of::<c_int>() as socklen_t;
    let place = (&raw mut room).cast();
    // SAFETY: there is room for so many bytes.
    let status = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, place, &raw mut bytes) };
    (status == 0).then(|| (room.unsigned_abs() as usize / 4).max(PART_MIN))
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn splice(
    from: c_int,
    from_offset: *mut off64_t,
    to: c_int,
    to_offset: *mut off64_t,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: as the caller.
    let splice = |count, flags| unsafe { next::splice(from, from_offset, to, to_offset, count, flags) };
    let waits = |_: &Hooked| count > 0 && flags & libc::SPLICE_F_NONBLOCK == 0;
    let Some(g) = Hooked::current().filter(waits) else { return splice(count, flags) };
    // The flag is for the pipe. One call moves a part as it likes, so none goes on.
    let part = part_of(to).map_or(count, |part| part.min(count));
    answer(move_between(g, from, to, || splice(part, flags | libc::SPLICE_F_NONBLOCK)), || splice(count, flags))
}

/// One attempt when both are ready. If another was faster by then, it blocks the thread.
fn move_between(g: Hooked, from: c_int, to: c_int, attempt: impl Fn() -> ssize_t) -> Result<ssize_t, Not> {
    for (fd, direction) in [(from, Direction::Read), (to, Direction::Write)] {
        let look = || if is_ready(fd, direction) { Ok(()) } else { Err(libc::EAGAIN) };
        until_done(g, &Waits::new(fd, direction, &COPY), look)?;
    }
    loop {
        match checked(attempt()) {
            Err(libc::EINTR) => {}
            Err(libc::EAGAIN) => return Err(Not::Waited),
            result => return result.map_err(Not::Failed),
        }
    }
}
