//! One stack of an arena.

use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::Ordering;

use corosensei::stack::{STACK_ALIGNMENT, Stack, StackPointer};

use super::arena::{Arena, Record};
use super::class::{COLOUR_BYTES, COLOUR_STEP, COLOURS, COLOURS_OF_TOP, Class};
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

    /// The end of the slot that can be used: a multiple of 64. Coloured: neighbours end at different offsets from a
    /// page boundary, within a KiB, so that what lies at the top of a slot takes no page more.
    #[inline]
    pub(crate) fn base(&self) -> usize {
        let end = self.arena().slot_start(self.index) + self.class.size_bytes();
        end - self.colour() % COLOURS_OF_TOP * COLOUR_BYTES
    }

    /// Where the stack begins, its highest address, which no frame reaches, if `reserve_bytes` at the top are for
    /// something else: `room_start(reserve_bytes)..base()`. The rest of the colour is left free between the two.
    #[inline]
    pub(crate) fn base_below(&self, reserve_bytes: usize) -> usize {
        debug_assert!(reserve_bytes < self.class.usable_bytes(), "stack: no stack left below the room at the top");
        self.room_start(reserve_bytes) - self.colour() / COLOURS_OF_TOP * COLOURS_OF_TOP * COLOUR_BYTES
    }

    /// Where the room of `reserve_bytes` at the top begins, aligned for a stack.
    #[inline]
    fn room_start(&self, reserve_bytes: usize) -> usize {
        (self.base() - reserve_bytes) & !(STACK_ALIGNMENT - 1)
    }

    #[inline]
    fn colour(&self) -> usize {
        self.index as usize * COLOUR_STEP % COLOURS
    }

    /// The lowest usable address. Below lies the guard.
    #[inline]
    pub(crate) fn limit(&self) -> usize {
        self.arena().slot_start(self.index) + self.class.guard_bytes()
    }

    /// What a G can use of it at least, beside the room at its top. Signal-safe.
    pub(crate) fn usable_bytes(&self) -> usize {
        self.class.usable_bytes().saturating_sub(self.room_bytes())
    }

    /// Where the stack begins, below the room that lies at the top.
    pub(crate) fn stack_base(&self) -> usize {
        self.base_below(self.room_bytes())
    }

    /// The usable part, from the lowest address to the highest.
    pub(crate) fn range(&self) -> (usize, usize) {
        (self.limit(), self.base())
    }

    /// How much memory it has, in bytes. It asks the system, which takes about a microsecond.
    pub(crate) fn committed_bytes(&self) -> usize {
        let page = os::page_bytes();
        let start = self.limit() & !(page - 1);
        Residency::open().bytes(Span { start, bytes: self.base().next_multiple_of(page) - start })
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

    /// Sets a room of `room_bytes` at the top aside, for good, and has trimming spare the pages of its last
    /// `kept_bytes` from the next time the slot is given back. Without it a free slot may lose all it holds, and
    /// reads as zeros.
    pub(crate) fn keep_top(&self, room_bytes: usize, kept_bytes: usize) {
        debug_assert!(0 < kept_bytes && kept_bytes <= room_bytes, "stack: {kept_bytes} of {room_bytes} bytes kept");
        let end = self.arena().slot_start(self.index) + self.class.size_bytes();
        let spared_bytes = end - self.room_start(kept_bytes);
        // Relaxed, both: the scavenger reads them after it took the slot off a list, under the lock it was put there
        // with.
        self.record().room_bytes.store(room_bytes as u32, Ordering::Relaxed);
        self.record().kept_bytes.store(spared_bytes as u32, Ordering::Relaxed);
    }

    /// How large the room at the top is: 0 if none was set aside.
    #[inline]
    pub(crate) fn room_bytes(&self) -> usize {
        self.record().room_bytes.load(Ordering::Relaxed) as usize
    }

    /// Whether the slot has a room at the top that was spared: what was written there is still there.
    #[inline]
    pub(crate) fn has_kept_top(&self) -> bool {
        self.room_bytes() != 0
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

/// The range of a slot that a coroutine runs in, in the form corosensei wants. It does not own the slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GStack {
    base: StackPointer,
    limit: StackPointer,
}

impl GStack {
    /// The stack of `slot` below a room of `reserve_bytes` at its top.
    ///
    /// # Safety
    ///
    /// At most one coroutine at a time is made with stacks of this slot, and it has finished, or was never
    /// resumed, when the slot is given back.
    #[inline]
    pub(crate) unsafe fn on(slot: &Slot, reserve_bytes: usize) -> GStack {
        let not_null = "stack: a slot is never at address 0";
        GStack {
            base: NonZeroUsize::new(slot.base_below(reserve_bytes)).expect(not_null),
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
