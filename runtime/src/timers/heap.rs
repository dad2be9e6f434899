//! A 4-ary min-heap of deadlines that can be cancelled in place.
//!
//! ```text
//!   families  | -  -  - root | 4  5  6  7 | 8  9 10 11 | ...    one cache line each: the four children of one entry,
//!                                |                              each entry [ when | order | slot ] in 16 bytes
//!   places    [ place of its entry, or the next free slot ]     by slot
//!   slots     [ generation | action or nothing ]                by slot
//! ```
//!
//! A [`Key`] is a slot and its generation. Sifting moves entries and writes `places`, which are small enough to stay
//! in the cache; the actions never move.
//!
//! Invariants:
//! 1. An entry is greater than its parent.
//! 2. Slot `s` is occupied exactly when `slots[s].action` is `Some`, and then the entry at `places[s]` names `s`.
//! 3. Every other slot is on the free list, which starts at `free` and goes on through `places`.
//! 4. No two entries have the same `order`, and of two entries the later one has the greater `order`.
//! 5. Places behind the last entry are [`Entry::NONE`], which is greater than any other, and no family is all that.

use crate::os::prefetch_lines;
use std::fmt;
use std::hint::select_unpredictable;

/// Children of one entry.
const ARITY: usize = 4;

/// The place of the earliest entry. At this place the children of one entry are one family: see [`parent`].
const ROOT: usize = ARITY - 1;

/// The end of the free list.
const NO_SLOT: u32 = u32::MAX;

/// Memory for this many timers is never given back.
const SLOTS_KEPT: usize = 64;

/// Memory is given back when no more than one slot in this many is occupied, looked at once in as many removals as
/// such a part of the slots.
const SPARSE: usize = 8;

/// Names one pending timer of one heap; goes stale when the timer fires or is cancelled.
///
/// A stale key is distinguished from the slot's next owner until 2^32 timers were inserted after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    slot: u32,
    generation: u32,
}

#[cfg(test)]
impl Key {
    /// Packs the key into one word, which is never 0.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// Unpacks what [`Key::to_bits`] packed; any other word is a key that names nothing, or some timer of the heap.
    pub(crate) fn from_bits(bits: u64) -> Key {
        Key { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// One place in the heap. Compares as (when, order), since no two orders are the same (I4).
///
/// ```text
///   127           64 63      32 31       0
///   [    when_ns    |  order   |   slot   ]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry(u128);

impl Entry {
    /// Fills a place that has no entry (I5).
    const NONE: Entry = Entry(u128::MAX);

    fn new(when_ns: u64, order: u32, slot: u32) -> Entry {
        Entry(u128::from(when_ns) << 64 | u128::from(order) << 32 | u128::from(slot))
    }

    fn when_ns(self) -> u64 {
        (self.0 >> 64) as u64
    }

    fn slot(self) -> u32 {
        self.0 as u32
    }
}

/// The four children of one entry, in one cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Family([Entry; ARITY]);

impl Family {
    /// The least of the four and which of them it is, found without a branch that could be mispredicted.
    #[inline]
    fn least(&self) -> (usize, Entry) {
        let [a, b, c, d] = self.0;
        let left = select_unpredictable(b < a, (1, b), (0, a));
        let right = select_unpredictable(d < c, (3, d), (2, c));
        select_unpredictable(right.1 < left.1, right, left)
    }
}

/// The place above `place`: the children of place 3 are 4 to 7, those of 4 are 8 to 11, and so on.
#[inline]
fn parent(place: usize) -> usize {
    place / ARITY + ROOT - 1
}

/// What belongs to a timer and stays where it is while the entries move.
struct Slot<A> {
    /// The `order` that the occupant was inserted with; a key must have the same.
    generation: u32,
    /// Nothing when the slot is free.
    action: Option<A>,
}

/// Timers in order of their deadlines; equal deadlines in order of insertion.
pub(crate) struct Heap<A> {
    /// The entries; the first family has only the root.
    families: Vec<Family>,
    /// How many entries there are.
    len: usize,
    /// By slot: the place of its entry, or for a free slot the next free one.
    places: Vec<u32>,
    /// By slot.
    slots: Vec<Slot<A>>,
    /// The first free slot, or [`NO_SLOT`].
    free: u32,
    /// The order of the last insertion; its successor is never 0, so that no key is 0. At its end it begins anew on
    /// purpose (`renumber`).
    order: u32,
    /// After so many removals, look whether memory can be given back.
    patience: usize,
}

impl<A> Heap<A> {
    /// Makes an empty heap, which holds no memory.
    pub(crate) const fn new() -> Heap<A> {
        Heap {
            families: Vec::new(),
            len: 0,
            places: Vec::new(),
            slots: Vec::new(),
            free: NO_SLOT,
            order: 0,
            patience: SLOTS_KEPT,
        }
    }

    /// Adds a timer.
    #[inline]
    pub(crate) fn insert(&mut self, when_ns: u64, action: A) -> Key {
        if self.order == u32::MAX {
            self.renumber();
        }
        self.order += 1;
        let slot = self.occupy(Slot { generation: self.order, action: Some(action) });
        let last = ROOT + self.len;
        if last / ARITY == self.families.len() {
            self.families.push(Family([Entry::NONE; ARITY]));
        }
        self.len += 1;
        self.sift_up(last, Entry::new(when_ns, self.order, slot));
        Key { slot, generation: self.order }
    }

    /// Takes a timer out before it is due; `None` when it is gone already.
    #[inline]
    pub(crate) fn cancel(&mut self, key: Key) -> Option<A> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let action = slot.action.take()?;
        self.remove_entry(self.places[key.slot as usize] as usize);
        self.vacate(key.slot);
        Some(action)
    }

    /// Takes out the earliest timer if its deadline is `now_ns` or before, and says what the deadline was.
    #[inline]
    pub(crate) fn pop_due(&mut self, now_ns: u64) -> Option<(u64, A)> {
        let first = self.families.first()?.0[ROOT];
        if first.when_ns() > now_ns {
            return None;
        }
        self.remove_entry(ROOT);
        let action = self.slots[first.slot() as usize].action.take().expect("an entry's slot is occupied (I2)");
        self.vacate(first.slot());
        // Among many timers it has not been touched for long, and most often it is due too.
        if let Some(next) = self.families.first() {
            prefetch_lines(self.slots.as_ptr().wrapping_add(next.0[ROOT].slot() as usize), 1);
        }
        Some((first.when_ns(), action))
    }

    /// What the pending timers are for, in no order.
    pub(crate) fn actions(&self) -> impl Iterator<Item = &A> {
        self.slots.iter().filter_map(|slot| slot.action.as_ref())
    }

    /// The earliest deadline; `u64::MAX` when there is none.
    #[inline]
    pub(crate) fn earliest_ns(&self) -> u64 {
        self.families.first().map_or(u64::MAX, |root| root.0[ROOT].when_ns())
    }

    /// How many timers are pending.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Closes the gap that an entry leaves behind with the last entry.
    ///
    /// The gap first goes down to a leaf along the least children, and only then the last entry climbs from there: it
    /// was a leaf, so it seldom climbs far, and one comparison a level is saved. If it belongs above the gap, it
    /// climbs on past where the gap was.
    #[inline]
    fn remove_entry(&mut self, gap: usize) {
        self.len -= 1;
        let place = ROOT + self.len;
        let family = self.families.last_mut().expect("there is an entry to remove");
        let last = std::mem::replace(&mut family.0[place % ARITY], Entry::NONE);
        if place.is_multiple_of(ARITY) || place == ROOT {
            self.families.pop();
        }
        if gap < place {
            let leaf = self.sift_gap_down(gap);
            self.sift_up(leaf, last);
        }
    }

    /// Moves a gap down to a leaf by moving the least child into it again and again.
    #[inline]
    fn sift_gap_down(&mut self, mut gap: usize) -> usize {
        let (families, places) = (&mut self.families[..], &mut self.places[..]);
        loop {
            let below = gap - parent(0);
            let Some(children) = families.get(below) else {
                return gap;
            };
            let (least, child) = children.least();
            families[gap / ARITY].0[gap % ARITY] = child;
            places[child.slot() as usize] = gap as u32;
            gap = below * ARITY + least;
        }
    }

    /// Moves a gap up until `entry` may stand in it, and puts it there.
    #[inline]
    fn sift_up(&mut self, mut gap: usize, entry: Entry) {
        let (families, places) = (&mut self.families[..], &mut self.places[..]);
        while gap > ROOT {
            let above = parent(gap);
            let elder = families[above / ARITY].0[above % ARITY];
            if elder < entry {
                break;
            }
            families[gap / ARITY].0[gap % ARITY] = elder;
            places[elder.slot() as usize] = gap as u32;
            gap = above;
        }
        families[gap / ARITY].0[gap % ARITY] = entry;
        places[entry.slot() as usize] = gap as u32;
    }

    /// Puts an occupant into a free slot; its place is written when its entry is.
    #[inline]
    fn occupy(&mut self, occupant: Slot<A>) -> u32 {
        let free = self.free;
        if let Some(slot) = self.slots.get_mut(free as usize) {
            *slot = occupant;
            self.free = self.places[free as usize];
            return free;
        }
        let slot = self.slots.len();
        assert!(slot < NO_SLOT as usize - ROOT, "a heap holds fewer than 2^32 - 4 timers");
        self.slots.push(occupant);
        self.places.push(0);
        slot as u32
    }

    /// Puts a slot that has lost its action on the free list.
    #[inline]
    fn vacate(&mut self, slot: u32) {
        self.places[slot as usize] = self.free;
        self.free = slot;
        self.patience -= 1;
        if self.len == 0 || self.patience == 0 {
            self.look_for_spare_memory();
        }
    }

    /// Drops the free slots behind the last occupied one, and with them memory, if there are far too many.
    ///
    /// An occupied slot cannot move, because a key names it: one that is left at the end keeps the memory until it
    /// is free. So that a later look finds more to drop, the free list is made again with the lowest slots first.
    /// Patience makes this a walk over at most `SPARSE` slots for each removal.
    #[cold]
    #[inline(never)]
    fn look_for_spare_memory(&mut self) {
        let most = SLOTS_KEPT.max(self.len * SPARSE);
        if self.slots.len() > most {
            let occupied = self.slots.iter().rposition(|slot| slot.action.is_some()).map_or(0, |last| last + 1);
            self.slots.truncate(occupied);
            self.places.truncate(occupied);
            self.free = NO_SLOT;
            for slot in (0..occupied).rev() {
                if self.slots[slot].action.is_none() {
                    self.places[slot] = self.free;
                    self.free = slot as u32;
                }
            }
            self.slots.shrink_to(SLOTS_KEPT.max(occupied));
            self.places.shrink_to(SLOTS_KEPT.max(occupied));
            self.families.shrink_to(most / ARITY);
        }
        self.patience = SLOTS_KEPT.max(self.slots.len() / SPARSE);
    }

    /// Restarts the orders from 1 without changing the sequence.
    ///
    /// Needed once in 2^32 insertions; 64-bit orders would make every entry half as large again, for every sift to
    /// pay. Generations stay what they are, so that keys stay good.
    #[cold]
    #[inline(never)]
    fn renumber(&mut self) {
        let mut entries: Vec<Entry> = self.families.iter().flat_map(|family| family.0).collect();
        entries.retain(|entry| *entry != Entry::NONE);
        entries.sort_unstable();
        self.order = 0;
        // In order they are a heap as well.
        for (place, entry) in (ROOT..).zip(entries) {
            self.order += 1;
            self.families[place / ARITY].0[place % ARITY] = Entry::new(entry.when_ns(), self.order, entry.slot());
            self.places[entry.slot() as usize] = place as u32;
        }
    }
}

impl<A> fmt::Debug for Heap<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap")
            .field("len", &self.len())
            .field("earliest_ns", &self.earliest_ns())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "heap_tests.rs"]
mod tests;
