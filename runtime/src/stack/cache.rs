//! A P's own free slots.

use super::arena::Arena;
use super::class::{BATCH_SLOTS, Class};
use super::error::StackError;
use super::slot::Slot;

/// Free slots per class at most. Taking and giving in turns never reaches either end more than once in 32
/// times.
const CACHED_MAX: usize = 2 * BATCH_SLOTS;
/// How many slots `age` leaves on a shelf whose slots are in use.
const AGED_MAX: usize = 16;

/// A few free slots of each class, last in first out, used by their owner alone. Dropping it gives all back.
#[derive(Debug)]
pub(crate) struct Cache {
    shelves: [Shelf; Class::COUNT],
}

/// The free slots of one class.
#[derive(Debug)]
struct Shelf {
    /// How many of `slots` there are.
    len: u32,
    /// The smallest `len` since the last `age`: slots below it have not been used since.
    low: u32,
    /// The coldest first.
    slots: [u32; CACHED_MAX],
}

impl Cache {
    /// An empty cache.
    pub(crate) const fn new() -> Cache {
        Cache { shelves: [const { Shelf { len: 0, low: 0, slots: [0; CACHED_MAX] } }; Class::COUNT] }
    }

    /// Takes the slot of `class` that was given last, or gets 32 more.
    ///
    /// # Errors
    ///
    /// There is no free slot and the kernel refuses another. Nothing has changed then.
    #[inline]
    pub(crate) fn take(&mut self, class: Class) -> Result<Slot, StackError> {
        let shelf = &mut self.shelves[class.index()];
        if shelf.len == 0 {
            shelf.refill(class)?;
        }
        shelf.len -= 1;
        // A branch, because it is seldom taken and the store would be one more link in the chain from take to
        // take.
        if shelf.len < shelf.low {
            shelf.low = shelf.len;
        }
        Ok(Slot::new(class, shelf.slots[shelf.len as usize % CACHED_MAX]))
    }

    /// Takes the slot of `class` that was given last, if there is one here.
    #[inline]
    pub(crate) fn take_cached(&mut self, class: Class) -> Option<Slot> {
        // Then `take` does not fail.
        if self.shelves[class.index()].len == 0 { None } else { self.take(class).ok() }
    }

    /// Whether a slot of `class` can be given without sending others away.
    #[inline]
    pub(crate) fn has_place(&self, class: Class) -> bool {
        (self.shelves[class.index()].len as usize) < CACHED_MAX
    }

    /// Takes a slot back. It no longer has an owner, and what is on it is no longer needed.
    #[inline]
    pub(crate) fn give(&mut self, slot: Slot) {
        slot.clear_owner();
        let class = slot.class();
        let shelf = &mut self.shelves[class.index()];
        if shelf.len as usize == CACHED_MAX {
            shelf.spill(class, BATCH_SLOTS);
        }
        shelf.slots[shelf.len as usize % CACHED_MAX] = slot.index();
        shelf.len += 1;
    }

    /// Hands over, for the scavenger to see, what was not used since the last call and what is more than 16.
    /// To be called about every half second: slots can lie here with the pages of the deepest G that used
    /// them.
    pub(crate) fn age(&mut self) {
        for (shelf, class) in self.shelves.iter_mut().zip(Class::ALL) {
            let idle = (shelf.low as usize).max((shelf.len as usize).saturating_sub(AGED_MAX));
            if idle > 0 {
                shelf.spill(class, idle);
            }
            shelf.low = shelf.len;
        }
    }

    /// Hands everything over. For a P that has been idle for a while.
    pub(crate) fn flush(&mut self) {
        for (shelf, class) in self.shelves.iter_mut().zip(Class::ALL) {
            if shelf.len > 0 {
                shelf.spill(class, shelf.len as usize);
            }
        }
    }

    /// How many free slots of `class` are here.
    #[cfg(test)]
    pub(crate) fn held(&self, class: Class) -> usize {
        self.shelves[class.index()].len as usize
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Shelf {
    /// Gets at least one slot from the arena, at most 32.
    #[cold]
    fn refill(&mut self, class: Class) -> Result<(), StackError> {
        self.len = Arena::of(class).refill(&mut self.slots[..BATCH_SLOTS])? as u32;
        self.low = 0;
        Ok(())
    }

    /// Hands the `count` coldest slots to the arena.
    #[cold]
    fn spill(&mut self, class: Class, count: usize) {
        Arena::of(class).put_warm(&self.slots[..count]);
        self.slots.copy_within(count..self.len as usize, 0);
        self.len -= count as u32;
        self.low = self.low.min(self.len);
    }
}
