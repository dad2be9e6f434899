//! One stack of an arena.

use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::Ordering;

use corosensei::stack::{STACK_ALIGNMENT, Stack, StackPointer};

use super::arena::{Arena, Record};
use super::class::{COLOUR_BYTES, COLOUR_STEP, COLOURS, Class};
use crate::os::{self, Residency, Span};

/// One stack, which the owner of the handle may use. There is no `Drop`: forgetting a slot keeps it out of use for
/// ever, which is how a stack that still holds frames is left whole. Give it to a `Cache` to have it used again.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a slot that is not given back is never used again"]
pub(crate) struct Slot {
    class: Class,
    index: u32,
}

impl Slot {
    /// The slot `index` of `class`, which the caller has just taken off a list (I1).
    #[inline]
    pub(super) fn new(class: Class, index: u32) -> Slot {
        Slot { class, index }
    }

    /// The size class.
    #[inline]
    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// The number of this slot in its class.
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// The end of the slot, at the end of a page.
    #[inline]
    pub(crate) fn end(&self) -> usize {
        self.arena().slot_start(self.index) + self.class.size_bytes()
    }

    /// Where the stack begins, its highest address, which no frame reaches: below the room at the top, if there is one.
    /// Otherwise coloured: neighbours begin at different offsets from a page boundary, within 2 KiB.
    #[inline]
    pub(crate) fn stack_base(&self) -> usize {
        match self.room_bytes() {
            0 => self.end() - self.spread() % COLOURS * COLOUR_BYTES,
            room_bytes => self.end() - room_bytes,
        }
    }

    /// Differs from neighbour to neighbour by what colours are best apart.
    #[inline]
    pub(crate) fn spread(&self) -> usize {
        self.index as usize * COLOUR_STEP
    }

    /// The lowest usable address. Below lies the guard.
    #[inline]
    pub(crate) fn limit(&self) -> usize {
        self.arena().slot_start(self.index) + self.class.guard_bytes()
    }

    /// What a G can use of it at least, beside the room at its top. Signal-safe.
    pub(crate) fn usable_bytes(&self) -> usize {
        match self.room_bytes() {
            0 => self.class.usable_bytes(),
            _ => self.stack_base() - self.limit(),
        }
    }

    /// The usable part and the room at the top, from the lowest address to the highest.
    pub(crate) fn range(&self) -> (usize, usize) {
        (self.limit(), self.end())
    }

    /// How much memory it has, in bytes. It asks the system, which takes about a microsecond.
    pub(crate) fn committed_bytes(&self) -> usize {
        let page = os::page_bytes();
        let start = self.limit() & !(page - 1);
        Residency::open().bytes(Span { start, bytes: self.end() - start })
    }

    /// Says whose stack this is now: what a fault on it is described by. Giving the slot back takes the name
    /// away, so `owner` must stay valid until then (`Describe` reads it in a fault handler).
    #[inline]
    pub(crate) fn set_owner(&self, owner: *const ()) {
        // Release: what `owner` points to is complete for the fault handler that loads it in
        // `arena::owner_of`.
        self.record().owner.store(owner.cast_mut(), Ordering::Release);
    }

    /// Removes the owner of this stack (I6).
    #[inline]
    pub(super) fn clear_owner(&self) {
        // Relaxed: nothing is published by a null.
        self.record().owner.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Sets a room of `room_bytes` at the top aside: the stack of the next G begins below it. From the next time the slot
    /// is given back, trimming spares the pages of its last `kept_bytes`, until [`clear_room`](Self::clear_room). Without
    /// it a free slot may lose all it holds, and reads as zeros.
    #[inline]
    pub(crate) fn set_room(&self, room_bytes: usize, kept_bytes: usize) {
        debug_assert!(0 < kept_bytes && kept_bytes <= room_bytes, "stack: {kept_bytes} of {room_bytes} bytes kept");
        debug_assert!(self.limit() < self.end() - room_bytes, "stack: no stack left below the room at the top");
        debug_assert!(room_bytes.is_multiple_of(STACK_ALIGNMENT), "stack: a room of {room_bytes} bytes");
        // Relaxed, both: the scavenger reads them after it took the slot off a list, under the lock it was put there
        // with.
        self.record().room_bytes.store(room_bytes as u32, Ordering::Relaxed);
        self.record().kept_bytes.store(kept_bytes as u32, Ordering::Relaxed);
    }

    /// Has the slot be all stack again.
    pub(crate) fn clear_room(&self) {
        self.record().room_bytes.store(0, Ordering::Relaxed);
        self.record().kept_bytes.store(0, Ordering::Relaxed);
    }

    /// How large the room at the top is: 0 if none is set aside. If there is one, what was written into its kept bytes is
    /// still there.
    #[inline]
    pub(crate) fn room_bytes(&self) -> usize {
        self.record().room_bytes.load(Ordering::Relaxed) as usize
    }

    /// The metadata of this slot.
    #[inline]
    pub(super) fn record(&self) -> &'static Record {
        self.arena().record(self.index)
    }

    /// The arena this slot is a part of.
    #[inline]
    fn arena(&self) -> &'static Arena {
        Arena::of(self.class)
    }
}

/// Where the stack begins in the slot that `address` lies in.
pub(crate) fn stack_base_at(address: usize) -> Option<usize> {
    let arena = Arena::find(address)?;
    let (index, _) = arena.place_of(address)?;
    // The handle is only looked at: the slot belongs to its owner (I1).
    Some(Slot::new(arena.class(), index).stack_base())
}

/// Whether a slot that a G has is such a one. Slow if there are many, and others come and go meanwhile.
pub(crate) fn any_slot_in_use(is_such: impl Fn(&Slot) -> bool) -> bool {
    Arena::all().any(|arena| {
        // Relaxed: it is not followed.
        let is_in_use = |index: &u32| !arena.record(*index).owner.load(Ordering::Relaxed).is_null();
        // As above.
        (0..arena.armed()).filter(is_in_use).any(|index| is_such(&Slot::new(arena.class(), index)))
    })
}

/// The range of a slot that a coroutine runs in, in the form corosensei wants. It does not own the slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GStack {
    base: StackPointer,
    limit: StackPointer,
}

impl GStack {
    /// The stack of `slot`, below the room at its top.
    ///
    /// # Safety
    ///
    /// At most one coroutine at a time is made with stacks of this slot, and it has finished, or was never
    /// resumed, when the slot is given back.
    #[inline]
    pub(crate) unsafe fn on(slot: &Slot) -> GStack {
        let not_null = "stack: a slot is never at address 0";
        GStack {
            base: NonZeroUsize::new(slot.stack_base()).expect(not_null),
            limit: NonZeroUsize::new(slot.limit() - slot.class().guard_bytes()).expect(not_null),
        }
    }
}

// SAFETY: a slot is guarded before its handle exists (I2), its usable part is far larger than MIN_STACK_SIZE,
// and both addresses are multiples of STACK_ALIGNMENT. That it stays free for the coroutine is the promise
// made in `on`.
unsafe impl Stack for GStack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.base
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        self.limit
    }
}
