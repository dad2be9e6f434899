//! Bulkheads: what one part of a program uses up is not taken from the others.
//!
//! # The state
//! Places and the line are under one lock, so the figures add up at any moment. A place that becomes free goes to the
//! first in the line, under the lock: it never seems to be free while somebody waits, so nobody overtakes. Whoever
//! waits has an event of its own, which is set after unlocking. One that gives up looks under the lock whether it has
//! been given a place meanwhile, and if so hands it on.

use crate::keyed::{self, AsNew};
use pirn_sync::context::{Context, ContextError};
use pirn_sync::{Event, Mutex};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Lets so many calls run at the same time, so many more wait, and rejects the others at once. So a slow part of a
/// program holds up only as much as it was given.
///
/// Those that wait are served in the order in which they came. Use a `Semaphore` of `pirn::sync` where nobody is
/// to be rejected; put a [`CircuitBreaker`](crate::breaker::CircuitBreaker) into a bulkhead by a
/// [`Guarded`](crate::guarded::Guarded).
///
/// Goroutines and OS threads may share one. While the runtime of a goroutine shuts down, a wait unwinds it with
/// `pirn::ShutDown`, and its place goes to the next.
///
/// As the policies of resilience4j and failsafe-go.
///
/// ```
/// use pirn::patterns::bulkhead::Bulkhead;
///
/// // Two at a time, and three wait.
/// static REPORTS: Bulkhead = Bulkhead::new(2, 3);
///
/// pirn::run(|| {
///     let gs: Vec<_> = (0..5).map(|n| pirn::go(move || REPORTS.run(|| n * n))).collect();
///     let sum: u32 = gs.into_iter().map(|g| g.join().unwrap().unwrap()).sum();
///     assert_eq!((sum, REPORTS.metrics().completed), (30, 5));
/// });
/// ```
pub struct Bulkhead {
    places: usize,
    queue: usize,
    wait_max: Option<Duration>,
    state: Mutex<State>,
}

struct State {
    active: usize,
    /// Empty if a place is free.
    line: VecDeque<Arc<Event>>,
    asked: u64,
    rejected: u64,
    abandoned: u64,
    completed: u64,
}

/// What has become of the calls of a bulkhead. At any moment `active`, `queued`, `rejected`, `abandoned` and
/// `completed` add up to `asked`, and `active` and `available` to the number of places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadMetrics {
    /// All calls.
    pub asked: u64,
    /// Those that run.
    pub active: usize,
    /// Those that wait.
    pub queued: usize,
    /// How many places are free.
    pub available: usize,
    /// Calls that were rejected, as the line was full.
    pub rejected: u64,
    /// Calls that have given up waiting.
    pub abandoned: u64,
    /// Calls that have ended, by a panic too.
    pub completed: u64,
}

/// Why a call has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkheadError {
    /// All places are taken, and the line is full.
    Full,
    /// No place became free within [`Bulkhead::wait_max`].
    TimedOut,
    /// The context has ended, before or meanwhile.
    Ended(ContextError),
}

impl Bulkhead {
    /// So many calls at the same time, and so many more that wait.
    ///
    /// # Panics
    /// If there is no place at all.
    pub const fn new(places: usize, queue: usize) -> Bulkhead {
        assert!(places > 0, "a bulkhead without places lets nobody in");
        let state = State { active: 0, line: VecDeque::new(), asked: 0, rejected: 0, abandoned: 0, completed: 0 };
        Bulkhead { places, queue, wait_max: None, state: Mutex::new(state) }
    }

    /// Calls wait at most for so long.
    #[must_use]
    pub const fn wait_max(mut self, duration: Duration) -> Bulkhead {
        self.wait_max = Some(duration);
        self
    }

    /// Calls `f` when there is a place for it.
    ///
    /// # Errors
    /// If there is none, and none to wait in; or none became free in time. Then `f` was not called.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T, BulkheadError> {
        let _place = self.enter()?;
        Ok(f())
    }

    /// As [`run`](Self::run), with a context, which ends a wait, and which `f` gets.
    ///
    /// # Errors
    /// As `run`; if the context has ended before there was a place.
    pub fn run_ctx<T>(&self, context: &Context, f: impl FnOnce(&Context) -> T) -> Result<T, BulkheadError> {
        let _place = self.enter_ctx(context)?;
        Ok(f(context))
    }

    /// Waits for a place, which is free again when what this returns is dropped.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn enter(&self) -> Result<Place<'_>, BulkheadError> {
        self.enter_within(None)
    }

    /// Takes a place if one is free.
    ///
    /// # Errors
    /// [`BulkheadError::Full`] if none is.
    pub fn try_enter(&self) -> Result<Place<'_>, BulkheadError> {
        let mut state = self.state.lock();
        state.asked += 1;
        if state.active < self.places {
            state.active += 1;
            return Ok(Place(self));
        }
        state.rejected += 1;
        Err(BulkheadError::Full)
    }

    /// Waits for a place, or until the context ends.
    ///
    /// # Errors
    /// As [`run_ctx`](Self::run_ctx).
    pub fn enter_ctx(&self, context: &Context) -> Result<Place<'_>, BulkheadError> {
        self.enter_within(Some(context))
    }

    fn enter_within(&self, context: Option<&Context>) -> Result<Place<'_>, BulkheadError> {
        let mut state = self.state.lock();
        state.asked += 1;
        if let Some(error) = context.and_then(Context::err) {
            state.abandoned += 1;
            return Err(BulkheadError::Ended(error));
        }
        if state.active < self.places {
            state.active += 1;
            return Ok(Place(self));
        }
        if state.line.len() >= self.queue {
            state.rejected += 1;
            return Err(BulkheadError::Full);
        }
        let event = Arc::new(Event::new());
        state.line.push_back(event.clone());
        drop(state);
        // It leaves the line when this wait ends without a place, or is unwound.
        let waiter = Waiter { bulkhead: self, event, has_place: false };
        waiter.wait(context)
    }

    /// What has become of the calls so far.
    pub fn metrics(&self) -> BulkheadMetrics {
        let state = self.state.lock();
        BulkheadMetrics {
            asked: state.asked,
            active: state.active,
            queued: state.line.len(),
            available: self.places - state.active,
            rejected: state.rejected,
            abandoned: state.abandoned,
            completed: state.completed,
        }
    }

    /// One leaves its place, and the first in the line takes it.
    fn hand_on(&self, mut state: pirn_sync::MutexGuard<'_, State>) {
        let next = state.line.pop_front();
        if next.is_none() {
            state.active -= 1;
        }
        drop(state);
        next.into_iter().for_each(|event| event.set());
    }
}

/// One that waits in the line.
struct Waiter<'a> {
    bulkhead: &'a Bulkhead,
    event: Arc<Event>,
    has_place: bool,
}

impl<'a> Waiter<'a> {
    fn wait(mut self, context: Option<&Context>) -> Result<Place<'a>, BulkheadError> {
        let bulkhead = self.bulkhead;
        let waited = match (context, bulkhead.wait_max) {
            (None, None) => {
                self.event.wait();
                Ok(())
            }
            (None, Some(wait)) if self.event.wait_timeout(wait) => Ok(()),
            (None, Some(_)) => Err(BulkheadError::TimedOut),
            (Some(context), None) => self.event.wait_ctx(context).map_err(BulkheadError::Ended),
            (Some(context), Some(wait)) => {
                let (bounded, _cancel) = context.with_timeout(wait);
                let why = |_| context.err().map_or(BulkheadError::TimedOut, BulkheadError::Ended);
                self.event.wait_ctx(&bounded).map_err(why)
            }
        };
        self.has_place = waited.is_ok();
        waited.map(|()| Place(bulkhead))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.has_place {
            return;
        }
        let mut state = self.bulkhead.state.lock();
        state.abandoned += 1;
        match state.line.iter().position(|event| Arc::ptr_eq(event, &self.event)) {
            Some(nth) => drop(state.line.remove(nth)),
            // It was given a place, which the next one takes.
            None => self.bulkhead.hand_on(state),
        }
    }
}

impl AsNew for Bulkhead {}

impl keyed::Sealed for Bulkhead {
    fn is_as_new(&self) -> bool {
        self.state.lock().active == 0
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Bulkhead");
        debug.field("places", &self.places).field("queue", &self.queue).field("wait_max", &self.wait_max);
        debug.field("metrics", &self.metrics()).finish()
    }
}

/// A place in a [`Bulkhead`], which is free again when this is dropped.
#[must_use = "the place is free again at once if this is not kept"]
pub struct Place<'a>(&'a Bulkhead);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.completed += 1;
        self.0.hand_on(state);
    }
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl fmt::Display for BulkheadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BulkheadError::Full => f.write_str("the bulkhead is full"),
            BulkheadError::TimedOut => f.write_str("no place in the bulkhead became free in time"),
            BulkheadError::Ended(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BulkheadError {}
