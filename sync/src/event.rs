//! [`Event`]: one word, the bits [`SET`] and [`WAITERS`], by the protocol of `waiting.rs`. SET comes without a turn only
//! while nobody waits. It goes without one: who waits stands there because it was not set.

use crate::loom::{AtomicU32, Ordering};
use crate::lot::{Turn, Until, key_of};
use crate::waiting::{self, Awaited, Wait};
use pirn_runtime::internal::{Kind, Reason};
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// It has been set, and not reset since.
const SET: u32 = 1;
/// Somebody waits. Changed only in a turn.
const WAITERS: u32 = 1 << 1;

/// What those that wait are told.
const WAS_SET: usize = 0;

/// A G waits until an event is set.
static WAIT: Reason = Reason::new("sync.Event.Wait", Kind::Object("event"));

/// Something that happens once, or until it is [`reset`](Self::reset): all wait until it is [`set`](Self::set), and
/// whoever comes later does not wait. As a manual-reset event of Windows and .NET, and Python's `Event`. For goroutines,
/// OS threads and async tasks.
///
/// All that wait when it is set return, also if it is reset at once. To let one of those that wait continue, use a
/// [`Notify`](crate::Notify) or a channel.
///
/// A goroutine that is unwound in a wait while its runtime shuts down (`pirn::ShutDown`) leaves the event as it is.
///
/// ```
/// use pirn::sync::Event;
///
/// static READY: Event = Event::new();
///
/// pirn::run(|| {
///     let gs: Vec<_> = (0..10).map(|_| pirn::go(|| READY.wait())).collect();
///     READY.set();
///     gs.into_iter().for_each(|g| g.join().unwrap());
///     assert!(READY.is_set());
/// });
/// ```
pub struct Event {
    state: AtomicU32,
}

impl Event {
    /// One that is not set.
    #[cfg(not(loom))]
    pub const fn new() -> Event {
        Event { state: AtomicU32::new(0) }
    }

    /// One that is not set.
    #[cfg(loom)]
    pub fn new() -> Event {
        Event { state: AtomicU32::new(0) }
    }

    /// Sets it: all that wait return. What the caller did before has happened for them.
    #[inline]
    pub fn set(&self) {
        let set = |state| (state & WAITERS == 0).then_some(state | SET);
        // Release: what the caller did (partner: `has_come`). Also if it is set: the caller may have done more since.
        if self.state.fetch_update(Ordering::Release, Ordering::Relaxed, set).is_err() {
            self.tell();
        }
    }

    #[cold]
    fn tell(&self) {
        let mut turn = Turn::of(key_of(self));
        // Release: as in `set`.
        self.state.fetch_or(SET, Ordering::Release);
        turn.tell_all(WAS_SET, |turn| self.left(turn));
    }

    /// Takes it back: who waits from now on waits until it is set again.
    pub fn reset(&self) {
        self.state.fetch_and(!SET, Ordering::Relaxed);
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.has_come()
    }

    /// Waits until it is set.
    #[inline]
    pub fn wait(&self) {
        waiting::wait(self, Until::Told);
    }

    /// Waits until it is set, or until `timeout` has passed: then this is false.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        waiting::wait_timeout(self, timeout)
    }

    pub(crate) fn wait_within(&self, until: Until<'_>) -> bool {
        waiting::wait(self, until)
    }

    /// As [`wait`](Self::wait), for async tasks. The future may be dropped at any time. One that is forgotten
    /// ([`std::mem::forget`]) after it was polled stays in the line until it is told, which harms nobody.
    ///
    /// ```
    /// let event = pirn::sync::Event::new();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| event.set());
    ///     pirn::block_on(event.wait_async());
    /// });
    /// ```
    pub fn wait_async(&self) -> impl Future<Output = ()> + Send + Sync + '_ {
        Wait::new(self)
    }
}

impl Awaited for Event {
    fn reason(&self) -> &'static Reason {
        &WAIT
    }

    #[inline]
    fn has_come(&self) -> bool {
        // Acquire: what was done before it was set (partner: the Release in `set` and `tell`).
        self.state.load(Ordering::Acquire) & SET != 0
    }

    fn has_waiters(&self) -> bool {
        self.state.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn will_wait(&self) -> bool {
        let wait = |state| (state & SET == 0).then_some(state | WAITERS);
        // Acquire: as in `has_come`.
        self.state.fetch_update(Ordering::Relaxed, Ordering::Acquire, wait).is_ok()
    }

    fn left(&self, turn: &mut Turn) {
        if turn.is_empty() {
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}

#[cfg(all(test, loom))]
#[path = "event_loom.rs"]
mod models;
