//! Has an async task polled again at a given time, for receives from channels of the clock.
//!
//! A task that is polled on a G uses a timer of its runtime. Elsewhere no runtime is known whose timers it could use.
//! So it uses futures-timer, which starts a thread of its own, once. After that no deadlock is reported any more.

#![cfg(not(loom))]

use crate::loom::Unparker;
use futures_timer::Delay;
use pirn_runtime::internal::{Told, call_at, discard, has_timers, now, wake};
use pirn_runtime::time::AfterFunc;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Instant;

/// It goes off once, and may be set again.
#[derive(Debug, Default)]
pub struct Alarm(Option<Set>);

#[derive(Debug)]
enum Set {
    Runtime(Arc<Sleeper>, AfterFunc),
    Thread(Delay),
}

/// The task that is to be woken. None: it has been.
#[derive(Debug)]
struct Sleeper(Mutex<Option<Waker>>);

impl Sleeper {
    /// Returns the waker that was there before. To wake or drop it is user code, which must not run under the lock.
    fn replace(&self, waker: Option<Waker>) -> Option<Unparker> {
        let mut place = self.0.lock().unwrap_or_else(|e| e.into_inner());
        mem::replace(&mut *place, waker).map(Unparker::from)
    }
}

/// What the timer calls, on a G; if there is no stack for one it is dropped, and wakes as well.
struct Wakes(Arc<Sleeper>);

impl Drop for Wakes {
    fn drop(&mut self) {
        wake(self.0.replace(None).map(Told::from));
    }
}

impl Alarm {
    /// Has the task polled when `due` has come, or earlier for no reason; perhaps at once.
    pub fn set(&mut self, due: Instant, context: &mut Context<'_>) {
        // It is set already, for a moment that is not later, so only the waker changes. None: the timer has gone off,
        // and wakes no task any more.
        if let Some(Set::Runtime(sleeper, _)) = &self.0
            && let Some(old) = sleeper.replace(Some(context.waker().clone()))
        {
            return discard(old);
        }
        if let Some(Set::Thread(delay)) = &mut self.0
            && Pin::new(delay).poll(context).is_pending()
        {
            return;
        }
        self.stop();
        if has_timers() {
            let sleeper = Arc::new(Sleeper(Mutex::new(Some(context.waker().clone()))));
            let wakes = Wakes(sleeper.clone());
            self.0 = Some(Set::Runtime(sleeper, call_at(due, move || drop(wakes))));
        } else {
            let mut delay = Delay::new(due.saturating_duration_since(now()));
            if Pin::new(&mut delay).poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
            self.0 = Some(Set::Thread(delay));
        }
    }

    fn stop(&mut self) {
        if let Some(Set::Runtime(sleeper, call)) = self.0.take() {
            // First, so that the call finds no task to wake when it is dropped.
            let waker = sleeper.replace(None);
            call.stop();
            if let Some(waker) = waker {
                discard(waker);
            }
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.stop();
    }
}
