//! The sizes a stack can have, and the arithmetic of their layout.

use crate::os::{Advice, page_bytes};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// The size class of a stack.
///
/// As with POSIX threads, the guard is counted in: a class of 256 KiB takes 256 KiB of address space per
/// stack, beside a page that is never used ([`Class::slot_bytes`]), and lets a G use [`Class::usable_bytes`], which is
/// 16 KiB less and up to 2 KiB of colouring, and less what lies in the room at the top of its slot
/// ([`Slot::usable_bytes`](super::Slot::usable_bytes)). So `PIRN_STACK=256K` means the class of 256 KiB and not the next
/// larger one, and a parked G costs a page and its share of a page table (4,096 + 520 bytes at 256 KiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Class {
    /// 64 KiB, of which 46 are usable.
    K64,
    /// 256 KiB, of which 238 are usable.
    K256,
    /// 1 MiB.
    M1,
    /// 4 MiB.
    M4,
    /// 16 MiB.
    M16,
    /// 64 MiB.
    M64,
    /// 256 MiB.
    M256,
    /// 1 GiB.
    G1,
}

impl Class {
    /// How many classes there are.
    pub(crate) const COUNT: usize = 8;
    /// All of them, smallest first; a class stands at its own index.
    pub(crate) const ALL: [Class; Class::COUNT] =
        [Class::K64, Class::K256, Class::M1, Class::M4, Class::M16, Class::M64, Class::M256, Class::G1];
    /// The default class. Debug builds need three to five times the stack.
    pub(crate) const DEFAULT: Class = if cfg!(debug_assertions) { Class::M1 } else { Class::K256 };

    /// The smallest class of at least `limit_bytes`, guard included, whose slots have a room of `room_bytes` at the
    /// top; `None` if that is more than the largest. The room is counted in, as the guard is, up to
    /// [`ROOM_COUNTED_IN`]; a larger one comes on top of the limit.
    pub(crate) const fn fitting(limit_bytes: usize, room_bytes: usize) -> Option<Class> {
        let beside = if room_bytes > ROOM_COUNTED_IN { room_bytes } else { 0 };
        let bytes = limit_bytes.saturating_add(beside);
        let mut index = 0;
        while index < Class::COUNT {
            if Class::ALL[index].size_bytes() >= bytes {
                return Some(Class::ALL[index]);
            }
            index += 1;
        }
        None
    }

    /// The place of this class in [`Class::ALL`].
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The size, guard included.
    #[inline]
    pub(crate) const fn size_bytes(self) -> usize {
        1 << (16 + 2 * self as u32)
    }

    /// The distance between two stacks of its arena: an odd number of pages where there may be many, or their tops would
    /// share a few sets of the TLB. On a Zen 4, which picks the set by the low bits of a page's number, a look at one of
    /// 100 to 2,000 pages takes 15 to 30 ns if they are 64 pages apart, and 3 to 6 ns if they are 65 apart.
    #[inline]
    pub(super) fn slot_bytes(self) -> usize {
        self.size_bytes() + if self.size_bytes() <= MIB { page_bytes() } else { 0 }
    }

    /// The guard at the low end of every slot. It is several pages, because C code compiled without stack
    /// probes can step over a single one.
    pub(crate) const fn guard_bytes(self) -> usize {
        if self.size_bytes() <= MIB { 16 * KIB } else { 64 * KIB }
    }

    /// What a G can use of its stack at least, whatever its slot's colour and with nothing at the top.
    pub(crate) const fn usable_bytes(self) -> usize {
        self.size_bytes() - self.guard_bytes() - COLOURS * COLOUR_BYTES
    }

    /// How far the first slot lies above a 2 MiB boundary. Half of the 2 MiB that one page-table page maps
    /// puts a slot's guard and its lower neighbour's top page on the same page-table page: 4.3 KiB saved per
    /// stack.
    pub(super) const fn lead_bytes(self) -> usize {
        if self.size_bytes() > 2 * MIB { MIB } else { 0 }
    }

    /// Huge pages make deep stacks three to four times cheaper and small ones sixteen times dearer. A guard
    /// in the first 2 MiB keeps the kernel from using one for the top page.
    pub(super) const fn advice(self) -> Advice {
        if self.has_huge_pages() { Advice::Hugepage } else { Advice::NoHugepage }
    }

    /// Whether deep parts of these stacks may use huge pages.
    pub(super) const fn has_huge_pages(self) -> bool {
        self.size_bytes() >= 64 * MIB
    }

    /// How much address space the arena asks for first. All together are 15 TiB of the 128 a process has.
    pub(super) const fn arena_bytes(self) -> usize {
        match self {
            Class::K64 => 256 * GIB,
            Class::K256 | Class::M4 | Class::M16 => 1024 * GIB,
            Class::M64 | Class::M256 => 2048 * GIB,
            Class::M1 | Class::G1 => 4096 * GIB,
        }
    }

    /// How much of the arena is opened at a time.
    pub(super) const fn step_bytes(self) -> usize {
        if self.size_bytes() > 64 * MIB { self.size_bytes() } else { 64 * MIB }
    }

    /// How many slots are armed at a time: as many as one batched call takes well, but no more than a step
    /// opens.
    pub(super) const fn batch_slots(self) -> usize {
        let per_step = self.step_bytes() / self.size_bytes();
        if per_step < BATCH_SLOTS { per_step } else { BATCH_SLOTS }
    }
}

/// How many slots move between a cache and its arena at a time, and how many guards go in one call at most.
pub(super) const BATCH_SLOTS: usize = 32;
/// Tops of stacks are 64 bytes apart in 32 steps, or all Gs would fight for the same few sets of the
/// processor's cache.
pub(super) const COLOURS: usize = 32;
/// Neighbours are so many steps apart, more than a parked G's frames take: a load is held up by a store before it whose
/// address has the same low twelve bits.
pub(super) const COLOUR_STEP: usize = 13;
/// A room at the top of a slot takes so much from the stack at most: as much as the guard of the smallest class,
/// which it leaves 30 KiB of stack. glibc by itself asks for some 4 KiB.
const ROOM_COUNTED_IN: usize = 16 * KIB;
/// A cache line.
pub(super) const COLOUR_BYTES: usize = 64;
