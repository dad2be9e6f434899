//! What is delivered to a `tracing` subscriber of the user's: events under `pirn::sched` at level TRACE. Only this file
//! has their names and fields; SCHEDTRACE.md lists them.

use super::Event;
use tracing::Level;

/// Whether a subscriber may want events. This reads one number and calls nothing.
#[inline(always)]
pub(crate) fn may_ask() -> bool {
    tracing::level_enabled!(Level::TRACE)
}

/// Whether a subscriber wants events. This asks it, and it is the user's code.
pub(crate) fn asks() -> bool {
    tracing::enabled!(target: "pirn::sched", Level::TRACE)
}

macro_rules! deliver {
    ($name:literal, $($field:ident = $value:expr),*) => {
        tracing::trace!(name: $name, target: "pirn::sched", $($field = $value,)* $name)
    };
}

/// Delivers an event to the subscriber, if it is one that subscribers get.
pub(crate) fn deliver(event: &Event) {
    match *event {
        Event::Spawn { g } => deliver!("spawn", g = g),
        Event::Park { g, reason } => deliver!("park", g = g, reason = reason.name()),
        Event::Ready { g } => deliver!("ready", g = g),
        Event::Steal { p, from } => deliver!("steal", p = p, from = from),
        Event::HandOff { p, m, why } => deliver!("hand_off", p = p, m = m, why = why),
        Event::MStart { m } => deliver!("m_start", m = m),
        Event::MStop { m } => deliver!("m_stop", m = m),
        Event::StackGrowth { g, from_bytes, to_bytes } => {
            deliver!("stack_growth", g = g, from_bytes = from_bytes, to_bytes = to_bytes)
        }
        Event::Begin { .. }
        | Event::Run { .. }
        | Event::Yield { .. }
        | Event::End { .. }
        | Event::Acquire { .. }
        | Event::Release { .. }
        | Event::Wake { .. }
        | Event::Fire { .. } => {}
    }
}
