//! The entries of a cache by their deadlines, and what became of those that have gone. All under one lock.

use super::slot::{Entry, State};
use pirn_runtime::internal::has_come;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// What a [`TtlCache`](super::TtlCache) did. `inserted` is always the sum of `entries`, `replaced`, `expired`, `evicted`
/// and `invalidated`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheMetrics {
    /// Lookups that found a value.
    pub hits: u64,
    /// Lookups that found none. If they could load, each is a load.
    pub misses: u64,
    /// Lookups that found a load of another caller, and waited for it.
    pub joined: u64,
    /// Loads that were started.
    pub loads: u64,
    /// Entries that there are.
    pub entries: u64,
    /// All entries that there were.
    pub inserted: u64,
    /// Those that went because another one came for their key.
    pub replaced: u64,
    /// Those that went because of their age.
    pub expired: u64,
    /// Those that went because there were too many.
    pub evicted: u64,
    /// Those that were taken out by the user.
    pub invalidated: u64,
}

/// Why an entry goes.
#[derive(Clone, Copy)]
pub(super) enum Why {
    Replaced,
    Expired,
    Evicted,
    Invalidated,
}

/// See the head of this file.
pub(super) struct Order<K, V> {
    entries: BTreeMap<(Instant, u64), Arc<Entry<K, V>>>,
    /// Those of entries alone.
    figures: CacheMetrics,
}

impl<K, V> Order<K, V> {
    pub(super) fn new() -> Order<K, V> {
        Order { entries: BTreeMap::new(), figures: CacheMetrics::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|(place, _)| place.0)
    }

    pub(super) fn figures(&self) -> CacheMetrics {
        CacheMetrics { entries: self.entries.len() as u64, ..self.figures }
    }

    fn count(&mut self, why: Why) {
        let figures = &mut self.figures;
        *match why {
            Why::Replaced => &mut figures.replaced,
            Why::Expired => &mut figures.expired,
            Why::Evicted => &mut figures.evicted,
            Why::Invalidated => &mut figures.invalidated,
        } += 1;
    }

    /// Takes an entry out that has left the table, or is about to.
    pub(super) fn remove(&mut self, entry: &Entry<K, V>, why: Why) -> Option<Arc<Entry<K, V>>> {
        match entry.state() {
            State::Gone => return None,
            // Who has made it has not come yet, and will find it gone.
            State::New => self.figures.inserted += 1,
            State::Ordered => {}
        }
        entry.set_state(State::Gone);
        self.count(if has_come(entry.deadline) { Why::Expired } else { why });
        self.entries.remove(&entry.place())
    }

    /// Adds an entry that has come into the table. Returns those that have to go, as there are more than `max`; and itself
    /// if it has gone meanwhile.
    pub(super) fn add(&mut self, entry: Arc<Entry<K, V>>, max: usize) -> Vec<Arc<Entry<K, V>>> {
        if entry.state() == State::Gone {
            return vec![entry];
        }
        self.figures.inserted += 1;
        entry.set_state(State::Ordered);
        self.entries.insert(entry.place(), entry);
        let mut gone = Vec::new();
        while self.entries.len() > max {
            gone.extend(self.remove_first(Why::Evicted));
        }
        gone
    }

    fn remove_first(&mut self, why: Why) -> Option<Arc<Entry<K, V>>> {
        let first = self.entries.first_key_value()?.1.clone();
        self.remove(&first, why)
    }

    /// Takes out what is due.
    pub(super) fn remove_due(&mut self) -> Vec<Arc<Entry<K, V>>> {
        let mut gone = Vec::new();
        while self.first_deadline().is_some_and(has_come) {
            gone.extend(self.remove_first(Why::Expired));
        }
        gone
    }
}
