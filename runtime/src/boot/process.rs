//! What a process needs once, before its first runtime.

#![allow(unsafe_code, reason = "a G is found by its stack, in a signal handler")]

use super::panics;
use crate::g::G;
use crate::m::fork::{error_in_fork, is_fork, watch_forks};
use crate::m::section;
use crate::stack::{FaultWriter, install_overflow_report};
use std::io;
use std::sync::OnceLock;

/// Prepares the process. Later calls repeat what the first one returned.
///
/// # Errors
/// The kernel's error for a new signal handler; `Unsupported` in a fork of a process that has been prepared.
pub(super) fn prepare() -> io::Result<()> {
    if is_fork() {
        return Err(error_in_fork());
    }
    static READY: OnceLock<Result<(), i32>> = OnceLock::new();
    READY
        .get_or_init(|| {
            section::choose_fences();
            install_overflow_report(describe).map_err(|e| e.raw_os_error().unwrap_or(0))?;
            watch_forks().map_err(|e| e.raw_os_error().unwrap_or(0))?;
            panics::name_gs();
            Ok(())
        })
        .map_err(io::Error::from_raw_os_error)
}

/// Says whose stack has overflowed, in a signal handler.
fn describe(owner: *const (), out: &mut FaultWriter) {
    // SAFETY: `bind` in `sched/first_run.rs` made it from a G record, and those are never freed.
    let Some(g) = (unsafe { owner.cast::<G>().as_ref() }) else {
        return;
    };
    out.put("goroutine ");
    out.put_dec(g.id());
    g.try_name(|name| {
        out.put(" \"");
        out.put(name);
        out.put("\"");
    });
    if let Some(place) = g.birthplace() {
        out.put(", started at ");
        out.put(place.file());
        out.put(":");
        out.put_dec(u64::from(place.line()));
    }
    out.put("\n");
}
