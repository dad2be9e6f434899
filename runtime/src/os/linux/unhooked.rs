//! The few system calls that block, and that the runtime makes on a G's stack outside of its section: made by hand, so
//! that the crate `hook`, which puts itself into the place of libc's functions, never parks the runtime's own code.

use std::arch::asm;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// A system call of up to five arguments. Returns what the kernel returns: an error is negative.
///
/// # Safety
/// As for that system call.
unsafe fn system_call(number: libc::c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: the registers are those of the kernel's interface; the rest is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// The thread sleeps for so long, or less if a signal comes.
pub(crate) fn nap(time: Duration) {
    let time = libc::timespec { tv_sec: time.as_secs() as libc::time_t, tv_nsec: time.subsec_nanos().into() };
    let asked = [libc::CLOCK_MONOTONIC as usize, 0, (&raw const time).addr(), 0, 0];
    // SAFETY: the time is valid, and the rest that is left is not asked for.
    let _ = unsafe { system_call(libc::SYS_clock_nanosleep, asked) };
}

/// As `poll`: how many of these are ready, or the error as a negative number.
pub(crate) fn poll(asked: &mut [libc::pollfd], timeout_ms: i32) -> isize {
    let first = if asked.is_empty() { ptr::null_mut() } else { asked.as_mut_ptr() };
    // SAFETY: so many records are there.
    unsafe { system_call(libc::SYS_poll, [first.expose_provenance(), asked.len(), timeout_ms as isize as usize, 0, 0]) }
}

/// The thread sleeps until another wakes it, unless the word is another one already. It may wake for no reason.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32) {
    let what = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the word is there, and there is no timeout.
    let _ = unsafe { system_call(libc::SYS_futex, [ptr::from_ref(word).addr(), what, expected as usize, 0, 0]) };
}

/// Wakes one that sleeps so.
pub(crate) fn futex_wake(word: &AtomicU32) {
    let what = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: it is not read; nobody may sleep there, or something else may be there by now.
    let _ = unsafe { system_call(libc::SYS_futex, [ptr::from_ref(word).addr(), what, 1, 0, 0]) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Write, pipe};
    use std::os::fd::AsRawFd;
    use std::time::Instant;

    #[test]
    fn a_nap_and_a_poll_last_as_long_as_they_are_asked_to() {
        let began = Instant::now();
        nap(Duration::from_millis(2));
        assert_eq!(poll(&mut [], 3), 0);
        assert!(began.elapsed() >= Duration::from_millis(5));
    }

    #[test]
    fn a_poll_says_who_is_ready() {
        let (reader, mut writer) = pipe().expect("a pipe");
        let mut asked = [libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        assert_eq!(poll(&mut asked, 0), 0);
        writer.write_all(b"x").expect("there is room");
        assert_eq!(poll(&mut asked, -1), 1);
        assert_eq!(asked[0].revents, libc::POLLIN);
        assert_eq!(poll(&mut asked[..0], 0), 0);
    }
}
