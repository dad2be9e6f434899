//! How a call of libc's fails.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "errno")]

use std::ffi::c_int;

/// Why the last call has failed that has.
pub(crate) fn errno() -> c_int {
    // SAFETY: it has no preconditions.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: it is the caller's own.
    unsafe { place.read() }
}

/// Sets it.
pub(crate) fn set_errno(errno: c_int) {
    // SAFETY: it has no preconditions.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: it is the caller's own.
    unsafe { place.write(errno) };
}

/// The call fails: what it returns.
pub(crate) fn fail<N: From<i8>>(errno: c_int) -> N {
    set_errno(errno);
    N::from(-1)
}

/// What a call has returned, or why it has failed.
pub(crate) fn checked<N: Copy + PartialOrd + From<i8>>(returned: N) -> Result<N, c_int> {
    if returned < N::from(0) { Err(errno()) } else { Ok(returned) }
}
