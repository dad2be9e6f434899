//! [`SingleFlight`]: flights by their keys.

use super::one::{FlightRef, Pilot};
use crate::count::{Counter, EndsAs};
use pirn_sync::Map;
use pirn_sync::context::{Context, ContextError};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// Joins calls for the same key: while one is made, all that want the same wait for it, and get a clone of its value.
/// Nothing is kept afterwards; [`TtlCache`](crate::cache::TtlCache) does that. Clones are the same group.
///
/// The first caller of [`run`](Self::run) cannot give up, so it makes the call, the flight, itself. That of
/// [`run_ctx`](Self::run_ctx) can: its flight runs on a goroutine of its own; if the caller is on no runtime, on a thread of
/// its own. The context of a flight has the values of the first caller's and lives as long as anybody waits. So a caller that
/// gives up fails no other, and when the last has given up the flight is told.
///
/// A panic of the flight goes to all that wait. A flight that runs the same key in the same group waits for itself.
pub struct SingleFlight<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    flights: Map<K, FlightRef<V>>,
    calls: Counter,
    started: Counter,
    joined: Counter,
    answered: Counter,
    gave_up: Counter,
    panicked: Counter,
}

/// What a [`SingleFlight`] did. When nobody waits, `answered`, `gave_up` and `panicked` add up to `calls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlightMetrics {
    /// All calls.
    pub calls: u64,
    /// Flights. Each was started by a call.
    pub started: u64,
    /// Calls that joined a flight. All calls start one or join one, but those whose context has ended before.
    pub joined: u64,
    /// Calls that got a value.
    pub answered: u64,
    /// Calls whose context ended.
    pub gave_up: u64,
    /// Calls that panicked, with the flight or because they were unwound.
    pub panicked: u64,
}

impl<K, V> SingleFlight<K, V> {
    /// A group without flights.
    pub fn new() -> SingleFlight<K, V> {
        SingleFlight(Arc::new(Inner {
            flights: Map::new(),
            calls: Counter::new(),
            started: Counter::new(),
            joined: Counter::new(),
            answered: Counter::new(),
            gave_up: Counter::new(),
            panicked: Counter::new(),
        }))
    }

    /// What happened so far.
    pub fn metrics(&self) -> FlightMetrics {
        let inner = &*self.0;
        // The calls last: there are never more ends.
        let (answered, gave_up, panicked) = (inner.answered.get(), inner.gave_up.get(), inner.panicked.get());
        let (started, joined) = (inner.started.get(), inner.joined.get());
        FlightMetrics { calls: inner.calls.get(), started, joined, answered, gave_up, panicked }
    }

    /// How many keys have a flight.
    pub fn in_flight(&self) -> usize {
        self.0.flights.len()
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Returns what the flight for this key returns; if there is none, `f` becomes one, and is called here. True: others
    /// waited for the value too when it came. All callers of a flight are told the same.
    ///
    /// # Panics
    /// As the flight.
    #[track_caller]
    pub fn run<F>(&self, key: K, f: F) -> (V, bool)
    where
        F: FnOnce(&Context) -> V + Send + 'static,
    {
        self.call(Pilot::Caller, &Context::background(), key, f).expect("this context never ends")
    }

    /// As [`run`](Self::run), or until the context ends. Then the flight, which runs on a goroutine of its own, goes on for
    /// the others. If there are none, its own context is cancelled, and the next call for the key starts another flight.
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile.
    ///
    /// # Panics
    /// As the flight.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    /// use pirn::patterns::flight::SingleFlight;
    /// use std::time::Duration;
    ///
    /// pirn::run(|| {
    ///     let flights = SingleFlight::new();
    ///     let (hasty, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
    ///     let result = flights.run_ctx(&hasty, "slow", |context| context.wait());
    ///     assert_eq!(result, Err(ContextError::DeadlineExceeded));
    /// });
    /// ```
    #[track_caller]
    pub fn run_ctx<F>(&self, context: &Context, key: K, f: F) -> Result<(V, bool), ContextError>
    where
        F: FnOnce(&Context) -> V + Send + 'static,
    {
        self.call(Pilot::Own, context, key, f)
    }

    #[track_caller]
    fn call<F>(&self, pilot: Pilot, context: &Context, key: K, f: F) -> Result<(V, bool), ContextError>
    where
        F: FnOnce(&Context) -> V + Send + 'static,
    {
        let inner = &self.0;
        inner.calls.add_one();
        let end = EndsAs(&inner.panicked);
        match self.fly(pilot, context, key, f) {
            Ok(answer) => {
                end.ends_as(&inner.answered);
                Ok(answer)
            }
            Err(error) => {
                end.ends_as(&inner.gave_up);
                Err(error)
            }
        }
    }

    #[track_caller]
    fn fly<F>(&self, pilot: Pilot, context: &Context, key: K, f: F) -> Result<(V, bool), ContextError>
    where
        F: FnOnce(&Context) -> V + Send + 'static,
    {
        context.check()?;
        let flights = &self.0.flights;
        loop {
            if let Some(flight) = flights.load(&key) {
                if flight.join() {
                    self.0.joined.add_one();
                    return flight.wait(context);
                }
                // flight I1
                flights.compare_and_delete(&key, &flight);
            }
            let flight = FlightRef::new(context);
            if flights.load_or_store(key.clone(), flight.clone()).1 {
                continue;
            }
            self.0.started.add_one();
            let (inner, own) = (self.0.clone(), flight.clone());
            // flight I3
            pilot.fly(&flight, f, move |_| _ = inner.flights.compare_and_delete(&key, &own));
            return flight.wait(context);
        }
    }

    /// Forgets the flight for this key: the next call starts another one. Those that wait for the flight get its value.
    /// False: there was none.
    pub fn forget(&self, key: &K) -> bool {
        self.0.flights.delete(key)
    }
}

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> SingleFlight<K, V> {
        SingleFlight(self.0.clone())
    }
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> SingleFlight<K, V> {
        SingleFlight::new()
    }
}

impl<K, V> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight")
            .field("in_flight", &self.in_flight())
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
