//! How a call of libc's fails.

#![allow(unsafe_code, reason = "errno")]

use std::ffi::c_int;

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
