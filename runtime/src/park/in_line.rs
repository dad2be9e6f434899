//! Line parks (`g/line_park.rs` has the protocol and the argument): how a G waits in a line without its park word, and
//! how others turn that into a park by the park word.

#![allow(unsafe_code, reason = "a G that waits in a line belongs to who takes it out")]

use super::current_g;
use super::on_g::{in_closing, suspend, unwind_if_closing};
use crate::coro::Suspend;
use crate::g::{Exposer, Exposers, G, LineLock, LinePark, Runnable};
use crate::m::section::{are_fences_asymmetric, heavy_fence};
use crate::os::light_fence;
use crate::reason::Reason;
use crate::sched::ready::ready;
use std::thread::panicking;

static EXPOSERS: Exposers = Exposers::new();

/// Parks the caller, which holds the lock of the line that it stands in; this unlocks it. It may return for no reason,
/// or at once, if the caller may not wait so: then it waits by its park word.
///
/// # Safety
/// The caller holds the lock. Who takes the G from its line holds it too, and makes it ready. The lock stays as long as
/// the line park does.
#[inline(always)]
pub(crate) unsafe fn park_in_line<L>(line: &LinePark, lock: &L, reason: &'static Reason, what: usize)
where
    L: LineLock + 'static,
{
    match current_g() {
        Some(g) if may_park(g) => park(g, line, lock, reason, what),
        _ => lock.unlock(),
    }
}

/// Whether the G `g`, which is the caller, may wait so. Where it stays with its M or events are heard, what runs between
/// the park and its commit is too much to hold a lock for.
#[inline(always)]
fn may_park(g: &'static G) -> bool {
    // SAFETY: `g` is the caller, so its runtime is there.
    are_fences_asymmetric() && !panicking() && !unsafe { g.shared() }.is_heard
}

#[inline(always)]
fn park<L: LineLock + 'static>(g: &'static G, line: &LinePark, lock: &L, reason: &'static Reason, what: usize) {
    g.waits_on(what);
    line.begin(lock);
    g.line.set(line);
    // Either the closing thread sees the line, or the G sees that the runtime closes.
    light_fence();
    if in_closing(g) {
        line.take();
        lock.unlock();
    } else {
        suspend(g, Suspend::Park(reason));
    }
    g.line.clear();
    light_fence();
    EXPOSERS.wait();
    unwind_if_closing(g);
}

/// From here on the G waits by its park word, if it waited in a line; unless the kernel refuses the fence. If the park
/// word has a token, the G is not parked but the caller's, and the token is gone (I2 of the room: a wait may take it).
#[must_use = "it is nobody's else"]
pub(crate) fn expose(g: &'static G) -> Option<Runnable> {
    if g.line.get().is_null() {
        return None;
    }
    EXPOSERS.begin(heavy_fence).and_then(|exposer| expose_one(&exposer, g))
}

/// The same for many Gs: `each` is given the function that does it. What has a token is made ready.
pub(crate) fn expose_all(each: impl FnOnce(&dyn Fn(&'static G))) {
    if let Some(exposer) = EXPOSERS.begin(heavy_fence) {
        each(&|g| {
            if let Some(g) = expose_one(&exposer, g) {
                ready(g);
            }
        });
    }
}

fn expose_one(exposer: &Exposer<'_>, g: &'static G) -> Option<Runnable> {
    // Whoever takes the G from its line owns it, so this is its number.
    let is_parked_or_others = exposer.expose(&g.line, || g.word.commit_park(g.id()));
    // SAFETY: it was taken from its line, and the park word was not committed.
    (!is_parked_or_others).then(|| unsafe { Runnable::own(g) })
}
