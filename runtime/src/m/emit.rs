//! Emission of events, in one line for each: [`emit!`](emit). And their delivery to the user's subscriber.

#![cfg(not(loom))]

use super::M;
use super::current::machine;
#[cfg(feature = "tracing")]
use crate::event;
use crate::event::{Emitter, Event, EventKind, Tally, hear};
#[cfg(feature = "tracing")]
use crate::user_code::contain;

/// An event that was counted and heard, and has still to be delivered to the subscriber.
#[derive(Debug)]
#[must_use = "the subscriber is told by `deliver`, as soon as the caller is out of its section"]
pub(crate) struct Emitted {
    #[cfg(feature = "tracing")]
    event: Event,
}

/// Says that something has happened: counts it, and lets the listener hear of it. The caller may be in the middle of
/// something, but what the event says has happened. `emit!(p, Ready { g: id })` counts on a P, for its owner;
/// `emit!(&shared.counters, Ready { g: id })` is for callers without one. The fields of the event are computed only if
/// there is a listener or a subscriber.
///
/// With `if HEARD` behind it, the caller has checked already whether there is one, and runs in a copy of its function
/// for that case. On the path of a switch a call in the middle, even one that is never made, would cost the registers
/// around it.
macro_rules! emit {
    ($counters:expr, $kind:ident $fields:tt) => {
        emit!($counters, $kind $fields, if $crate::event::is_heard())
    };
    ($counters:expr, $kind:ident { $($field:tt)* }, if $heard:expr) => {{
        use $crate::event::{Event, EventKind};
        $crate::m::emit::count_and_hear($counters, EventKind::$kind, $heard, move || Event::$kind { $($field)* })
    }};
}

pub(crate) use emit;

/// What [`emit`] does.
#[inline(always)]
pub(crate) fn count_and_hear(
    counters: impl Tally,
    kind: EventKind,
    is_heard: bool,
    event: impl FnOnce() -> Event,
) -> Emitted {
    // It is delivered later, when what it is computed from may be gone.
    #[cfg(feature = "tracing")]
    let (emitted, event) = {
        let event = event();
        (Emitted { event }, move || event)
    };
    #[cfg(not(feature = "tracing"))]
    let emitted = Emitted {};
    counters.tally(kind);
    if is_heard {
        hear_here(event);
    }
    emitted
}

#[cold]
#[inline(never)]
fn hear_here(event: impl FnOnce() -> Event) {
    // SAFETY: an M lives as long as its thread runs (m I3).
    let m = unsafe { machine().as_ref() };
    hear(&event(), &Emitter::new(m.map(|m| m.id), m.and_then(M::p_hint).map(|p| p.id)));
}

impl Emitted {
    /// Delivers it to the subscriber. This is nothing without the feature `tracing`, and a load and a branch without a
    /// subscriber. The subscriber is the user's code in the middle of the runtime's: what would park it blocks the
    /// thread, and its panics end here; otherwise work would stay half done.
    #[inline(always)]
    pub(crate) fn deliver(self) {
        #[cfg(feature = "tracing")]
        if event::may_ask() {
            deliver(self.event);
        }
    }
}

/// Delivers it; not on a G whose thread-locals are gone, which a subscriber uses.
#[cfg(feature = "tracing")]
#[cold]
#[inline(never)]
fn deliver(event: Event) {
    // SAFETY: an M lives as long as its thread runs (m I3).
    let g = unsafe { machine().as_ref() }.and_then(M::g);
    if !g.is_some_and(|g| g.is_mute.get()) {
        // What a subscriber panics with has been printed.
        without_g(|| contain(|| event::deliver(&event)));
    }
}

/// Runs the user's callback in the middle of the runtime's own work. Meanwhile the caller does not count as a G: what
/// would park it blocks the thread.
#[cfg(feature = "tracing")]
fn without_g<R>(callback: impl FnOnce() -> R) -> R {
    // SAFETY: an M lives as long as its thread runs (m I3).
    let m = unsafe { machine().as_ref() };
    let g = m.and_then(M::g);
    if let Some(m) = m {
        m.set_g(None);
    }
    let result = callback();
    if let Some(m) = m {
        m.set_g(g);
    }
    result
}

/// Whether a subscriber wants events. This asks it, and it is the user's code.
#[cfg(feature = "tracing")]
pub(crate) fn is_asked_for() -> bool {
    may_be_asked_for() && without_g(|| contain(event::asks)).unwrap_or(false)
}

/// Whether a subscriber may want events. This reads one number and calls nothing.
#[inline(always)]
pub(crate) fn may_be_asked_for() -> bool {
    #[cfg(feature = "tracing")]
    return event::may_ask();
    #[cfg(not(feature = "tracing"))]
    false
}
