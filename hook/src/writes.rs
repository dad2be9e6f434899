//! `write`, `writev`, `pwritev2`, `send`, `sendto`, `sendmsg`, `sendmmsg`: a call on a stream that blocks sends all, and so does this.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::attempts::{Not, Waits, answer, has_error, is_ready, takes_parts, unless_it_cannot, until_done};
use crate::calls::{SEND, WRITE};
use crate::errno::{checked, errno, set_errno};
use crate::next;
use crate::vectors::{AT_ONCE_MAX, bytes_of, is_stream, message, moves_bytes, parts_of, rest_of};
use libc::{c_int, c_uint, c_void, iovec, mmsghdr, msghdr, off64_t, size_t, sockaddr, socklen_t, ssize_t};
use pirn_runtime::internal::{Direction, Hooked};
use std::slice;

fn writes(fd: c_int) -> Waits {
    Waits::new(fd, Direction::Write, &WRITE)
}

/// The G that sends without its thread.
#[inline(always)]
fn sender(flags: c_int) -> Option<Hooked> {
    // Without blocking, the second would not wait for the connection that it makes.
    Hooked::current().filter(|_| flags & (libc::MSG_DONTWAIT | libc::MSG_FASTOPEN) == 0)
}

/// Whether it is an address of Unix. Who sends to one without being connected does not learn when there is room.
///
/// # Safety
/// It is valid, or null.
unsafe fn is_unix(to: *const sockaddr) -> bool {
    // SAFETY: as the caller promises.
    unsafe { to.as_ref() }.is_some_and(|to| c_int::from(to.sa_family) == libc::AF_UNIX)
}

/// Sends so many bytes: `part` sends of what is left after so many, and says how many. What was sent counts, whatever comes
/// then.
pub(crate) fn send_all(
    g: Hooked,
    waits: &Waits,
    bytes: usize,
    mut part: impl FnMut(usize) -> Result<ssize_t, c_int>,
) -> Result<ssize_t, Not> {
    let (before, mut done) = (errno(), 0);
    let result = until_done(g, waits, || {
        if done > 0 && has_error(waits.fd) {
            // It is for the next call.
            return Ok(());
        }
        loop {
            let more = part(done)?.unsigned_abs();
            done += more;
            if done >= bytes || more == 0 {
                return Ok(());
            }
        }
    });
    if done > 0 {
        set_errno(before);
        return Ok(done.cast_signed());
    }
    result.map(|()| 0)
}

/// The flags of a part that does not block. Who has sent something and then finds that it cannot send more says how much,
/// without a SIGPIPE: that comes with the next call.
fn of_part(flags: c_int, done: usize) -> c_int {
    flags | libc::MSG_DONTWAIT | if done > 0 { libc::MSG_NOSIGNAL } else { 0 }
}

/// The part of a buffer that is left, and how long it is.
fn left(buf: *const c_void, len: size_t, done: usize) -> (*const c_void, size_t) {
    (buf.wrapping_byte_add(done), len - done)
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn send(fd: c_int, buf: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    if Hooked::is_surely_none() {
        // SAFETY: as the caller.
        return unsafe { next::send(fd, buf, len, flags) };
    }
    // SAFETY: as the caller.
    unsafe { send_on_m(fd, buf, len, flags) }
}

/// Out of line, so that a thread, which runs no G, has no registers to save.
///
/// # Safety
/// As for `send`.
#[inline(never)]
unsafe extern "C" fn send_on_m(fd: c_int, buf: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: as the caller promises.
    let plainly = || unsafe { next::send(fd, buf, len, flags) };
    let Some(g) = sender(flags) else { return plainly() };
    let waits = Waits::new(fd, Direction::Write, &SEND);
    let result = send_all(g, &waits, len, |done| {
        let (buf, len) = left(buf, len, done);
        // SAFETY: what is left of the caller's buffer.
        checked(unsafe { next::send(fd, buf, len, of_part(flags, done)) })
    });
    answer(result, plainly)
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendto(
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
    to: *const sockaddr,
    to_len: socklen_t,
) -> ssize_t {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::sendto(fd, buf, len, flags, to, to_len) };
    // SAFETY: it is valid, or null.
    let Some(g) = sender(flags).filter(|_| !unsafe { is_unix(to) }) else { return plainly() };
    let waits = Waits::new(fd, Direction::Write, &SEND);
    let result = send_all(g, &waits, len, |done| {
        let (buf, len) = left(buf, len, done);
        // SAFETY: what is left of the caller's buffer; the rest as the caller.
        checked(unsafe { next::sendto(fd, buf, len, of_part(flags, done), to, to_len) })
    });
    answer(result, plainly)
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::sendmsg(fd, message, flags) };
    // SAFETY: it is valid, or null.
    let asked = unsafe { message.as_ref() };
    // SAFETY: it has a valid address, or none.
    let has_address = asked.is_some_and(|asked| unsafe { is_unix(asked.msg_name.cast()) });
    let (Some(g), Some(asked), false) = (sender(flags), asked, has_address) else { return plainly() };
    let waits = Waits::new(fd, Direction::Write, &SEND);
    // SAFETY: it has so many parts.
    answer(unsafe { send_message(g, &waits, *asked, flags) }, plainly)
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::sendmmsg(fd, messages, count, flags) };
    let Some(g) = sender(flags).filter(|_| count > 0 && !messages.is_null()) else { return plainly() };
    let most = (count as usize).min(AT_ONCE_MAX);
    // SAFETY: so many are there.
    let all = unsafe { slice::from_raw_parts_mut(messages, most) };
    // SAFETY: each has a valid address, or none.
    if all.iter().any(|message| unsafe { is_unix(message.msg_hdr.msg_name.cast()) }) {
        return plainly();
    }
    let waits = Waits::new(fd, Direction::Write, &SEND);
    // Of a stream's message a part may go.
    let sends_parts = is_stream(fd);
    let mut done = 0;
    while done < most {
        let rest = &mut all[done..];
        let result = if sends_parts {
            // SAFETY: it has so many parts.
            unsafe { send_message(g, &waits, rest[0].msg_hdr, flags) }.map(|sent| {
                rest[0].msg_len = sent as c_uint;
                1
            })
        } else {
            until_done(g, &waits, || {
                // SAFETY: those of the caller's that are left.
                checked(unsafe {
                    next::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as c_uint, flags | libc::MSG_DONTWAIT)
                })
            })
        };
        match result {
            Ok(sent) => done += sent.unsigned_abs() as usize,
            // What was sent counts.
            Err(_) if done > 0 => break,
            Err(why) => return answer(Err(why), plainly),
        }
    }
    done as c_int
}

/// Sends a message.
///
/// # Safety
/// As for `sendmsg`.
unsafe fn send_message(g: Hooked, waits: &Waits, message: msghdr, flags: c_int) -> Result<ssize_t, Not> {
    // SAFETY: as the caller promises.
    let parts = unsafe { parts_of(message.msg_iov, message.msg_iovlen) };
    send_all(g, waits, bytes_of(parts), |done| {
        let mut left = message;
        let rest;
        if done > 0 {
            rest = rest_of(parts, done);
            left.msg_iov = rest.as_ptr().cast_mut();
            left.msg_iovlen = rest.len() as _;
            // What goes beside the bytes has gone with the first.
            left.msg_controllen = 0;
        }
        // SAFETY: as the caller promises, without what has been sent.
        checked(unsafe { next::sendmsg(waits.fd, &raw const left, of_part(flags, done)) })
    })
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    if Hooked::is_surely_none() {
        // SAFETY: as the caller.
        return unsafe { next::write(fd, buf, len) };
    }
    // SAFETY: as the caller.
    unsafe { write_on_m(fd, buf, len) }
}

/// Out of line, so that a thread, which runs no G, has no registers to save.
///
/// # Safety
/// As for `write`.
#[inline(never)]
unsafe extern "C" fn write_on_m(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: as the caller promises.
    let plainly = || unsafe { next::write(fd, buf, len) };
    let Some(g) = Hooked::current().filter(|_| len > 0) else { return plainly() };
    let before = errno();
    let result = send_all(g, &writes(fd), len, |done| {
        let (buf, len) = left(buf, len, done);
        // SAFETY: what is left of the caller's buffer.
        checked(unsafe { next::send(fd, buf, len, of_part(0, done)) })
    });
    match result {
        Err(Not::Failed(libc::ENOTSOCK)) => {
            set_errno(before);
            let part = iovec { iov_base: buf.cast_mut(), iov_len: len };
            answer(write_file(g, fd, &[part], plainly), plainly)
        }
        result => answer(result, plainly),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::writev(fd, parts, count) };
    // SAFETY: so many are there.
    let Some(g) = Hooked::current().filter(|_| unsafe { moves_bytes(parts, count) }) else { return plainly() };
    let before = errno();
    // SAFETY: it has the caller's parts, and nothing else.
    let result = unsafe { send_message(g, &writes(fd), message(parts, count), 0) };
    match result {
        Err(Not::Failed(libc::ENOTSOCK)) => {
            set_errno(before);
            // SAFETY: so many are there.
            let parts = unsafe { parts_of(parts, count.unsigned_abs() as usize) };
            answer(write_file(g, fd, parts, plainly), plainly)
        }
        result => answer(result, plainly),
    }
}

/// In the place of libc's. Without an offset (-1), and flags, it is `writev`. With one it is for what does not block.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev2(fd: c_int, parts: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t {
    if offset == -1 && flags == 0 {
        // SAFETY: as the caller.
        return unsafe { writev(fd, parts, count) };
    }
    // SAFETY: as the caller.
    unsafe { next::pwritev2(fd, parts, count, offset, flags) }
}

/// In the place of libc's: the same.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64v2(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    offset: off64_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as the caller.
    unsafe { pwritev2(fd, parts, count, offset, flags) }
}

/// To something that is no socket: asked first whether it takes something. A pipe that says so takes [`libc::PIPE_BUF`]
/// bytes. A regular file always says so, and takes all. What says that it takes nothing is written to once without waiting,
/// as in `read_file`.
fn write_file(g: Hooked, fd: c_int, parts: &[iovec], plainly: impl Fn() -> ssize_t) -> Result<ssize_t, Not> {
    let bytes = bytes_of(parts);
    let without_waiting = |parts: &[iovec]| {
        let count = parts.len() as c_int;
        // SAFETY: parts of the caller's buffers.
        unless_it_cannot(checked(unsafe { next::pwritev2(fd, parts.as_ptr(), count, -1, libc::RWF_NOWAIT) }))
    };
    if bytes <= libc::PIPE_BUF || !takes_parts(fd) {
        return until_done(g, &writes(fd), || {
            if is_ready(fd, Direction::Write) { checked(plainly()) } else { without_waiting(parts) }
        });
    }
    send_all(g, &writes(fd), bytes, |done| {
        let Some(mut part) = rest_of(parts, done).first().copied() else { return Ok(0) };
        part.iov_len = part.iov_len.min(libc::PIPE_BUF);
        if !is_ready(fd, Direction::Write) {
            return without_waiting(&[part]);
        }
        // SAFETY: a part of the caller's buffer.
        checked(unsafe { next::write(fd, part.iov_base, part.iov_len) })
    })
}
