//! `wait`, `wait3`, `wait4`, `waitpid`, `waitid`: a descriptor says when one child has ended. For any child, or when one stops, the G looks
//! now and then.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::attempts::{Not, Waits, answer, is_nonblocking, look_now_and_then, wait as park_for};
use crate::calls::{WAIT, WAITPID};
use crate::errno::{checked, errno, set_errno};
use crate::next;
use libc::{c_int, c_long, id_t, idtype_t, pid_t, rusage, siginfo_t};
use pirn_runtime::internal::{Direction, Hooked};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn wait(status: *mut c_int) -> pid_t {
    match Hooked::current() {
        // SAFETY: as the caller.
        Some(g) => wait_for(g, -1, 0, |options| unsafe { next::waitpid(-1, status, options) }),
        // SAFETY: as the caller.
        None => unsafe { next::wait(status) },
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn waitpid(process: pid_t, status: *mut c_int, options: c_int) -> pid_t {
    // SAFETY: as the caller.
    let wait = |options| unsafe { next::waitpid(process, status, options) };
    match Hooked::current() {
        Some(g) if options & libc::WNOHANG == 0 => wait_for(g, process, options, wait),
        _ => wait(options),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn wait4(process: pid_t, status: *mut c_int, options: c_int, used: *mut rusage) -> pid_t {
    // SAFETY: as the caller.
    let wait = |options| unsafe { next::wait4(process, status, options, used) };
    match Hooked::current() {
        Some(g) if options & libc::WNOHANG == 0 => wait_for(g, process, options, wait),
        _ => wait(options),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn wait3(status: *mut c_int, options: c_int, used: *mut rusage) -> pid_t {
    // SAFETY: as the caller.
    let wait = |options| unsafe { next::wait3(status, options, used) };
    match Hooked::current() {
        Some(g) if options & libc::WNOHANG == 0 => wait_for(g, -1, options, wait),
        _ => wait(options),
    }
}

/// `wait` asks with these options, or with more.
fn wait_for(g: Hooked, process: pid_t, options: c_int, wait: impl Fn(c_int) -> pid_t) -> pid_t {
    let look = || checked(wait(options | libc::WNOHANG)).map(|ended| (ended != 0).then_some(ended));
    // Only of the end of one child a descriptor says anything.
    let result = match options {
        0 if process > 0 => until_ended(g, process as usize, || pidfd_of(process), look),
        _ => look_now_and_then(g, &WAIT, look),
    };
    answer(result, || wait(options))
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn waitid(of: idtype_t, id: id_t, about: *mut siginfo_t, options: c_int) -> c_int {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::waitid(of, id, about, options) };
    // A descriptor of a process may be non-blocking itself.
    let waits = |_: &Hooked| options & libc::WNOHANG == 0 && !(of == libc::P_PIDFD && is_nonblocking(id.cast_signed()));
    let Some(g) = Hooked::current().filter(waits) else { return plainly() };
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
    let only_ends = options & !(libc::WEXITED | libc::WNOWAIT) == 0;
    let result = match of {
        libc::P_PID if only_ends => until_ended(g, id as usize, || pidfd_of(id.cast_signed()), look),
        libc::P_PIDFD if only_ends => until_ended(g, 0, || dup(id.cast_signed()), look),
        _ => look_now_and_then(g, &WAIT, look),
    };
    answer(result, plainly)
}

/// Looks until the child has ended, and parks in between. `process` is its number, or 0 if that is not known.
fn until_ended<N>(
    g: Hooked,
    process: usize,
    descriptor: impl Fn() -> Option<OwnedFd>,
    look: impl Fn() -> Result<Option<N>, c_int>,
) -> Result<N, Not> {
    g.checkpoint();
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
        park_for(g, &Waits { fd, direction: Direction::Read, call: &WAITPID, what: Some(process) }, None)?;
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
