//! A call that blocks its thread, as libc has no other way: it needs a permit, of which there are few, and the other Gs park.

#![cfg(not(loom))]

use crate::permits::{Permit, Permits};
use pirn_runtime::blocking;
use pirn_runtime::internal::{Call, Hooked, Runs, Ticket, has_come, now, wake_from_anywhere};
use std::time::{Duration, Instant};

/// See the head of this file.
pub(crate) struct BlockingCall {
    call: &'static Call,
    /// When nobody could begin for so long there is one more permit, until all have come back: one that is being made may wait
    /// for another. None: never.
    patience: Option<Duration>,
    permits: Permits,
}

/// So long one lasts, about: who waits behind others has more patience.
const USUAL: Duration = Duration::from_millis(1);

impl BlockingCall {
    /// So many block a thread at a time.
    pub(crate) const fn new(at_once: u32, patience: Option<Duration>, call: &'static Call) -> BlockingCall {
        BlockingCall { call, patience, permits: Permits::new(at_once, |told| wake_from_anywhere(told, Runs::Next)) }
    }

    /// Calls `block` with a permit. `g` may park. None: the runtime closes.
    pub(crate) fn make<R>(&self, g: Hooked, block: impl FnOnce() -> R) -> Option<R> {
        g.checkpoint();
        let permit = self.permits.take(|ticket, more| self.sleep(g, ticket, more))?;
        Some(blocking(|| {
            let result = block();
            // It is handed on before the caller waits for a P.
            drop(permit);
            result
        }))
    }

    fn sleep<'p>(&'p self, g: Hooked, ticket: &Ticket<()>, more: &mut Option<Permit<'p>>) -> bool {
        // This one is among those that wait.
        let (ahead, before) = (self.permits.waiting().saturating_sub(1), self.permits.got());
        let (mut seen, mut until) = (before, self.next_look(ahead));
        while !ticket.is_told() {
            if g.is_cancelled() {
                return false;
            }
            if until.is_some_and(has_come) {
                *more = self.permits.get_one_more(seen);
                if more.is_some() {
                    return false;
                }
                seen = self.permits.got();
                until = self.next_look(ahead.saturating_sub(seen.wrapping_sub(before)));
            }
            g.park(self.call, 0, until);
        }
        true
    }

    /// When one that waits behind so many looks whether somebody could begin.
    fn next_look(&self, ahead: usize) -> Option<Instant> {
        let behind = USUAL.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
        now().checked_add(self.patience?.saturating_add(behind))
    }
}
