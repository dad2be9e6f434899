//! The timer of a cache: one, for the earliest deadline that it knows.

use pirn_runtime::internal::{call_at, has_come, has_timers};
use pirn_runtime::time::AfterFunc;
use pirn_sync::Mutex;
use std::fmt;
use std::time::Instant;

/// See the head of this file.
pub(super) struct Alarm(Mutex<Option<Set>>);

struct Set {
    at: Instant,
    call: AfterFunc,
}

impl Alarm {
    pub(super) fn new() -> Alarm {
        Alarm(Mutex::new(None))
    }

    /// Has `call` made at `at`, or before. On a thread that is on no runtime there is no timer.
    pub(super) fn set(&self, at: Instant, call: impl FnOnce() + Send + 'static) {
        if self.comes_before(at) || !has_timers() {
            return;
        }
        let new = Set { at, call: call_at(at, call) };
        let unneeded = {
            let mut set = self.0.lock();
            // Another one may have set it meanwhile.
            if set.as_ref().is_some_and(|old| old.comes_before(at)) { Some(new) } else { set.replace(new) }
        };
        if let Some(unneeded) = unneeded {
            unneeded.call.stop();
        }
    }

    fn comes_before(&self, at: Instant) -> bool {
        self.0.lock().as_ref().is_some_and(|set| set.comes_before(at))
    }
}

impl Set {
    /// One whose time has come is no more set: it has started its call, or its runtime has ended.
    fn comes_before(&self, at: Instant) -> bool {
        self.at <= at && !has_come(self.at)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(set) = self.0.get_mut().take() {
            set.call.stop();
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm { .. }")
    }
}
