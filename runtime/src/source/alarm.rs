//! The timer of one direction of a descriptor, for all that wait there: it is armed for the earliest deadline of them,
//! and looks when it fires. The door of `netpoll` has the argument.

use super::place::{Guard, wake};
use crate::netpoll::{Alarm, Armed, Direction, Record};
use crate::sched::Shared;
use crate::timers::{Action, Fire, NEVER, TimerKey};
use std::sync::Arc;

/// One timer, in the heap of one runtime.
struct Deadline {
    shared: Arc<Shared>,
    record: &'static Record,
    direction: Direction,
    /// By which the side knows it.
    number: u64,
}

/// What a caller has to do after it has unlocked the side.
#[must_use]
#[derive(Default)]
pub(super) struct Rest {
    replaced: Option<Armed>,
    /// No M looks at the timer before it sleeps.
    unseen: Option<(Arc<Shared>, u64)>,
}

impl Rest {
    /// Whether there is nothing to do.
    pub(super) fn is_nothing(&self) -> bool {
        self.replaced.is_none() && self.unseen.is_none()
    }

    /// Does it.
    pub(super) fn finish(self) {
        if let Some(armed) = self.replaced {
            armed.cancel();
        }
        if let Some((shared, when_ns)) = self.unseen {
            shared.wake_for_timer(when_ns);
        }
    }
}

/// Sees to it that the timer of a side is not later than `until_ns`; if one is needed, it is a timer of `shared`. None:
/// that runtime has ended, or there is none.
pub(super) fn arm(
    side: &mut Guard<'_>,
    (record, direction): (&'static Record, Direction),
    shared: impl FnOnce() -> Option<Arc<Shared>>,
    until_ns: u64,
) -> Option<Rest> {
    let Some(number) = side.must_arm(until_ns) else { return Some(Rest::default()) };
    let deadline = Arc::new(Deadline { shared: shared()?, record, direction, number });
    let (key, is_unseen) = deadline.shared.insert_timer(until_ns, Action::Call(deadline.clone()))?;
    let unseen = is_unseen.then(|| (deadline.shared.clone(), until_ns));
    let replaced = side.arm(number, until_ns, Armed { key, alarm: deadline });
    Some(Rest { replaced, unseen })
}

impl Fire for Deadline {
    fn fire(self: Arc<Self>, _: u64, now_ns: u64) {
        let mut side = self.record.side(self.direction).lock();
        if !side.disarm(self.number) {
            return;
        }
        let (due, next_ns) = side.take_due(now_ns);
        let rest = arm(&mut side, (self.record, self.direction), || Some(self.shared.clone()), next_ns);
        drop(side);
        due.for_each(wake);
        match rest {
            Some(rest) => rest.finish(),
            None => self.look_again(),
        }
    }

    fn end(self: Arc<Self>) {
        if self.record.side(self.direction).lock().disarm(self.number) {
            self.look_again();
        }
    }
}

impl Deadline {
    /// There is no timer any more. Gs of other runtimes may have relied on it: they look again, and start one of
    /// theirs.
    #[cold]
    fn look_again(&self) {
        let left = self.record.side(self.direction).lock().take_due(NEVER);
        left.0.for_each(wake);
    }
}

impl Alarm for Deadline {
    fn cancel(&self, key: TimerKey) {
        self.shared.cancel_timer(key);
    }
}
