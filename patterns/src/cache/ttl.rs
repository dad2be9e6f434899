//! [`TtlCache`].

use super::alarm::Alarm;
use super::error::LoadError;
use super::order::{CacheMetrics, Order, Why};
use super::slot::{Entry, Loaded, Slot};
use crate::count::Counter;
use crate::flight::{FlightRef, Outcome, Pilot};
use pirn_runtime::internal::now;
use pirn_sync::context::{Context, ContextError};
use pirn_sync::{Map, Mutex};
use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than any process runs: a time to live that an `Instant` cannot hold.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A bounded cache whose entries expire. Clones are the same cache.
///
/// A lookup that finds nothing may load the value: by one [flight](crate::flight) per key, however many ask. The load has
/// a context that lives as long as anybody waits for it. It runs on the caller; or, if the lookup has a context, by whose
/// end the caller may give up, on a goroutine of its own. Errors are not kept.
///
/// An entry is never returned after its time. Its memory is given back then by a timer of the runtime on which it was
/// inserted, without a thread; if that was on a thread that is on no runtime, by the next operation that comes upon an
/// entry that is due. When there are more than `max` entries, that goes which would expire next.
///
/// What is used often is not kept longer: for a cache that learns what is used (W-TinyLFU) look at the crate `moka`. Its
/// loads make those that ask for the same key wait in a lock of the OS, though, which blocks their threads.
pub struct TtlCache<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    ttl: Duration,
    max: usize,
    table: Map<K, Slot<K, V>>,
    order: Mutex<Order<K, V>>,
    alarm: Alarm,
    /// The number of the latest entry.
    latest: Counter,
    hits: Counter,
    misses: Counter,
    joined: Counter,
    loads: Counter,
}

impl<K, V> TtlCache<K, V> {
    /// An empty cache of at most `max` entries, each of which expires after `ttl`.
    ///
    /// # Panics
    /// If `max` is zero.
    #[track_caller]
    pub fn new(ttl: Duration, max: usize) -> TtlCache<K, V> {
        assert!(max > 0, "a cache of 0 entries: it would keep nothing");
        TtlCache(Arc::new(Inner {
            ttl,
            max,
            table: Map::new(),
            order: Mutex::new(Order::new()),
            alarm: Alarm::new(),
            latest: Counter::new(),
            hits: Counter::new(),
            misses: Counter::new(),
            joined: Counter::new(),
            loads: Counter::new(),
        }))
    }

    /// How many entries there are, with those that are due and have not gone yet.
    pub fn len(&self) -> usize {
        self.0.order.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn metrics(&self) -> CacheMetrics {
        let inner = &*self.0;
        CacheMetrics {
            hits: inner.hits.get(),
            misses: inner.misses.get(),
            joined: inner.joined.get(),
            loads: inner.loads.get(),
            ..inner.order.lock().figures()
        }
    }
}

impl<K, V> TtlCache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The value of the key. It loads nothing, and waits for nothing.
    ///
    /// ```
    /// use pirn::patterns::cache::TtlCache;
    /// use std::time::Duration;
    ///
    /// let cache = TtlCache::new(Duration::from_secs(60), 100);
    /// cache.insert("a", 1);
    /// assert_eq!((cache.get(&"a"), cache.get(&"b")), (Some(1), None));
    /// ```
    pub fn get(&self, key: &K) -> Option<V> {
        let inner = &self.0;
        match inner.table.load(key) {
            Some(Slot::Ready(entry)) if entry.is_live() => {
                inner.hits.add_one();
                return Some(entry.value.clone());
            }
            Some(Slot::Ready(_)) => inner.sweep(),
            Some(Slot::Loading(_)) | None => {}
        }
        inner.misses.add_one();
        None
    }

    /// The value of the key; if there is none, what `f` returns, which is kept. Callers that come meanwhile wait for it.
    ///
    /// # Panics
    /// If `f` panics: all that wait.
    #[track_caller]
    pub fn get_or_insert_with<F>(&self, key: K, f: F) -> V
    where
        F: FnOnce(&Context) -> V + Send + 'static,
    {
        self.value_or_load(Pilot::Caller, &Context::background(), key, f).expect("this context never ends")
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), or until the context ends: see
    /// [`SingleFlight::run_ctx`](crate::flight::SingleFlight::run_ctx).
    ///
    /// # Errors
    /// If the context has ended: before, or meanwhile.
    ///
    /// # Panics
    /// If `f` panics: all that wait.
    #[track_caller]
    pub fn get_or_insert_ctx<F>(&self, context: &Context, key: K, f: F) -> Result<V, ContextError>
    where
        F: FnOnce(&Context) -> V + Send + 'static,
    {
        self.value_or_load(Pilot::Own, context, key, f)
    }

    #[track_caller]
    fn value_or_load<F>(&self, pilot: Pilot, context: &Context, key: K, f: F) -> Result<V, ContextError>
    where
        F: FnOnce(&Context) -> V + Send + 'static,
    {
        match self.value_or_try_load(pilot, context, key, |context| Ok::<V, Infallible>(f(context))) {
            Ok(value) => Ok(value),
            Err(LoadError::Ended(error)) => Err(error),
            Err(LoadError::Failed(error)) => match *error {},
        }
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), with a load that may fail. An error is not kept: the next
    /// lookup loads again.
    ///
    /// # Errors
    /// The error of the load, for all that waited for it.
    ///
    /// # Panics
    /// If `f` panics: all that wait.
    ///
    /// ```
    /// use pirn::patterns::cache::TtlCache;
    /// use std::time::Duration;
    ///
    /// pirn::run(|| {
    ///     let cache = TtlCache::new(Duration::from_secs(60), 100);
    ///     let failed = cache.get_or_try_insert_with("a", |_| Err("the database is down"));
    ///     assert_eq!(*failed.unwrap_err(), "the database is down");
    ///     assert_eq!(cache.get_or_try_insert_with("a", |_| Ok::<_, String>(1)), Ok(1));
    /// });
    /// ```
    #[track_caller]
    pub fn get_or_try_insert_with<E, F>(&self, key: K, f: F) -> Result<V, Arc<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce(&Context) -> Result<V, E> + Send + 'static,
    {
        self.value_or_try_load(Pilot::Caller, &Context::background(), key, f).map_err(|error| match error {
            LoadError::Failed(error) => error,
            LoadError::Ended(_) => unreachable!("this context never ends"),
        })
    }

    /// As [`get_or_try_insert_with`](Self::get_or_try_insert_with), or until the context ends.
    ///
    /// # Errors
    /// The error of the load; or if the context has ended: before, or meanwhile.
    ///
    /// # Panics
    /// If `f` panics: all that wait.
    #[track_caller]
    pub fn get_or_try_insert_ctx<E, F>(&self, context: &Context, key: K, f: F) -> Result<V, LoadError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce(&Context) -> Result<V, E> + Send + 'static,
    {
        self.value_or_try_load(Pilot::Own, context, key, f)
    }

    #[track_caller]
    fn value_or_try_load<E, F>(&self, pilot: Pilot, context: &Context, key: K, f: F) -> Result<V, LoadError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce(&Context) -> Result<V, E> + Send + 'static,
    {
        let inner = &self.0;
        context.check().map_err(LoadError::Ended)?;
        loop {
            match inner.table.load(&key) {
                Some(Slot::Ready(entry)) if entry.is_live() => {
                    inner.hits.add_one();
                    return Ok(entry.value.clone());
                }
                Some(Slot::Loading(flight)) if flight.join() => {
                    inner.joined.add_one();
                    match flight.wait(context).map_err(LoadError::Ended)?.0 {
                        Ok(value) => return Ok(value),
                        Err(error) => {
                            // A load with an error of another type says nothing to this caller, who looks again.
                            if let Ok(error) = error.downcast() {
                                return Err(LoadError::Failed(error));
                            }
                        }
                    }
                }
                there => {
                    let Some(flight) = inner.begin_load(context, &key, there) else { continue };
                    inner.load(pilot, &flight, key, f);
                    let loaded = flight.wait(context).map_err(LoadError::Ended)?.0;
                    return loaded.map_err(|error| LoadError::Failed(error.downcast().expect("the error of `f`")));
                }
            }
        }
    }

    /// Puts a value there, for as long as the cache says.
    pub fn insert(&self, key: K, value: V) {
        self.insert_for(key, value, self.0.ttl);
    }

    /// Puts a value there that expires after `ttl`.
    pub fn insert_for(&self, key: K, value: V, ttl: Duration) {
        let entry = self.0.entry(key, value, ttl);
        let old = self.0.table.swap(entry.key.clone(), Slot::Ready(entry.clone()));
        self.0.enter(entry, old);
    }

    /// Takes the key out, and returns its value. The value of a load that runs is not kept; those that wait for it get it.
    pub fn invalidate(&self, key: &K) -> Option<V> {
        match self.0.table.load_and_delete(key)? {
            Slot::Loading(_) => None,
            Slot::Ready(entry) => {
                let is_live = entry.is_live();
                let gone = self.0.order.lock().remove(&entry, Why::Invalidated);
                drop(gone);
                is_live.then(|| entry.value.clone())
            }
        }
    }

    /// Takes all keys out that are there at some moment of the call.
    pub fn clear(&self) {
        let mut keys = Vec::new();
        self.0.table.range(|key, _| {
            keys.push(key.clone());
            true
        });
        keys.iter().for_each(|key| _ = self.invalidate(key));
    }
}

impl<K, V> Inner<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn entry(&self, key: K, value: V, ttl: Duration) -> Arc<Entry<K, V>> {
        let now = now();
        let deadline = now.checked_add(ttl).unwrap_or(now + FOR_EVER);
        Entry::new(key, value, deadline, self.latest.next())
    }

    /// Puts a flight into the place of what the table has, `there`. None: that has changed.
    fn begin_load(&self, context: &Context, key: &K, there: Option<Slot<K, V>>) -> Option<FlightRef<Loaded<V>>> {
        let flight = FlightRef::new(context);
        let own = Slot::Loading(flight.clone());
        let is_there = match &there {
            None => !self.table.load_or_store(key.clone(), own).1,
            Some(there) => self.table.compare_and_swap(key.clone(), there, own),
        };
        if !is_there {
            return None;
        }
        if let Some(Slot::Ready(entry)) = there {
            let gone = self.order.lock().remove(&entry, Why::Replaced);
            drop(gone);
        }
        self.misses.add_one();
        self.loads.add_one();
        Some(flight)
    }

    /// Makes the load of a flight that is in the table, or starts it.
    #[track_caller]
    fn load<E, F>(self: &Arc<Self>, pilot: Pilot, flight: &FlightRef<Loaded<V>>, key: K, f: F)
    where
        E: Send + Sync + 'static,
        F: FnOnce(&Context) -> Result<V, E> + Send + 'static,
    {
        let (inner, own) = (self.clone(), flight.clone());
        let f = |context: &Context| f(context).map_err(|error| Arc::new(error) as Arc<dyn Any + Send + Sync>);
        pilot.fly(flight, f, move |outcome| inner.settle(key, own, outcome));
    }

    /// A load has ended: its value comes into the table, in the place of its flight.
    fn settle(self: &Arc<Self>, key: K, flight: FlightRef<Loaded<V>>, outcome: &Outcome<Loaded<V>>) {
        let is_abandoned = flight.is_abandoned();
        let own = Slot::Loading(flight);
        match outcome {
            // What was made for nobody may have been cut short.
            Outcome::Value(Ok(value)) if !is_abandoned => {
                let entry = self.entry(key.clone(), value.clone(), self.ttl);
                if self.table.compare_and_swap(key, &own, Slot::Ready(entry.clone())) {
                    self.enter(entry, None);
                }
            }
            _ => _ = self.table.compare_and_delete(&key, &own),
        }
    }

    /// An entry has come into the table, in the place of `old`.
    fn enter(self: &Arc<Self>, entry: Arc<Entry<K, V>>, old: Option<Slot<K, V>>) {
        let (replaced, evicted, first) = {
            let mut order = self.order.lock();
            let replaced = match &old {
                Some(Slot::Ready(old)) => order.remove(old, Why::Replaced),
                _ => None,
            };
            let evicted = order.add(entry, self.max);
            (replaced, evicted, order.first_deadline())
        };
        drop(replaced);
        self.drop_from_table(evicted);
        self.set_alarm(first);
    }

    /// Entries that have left the order leave the table.
    fn drop_from_table(&self, gone: Vec<Arc<Entry<K, V>>>) {
        for entry in gone {
            self.table.compare_and_delete(&entry.key, &Slot::Ready(entry.clone()));
        }
    }

    fn set_alarm(self: &Arc<Self>, first: Option<Instant>) {
        let Some(first) = first else { return };
        let cache = Arc::downgrade(self);
        self.alarm.set(first, move || {
            if let Some(cache) = cache.upgrade() {
                cache.sweep();
            }
        });
    }

    /// Takes out what is due.
    fn sweep(self: &Arc<Self>) {
        let (due, first) = {
            let mut order = self.order.lock();
            (order.remove_due(), order.first_deadline())
        };
        self.drop_from_table(due);
        self.set_alarm(first);
    }
}

impl<K, V> Clone for TtlCache<K, V> {
    fn clone(&self) -> TtlCache<K, V> {
        TtlCache(self.0.clone())
    }
}

impl<K, V> fmt::Debug for TtlCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TtlCache")
            .field("ttl", &self.0.ttl)
            .field("max", &self.0.max)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
