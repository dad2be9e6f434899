//! `read`, `readv`, `preadv2`, `recv`, `recvfrom`, `recvmsg`, `recvmmsg`.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::attempts::{Not, Waits, answer, has_error, is_ready, unless_it_cannot, until_done, until_read};
use crate::calls::{READ, RECV};
use crate::errno::{checked, errno, set_errno};
use crate::next;
use crate::vectors::{is_stream, message, moves_bytes};
use libc::{c_int, c_uint, c_void, iovec, mmsghdr, msghdr, off64_t, size_t, sockaddr, socklen_t, ssize_t, timespec};
use pirn_runtime::internal::{Direction, Glance, Hooked};
use std::ptr;

/// A call with one of these is left to libc: it does not block, or waits for something else than `EPOLLIN` says.
const LEFT: c_int = libc::MSG_DONTWAIT | libc::MSG_OOB | libc::MSG_ERRQUEUE;
/// The same of a call that would have to keep what it has got so far.
const LEFT_WHOLE: c_int = LEFT | libc::MSG_WAITALL;

/// `MAX_RW_COUNT` of the kernel, with the smallest pages.
const READ_MAX: size_t = 0x7fff_f000;

fn reads(fd: c_int) -> Waits {
    Waits::new(fd, Direction::Read, &READ)
}

fn receives(fd: c_int) -> Waits {
    Waits::new(fd, Direction::Read, &RECV)
}

/// A plain read has got so many of so many bytes. If it has got all that there was, the next one need not try.
#[inline]
fn got_of(got: ssize_t, asked: size_t, glance: &Glance) {
    // None at all is the end, of which the next one has to hear too.
    if got > 0 && got.unsigned_abs() < asked.min(READ_MAX) {
        glance.drained();
    }
}

/// The G that receives without its thread.
#[inline(always)]
fn receiver(flags: c_int, left: c_int) -> Option<Hooked> {
    Hooked::current().filter(|_| flags & left == 0)
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recv(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    if Hooked::is_surely_none() {
        // SAFETY: as the caller.
        return unsafe { next::recv(fd, buf, len, flags) };
    }
    // SAFETY: as the caller.
    unsafe { recv_on_m(fd, buf, len, flags) }
}

/// Out of line, so that a thread, which runs no G, has no registers to save.
///
/// # Safety
/// As for `recv`.
#[inline(never)]
unsafe extern "C" fn recv_on_m(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: as the caller promises.
    let plainly = || unsafe { next::recv(fd, buf, len, flags) };
    // Nothing says when there is more to be looked at.
    let left = if flags & libc::MSG_PEEK == 0 { LEFT } else { LEFT_WHOLE };
    let Some(g) = receiver(flags, left) else { return plainly() };
    let waits_for_all = flags & libc::MSG_WAITALL != 0;
    // The others leave something there, or take it in another way.
    let is_plain = flags & !(libc::MSG_WAITALL | libc::MSG_NOSIGNAL) == 0;
    let flags = flags & !libc::MSG_WAITALL | libc::MSG_DONTWAIT;
    let (before, mut done) = (errno(), 0);
    let result = until_read(g, &receives(fd), |glance| {
        if done > 0 && has_error(fd) {
            // It is for the next call: otherwise that would find an end.
            return Ok(());
        }
        let rest = buf.wrapping_byte_add(done);
        // SAFETY: what is left of the caller's buffer.
        let more = checked(unsafe { next::recv(fd, rest, len - done, flags) })?;
        if is_plain {
            got_of(more, len - done, glance);
        }
        done += more.unsigned_abs();
        if waits_for_all && more > 0 && done < len && is_stream(fd) { Err(libc::EAGAIN) } else { Ok(()) }
    });
    if done == 0 {
        return answer(result.map(|()| 0), plainly);
    }
    // It returns what it has got, whatever came then.
    set_errno(before);
    done.cast_signed()
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: as the caller.
    let receive = |flags| unsafe { next::recvfrom(fd, buf, len, flags, from, from_len) };
    match receiver(flags, LEFT_WHOLE) {
        Some(g) => {
            let result = until_done(g, &receives(fd), || checked(receive(flags | libc::MSG_DONTWAIT)));
            answer(result, || receive(flags))
        }
        None => receive(flags),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: as the caller.
    let receive = |flags| unsafe { next::recvmsg(fd, message, flags) };
    match receiver(flags, LEFT_WHOLE) {
        Some(g) => {
            let result = until_done(g, &receives(fd), || checked(receive(flags | libc::MSG_DONTWAIT)));
            answer(result, || receive(flags))
        }
        None => receive(flags),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::recvmmsg(fd, messages, count, flags, timeout) };
    let Some(g) = receiver(flags, LEFT_WHOLE).filter(|_| timeout.is_null() && count > 0) else { return plainly() };
    let (before, mut done) = (errno(), 0);
    let waits_for_one = flags & libc::MSG_WAITFORONE != 0;
    let flags = flags | libc::MSG_DONTWAIT;
    let result = until_done(g, &receives(fd), || {
        if done > 0 && has_error(fd) {
            // It is for the next call, as in `recv`.
            return Ok(());
        }
        let rest = messages.wrapping_add(done as usize);
        // SAFETY: those of the caller's that are left.
        done += checked(unsafe { next::recvmmsg(fd, rest, count - done, flags, ptr::null_mut()) })?.unsigned_abs();
        if waits_for_one || done >= count { Ok(()) } else { Err(libc::EAGAIN) }
    });
    if done == 0 {
        return answer(result.map(|()| 0), plainly);
    }
    set_errno(before);
    done.cast_signed()
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    if Hooked::is_surely_none() {
        // SAFETY: as the caller.
        return unsafe { next::read(fd, buf, len) };
    }
    // SAFETY: as the caller.
    unsafe { read_on_m(fd, buf, len) }
}

/// Out of line, so that a thread, which runs no G, has no registers to save.
///
/// # Safety
/// As for `read`.
#[inline(never)]
unsafe extern "C" fn read_on_m(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: as the caller promises.
    let plainly = || unsafe { next::read(fd, buf, len) };
    let Some(g) = Hooked::current().filter(|_| len > 0) else { return plainly() };
    let before = errno();
    let result = until_read(g, &reads(fd), |glance| {
        // SAFETY: as the caller.
        let got = checked(unsafe { next::recv(fd, buf, len, libc::MSG_DONTWAIT) })?;
        got_of(got, len, glance);
        Ok(got)
    });
    match result {
        Err(Not::Failed(libc::ENOTSOCK)) => {
            set_errno(before);
            let part = iovec { iov_base: buf, iov_len: len };
            // SAFETY: as the caller.
            answer(unsafe { read_file(g, fd, &raw const part, 1, plainly) }, plainly)
        }
        result => answer(result, plainly),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::readv(fd, parts, count) };
    // SAFETY: so many are there.
    let Some(g) = Hooked::current().filter(|_| unsafe { moves_bytes(parts, count) }) else { return plainly() };
    let before = errno();
    let result = until_done(g, &reads(fd), || {
        let mut message = message(parts, count);
        // SAFETY: it has the caller's parts, and nothing else.
        checked(unsafe { next::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) })
    });
    match result {
        Err(Not::Failed(libc::ENOTSOCK)) => {
            set_errno(before);
            // SAFETY: as the caller.
            answer(unsafe { read_file(g, fd, parts, count, plainly) }, plainly)
        }
        result => answer(result, plainly),
    }
}

/// In the place of libc's. Without an offset (-1), and flags, it is `readv`. With one it is for what does not block.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn preadv2(fd: c_int, parts: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t {
    if offset == -1 && flags == 0 {
        // SAFETY: as the caller.
        return unsafe { readv(fd, parts, count) };
    }
    // SAFETY: as the caller.
    unsafe { next::preadv2(fd, parts, count, offset, flags) }
}

/// In the place of libc's: the same.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn preadv64v2(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    offset: off64_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as the caller.
    unsafe { preadv2(fd, parts, count, offset, flags) }
}

/// From something that is no socket: asked first whether there is something. A regular file always says so.
///
/// What says that there is nothing is read once without waiting, where the kernel can do that (pipes since Linux 6.4): it
/// knows what a poll does not say. There may be no writer, so that a pipe has ended; it may be open for writing alone; the
/// buffer may be too small for an eventfd.
///
/// # Safety
/// As for `readv`.
unsafe fn read_file(
    g: Hooked,
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    plainly: impl Fn() -> ssize_t,
) -> Result<ssize_t, Not> {
    until_done(g, &reads(fd), || {
        if is_ready(fd, Direction::Read) {
            return checked(plainly());
        }
        // SAFETY: as the caller promises.
        unless_it_cannot(checked(unsafe { next::preadv2(fd, parts, count, -1, libc::RWF_NOWAIT) }))
    })
}
