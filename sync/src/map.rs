//! [`Map`]: shards, each a table under a [`Mutex`].
//!
//! # No user code under a lock
//! An entry is an `Arc` of hash, key and value, and is not changed. A table is searched by hashes alone. An operation
//! hashes the key, takes the entries with that hash out of the shard, as clones, and unlocks ([`Map::see`]); then it
//! compares keys, clones values and calls closures. To change something it locks again, and does it only if the entries
//! with that hash are still those that it has seen ([`Map::commit`]); otherwise it begins anew. As it has clones of them,
//! another entry can not have the address of one. What has left the table is dropped after unlocking.
//!
//! So whatever `Hash`, `Eq`, `Clone`, destructors and closures do, they hold nobody up, and may use the same map. Who
//! begins anew does so because another one has changed something.

#![cfg(not(loom))]

use crate::mutex::Mutex;
use hashbrown::HashTable;
use smallvec::SmallVec;
use std::borrow::Borrow;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash};
use std::mem::{replace, take};
use std::sync::Arc;

/// How many shards there are, a power of two: several for each P of a large machine. One that is not used takes 64 bytes.
const SHARDS: usize = 64;

/// A map that goroutines, OS threads and async tasks share: Go's `sync.Map`, with types.
///
/// There are no guards: what an operation returns is the caller's, and a closure gets a value as it was at one moment. So
/// nobody holds up others by keeping a value, and a goroutine may wait in a closure. Closures, and the `Hash`, `Eq`,
/// `Clone` and `Drop` of keys and values, run under no lock, and may use the same map. A closure that decides about a
/// change is called once more if another one has changed the value meanwhile.
///
/// Values are returned as clones; put what is costly to clone into an [`Arc`](std::sync::Arc). A value can not be changed
/// in its place: [`update`](Self::update) puts another one there.
///
/// The default hasher is std's SipHash with a fixed key, so the order of a map is the same in each run. If an attacker
/// may choose the keys, use [`with_hasher`](Self::with_hasher) and a hasher with a random key, such as
/// [`RandomState`](std::collections::hash_map::RandomState).
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
pub struct Map<K, V, S = BuildHasherDefault<DefaultHasher>> {
    shards: [Shard<K, V>; SHARDS],
    hasher: S,
}

#[repr(align(64))]
struct Shard<K, V>(Mutex<HashTable<Arc<Entry<K, V>>>>);

struct Entry<K, V> {
    hash: u64,
    key: K,
    value: V,
}

/// What an operation has seen of a key.
struct Seen<K, V> {
    hash: u64,
    /// All entries with that hash: mostly that of the key, or none.
    all: SmallVec<[Arc<Entry<K, V>>; 1]>,
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
        Map::with_hasher(BuildHasherDefault::new())
    }
}

impl<K, V, S> Map<K, V, S> {
    /// An empty map whose keys `hasher` hashes.
    pub const fn with_hasher(hasher: S) -> Map<K, V, S> {
        Map { shards: [const { Shard(Mutex::new(HashTable::new())) }; SHARDS], hasher }
    }

    fn shard(&self, hash: u64) -> &Mutex<HashTable<Arc<Entry<K, V>>>> {
        /// 2^64 divided by the golden ratio: also hashes that are small numbers are spread.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        &self.shards[(hash.wrapping_mul(SPREAD) >> (u64::BITS - SHARDS.ilog2())) as usize].0
    }

    /// Changes what has been seen: the key's entry becomes `new`, or goes. The old one is returned, for the caller to drop
    /// it. If it is not as seen any more, nothing is done, and `new` comes back.
    fn commit(&self, seen: &Seen<K, V>, new: Option<Arc<Entry<K, V>>>) -> Result<Old<K, V>, Old<K, V>> {
        let mut table = self.shard(seen.hash).lock();
        let mut count = 0;
        let is_seen = |entry: &Arc<Entry<K, V>>| seen.all.iter().any(|seen| Arc::ptr_eq(seen, entry));
        for entry in table.iter_hash(seen.hash).filter(|entry| entry.hash == seen.hash) {
            count += 1;
            if !is_seen(entry) {
                return Err(new);
            }
        }
        if count != seen.all.len() {
            return Err(new);
        }
        let Some(own) = seen.entry() else {
            if let Some(new) = new {
                table.insert_unique(seen.hash, new, |entry| entry.hash);
            }
            return Ok(None);
        };
        let found = table.find_entry(seen.hash, |entry| Arc::ptr_eq(entry, own));
        let Ok(mut found) = found else { unreachable!("it has just been looked at") };
        Ok(Some(match new {
            Some(new) => replace(found.get_mut(), new),
            None => found.remove().0,
        }))
    }

    /// All entries of a shard.
    fn snapshot(shard: &Shard<K, V>) -> Vec<Arc<Entry<K, V>>> {
        shard.0.lock().iter().cloned().collect()
    }

    /// Calls `f` with each key and its value, in any order, until it returns false. A key is visited once at most. What is
    /// stored or deleted meanwhile may be visited or not: this is no picture of one moment.
    pub fn range(&self, mut f: impl FnMut(&K, &V) -> bool) {
        for shard in &self.shards {
            for entry in Self::snapshot(shard) {
                if !f(&entry.key, &entry.value) {
                    return;
                }
            }
        }
    }

    /// How many keys there are. While others change the map it is about that.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.0.lock().is_empty())
    }

    /// Deletes all keys, one shard after the other.
    pub fn clear(&self) {
        for shard in &self.shards {
            let table = take(&mut *shard.0.lock());
            drop(table);
        }
    }
}

/// An entry that has left the table, or has not come into it.
type Old<K, V> = Option<Arc<Entry<K, V>>>;

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
        let table = self.shard(hash).lock();
        let all: SmallVec<[Arc<Entry<K, V>>; 1]> =
            table.iter_hash(hash).filter(|entry| entry.hash == hash).cloned().collect();
        drop(table);
        let own = all.iter().position(|entry| entry.key.borrow() == key);
        Seen { hash, all, own }
    }

    /// Deletes a key if there is one and `decide` says so, which is asked again if another one has changed it meanwhile.
    /// Returns what was deleted.
    fn delete_if<Q: Hash + Eq + ?Sized>(&self, key: &Q, mut decide: impl FnMut(&V) -> bool) -> Old<K, V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        loop {
            let seen = self.see_hashed(hash, key);
            if !decide(seen.value()?) {
                return None;
            }
            if let Ok(old) = self.commit(&seen, None) {
                return old;
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

    /// The value of the key.
    pub fn load<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        V: Clone,
    {
        self.see(key).value().cloned()
    }

    /// Whether there is a value.
    pub fn contains_key<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.see(key).own.is_some()
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
        self.store_if(key, Some(value), |_, new| new);
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
        self.delete_if(key, |_| true).map(value_of)
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
        for shard in &self.shards {
            for entry in Self::snapshot(shard) {
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
