//! What C that is compiled with `_FORTIFY_SOURCE` calls in the place of `read`, `recv`, `poll`: they are told how large the
//! buffer is. libc's end the process if it is too small.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::next;
use crate::polls::{poll, ppoll};
use crate::reads::{read, recv, recvfrom};
use libc::{c_int, c_void, nfds_t, pollfd, sigset_t, size_t, sockaddr, socklen_t, ssize_t, timespec};

/// Whether so many records have room there. It is `usize::MAX` if the compiler does not know.
fn has_room(count: nfds_t, room: size_t) -> bool {
    room / size_of::<pollfd>() >= count as usize
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn __read_chk(fd: c_int, buf: *mut c_void, len: size_t, room: size_t) -> ssize_t {
    if len <= room {
        // SAFETY: as the caller.
        return unsafe { read(fd, buf, len) };
    }
    // SAFETY: it ends the process.
    unsafe { next::__read_chk(fd, buf, len, room) }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn __recv_chk(fd: c_int, buf: *mut c_void, len: size_t, room: size_t, flags: c_int) -> ssize_t {
    if len <= room {
        // SAFETY: as the caller.
        return unsafe { recv(fd, buf, len, flags) };
    }
    // SAFETY: it ends the process.
    unsafe { next::__recv_chk(fd, buf, len, room, flags) }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    room: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    if len <= room {
        // SAFETY: as the caller.
        return unsafe { recvfrom(fd, buf, len, flags, from, from_len) };
    }
    // SAFETY: it ends the process.
    unsafe { next::__recvfrom_chk(fd, buf, len, room, flags, from, from_len) }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn __poll_chk(asked: *mut pollfd, count: nfds_t, timeout_ms: c_int, room: size_t) -> c_int {
    if has_room(count, room) {
        // SAFETY: as the caller.
        return unsafe { poll(asked, count, timeout_ms) };
    }
    // SAFETY: it ends the process.
    unsafe { next::__poll_chk(asked, count, timeout_ms, room) }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn __ppoll_chk(
    asked: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    room: size_t,
) -> c_int {
    if has_room(count, room) {
        // SAFETY: as the caller.
        return unsafe { ppoll(asked, count, timeout, mask) };
    }
    // SAFETY: it ends the process.
    unsafe { next::__ppoll_chk(asked, count, timeout, mask, room) }
}
