//! The clock under the control of a test: it stands still, and moves when the test moves it.
//!
//! The process has one clock. A test that takes it has it alone: the next one waits until it is given back. If one test
//! of a file takes the clock, all must: the others would wait for a time that does not come.

use crate::os::monotonic_ns;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// No test has taken the clock: it runs.
pub(super) const RUNS: u64 = 0;

/// Where the clock stands, or [`RUNS`]. Written under the lock of `HAND`.
static STANDS_AT_NS: AtomicU64 = AtomicU64::new(RUNS);

/// One test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// None: the clock runs.
static HAND: Mutex<Option<Hand>> = Mutex::new(None);

/// Threads that sleep in [`sleep`] are woken at every move.
static MOVED: Condvar = Condvar::new();

/// How many runtimes live.
static READERS: AtomicUsize = AtomicUsize::new(0);

/// How long a test waits for the runtimes of the one before.
const READERS_END: Duration = Duration::from_secs(10);

/// The state while a test has the clock.
struct Hand {
    /// The moment when it was taken, in both forms.
    taken: Instant,
    taken_ns: u64,
    /// The threads that sleep until the clock moves.
    sleepers: Vec<Thread>,
}

fn lock() -> MutexGuard<'static, Option<Hand>> {
    HAND.lock().unwrap_or_else(|e| e.into_inner())
}

/// Where the clock stands, or [`RUNS`].
#[inline(always)]
pub(super) fn stands_at_ns() -> u64 {
    // Relaxed: see the door of this room.
    STANDS_AT_NS.load(Ordering::Relaxed)
}

/// The moment at which the clock stands.
#[cold]
pub(super) fn now() -> Instant {
    match &*lock() {
        Some(hand) => hand.taken + Duration::from_nanos(stands_at_ns() - hand.taken_ns),
        None => Instant::now(),
    }
}

/// That moment in nanoseconds; the moment when the clock was taken, if it is before that.
#[cold]
pub(super) fn ns_of(moment: Instant) -> u64 {
    let hand = lock();
    let (taken, taken_ns) = hand.as_ref().map_or_else(|| (Instant::now(), monotonic_ns()), |h| (h.taken, h.taken_ns));
    let since = moment.saturating_duration_since(taken).as_nanos();
    taken_ns.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
}

/// Parks the calling thread, which has read `now_ns`, until the clock has moved from there, or it is unparked, or that
/// much real time has passed.
#[cold]
pub(super) fn park(now_ns: u64, at_most: Option<Duration>) {
    let me = thread::current();
    match &mut *lock() {
        // Under the lock: a move either comes before, and is seen here, or finds the sleeper in the list.
        Some(hand) if stands_at_ns() == now_ns => hand.sleepers.push(me.clone()),
        _ => return,
    }
    match at_most {
        Some(duration) => thread::park_timeout(duration),
        None => thread::park(),
    }
    if let Some(hand) = &mut *lock() {
        hand.sleepers.retain(|sleeper| sleeper.id() != me.id());
    }
}

/// Blocks the calling thread until the clock says `until_ns`.
#[cold]
pub(super) fn sleep(until_ns: u64) {
    let mut hand = lock();
    while hand.is_some() && stands_at_ns() < until_ns {
        hand = MOVED.wait(hand).unwrap_or_else(|e| e.into_inner());
    }
}

/// A runtime lives, and reads the clock.
#[derive(Debug)]
pub(crate) struct Reader(());

impl Reader {
    /// From here on the clock cannot be taken.
    pub(crate) fn new() -> Reader {
        READERS.fetch_add(1, Ordering::Relaxed);
        Reader(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Release: it has read the clock for the last time (partner: `SetClock::take`).
        READERS.fetch_sub(1, Ordering::Release);
    }
}

/// The clock of the process, under the control of a test until this is dropped.
///
/// All of pirn's time stands still: sleeps, timers, timeouts, channels of the clock. What sysmon measures stands still
/// too, so no G's slice ends by itself, and no timeout of a shutdown. Take instants for the public API from
/// [`now`](Self::now), as the clock of std goes on.
pub struct SetClock {
    _turn: MutexGuard<'static, ()>,
}

impl SetClock {
    /// Takes the clock, which stands still from now on. Waits for a test that has it.
    ///
    /// # Panics
    /// If a runtime lives: its clock might go back.
    #[track_caller]
    pub fn take() -> SetClock {
        // The test before has failed, and left a runtime that does not end.
        let (turn, patience) = match TURN.lock() {
            Ok(turn) => (turn, READERS_END),
            Err(failed) => (failed.into_inner(), Duration::ZERO),
        };
        let began = Instant::now();
        // Acquire: partner `Reader::drop`.
        while READERS.load(Ordering::Acquire) != 0 {
            assert!(began.elapsed() < patience, "a runtime lives: take the clock before you build one");
            thread::sleep(Duration::from_millis(1));
        }
        let mut hand = lock();
        let (taken, taken_ns) = (Instant::now(), monotonic_ns());
        *hand = Some(Hand { taken, taken_ns, sleepers: Vec::new() });
        STANDS_AT_NS.store(taken_ns, Ordering::Relaxed);
        SetClock { _turn: turn }
    }

    /// Where the clock stands.
    pub fn now(&self) -> Instant {
        now()
    }

    /// Moves the clock, and wakes what sleeps by it. What is due happens soon after, on other threads.
    pub fn advance(&self, by: Duration) {
        let mut hand = lock();
        let by_ns = u64::try_from(by.as_nanos()).expect("five hundred years are enough");
        STANDS_AT_NS.store(stands_at_ns() + by_ns, Ordering::Relaxed);
        let sleepers = hand.as_mut().map(|hand| std::mem::take(&mut hand.sleepers));
        drop(hand);
        MOVED.notify_all();
        sleepers.unwrap_or_default().iter().for_each(Thread::unpark);
    }
}

impl Drop for SetClock {
    fn drop(&mut self) {
        if READERS.load(Ordering::Acquire) != 0 {
            // A test has failed and left its runtime. The clock stays where it is, so that it does not go back for that
            // runtime.
            return;
        }
        let mut hand = lock();
        STANDS_AT_NS.store(RUNS, Ordering::Relaxed);
        let sleepers = hand.take().map(|hand| hand.sleepers);
        drop(hand);
        MOVED.notify_all();
        sleepers.unwrap_or_default().iter().for_each(Thread::unpark);
    }
}

impl fmt::Debug for SetClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SetClock").field(&self.now()).finish()
    }
}
