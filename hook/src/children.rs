//! `waitpid`, `waitid`: the end of one child.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::attempts::{Not, Waits, answer, wait};
use crate::calls::WAITPID;
use crate::errno::{checked, errno, set_errno};
use crate::next;
use libc::{c_int, c_long, id_t, idtype_t, pid_t, siginfo_t};
use pirn_runtime::internal::{Direction, Hooked, checkpoint};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn waitpid(process: pid_t, status: *mut c_int, options: c_int) -> pid_t {
    // SAFETY: as the caller.
    let wait = |options| unsafe { next::waitpid(process, status, options) };
    match Hooked::current() {
        // Of a child that stops no descriptor says anything.
        Some(g) if process > 0 && options == 0 => {
            let look = || checked(wait(libc::WNOHANG)).map(|ended| (ended != 0).then_some(ended));
            answer(until_ended(g, process as usize, || pidfd_of(process), look), || wait(options))
        }
        _ => wait(options),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn waitid(of: idtype_t, id: id_t, about: *mut siginfo_t, options: c_int) -> c_int {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::waitid(of, id, about, options) };
    let is_one = of == libc::P_PID || of == libc::P_PIDFD;
    let only_ends = options & !(libc::WEXITED | libc::WNOWAIT) == 0;
    let Some(g) = Hooked::current().filter(|_| is_one && only_ends) else { return plainly() };
    let look = || {
        // SAFETY: plain numbers, for which all zeros are values.
        let mut seen: siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: there is room for what it says.
        checked(unsafe { next::waitid(of, id, &raw mut seen, options | libc::WNOHANG) })?;
        // SAFETY: it is about a child, or all zeros.
        if unsafe { seen.si_pid() } == 0 {
            return Ok(None);
        }
        if !about.is_null() {
            // SAFETY: as the caller.
            unsafe { about.write(seen) };
        }
        Ok(Some(0))
    };
    let descriptor = || if of == libc::P_PID { pidfd_of(id.cast_signed()) } else { dup(id.cast_signed()) };
    let process = if of == libc::P_PID { id as usize } else { 0 };
    answer(until_ended(g, process, descriptor, look), plainly)
}

/// Looks until the child has ended, and parks in between. `process` is its number, or 0 if that is not known.
fn until_ended<N>(
    g: Hooked,
    process: usize,
    descriptor: impl Fn() -> Option<OwnedFd>,
    look: impl Fn() -> Result<Option<N>, c_int>,
) -> Result<N, Not> {
    checkpoint();
    let before = errno();
    let mut child = None;
    loop {
        match look() {
            Ok(None) => {}
            Err(libc::EINTR) => continue,
            Err(why) => return Err(Not::Failed(why)),
            Ok(Some(ended)) => {
                set_errno(before);
                return Ok(ended);
            }
        }
        if child.is_none() {
            child = descriptor().filter(|_| g.may_park());
        }
        let fd = child.as_ref().ok_or(Not::Waited)?.as_raw_fd();
        wait(g, &Waits { fd, direction: Direction::Read, call: &WAITPID, what: Some(process) }, None)?;
    }
}

/// A descriptor that is readable when the child has ended.
fn pidfd_of(process: pid_t) -> Option<OwnedFd> {
    // SAFETY: it has no preconditions.
    let fd = unsafe { next::syscall(libc::SYS_pidfd_open, c_long::from(process), 0, 0, 0, 0, 0) };
    // SAFETY: it is new, and no other code has it.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

fn dup(fd: c_int) -> Option<OwnedFd> {
    // SAFETY: a new descriptor, whatever the number is.
    let fd = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    // SAFETY: it is new, and no other code has it.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}
