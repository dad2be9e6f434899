//! Sleeping, timers and tickers.
//!
//! Deadlines are on the monotonic clock, and never early. How late: when a P is idle, some tens of microseconds; when
//! all are busy, until the M of one next picks a G; while slices are short, until it next looks, at every 61st pick.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "waiters on stacks that wait")]

use crate::clock::{deadline, has_come, now_ns, ns_of, sleep_thread};
use crate::go::{StartOptions, Unscoped, WhenClosing, start};
use crate::os::{Mutex, MutexGuard};
use crate::park::{checkpoint, current_g, park_until_ns};
use crate::reason::{Kind, Reason};
use crate::sched::{Entered, Shared};
use crate::timers::{Action, Fire, TimerKey};
use crate::wait::{Line, Ticket, Told, Waiter, on_unwind, wake};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A [`sleep`].
static SLEEP: Reason = Reason::new("sleep", Kind::Moment);
/// A [`Timer::wait`].
static TIMER: Reason = Reason::new("timer", Kind::Timer);
/// A [`Ticker::wait`].
static TICKER: Reason = Reason::new("ticker", Kind::Timer);

/// Sleeps for at least this duration. A G parks; on an OS thread it is [`std::thread::sleep`].
///
/// ```
/// let began = std::time::Instant::now();
/// pirn::sleep(std::time::Duration::from_millis(2));
/// assert!(began.elapsed().as_millis() >= 2);
/// ```
pub fn sleep(duration: Duration) {
    if current_g().is_none() {
        return sleep_thread(deadline(duration));
    }
    if duration.is_zero() {
        return crate::go::yield_now();
    }
    sleep_on_g(deadline(duration));
}

/// Sleeps until a given time; returns at once if that has passed.
pub fn sleep_until(until: Instant) {
    if has_come(until) {
        return;
    }
    let until_ns = ns_of(until);
    match current_g() {
        Some(_) => sleep_on_g(until_ns),
        None => sleep_thread(until_ns),
    }
}

fn sleep_on_g(until_ns: u64) {
    loop {
        park_until_ns(&SLEEP, 0, until_ns);
        if now_ns() >= until_ns {
            return;
        }
    }
}

/// What a timer shares with the heap that it is in.
struct Armed {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is pending. A firing for another deadline is stale.
    pending: Option<TimerKey>,
    period_ns: Option<u64>,
    /// It has fired and no caller has taken the firing yet. Then the line is empty.
    fired: bool,
    /// The callers that wait for a firing. Each is told the round of one firing, which it has then taken.
    waiters: Line<u64>,
    /// How often it was reset or stopped.
    round: u64,
    call: Option<Box<dyn FnOnce() + Send>>,
    birthplace: Option<&'static Location<'static>>,
}

impl State {
    /// A firing. The caller that has waited longest takes it; without one, the next caller that asks.
    fn give(&mut self) -> Option<Told> {
        let first = self.waiters.claim_first();
        self.fired = first.is_none();
        first.map(|waiter| waiter.tell(self.round))
    }

    /// A firing that was not taken is forgotten.
    fn forget(&mut self) {
        self.fired = false;
        self.round += 1;
    }
}

impl Armed {
    #[track_caller]
    fn new(state: State) -> Arc<Armed> {
        checkpoint();
        let Some(shared) = Entered::new().map(|e| e.shared().arc()) else {
            panic!("a timer needs a runtime: make it on a goroutine, inside Runtime::run or go");
        };
        Arc::new(Armed { shared, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that may panic runs under it.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Arms it under its lock, and frees that.
    fn arm(self: &Arc<Self>, mut state: MutexGuard<'_, State>, when_ns: u64) {
        // None after the end of its runtime. While that closes there are timers still: a destructor may wait for one.
        let inserted = self.shared.insert_timer(when_ns, Action::Call(self.clone()));
        state.pending = inserted.map(|(key, _)| key);
        drop(state);
        if inserted.is_some_and(|(_, is_unseen)| is_unseen) {
            self.shared.wake_for_timer(when_ns);
        }
    }

    /// Takes the pending deadline back. False if there was none, or it is being fired just now.
    fn disarm(&self, state: &mut State) -> bool {
        // Nothing to cancel is left once `pending` is taken: a firing that comes later finds itself stale.
        state.pending.take().is_some_and(|key| {
            self.shared.cancel_timer(key);
            true
        })
    }

    /// Waits for a firing and takes it.
    fn wait(&self, reason: &'static Reason) {
        let (ticket, waiter) = (Ticket::for_caller(), Waiter::new(()));
        let mut state = self.lock();
        if std::mem::take(&mut state.fired) {
            return;
        }
        // SAFETY: both stay until it has been told, or has withdrawn.
        let lined = unsafe { waiter.belongs_to(&raw const ticket) };
        // SAFETY: as above.
        unsafe { state.waiters.push(lined) };
        drop(state);
        let unwound = on_unwind(|| self.withdraw(&waiter));
        ticket.wait(reason, 0, None);
        unwound.disarm();
    }

    /// A G is unwound in the middle of its wait. A firing that it has been told of is another's, unless it would be
    /// forgotten.
    #[cold]
    fn withdraw(&self, waiter: &Waiter<u64>) {
        let mut state = self.lock();
        let is_in_line = state.waiters.remove(waiter);
        let told = if !is_in_line && waiter.told() == Some(&state.round) { state.give() } else { None };
        drop(state);
        wake(told);
    }

    fn try_wait(&self) -> bool {
        checkpoint();
        std::mem::take(&mut self.lock().fired)
    }

    /// Starts again: as a timer, or with a period as a ticker.
    fn reset(self: &Arc<Self>, after: Duration, period_ns: Option<u64>) -> bool {
        checkpoint();
        let mut state = self.lock();
        let was_pending = self.disarm(&mut state);
        state.forget();
        state.period_ns = period_ns;
        self.arm(state, deadline(after));
        was_pending
    }

    fn stop(&self) -> bool {
        checkpoint();
        let mut state = self.lock();
        state.forget();
        state.period_ns = None;
        let was_pending = self.disarm(&mut state);
        let call = state.call.take();
        drop(state);
        // It never runs any more. What it captured is the user's, and is dropped outside the lock.
        drop(call);
        was_pending
    }
}

impl Fire for Armed {
    fn fire(self: Arc<Self>, when_ns: u64, now_ns: u64) {
        let mut state = self.lock();
        if state.pending.is_none_or(|pending| pending.when_ns() != when_ns) {
            return;
        }
        state.pending = None;
        let told = state.give();
        let call = state.call.take().zip(state.birthplace);
        match state.period_ns {
            // Ticks that no caller could have taken are left out, as in Go.
            Some(period) => {
                let missed = (now_ns - when_ns) / period;
                self.arm(state, when_ns.saturating_add(period.saturating_mul(missed + 1)));
            }
            None => drop(state),
        }
        wake(told);
        if let Some((call, birthplace)) = call {
            // If it cannot run, it is dropped on a G's stack and not here, as its destructors are the user's code.
            let options =
                StartOptions { when_closing: WhenClosing::Start, ..StartOptions::new(Some(&self.shared), birthplace) };
            // SAFETY: everything is 'static.
            drop(unsafe { start(options, call, Unscoped) });
        }
    }

    fn end(self: Arc<Self>) {
        let mut state = self.lock();
        state.pending = None;
        let call = state.call.take();
        drop(state);
        // A caller that waits for the call may hold this, and learns by the drop that the call never comes.
        drop(call);
    }
}

/// Fires once, a given time after it was made or reset. It belongs to the runtime that it was made on, and never fires
/// after that has ended.
///
/// ```
/// # pirn::run(|| {
/// use pirn::time::Timer;
/// use std::time::Duration;
///
/// let timer = Timer::new(Duration::from_secs(3600));
/// assert!(timer.reset(Duration::from_millis(1)));
/// timer.wait();
/// assert!(!timer.stop());
/// # });
/// ```
pub struct Timer(Arc<Armed>);

impl Timer {
    /// A timer that fires after `after`.
    ///
    /// # Panics
    /// Outside of any runtime.
    #[track_caller]
    pub fn new(after: Duration) -> Timer {
        let armed = Armed::new(State::default());
        armed.arm(armed.lock(), deadline(after));
        Timer(armed)
    }

    /// Parks until the timer has fired, and takes the firing. Of several waiters the one that has waited longest takes
    /// it. If the timer is stopped, this waits until it is reset and fires.
    pub fn wait(&self) {
        self.0.wait(&TIMER);
    }

    /// Whether the timer has fired; takes the firing, as [`wait`](Self::wait) does.
    pub fn try_wait(&self) -> bool {
        self.0.try_wait()
    }

    /// Sets the timer to fire `after` from now. True if it was pending. A firing that was not taken is forgotten.
    pub fn reset(&self, after: Duration) -> bool {
        self.0.reset(after, None)
    }

    /// Stops the timer. True if it was pending. A firing that was not taken is forgotten.
    pub fn stop(&self) -> bool {
        self.0.stop()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("pending", &self.0.lock().pending.is_some()).finish_non_exhaustive()
    }
}

/// Fires again and again. A tick that is not taken before the next one is left out. It belongs to the runtime that it
/// was made on, and never fires after that has ended.
///
/// ```
/// # pirn::run(|| {
/// let ticker = pirn::time::Ticker::new(std::time::Duration::from_millis(1));
/// for _ in 0..3 {
///     ticker.wait();
/// }
/// # });
/// ```
pub struct Ticker(Arc<Armed>);

impl Ticker {
    /// A ticker that fires every `period`, the first time after one.
    ///
    /// # Panics
    /// If the period is zero, or outside of any runtime.
    #[track_caller]
    pub fn new(period: Duration) -> Ticker {
        let period_ns = Some(period_ns(period));
        let armed = Armed::new(State { period_ns, ..State::default() });
        armed.arm(armed.lock(), deadline(period));
        Ticker(armed)
    }

    /// Parks until the next tick, or takes one that has come.
    pub fn wait(&self) {
        self.0.wait(&TICKER);
    }

    /// Whether a tick has come; takes it.
    pub fn try_wait(&self) -> bool {
        self.0.try_wait()
    }

    /// Starts again, with another period.
    ///
    /// # Panics
    /// If the period is zero.
    #[track_caller]
    pub fn reset(&self, period: Duration) {
        let period_ns = period_ns(period);
        self.0.reset(period, Some(period_ns));
    }

    /// Ends the ticks. A tick that was not taken is forgotten.
    pub fn stop(&self) {
        self.0.stop();
    }
}

#[track_caller]
fn period_ns(period: Duration) -> u64 {
    assert!(!period.is_zero(), "a ticker needs a period of more than nothing");
    u64::try_from(period.as_nanos()).unwrap_or(u64::MAX)
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").field("period_ns", &self.0.lock().period_ns).finish_non_exhaustive()
    }
}

/// Starts `f` as a G after some time. Dropping the returned value changes nothing. If the runtime shuts down before,
/// `f` is dropped.
///
/// ```
/// # pirn::run(|| {
/// let me = pirn::Unparker::current();
/// pirn::time::after_func(std::time::Duration::from_millis(1), move || me.unpark());
/// pirn::park();
/// # });
/// ```
///
/// # Panics
/// Outside of any runtime.
#[track_caller]
pub fn after_func<F>(after: Duration, f: F) -> AfterFunc
where
    F: FnOnce() + Send + 'static,
{
    call_at(|| deadline(after), f)
}

/// As [`after_func`], at a given moment. `when_ns` is called last, so that the reading of the clock in it is not old.
#[track_caller]
pub(crate) fn call_at<F>(when_ns: impl FnOnce() -> u64, f: F) -> AfterFunc
where
    F: FnOnce() + Send + 'static,
{
    let birthplace = Some(Location::caller());
    let armed = Armed::new(State { call: Some(Box::new(f)), birthplace, ..State::default() });
    armed.arm(armed.lock(), when_ns());
    AfterFunc(armed)
}

/// A call that is still to come: see [`after_func`].
pub struct AfterFunc(Arc<Armed>);

impl AfterFunc {
    /// Cancels the call, and drops what its closure has captured. False if it has been started already.
    pub fn stop(&self) -> bool {
        self.0.stop()
    }

    /// Makes it start `after` from now instead. Does nothing and returns false if it has been started already or
    /// cancelled.
    pub fn reset(&self, after: Duration) -> bool {
        let mut state = self.0.lock();
        let was_pending = self.0.disarm(&mut state);
        if was_pending {
            self.0.arm(state, deadline(after));
        }
        was_pending
    }
}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFunc").field("pending", &self.0.lock().pending.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Ticker};
    use crate::Builder;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A reset that takes two turns of the lock can meet a stop in between: then the ticker ticks once.
    #[test]
    fn a_ticker_that_is_reset_and_stopped_at_once_has_a_period_if_it_is_pending() {
        // SAFETY: nothing here keeps a thread-local over a suspension.
        let rt = unsafe { Builder::new().procs(1).shared_thread_locals() }.build().expect("a runtime");
        let ticker = rt.run(|| Ticker::new(Duration::from_secs(3600)));
        let over = AtomicBool::new(false);
        let until_over = |call: &dyn Fn()| {
            while !over.load(Ordering::Relaxed) {
                call();
            }
        };
        std::thread::scope(|s| {
            s.spawn(|| until_over(&|| ticker.reset(Duration::from_secs(3600))));
            s.spawn(|| until_over(&|| ticker.stop()));
            let whole = (0..100_000).all(|_| {
                let state = ticker.0.lock();
                state.pending.is_some() == state.period_ns.is_some()
            });
            over.store(true, Ordering::Relaxed);
            assert!(whole);
        });
    }
}
