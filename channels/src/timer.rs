//! A timer with a channel, which may be stopped and set again: nothing stale is received afterwards.
//!
//! The channel is one of the usual kind, in which the timer puts the moment when it is due. What the timer is set to is
//! behind a lock. A firing looks at it and puts the moment into the channel under that lock; `stop` and `reset` change it
//! and empty the channel under that lock. So after they have returned, nothing of before is in the channel, and nothing
//! comes: a firing that is late finds that the timer is set to something else. Under the lock nobody is woken.
//! `timer_loom.rs` models this, with alarms that ring at any time.

#[cfg(not(loom))]
use crate::alarm::Alarm;
use crate::channel::{Receiver, Sender, unbounded};
use crate::core::Given;
#[cfg(loom)]
use crate::loom::Alarm;
use crate::loom::{Mutex, MutexGuard, has_come, now};
use pirn_runtime::internal::wake;
use std::fmt;
use std::mem;
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

/// Makes a timer that gives one moment on its channel after `duration`: Go's `time.NewTimer`.
///
/// For a timeout that is never reset, [`after`](crate::after) is cheaper.
///
/// ```
/// use pirn::channel::{timer, unbounded};
/// use pirn::select;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let (beats_in, beats) = unbounded();
///     pirn::go(move || (0..3).for_each(|n| beats_in.send(n).unwrap()));
///     let silence = timer(Duration::from_secs(60));
///     let mut sum = 0;
///     loop {
///         select! {
///             recv(beats) -> beat => match beat {
///                 Ok(n) => {
///                     sum += n;
///                     silence.reset(Duration::from_secs(60));
///                 }
///                 Err(_) => break,
///             },
///             recv(silence.receiver()) -> _ => panic!("nothing for a minute"),
///         }
///     }
///     assert_eq!(sum, 3);
/// });
/// ```
pub fn timer(duration: Duration) -> Timer {
    // Without a limit: a moment that a select has chosen and not taken yet must not be in the way of the next.
    let (sender, receiver) = unbounded();
    let timer = Timer { armed: Arc::new(Armed { sender, state: Mutex::new(State::default()) }), receiver };
    timer.reset(duration);
    timer
}

/// Gives a moment on its channel when it is due, and may be stopped and set again. Made by [`timer`].
///
/// It uses the timers of the runtime that the caller of [`timer`] or [`reset`](Self::reset) runs on. Outside of any, it
/// uses a thread that is started once for all such timers; then no deadlock is reported any more. Dropping it stops it
/// and disconnects its channel.
pub struct Timer {
    armed: Arc<Armed>,
    receiver: Receiver<Instant>,
}

struct Armed {
    sender: Sender<Instant>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When it is due. None: it has fired, or is stopped.
    due: Option<Instant>,
    /// How often it was set or stopped, or an alarm was too early. An alarm of another round means nothing.
    round: u64,
    /// No alarm is set or dropped under the lock.
    alarm: Option<Alarm>,
}

impl Timer {
    /// The channel. Each firing gives the moment when it was due.
    pub fn receiver(&self) -> &Receiver<Instant> {
        &self.receiver
    }

    /// Sets the timer to fire `duration` from now. Returns whether it was pending.
    ///
    /// A moment of before that was not received is forgotten: what is received after this call is of the new time.
    pub fn reset(&self, duration: Duration) -> bool {
        // What does not fit never comes.
        let due = now().checked_add(duration);
        let (was_pending, round) = self.armed.set(due);
        if let Some(due) = due {
            self.armed.arm(due, round);
        }
        was_pending
    }

    /// Stops the timer. Returns whether it was pending.
    ///
    /// A moment that was not received is forgotten: nothing is received after this call until it is reset.
    pub fn stop(&self) -> bool {
        self.armed.set(None).0
    }
}

impl AsRef<Receiver<Instant>> for Timer {
    fn as_ref(&self) -> &Receiver<Instant> {
        &self.receiver
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("pending", &self.armed.lock().due.is_some()).finish_non_exhaustive()
    }
}

impl Armed {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under it but an allocation that fails.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Sets it to another time, and empties the channel. Returns whether it was pending, and the new round.
    fn set(&self, due: Option<Instant>) -> (bool, u64) {
        let mut state = self.lock();
        let was_pending = mem::replace(&mut state.due, due).is_some();
        state.round += 1;
        let round = state.round;
        let alarm = state.alarm.take();
        let channel = self.sender.channel.lock();
        while channel.can_pull() {
            channel.pull();
        }
        mem::forget(channel);
        let is_watched = self.sender.channel.unlock_quietly();
        drop(state);
        drop(alarm);
        self.tell_watchers(is_watched);
        (was_pending, round)
    }

    /// Has the bell rung at `due`, if it is still this round.
    fn arm(self: &Arc<Self>, due: Instant, round: u64) {
        let bell = Arc::new(Bell { armed: Arc::downgrade(self), round });
        let mut alarm = Alarm::default();
        alarm.set(due, &mut Context::from_waker(&Waker::from(bell)));
        let mut state = self.lock();
        let is_needed = state.round == round && state.due.is_some();
        let unneeded = if is_needed { state.alarm.replace(alarm) } else { Some(alarm) };
        drop(state);
        drop(unneeded);
    }

    /// The bell of that round rings. It may do so early: when its runtime ends.
    fn ring(self: &Arc<Self>, round: u64) {
        let mut state = self.lock();
        let Some(due) = state.due.filter(|_| state.round == round) else { return };
        if !has_come(due) {
            // A round of its own: who has set the alarm that rang may still be about to keep it.
            state.round += 1;
            let round = state.round;
            drop(state);
            return self.arm(due, round);
        }
        state.due = None;
        let alarm = state.alarm.take();
        let channel = self.sender.channel.lock();
        let given = channel.give(due);
        mem::forget(channel);
        let is_watched = self.sender.channel.unlock_quietly();
        drop(state);
        drop(alarm);
        if let Given::Done(told) = given {
            wake(told);
        }
        self.tell_watchers(is_watched);
    }

    fn tell_watchers(&self, is_watched: bool) {
        if is_watched {
            self.sender.channel.tell_watchers();
        }
    }
}

/// Rings for one round.
struct Bell {
    armed: Weak<Armed>,
    round: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(armed) = self.armed.upgrade() {
            armed.ring(self.round);
        }
    }
}

#[cfg(all(test, loom))]
#[path = "timer_loom.rs"]
mod models;
