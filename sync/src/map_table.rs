//! A shard of a [`Map`](crate::Map): a table that is read without a lock, and changed under one.
//!
//! ```text
//!   shard ---> table: slot slot slot ...    a slot: empty, once used, or an entry
//! ```
//! An entry lies in the first slot that was empty or once used, from the one that its hash says on. A reader goes from
//! there to the first empty slot. To replace an entry is one store; one that is deleted leaves its slot once used, so
//! that readers go on past it. A table that gets full is replaced by a new one with the same entries, and is not changed
//! any more: who still reads it sees the moment of its end.
//!
//! # Invariants
//! 1. *A table has an empty slot*, so readers come to an end.
//! 2. *What has left the shard is given back as [`Garbage`]*, and its owner drops it when nobody reads. Who reads has a
//!    [`Reading`] of that owner.
//! 3. *A reader sees a key as it was at one moment of the look.* It can miss a key that was deleted behind it and stored
//!    before it, but then there was a moment in between without the key.
//! 4. *Each change is counted, after it was made, and before the lock is given back.* Who has read the count first, then
//!    looked, and then locked the shard and found the same count, has seen what is there now: the look has seen a change
//!    that had been counted (the count is stored with Release and read with Acquire), and any other would have been counted
//!    since.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "entries that are read without a lock")]

use crate::mutex::{Mutex, MutexGuard};
use crate::reading::Reading;
use smallvec::SmallVec;
use std::iter::from_fn;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

const SLOTS_MIN: usize = 8;

pub(crate) struct Entry<K, V> {
    pub(crate) hash: u64,
    pub(crate) key: K,
    pub(crate) value: V,
}

/// All entries with one hash: mostly that of a key, or none.
pub(crate) type Entries<K, V> = SmallVec<[Arc<Entry<K, V>>; 1]>;

#[repr(align(64))]
pub(crate) struct Shard<K, V> {
    /// Null if there is none. Changed under the lock.
    table: AtomicPtr<Table<K, V>>,
    /// How often it was changed: I4. It may wrap.
    changes: AtomicUsize,
    lock: Mutex<Counts>,
    owns: PhantomData<Arc<Entry<K, V>>>,
}

/// Of the table: how many slots hold an entry, and how many are not empty.
struct Counts {
    entries: usize,
    used: usize,
}

type Slot<K, V> = AtomicPtr<Entry<K, V>>;

/// A power of two. Each entry is an `Arc` of the shard's.
pub(crate) struct Table<K, V>(Box<[Slot<K, V>]>);

/// What has left a shard.
pub(crate) enum Garbage<K, V> {
    Entry(#[expect(dead_code, reason = "it is only dropped")] Arc<Entry<K, V>>),
    /// Its entries lie in another one.
    Slots(#[expect(dead_code, reason = "it is only dropped")] Box<Table<K, V>>),
    /// With its entries.
    Table(#[expect(dead_code, reason = "it is only dropped")] Filled<K, V>),
}

/// A table that owns its entries.
pub(crate) struct Filled<K, V>(Box<Table<K, V>>);

// SAFETY: what others see of it are its entries, which an `Arc` would share.
unsafe impl<K, V> Send for Garbage<K, V> where Arc<Entry<K, V>>: Send {}

/// A slot once used.
fn used<K, V>() -> *mut Entry<K, V> {
    ptr::without_provenance_mut(1)
}

/// The entry in a slot, if there is one.
fn entry_in<K, V>(slot: &Slot<K, V>) -> Option<*const Entry<K, V>> {
    let entry = slot.load(Ordering::SeqCst);
    (!entry.is_null() && entry != used()).then_some(entry.cast_const())
}

/// One more owner of an entry.
///
/// # Safety
/// The entry is there, and came from `Arc::into_raw`.
unsafe fn share<K, V>(entry: *const Entry<K, V>) -> Arc<Entry<K, V>> {
    // SAFETY: as the caller promises.
    unsafe { Arc::increment_strong_count(entry) };
    // SAFETY: this owns what was just added.
    unsafe { Arc::from_raw(entry) }
}

impl<K, V> Table<K, V> {
    fn new(slots: usize) -> Box<Table<K, V>> {
        Box::new(Table((0..slots).map(|_| AtomicPtr::new(ptr::null_mut())).collect()))
    }

    /// The slots where an entry with that hash may lie, up to the first that is empty.
    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = (&Slot<K, V>, *mut Entry<K, V>)> {
        let mask = self.0.len() - 1;
        let mut number = first_slot(hash);
        from_fn(move || {
            let slot = &self.0[number & mask];
            number += 1;
            // SeqCst: `reading.rs`, I1.
            let entry = slot.load(Ordering::SeqCst);
            (!entry.is_null()).then_some((slot, entry))
        })
    }

    /// Where an entry with that hash that is not there yet comes: a slot empty or once used.
    fn free_slot(&self, hash: u64) -> &Slot<K, V> {
        let mask = self.0.len() - 1;
        let mut number = first_slot(hash);
        loop {
            let slot = &self.0[number & mask];
            if entry_in(slot).is_none() {
                return slot;
            }
            number += 1;
        }
    }

    fn entries(&self) -> impl Iterator<Item = *const Entry<K, V>> {
        self.0.iter().filter_map(entry_in)
    }
}

/// 2^64 divided by the golden ratio, times the hash: also hashes that are small numbers are spread over the upper bits.
#[inline]
pub(crate) fn spread(hash: u64) -> u64 {
    hash.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Where to begin; less the number of slots in a table.
#[inline]
fn first_slot(hash: u64) -> usize {
    (spread(hash) >> 26) as usize
}

impl<K, V> Shard<K, V> {
    pub(crate) const fn new() -> Shard<K, V> {
        Shard {
            table: AtomicPtr::new(ptr::null_mut()),
            changes: AtomicUsize::new(0),
            lock: Mutex::new(Counts { entries: 0, used: 0 }),
            owns: PhantomData,
        }
    }

    /// The table, for somebody who reads, or has the lock.
    #[inline]
    fn table(&self) -> Option<&Table<K, V>> {
        // SAFETY: it stays while one reads (`reading.rs`, I1), and is replaced only under the lock.
        unsafe { self.table.load(Ordering::SeqCst).as_ref() }
    }

    /// The entries with that hash, for the same.
    #[inline]
    fn with_hash(&self, hash: u64) -> impl Iterator<Item = (&Slot<K, V>, *const Entry<K, V>)> {
        let slots = self.table().into_iter().flat_map(move |table| table.probe(hash));
        slots.filter_map(move |(slot, entry)| {
            if entry == used() {
                return None;
            }
            // SAFETY: as of the table.
            (unsafe { (*entry).hash } == hash).then_some((slot, entry.cast_const()))
        })
    }

    /// The entry with that hash for which `is_one` holds.
    #[inline]
    pub(crate) fn find<'a>(
        &'a self,
        _reading: &'a Reading<'_, Garbage<K, V>>,
        hash: u64,
        is_one: impl Fn(&K) -> bool,
    ) -> Option<&'a Entry<K, V>> {
        // SAFETY: it is there while the caller reads (`reading.rs`, I1).
        let mut entries = self.with_hash(hash).map(|(_, entry)| unsafe { &*entry });
        entries.find(|entry| is_one(&entry.key))
    }

    /// Where the entry with that hash is for which `is_one` holds.
    #[inline]
    pub(crate) fn look(
        &self,
        _reading: &Reading<'_, Garbage<K, V>>,
        hash: u64,
        is_one: impl Fn(&K) -> bool,
    ) -> Look<K, V> {
        // Acquire: the changes that it counts (partner: `count_change`).
        let changes = self.changes.load(Ordering::Acquire);
        // SAFETY: it is there while the caller reads (`reading.rs`, I1).
        let found = self.with_hash(hash).find(|(_, entry)| is_one(unsafe { &(**entry).key }));
        Look { changes, slot: found.map(|(slot, _)| ptr::from_ref(slot)) }
    }

    /// All entries with that hash.
    pub(crate) fn all(&self, _reading: &Reading<'_, Garbage<K, V>>, hash: u64) -> Entries<K, V> {
        // SAFETY: it is there while the caller reads (`reading.rs`, I1), and the table has it from `into_raw`.
        self.with_hash(hash).map(|(_, entry)| unsafe { share(entry) }).collect()
    }

    /// The right to change it.
    pub(crate) fn lock(&self) -> Changing<'_, K, V> {
        Changing { shard: self, counts: self.lock.lock() }
    }

    /// Under the lock: it has been changed (I4).
    fn count_change(&self) {
        let changes = self.changes.load(Ordering::Relaxed);
        // Release: what was changed (partner: `look`).
        self.changes.store(changes.wrapping_add(1), Ordering::Release);
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.lock.lock().entries
    }

    /// All entries, as of one moment.
    pub(crate) fn snapshot(&self) -> Vec<Arc<Entry<K, V>>> {
        let _lock = self.lock.lock();
        // SAFETY: under the lock what is in the table stays there.
        self.table().into_iter().flat_map(Table::entries).map(|entry| unsafe { share(entry) }).collect()
    }

    /// Takes out all there is.
    pub(crate) fn take(&self) -> Option<Garbage<K, V>> {
        let mut counts = self.lock.lock();
        *counts = Counts { entries: 0, used: 0 };
        let table = self.table.swap(ptr::null_mut(), Ordering::SeqCst);
        self.count_change();
        // SAFETY: it came from a box, and has left the shard.
        (!table.is_null()).then(|| Garbage::Table(Filled(unsafe { Box::from_raw(table) })))
    }
}

impl<K, V> Drop for Shard<K, V> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<K, V> Drop for Filled<K, V> {
    fn drop(&mut self) {
        for entry in self.0.entries() {
            // SAFETY: the table has it from `into_raw`, and nobody takes it out of there any more.
            drop(unsafe { Arc::from_raw(entry) });
        }
    }
}

/// What one has seen of a key.
pub(crate) struct Look<K, V> {
    /// How often the shard had been changed.
    changes: usize,
    /// Where its entry is. It is there as long as that is so.
    slot: Option<*const Slot<K, V>>,
}

/// What has left the shard; or the entry, which has not come into it.
pub(crate) type Put<K, V> = Result<Option<Garbage<K, V>>, Arc<Entry<K, V>>>;

/// The right to change a shard: its lock is held. No user's code runs meanwhile.
pub(crate) struct Changing<'a, K, V> {
    shard: &'a Shard<K, V>,
    counts: MutexGuard<'a, Counts>,
}

impl<K, V> Changing<'_, K, V> {
    /// Whether the entries with that hash are these.
    pub(crate) fn are(&self, hash: u64, entries: &Entries<K, V>) -> bool {
        let mut count = 0;
        let are_there = self.shard.with_hash(hash).all(|(_, entry)| {
            count += 1;
            entries.iter().any(|seen| ptr::eq(Arc::as_ptr(seen), entry))
        });
        are_there && count == entries.len()
    }

    /// Puts an entry where its key was seen, or in, if the shard has not been changed since. Returns what has left it.
    ///
    /// # Errors
    /// The entry, if it has been changed.
    pub(crate) fn put(&mut self, look: &Look<K, V>, new: Arc<Entry<K, V>>) -> Put<K, V> {
        if look.changes != self.shard.changes.load(Ordering::Relaxed) {
            return Err(new);
        }
        let Some(slot) = look.slot else { return Ok(self.insert(new)) };
        // SAFETY: the table is that of the look (I4), and the lock is held.
        Ok(Some(self.replace_in(unsafe { &*slot }, Some(new))))
    }

    /// Puts an entry in. Returns a table that was too small.
    pub(crate) fn insert(&mut self, new: Arc<Entry<K, V>>) -> Option<Garbage<K, V>> {
        let old = self.make_room();
        let table = self.shard.table().expect("there is room");
        let slot = table.free_slot(new.hash);
        // SeqCst: what the entry has is seen by whoever reads (partner: `probe`).
        if slot.swap(Arc::into_raw(new).cast_mut(), Ordering::SeqCst).is_null() {
            self.counts.used += 1;
        }
        self.counts.entries += 1;
        self.shard.count_change();
        old
    }

    /// Puts `new` where `old` is, which is there, or takes that out. Returns it.
    pub(crate) fn replace(&mut self, old: &Arc<Entry<K, V>>, new: Option<Arc<Entry<K, V>>>) -> Garbage<K, V> {
        let found = self.shard.with_hash(old.hash).find(|(_, entry)| ptr::eq(Arc::as_ptr(old), *entry));
        let (slot, _) = found.expect("it has just been looked at");
        self.replace_in(slot, new)
    }

    /// The same, of the slot with an entry.
    fn replace_in(&mut self, slot: &Slot<K, V>, new: Option<Arc<Entry<K, V>>>) -> Garbage<K, V> {
        if new.is_none() {
            self.counts.entries -= 1;
        }
        let old = slot.swap(new.map_or(used(), |new| Arc::into_raw(new).cast_mut()), Ordering::SeqCst);
        self.shard.count_change();
        // SAFETY: the table had it from `into_raw`, and has it no more.
        Garbage::Entry(unsafe { Arc::from_raw(old) })
    }

    /// Makes a new table if the next entry could take one of the last slots: a quarter stays empty (I1).
    fn make_room(&mut self) -> Option<Garbage<K, V>> {
        let old = self.shard.table();
        if old.is_some_and(|old| (self.counts.used + 1) * 4 <= old.0.len() * 3) {
            return None;
        }
        let new = Table::new(((self.counts.entries + 1) * 2).next_power_of_two().max(SLOTS_MIN));
        for entry in old.into_iter().flat_map(Table::entries) {
            // SAFETY: under the lock what is in the table stays there.
            let slot = new.free_slot(unsafe { (*entry).hash });
            slot.store(entry.cast_mut(), Ordering::Relaxed);
        }
        self.counts.used = self.counts.entries;
        let old = self.shard.table.swap(Box::into_raw(new), Ordering::SeqCst);
        // SAFETY: it came from a box, and has left the shard.
        (!old.is_null()).then(|| Garbage::Slots(unsafe { Box::from_raw(old) }))
    }
}
