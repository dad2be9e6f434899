//! A party that waits for what it has itself: the smallest cycle, which is known at once.

#![allow(unsafe_code, reason = "which runtime the caller is on")]

use super::cycles::Cycle;
use super::trace::{StartAt, Traces};
use super::waits::Link;
use crate::m::current::party_word;
use crate::os::Frame;
use crate::park::current_g;
use crate::probe::complain;
use crate::reason::{Party, Reason};
use crate::sched::Warning;

/// The caller is about to wait on `what`, without a timeout, and has it itself: reports it, once, with the stack of
/// the caller. The report of a G goes where those of its runtime go, if they are on. A thread has no runtime, so its
/// report goes to standard error.
#[cold]
pub fn report_self_wait(reason: &'static Reason, what: usize) {
    let Some(me) = Party::from_word(party_word()) else { return };
    let g = current_g();
    // SAFETY: `g` is the caller, so its runtime is there.
    let shared = g.map(|g| unsafe { g.shared() });
    let cycle = Cycle::of_one(Link::to_oneself(me, reason, what));
    if shared.is_some_and(|shared| !shared.setup.reports_partial_deadlocks) || !cycle.is_new() {
        return;
    }
    let event = format!("partial deadlock: {}", cycle.describe());
    let frames = g.map_or_else(|| Some(Traces::of_calling_thread()), Traces::of_caller).unwrap_or_default();
    match shared {
        // The names of functions are looked up there: that takes more stack than a G may have.
        Some(shared) => shared.report_later(move || report(me, event, &frames)),
        None => complain(report(me, event, &frames).text.trim_end()),
    }
}

fn report(me: Party, event: String, frames: &[Frame]) -> Warning {
    let mut stack = String::new();
    Traces::new().write(frames, StartAt::Call, &mut stack);
    Warning { text: format!("pirn: {event}\n\n{me}:\n{stack}\n"), event }
}
