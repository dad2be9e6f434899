//! `getaddrinfo`: it blocks its thread, so few Gs call it at a time, and the others park.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a function in the place of libc's")]

use crate::calls::GETADDRINFO;
use crate::errno::set_errno;
use crate::futex_table::{Bucket, Waited};
use crate::next;
use libc::{addrinfo, c_char, c_int};
use pirn_runtime::blocking;
use pirn_runtime::internal::{Hooked, wake_from_anywhere};
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many threads may be blocked by it.
const AT_ONCE: usize = 32;

static PERMITS: AtomicUsize = AtomicUsize::new(AT_ONCE);
static WAITERS: Bucket = Bucket::new();

/// All wait at one address, for all.
const ADDRESS: usize = 0;
const BITS: u32 = u32::MAX;

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    found: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: as the caller.
    let ask = || unsafe { next::getaddrinfo(node, service, hints, found) };
    let Some(g) = Hooked::current().filter(|g| g.may_park()) else { return ask() };
    g.checkpoint();
    let Some(_permit) = Permit::wait_for(g) else {
        set_errno(libc::ECANCELED);
        return libc::EAI_SYSTEM;
    };
    blocking(ask)
}

/// The right to block a thread.
struct Permit;

impl Permit {
    /// None: the runtime closes.
    fn wait_for(g: Hooked) -> Option<Permit> {
        loop {
            // Relaxed: it guards nothing, and the bucket orders it with a wait.
            let taken = PERMITS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |permits| permits.checked_sub(1));
            if taken.is_ok() {
                return Some(Permit);
            }
            let still = || PERMITS.load(Ordering::Relaxed) == 0;
            let waited = WAITERS.wait(ADDRESS, BITS, still, |ticket| {
                while !ticket.is_told() {
                    if g.is_cancelled() {
                        return false;
                    }
                    g.park(&GETADDRINFO, 0, None);
                }
                true
            });
            if waited == Waited::Ended {
                return None;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        PERMITS.fetch_add(1, Ordering::Relaxed);
        if !WAITERS.is_empty() {
            WAITERS.wake(ADDRESS, BITS, 1, wake_from_anywhere);
        }
    }
}
