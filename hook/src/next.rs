//! libc's own functions, or what else stands behind those of this crate. All are found when the program is loaded
//! ([`find_all`]): to look for one takes a lock of the loader, and the first call may be made in a signal handler, in the child
//! of a fork, or by one for whom somebody waits who holds that lock. Only one that is called before, by what else runs when
//! the program is loaded, is found at that call.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "addresses of functions")]

use libc::{
    addrinfo, c_char, c_int, c_long, c_uint, c_ulong, c_void, clockid_t, iovec, mmsghdr, msghdr, nfds_t, off64_t,
    pollfd, rusage, sigset_t, size_t, sockaddr, socklen_t,
};
use libc::{epoll_event, fd_set, id_t, idtype_t, pid_t, posix_spawn_file_actions_t, posix_spawnattr_t, siginfo_t};
use libc::{ssize_t, timespec, timeval, useconds_t};
use std::ffi::CStr;
use std::mem;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The function of that name in libc, or null. Nothing is allocated for one that is there.
fn look_up(name: &CStr) -> *mut c_void {
    // SAFETY: a name that ends with a zero.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

/// For a call that comes first, or of what this libc does not have.
#[cold]
fn find(name: &CStr) -> *mut c_void {
    let found = look_up(name);
    if found.is_null() {
        // There is nothing to go on with, and nothing that could be said in any state of the process.
        // SAFETY: it ends the process.
        unsafe { libc::abort() };
    }
    found
}

/// Finds one. What this libc does not have is looked for again by who calls it.
fn keep(place: &AtomicPtr<c_void>, name: &CStr) {
    let found = look_up(name);
    if !found.is_null() {
        place.store(found, Ordering::Relaxed);
    }
}

/// A function of this module for each of libc's. It jumps to the address that is kept, which is at first that of a function
/// that finds libc's: so a call asks nothing, and has no registers to save.
macro_rules! next {
    ($($name:literal: fn $function:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        $(
            /// libc's own.
            ///
            /// # Safety
            /// As for that.
            #[inline(always)]
            pub(crate) unsafe fn $function($($arg: $type),*) -> $result {
                type Function = unsafe extern "C" fn($($type),*) -> $result;
                // Relaxed: it leads to code, which has always been there.
                let next = kept::$function.load(Ordering::Relaxed);
                // SAFETY: that is its type in libc.
                let next = unsafe { mem::transmute::<*mut c_void, Function>(next) };
                // SAFETY: as the caller promises.
                unsafe { next($($arg),*) }
            }
        )*

        /// The functions that find libc's, and then call it.
        mod first {
            use super::*;

            $(
                pub(super) unsafe extern "C" fn $function($($arg: $type),*) -> $result {
                    kept::$function.store(find($name), Ordering::Relaxed);
                    // SAFETY: as the caller promises.
                    unsafe { super::$function($($arg),*) }
                }
            )*
        }

        /// The addresses.
        #[expect(non_upper_case_globals, reason = "each has the name of its function")]
        mod kept {
            use super::*;

            $(
                pub(super) static $function: AtomicPtr<c_void> = {
                    let first: unsafe extern "C" fn($($type),*) -> $result = first::$function;
                    AtomicPtr::new(first as *mut c_void)
                };
            )*
        }

        /// Finds all of them.
        pub(crate) fn find_all() {
            $(keep(&kept::$function, $name);)*
        }

        /// Those that have not been found.
        #[cfg(test)]
        fn missing() -> Vec<&'static CStr> {
            let mut missing = Vec::new();
            $(
                let first: unsafe extern "C" fn($($type),*) -> $result = first::$function;
                if kept::$function.load(Ordering::Relaxed) == first as *mut c_void {
                    missing.push($name);
                }
            )*
            missing
        }
    };
}

next! {
    c"syscall": fn syscall(
        number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long
    ) -> c_long;

    c"sleep": fn sleep(seconds: c_uint) -> c_uint;
    c"usleep": fn usleep(microseconds: useconds_t) -> c_int;
    c"nanosleep": fn nanosleep(time: *const timespec, rest: *mut timespec) -> c_int;
    c"clock_nanosleep":
        fn clock_nanosleep(clock: clockid_t, flags: c_int, time: *const timespec, rest: *mut timespec) -> c_int;

    c"sched_yield": fn sched_yield() -> c_int;

    c"read": fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t;
    c"readv": fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t;
    c"recv": fn recv(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> ssize_t;
    c"recvfrom": fn recvfrom(
        fd: c_int, buf: *mut c_void, len: size_t, flags: c_int, from: *mut sockaddr, from_len: *mut socklen_t
    ) -> ssize_t;
    c"recvmsg": fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t;
    c"recvmmsg": fn recvmmsg(
        fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec
    ) -> c_int;
    c"preadv2": fn preadv2(fd: c_int, parts: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t;
    c"pwritev2": fn pwritev2(fd: c_int, parts: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t;
    c"write": fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t;
    c"writev": fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t;
    c"send": fn send(fd: c_int, buf: *const c_void, len: size_t, flags: c_int) -> ssize_t;
    c"sendto": fn sendto(
        fd: c_int, buf: *const c_void, len: size_t, flags: c_int, to: *const sockaddr, to_len: socklen_t
    ) -> ssize_t;
    c"sendmsg": fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t;

    c"sendmmsg": fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int;

    c"sendfile": fn sendfile(to: c_int, from: c_int, offset: *mut off64_t, count: size_t) -> ssize_t;
    c"sendfile64": fn sendfile64(to: c_int, from: c_int, offset: *mut off64_t, count: size_t) -> ssize_t;
    c"splice": fn splice(
        from: c_int, from_offset: *mut off64_t, to: c_int, to_offset: *mut off64_t, count: size_t, flags: c_uint
    ) -> ssize_t;

    c"accept": fn accept(fd: c_int, peer: *mut sockaddr, peer_len: *mut socklen_t) -> c_int;
    c"accept4": fn accept4(fd: c_int, peer: *mut sockaddr, peer_len: *mut socklen_t, flags: c_int) -> c_int;
    c"connect": fn connect(fd: c_int, to: *const sockaddr, to_len: socklen_t) -> c_int;


    c"poll": fn poll(asked: *mut pollfd, count: nfds_t, timeout_ms: c_int) -> c_int;
    c"select": fn select(
        count: c_int, reads: *mut fd_set, writes: *mut fd_set, others: *mut fd_set, timeout: *mut timeval
    ) -> c_int;
    c"pselect": fn pselect(
        count: c_int, reads: *mut fd_set, writes: *mut fd_set, others: *mut fd_set, timeout: *const timespec,
        mask: *const sigset_t
    ) -> c_int;
    c"epoll_wait": fn epoll_wait(epoll: c_int, events: *mut epoll_event, most: c_int, timeout_ms: c_int) -> c_int;
    c"epoll_pwait": fn epoll_pwait(
        epoll: c_int, events: *mut epoll_event, most: c_int, timeout_ms: c_int, mask: *const sigset_t
    ) -> c_int;
    c"epoll_pwait2": fn epoll_pwait2(
        epoll: c_int, events: *mut epoll_event, most: c_int, timeout: *const timespec, mask: *const sigset_t
    ) -> c_int;

    c"close": fn close(fd: c_int) -> c_int;
    c"dup2": fn dup2(old: c_int, new: c_int) -> c_int;
    c"dup3": fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int;
    c"fcntl": fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int;
    c"fcntl64": fn fcntl64(fd: c_int, command: c_int, argument: c_long) -> c_int;
    c"ioctl": fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int;
    c"setsockopt": fn setsockopt(
        fd: c_int, level: c_int, name: c_int, value: *const c_void, value_len: socklen_t
    ) -> c_int;

    c"waitpid": fn waitpid(process: pid_t, status: *mut c_int, options: c_int) -> pid_t;
    c"waitid": fn waitid(of: idtype_t, id: id_t, about: *mut siginfo_t, options: c_int) -> c_int;

    c"wait": fn wait(status: *mut c_int) -> pid_t;
    c"wait3": fn wait3(status: *mut c_int, options: c_int, used: *mut rusage) -> pid_t;
    c"wait4": fn wait4(process: pid_t, status: *mut c_int, options: c_int, used: *mut rusage) -> pid_t;
    c"posix_spawn": fn posix_spawn(
        process: *mut pid_t, path: *const c_char, actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t, arguments: *const *mut c_char, variables: *const *mut c_char
    ) -> c_int;
    c"posix_spawnp": fn posix_spawnp(
        process: *mut pid_t, name: *const c_char, actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t, arguments: *const *mut c_char, variables: *const *mut c_char
    ) -> c_int;
    c"flock": fn flock(fd: c_int, operation: c_int) -> c_int;
    c"getaddrinfo": fn getaddrinfo(
        node: *const c_char, service: *const c_char, hints: *const addrinfo, found: *mut *mut addrinfo
    ) -> c_int;

    c"ppoll":
        fn ppoll(asked: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int;

    c"__read_chk": fn __read_chk(fd: c_int, buf: *mut c_void, len: size_t, room: size_t) -> ssize_t;
    c"__recv_chk": fn __recv_chk(fd: c_int, buf: *mut c_void, len: size_t, room: size_t, flags: c_int) -> ssize_t;
    c"__recvfrom_chk": fn __recvfrom_chk(
        fd: c_int, buf: *mut c_void, len: size_t, room: size_t, flags: c_int, from: *mut sockaddr,
        from_len: *mut socklen_t
    ) -> ssize_t;
    c"__poll_chk": fn __poll_chk(asked: *mut pollfd, count: nfds_t, timeout_ms: c_int, room: size_t) -> c_int;
    c"__ppoll_chk": fn __ppoll_chk(
        asked: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, room: size_t
    ) -> c_int;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_found_when_the_program_is_loaded() {
        assert_eq!(missing(), Vec::<&CStr>::new());
    }
}
