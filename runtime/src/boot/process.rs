//! What a process needs once, before its first runtime.

use crate::g::G;
use crate::m::section;
use crate::park::current_g;
use crate::probe::complain;
use crate::stack::{FaultWriter, install_overflow_report};
use std::io;
use std::sync::OnceLock;

/// Prepares the process. Later calls repeat what the first one returned.
///
/// # Errors
/// What the kernel answers to a new signal handler.
pub(super) fn prepare() -> io::Result<()> {
    static READY: OnceLock<Result<(), i32>> = OnceLock::new();
    READY
        .get_or_init(|| {
            section::choose_fences();
            install_overflow_report(describe).map_err(|e| e.raw_os_error().unwrap_or(0))?;
            name_gs_in_panics();
            Ok(())
        })
        .map_err(io::Error::from_raw_os_error)
}

/// Says whose stack has overflowed, in a signal handler.
fn describe(owner: *const (), out: &mut FaultWriter) {
    // SAFETY: `bind` in `sched/run.rs` made it from a G record, and those are never freed.
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

/// A panic on a G says which G it is, before the hook there was says what happened.
fn name_gs_in_panics() {
    if std::thread::panicking() {
        // The hook can not be changed now; the messages name the thread only.
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if let Some(g) = current_g() {
            let name = g.name().map(|name| format!(" \"{name}\"")).unwrap_or_default();
            let place = g.birthplace().map(|place| format!(", started at {place}")).unwrap_or_default();
            complain(&format!("goroutine {}{name}{place}:", g.id()));
        }
        before(info);
    }));
}
