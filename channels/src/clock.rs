//! Channels of the clock: they give the time, and have no sender.

use crate::loom::{has_come, now};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Gives one moment, once it has come.
#[derive(Debug)]
pub(crate) struct At {
    moment: Instant,
    taken: AtomicBool,
}

impl At {
    pub(crate) fn new(moment: Instant) -> At {
        At { moment, taken: AtomicBool::new(false) }
    }
}

/// Gives the time again and again. Values that were not taken in time are left out.
#[derive(Debug)]
pub(crate) struct Tick {
    period: Duration,
    /// None: it does not fit.
    next: Mutex<Option<Instant>>,
}

impl Tick {
    pub(crate) fn new(period: Duration, first: Instant) -> Tick {
        Tick { period, next: Mutex::new(Some(first)) }
    }

    fn next(&self) -> Option<Instant> {
        *self.next.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// What the two have in common.
pub(crate) trait Clock {
    /// When it gives something. None: never again.
    fn due(&self) -> Option<Instant>;
    /// Takes what it has to give now.
    fn take(&self) -> Option<Instant>;
}

impl Clock for At {
    fn due(&self) -> Option<Instant> {
        (!self.taken.load(Ordering::Relaxed)).then_some(self.moment)
    }

    fn take(&self) -> Option<Instant> {
        // Relaxed: one of the threads that swap gets it; it guards no other data.
        let has_come = !self.taken.load(Ordering::Relaxed) && has_come(self.moment);
        (has_come && !self.taken.swap(true, Ordering::Relaxed)).then_some(self.moment)
    }
}

impl Clock for Tick {
    fn due(&self) -> Option<Instant> {
        self.next()
    }

    fn take(&self) -> Option<Instant> {
        let mut next = self.next.lock().unwrap_or_else(|e| e.into_inner());
        let now = now();
        let due = next.filter(|due| now >= *due)?;
        // In time: the ticks do not drift.
        let from = if now - due < self.period { due } else { now };
        *next = from.checked_add(self.period);
        Some(due)
    }
}
