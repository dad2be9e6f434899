//! `getaddrinfo`: it blocks its thread, so few Gs call it at a time, and the others park.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a function in the place of libc's")]

use crate::blocking_call::BlockingCall;
use crate::calls::GETADDRINFO;
use crate::errno::set_errno;
use crate::next;
use libc::{addrinfo, c_char, c_int};
use pirn_runtime::internal::Hooked;

/// So many threads may be blocked by it.
const AT_ONCE: u32 = 32;

static CALL: BlockingCall = BlockingCall::new(AT_ONCE, None, &GETADDRINFO);

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
    let Some(g) = Hooked::current().filter(|g| g.may_move()) else { return ask() };
    CALL.make(g, ask).unwrap_or_else(|| {
        set_errno(libc::ECANCELED);
        libc::EAI_SYSTEM
    })
}
