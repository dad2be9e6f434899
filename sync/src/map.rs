//! [`Map`]: shards, each a table that is read without a lock (`map_table.rs`).
//!
//! # No user code under a lock
//! An entry is an `Arc` of hash, key and value, and is not changed. What only looks at a key does so as a reader
//! (`reading.rs`), which keeps nobody out: it compares keys, and clones the value. An operation that may change
//! something, or calls a closure, takes clones of the entries with the key's hash ([`Map::see`]); then it compares keys
//! and calls closures. To change something it locks the shard, and does it only if the entries with that hash are still
//! those that it has seen ([`Map::commit`]); otherwise it begins anew. As it has clones of them, another entry can not
//! have the address of one. A store calls no closure and needs no clones: it begins anew if the shard has been changed at
//! all since it looked. What has left the table is dropped after unlocking, when nobody reads.
//!
//! So whatever `Hash`, `Eq`, `Clone`, destructors and closures do, they hold nobody up, and may use the same map. Who
//! begins anew does so because another one has changed something.

#![cfg(not(loom))]

use crate::loom::checkpoint;
use crate::map_hasher::MapState;
use crate::map_table::{Entries, Entry, Garbage, Shard, spread};
use crate::reading::Readers;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// How many parts there are, and how many shards each has; powers of two. In all several shards for each P of a large
/// machine.
const PARTS: usize = 8;
const SHARDS: usize = 8;

/// A map that goroutines, OS threads and async tasks share: Go's `sync.Map`, with types.
///
/// There are no guards: what an operation returns is the caller's, and a closure gets a value as it was at one moment. So
/// nobody holds up others by keeping a value, and a goroutine may wait in a closure. Closures, and the `Hash`, `Eq`,
/// `Clone` and `Drop` of keys and values, run under no lock, and may use the same map. A closure that decides about a
/// change is called once more if another one has changed the value meanwhile.
///
/// A load takes no lock, and writes to no memory that others write often, so loads on all CPUs go on side by side. A value
/// that is replaced or deleted is dropped at once, or, if somebody is cloning or comparing in the same part of the map,
/// by that one when it has finished.
///
/// Values are returned as clones; put what is costly to clone into an [`Arc`](std::sync::Arc). A value can not be changed
/// in its place: [`update`](Self::update) puts another one there.
///
/// The default hasher is fast, and has a seed of the process: see [`MapState`]. The order of a map differs from run to
/// run. [`with_hasher`](Self::with_hasher) takes another one.
///
/// A goroutine that is unwound while its runtime shuts down (`pirn::ShutDown`) has done an operation wholly or not at all.
///
/// ```
/// use pirn::sync::Map;
///
/// static HITS: Map<&str, u32> = Map::new();
///
/// pirn::run(|| {
///     let gs: Vec<_> = (0..100).map(|_| pirn::go(|| HITS.update("/", |n| Some(n.map_or(1, |n| n + 1))))).collect();
///     gs.into_iter().for_each(|g| _ = g.join().unwrap());
///     assert_eq!(HITS.load("/"), Some(100));
/// });
/// ```
pub struct Map<K, V, S = MapState> {
    parts: [Part<K, V>; PARTS],
    hasher: S,
}

/// Some shards, and who reads them: who changes one seldom meets a reader of its part.
struct Part<K, V> {
    shards: [Shard<K, V>; SHARDS],
    readers: Readers<Garbage<K, V>>,
}

/// What an operation has seen of a key.
struct Seen<K, V> {
    hash: u64,
    /// All entries with that hash: mostly that of the key, or none.
    all: Entries<K, V>,
    /// Which of them is the key's.
    own: Option<usize>,
}

impl<K, V> Seen<K, V> {
    fn entry(&self) -> Option<&Arc<Entry<K, V>>> {
        self.own.map(|own| &self.all[own])
    }

    fn value(&self) -> Option<&V> {
        self.entry().map(|entry| &entry.value)
    }

    fn into_value(mut self) -> Option<V>
    where
        V: Clone,
    {
        self.own.map(|own| value_of(self.all.swap_remove(own)))
    }
}

impl<K, V> Map<K, V> {
    /// An empty map.
    pub const fn new() -> Map<K, V> {
        Map::with_hasher(MapState::new())
    }
}

impl<K, V, S> Map<K, V, S> {
    /// An empty map whose keys `hasher` hashes.
    pub const fn with_hasher(hasher: S) -> Map<K, V, S> {
        Map {
            parts: [const { Part { shards: [const { Shard::new() }; SHARDS], readers: Readers::new() } }; PARTS],
            hasher,
        }
    }

    /// Where keys with that hash are.
    #[inline]
    fn place(&self, hash: u64) -> (&Part<K, V>, &Shard<K, V>) {
        let upper = (spread(hash) >> (u64::BITS - (PARTS * SHARDS).ilog2())) as usize;
        let part = &self.parts[upper / SHARDS];
        (part, &part.shards[upper % SHARDS])
    }

    fn shards(&self) -> impl Iterator<Item = &Shard<K, V>> {
        self.parts.iter().flat_map(|part| &part.shards)
    }

    /// Changes what has been seen: the key's entry becomes `new`, or goes. If it is not as seen any more, nothing is done,
    /// and `new` comes back.
    fn commit(&self, seen: &Seen<K, V>, new: Option<Arc<Entry<K, V>>>) -> Result<(), Option<Arc<Entry<K, V>>>> {
        let (part, shard) = self.place(seen.hash);
        let mut shard = shard.lock();
        if !shard.are(seen.hash, &seen.all) {
            return Err(new);
        }
        let garbage = match (seen.entry(), new) {
            (Some(own), new) => Some(shard.replace(own, new)),
            (None, Some(new)) => shard.insert(new),
            (None, None) => None,
        };
        drop(shard);
        garbage.into_iter().for_each(|garbage| part.readers.drop_later(garbage));
        Ok(())
    }

    /// Calls `f` with each key and its value, in any order, until it returns false. A key is visited once at most. What is
    /// stored or deleted meanwhile may be visited or not: this is no picture of one moment.
    pub fn range(&self, mut f: impl FnMut(&K, &V) -> bool) {
        for shard in self.shards() {
            for entry in shard.snapshot() {
                if !f(&entry.key, &entry.value) {
                    return;
                }
            }
        }
    }

    /// How many keys there are. While others change the map it is about that.
    pub fn len(&self) -> usize {
        self.shards().map(Shard::len).sum()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.shards().all(|shard| shard.len() == 0)
    }

    /// Deletes all keys, one shard after the other.
    pub fn clear(&self) {
        for part in &self.parts {
            let garbage = part.shards.iter().filter_map(Shard::take);
            garbage.for_each(|garbage| part.readers.drop_later(garbage));
        }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Map<K, V, S> {
    /// Looks for a key.
    fn see<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Seen<K, V>
    where
        K: Borrow<Q>,
    {
        self.see_hashed(self.hasher.hash_one(key), key)
    }

    fn see_hashed<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Seen<K, V>
    where
        K: Borrow<Q>,
    {
        checkpoint();
        let (part, shard) = self.place(hash);
        let all = shard.all(&part.readers.read(), hash);
        let own = all.iter().position(|entry| entry.key.borrow() == key);
        Seen { hash, all, own }
    }

    /// Deletes a key if there is one and `decide` says so, which is asked again if another one has changed it meanwhile.
    /// Returns what was deleted.
    fn delete_if<Q: Hash + Eq + ?Sized>(&self, key: &Q, mut decide: impl FnMut(&V) -> bool) -> Option<Seen<K, V>>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        loop {
            let seen = self.see_hashed(hash, key);
            if !decide(seen.value()?) {
                return None;
            }
            if self.commit(&seen, None).is_ok() {
                return Some(seen);
            }
        }
    }

    /// Stores the value that `decide` returns, if it does, which is asked again if another one has changed something
    /// meanwhile, and gets back what it has returned. Returns what was seen last.
    fn store_if(
        &self,
        key: K,
        value: Option<V>,
        mut decide: impl FnMut(Option<&V>, Option<V>) -> Option<V>,
    ) -> (Seen<K, V>, bool) {
        let hash = self.hasher.hash_one(&key);
        let (mut key, mut value) = (key, value);
        loop {
            let seen = self.see_hashed(hash, &key);
            let Some(new) = decide(seen.value(), value) else { return (seen, false) };
            match self.commit(&seen, Some(Arc::new(Entry { hash, key, value: new }))) {
                Ok(_) => return (seen, true),
                Err(new) => {
                    let new = new.and_then(Arc::into_inner).expect("it has not come into the table");
                    (key, value) = (new.key, Some(new.value));
                }
            }
        }
    }

    /// Calls `f` with the value of the key, and keeps that from being dropped meanwhile.
    #[inline]
    fn read<Q: Hash + Eq + ?Sized, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
    {
        checkpoint();
        let hash = self.hasher.hash_one(key);
        let (part, shard) = self.place(hash);
        let reading = part.readers.read();
        let entry = shard.find(&reading, hash, |there| there.borrow() == key);
        entry.map(|entry| f(&entry.value))
    }

    /// The value of the key.
    pub fn load<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        V: Clone,
    {
        self.read(key, |value| value.clone())
    }

    /// Whether there is a value.
    pub fn contains_key<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.read(key, |_| ()).is_some()
    }

    /// Calls `f` with the value of the key, if there is one. It may be replaced or deleted meanwhile; `f` has the one that
    /// was there.
    pub fn with<Q: Hash + Eq + ?Sized, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
    {
        self.see(key).value().map(f)
    }

    /// Stores a value for the key.
    pub fn store(&self, key: K, value: V) {
        let hash = self.hasher.hash_one(&key);
        let (part, shard) = self.place(hash);
        let mut new = Arc::new(Entry { hash, key, value });
        let garbage = loop {
            checkpoint();
            let look = shard.look(&part.readers.read(), hash, |there| *there == new.key);
            // The guard of the shard ends with the statement: no destructor runs under it.
            let put = shard.lock().put(&look, new);
            match put {
                Ok(garbage) => break garbage,
                Err(back) => new = back,
            }
        };
        garbage.into_iter().for_each(|garbage| part.readers.drop_later(garbage));
    }

    /// Stores a value for the key, and returns the one that was there.
    pub fn swap(&self, key: K, value: V) -> Option<V>
    where
        V: Clone,
    {
        let (seen, _) = self.store_if(key, Some(value), |_, new| new);
        seen.into_value()
    }

    /// The value of the key, and true; if there is none, this stores one, and returns that and false.
    pub fn load_or_store(&self, key: K, value: V) -> (V, bool)
    where
        V: Clone,
    {
        let mut stored = None;
        let (seen, _) = self.store_if(key, Some(value), |there, new| {
            if there.is_some() {
                return None;
            }
            stored.clone_from(&new);
            new
        });
        match seen.into_value() {
            Some(there) => (there, true),
            None => (stored.expect("it was stored"), false),
        }
    }

    /// Stores `new` if the value of the key equals `old`. False if it does not, or there is none.
    pub fn compare_and_swap(&self, key: K, old: &V, new: V) -> bool
    where
        V: PartialEq,
    {
        self.store_if(key, Some(new), |there, new| if there == Some(old) { new } else { None }).1
    }

    /// Deletes the key if its value equals `old`. False if it does not, or there is none.
    pub fn compare_and_delete<Q: Hash + Eq + ?Sized>(&self, key: &Q, old: &V) -> bool
    where
        K: Borrow<Q>,
        V: PartialEq,
    {
        self.delete_if(key, |there| there == old).is_some()
    }

    /// Deletes the key, and returns the value that it had.
    pub fn load_and_delete<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        V: Clone,
    {
        self.delete_if(key, |_| true)?.into_value()
    }

    /// Deletes the key. False if there is none.
    pub fn delete<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.delete_if(key, |_| true).is_some()
    }

    /// Replaces the value of the key by what `f` makes of it; there may be none before, and there is none after if `f`
    /// returns none. `f` is called again if another one has changed the key meanwhile. Returns whether there is a value.
    pub fn update(&self, key: K, mut f: impl FnMut(Option<&V>) -> Option<V>) -> bool {
        let hash = self.hasher.hash_one(&key);
        let mut key = key;
        loop {
            let seen = self.see_hashed(hash, &key);
            let Some(value) = f(seen.value()) else {
                if seen.own.is_none() || self.commit(&seen, None).is_ok() {
                    return false;
                }
                continue;
            };
            match self.commit(&seen, Some(Arc::new(Entry { hash, key, value }))) {
                Ok(_) => return true,
                Err(new) => key = new.and_then(Arc::into_inner).expect("it has not come into the table").key,
            }
        }
    }

    /// Deletes all keys for which `f` returns false. It is called again for one that another one has changed meanwhile.
    pub fn retain(&self, mut f: impl FnMut(&K, &V) -> bool) {
        for shard in self.shards() {
            for entry in shard.snapshot() {
                self.delete_if(&entry.key, |value| !f(&entry.key, value));
            }
        }
    }
}

/// The value of an entry that has left the table: itself, if nobody else looks at it.
fn value_of<K, V: Clone>(entry: Arc<Entry<K, V>>) -> V {
    Arc::try_unwrap(entry).map_or_else(|shared| shared.value.clone(), |own| own.value)
}

impl<K, V, S: Default> Default for Map<K, V, S> {
    fn default() -> Map<K, V, S> {
        Map::with_hasher(S::default())
    }
}

impl<K: Hash + Eq, V, S: BuildHasher + Default> FromIterator<(K, V)> for Map<K, V, S> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Map<K, V, S> {
        let map = Map::default();
        pairs.into_iter().for_each(|(key, value)| map.store(key, value));
        map
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for Map<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_map();
        self.range(|key, value| {
            debug.entry(key, value);
            true
        });
        debug.finish()
    }
}
