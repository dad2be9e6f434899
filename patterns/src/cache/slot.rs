//! What the table of a cache has for a key: an entry, or a flight that loads one.

use crate::flight::FlightRef;
use pirn_runtime::internal::has_come;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

/// What a load returns. The type of its error is the caller's.
pub(super) type Loaded<V> = Result<V, Arc<dyn Any + Send + Sync>>;

pub(super) enum Slot<K, V> {
    Ready(Arc<Entry<K, V>>),
    Loading(FlightRef<Loaded<V>>),
}

impl<K, V> Clone for Slot<K, V> {
    fn clone(&self) -> Slot<K, V> {
        match self {
            Slot::Ready(entry) => Slot::Ready(entry.clone()),
            Slot::Loading(flight) => Slot::Loading(flight.clone()),
        }
    }
}

impl<K, V> PartialEq for Slot<K, V> {
    fn eq(&self, other: &Slot<K, V>) -> bool {
        match (self, other) {
            (Slot::Ready(one), Slot::Ready(other)) => Arc::ptr_eq(one, other),
            (Slot::Loading(one), Slot::Loading(other)) => one == other,
            _ => false,
        }
    }
}

/// The states of an entry: see cache I2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    New = 0,
    Ordered = 1,
    Gone = 2,
}

pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
    pub(super) deadline: Instant,
    /// Tells entries of one deadline apart.
    pub(super) number: u64,
    state: AtomicU8,
}

impl<K, V> Entry<K, V> {
    pub(super) fn new(key: K, value: V, deadline: Instant, number: u64) -> Arc<Entry<K, V>> {
        Arc::new(Entry { key, value, deadline, number, state: AtomicU8::new(State::New as u8) })
    }

    /// Relaxed: whoever sees an old state looks as if it had come before.
    pub(super) fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::New,
            1 => State::Ordered,
            _ => State::Gone,
        }
    }

    /// Only under the lock of the order.
    pub(super) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Whether its value may be returned.
    pub(super) fn is_live(&self) -> bool {
        self.state() != State::Gone && !has_come(self.deadline)
    }

    pub(super) fn place(&self) -> (Instant, u64) {
        (self.deadline, self.number)
    }
}
