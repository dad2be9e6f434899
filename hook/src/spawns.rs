//! `posix_spawn`, `posix_spawnp`: they block their thread until the child has called `exec`, so few Gs call them at a time, and
//! the others park.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::blocking_call::BlockingCall;
use crate::calls::POSIX_SPAWN;
use crate::errno::{errno, set_errno};
use crate::next;
use libc::{c_char, c_int, pid_t, posix_spawn_file_actions_t, posix_spawnattr_t};
use pirn_runtime::internal::Hooked;
use std::time::Duration;

/// So many threads may be blocked by them, as in Go (`syscall.ForkLock`). Until it calls `exec` a child has the memory of this
/// process, and computes: with two or four at once 200 children were ready no sooner on two CPUs.
const AT_ONCE: u32 = 1;
/// A child takes about a millisecond. If it takes so long it is the disk that is slow, or it waits for something else.
const PATIENCE: Duration = Duration::from_millis(50);

static CALL: BlockingCall = BlockingCall::new(AT_ONCE, Some(PATIENCE), &POSIX_SPAWN);

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_spawn(
    process: *mut pid_t,
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: *const *mut c_char,
    variables: *const *mut c_char,
) -> c_int {
    // SAFETY: as the caller.
    make(|| unsafe { next::posix_spawn(process, path, actions, attributes, arguments, variables) })
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_spawnp(
    process: *mut pid_t,
    name: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: *const *mut c_char,
    variables: *const *mut c_char,
) -> c_int {
    // SAFETY: as the caller.
    make(|| unsafe { next::posix_spawnp(process, name, actions, attributes, arguments, variables) })
}

/// They return an error, and `errno` is as before. What the caller has set for its thread is for the child too: so if it has
/// blocked signals, it stays there.
fn make(spawn: impl FnOnce() -> c_int) -> c_int {
    let Some(g) = Hooked::current().filter(|g| g.may_move()) else { return spawn() };
    let before = errno();
    let result = CALL.make(g, spawn).unwrap_or(libc::ECANCELED);
    set_errno(before);
    result
}
