//! `close`, `dup2`, `dup3`, `close_range`, `fcntl`, `fcntl64`, `ioctl`, `setsockopt`: they do what libc's do, on a G and
//! elsewhere. What was believed of the descriptor, and is not so any more, is taken away (`netpoll/belief.rs` of the runtime
//! has the argument). A signal handler may call them, and the child of a `fork` or `vfork`: they lock nothing.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::next;
use libc::{c_int, c_long, c_uint, c_ulong, c_void, socklen_t};
use pirn_runtime::internal::{forget_number, forget_numbers, settings_changed};
use std::slice;

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    // Before it is another's.
    forget_number(fd);
    // SAFETY: as the caller.
    unsafe { next::close(fd) }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn dup2(old: c_int, new: c_int) -> c_int {
    forget_number(new);
    // SAFETY: as the caller.
    let done = unsafe { next::dup2(old, new) };
    // What others have asked meanwhile was about the one before.
    forget_number(new);
    done
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    forget_number(new);
    // SAFETY: as the caller.
    let done = unsafe { next::dup3(old, new, flags) };
    // As in `dup2`.
    forget_number(new);
    done
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    forget_numbers(first, last);
    let [first, last, flags] = [first, last, flags as c_uint].map(c_long::from);
    // Not every libc has it, but who looks for it finds this one.
    // SAFETY: as the caller.
    unsafe { next::syscall(libc::SYS_close_range, first, last, flags, 0, 0, 0) as c_int }
}

/// In the place of libc's. It takes the argument that some commands have; what a caller has not given is not used.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
    // SAFETY: as the caller.
    let done = unsafe { next::fcntl(fd, command, argument) };
    flags_were_set(command, argument);
    done
}

/// In the place of libc's: the same.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: c_long) -> c_int {
    // SAFETY: as the caller.
    let done = unsafe { next::fcntl64(fd, command, argument) };
    flags_were_set(command, argument);
    done
}

/// That others block is believed, so only this changes it.
#[inline(always)]
fn flags_were_set(command: c_int, argument: c_long) {
    if command == libc::F_SETFL && argument as c_int & libc::O_NONBLOCK != 0 {
        settings_changed();
    }
}

/// In the place of libc's. As `fcntl`.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    // SAFETY: as the caller.
    let done = unsafe { next::ioctl(fd, request, argument) };
    // SAFETY: the kernel has read it.
    if request == libc::FIONBIO && done == 0 && unsafe { argument.cast::<c_int>().read_unaligned() } != 0 {
        settings_changed();
    }
    done
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    value_len: socklen_t,
) -> c_int {
    // SAFETY: as the caller.
    let done = unsafe { next::setsockopt(fd, level, name, value, value_len) };
    let may_limit = match level {
        // SAFETY: the kernel has read it.
        libc::SOL_SOCKET if TIMEOUTS.contains(&name) => done == 0 && unsafe { is_something(value, value_len) },
        // What a short read gets is another matter then.
        libc::IPPROTO_TCP => name == libc::TCP_ULP,
        _ => false,
    };
    if may_limit {
        settings_changed();
    }
    done
}

/// The names of before and after the year 2038 was thought of.
const TIMEOUTS: [c_int; 4] = [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO, SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW];
const SO_RCVTIMEO_NEW: c_int = 66;
const SO_SNDTIMEO_NEW: c_int = 67;

/// Whether it is a limit, and not that there is none.
///
/// # Safety
/// The kernel has read it.
unsafe fn is_something(value: *const c_void, value_len: socklen_t) -> bool {
    // It takes a greater length too, and reads two words.
    let read_len = (value_len as usize).min(2 * size_of::<u64>());
    // SAFETY: as the caller promises.
    let bytes = unsafe { slice::from_raw_parts(value.cast::<u8>(), read_len) };
    bytes.iter().any(|byte| *byte != 0)
}
