//! `flock`: nothing says when the lock becomes free, so the G looks now and then.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a function in the place of libc's")]

use crate::attempts::{answer, look_now_and_then};
use crate::calls::FLOCK;
use crate::errno::checked;
use crate::next;
use libc::c_int;
use pirn_runtime::internal::Hooked;

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn flock(fd: c_int, operation: c_int) -> c_int {
    // SAFETY: as the caller.
    let lock = |operation| unsafe { next::flock(fd, operation) };
    let may_wait = operation & (libc::LOCK_NB | libc::LOCK_UN) == 0;
    let Some(g) = Hooked::current().filter(|_| may_wait) else { return lock(operation) };
    let look = || match checked(lock(operation | libc::LOCK_NB)) {
        Err(libc::EWOULDBLOCK) => Ok(None),
        result => result.map(Some),
    };
    answer(look_now_and_then(g, &FLOCK, look), || lock(operation))
}
