//! The address space of one class, and its free slots.

use crate::os::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{OnceLock, PoisonError};

use super::class::{BATCH_SLOTS, Class};
use super::error::StackError;
use crate::os::{self, Advice, Guard, Residency, Span};

/// A page of the page table maps this much. Few slots cross these boundaries.
const ALIGN_BYTES: usize = 2 << 20;

static ARENAS: [Arena; Class::COUNT] = [
    Arena::new(Class::K64),
    Arena::new(Class::K256),
    Arena::new(Class::M1),
    Arena::new(Class::M4),
    Arena::new(Class::M16),
    Arena::new(Class::M64),
    Arena::new(Class::M256),
    Arena::new(Class::G1),
];

/// All slots of one class. Process-wide; reserved when the first slot is asked for.
#[derive(Debug)]
pub(super) struct Arena {
    geometry: Geometry,
    lists: Mutex<Lists>,
}

/// Where things are. Many threads read it and few write it, so it shares no cache line with the lock.
#[derive(Debug)]
#[repr(align(128))]
struct Geometry {
    class: Class,
    /// The address of slot 0; 0 until there is a reservation. Stored last of the four that `reserve` writes
    /// (I5).
    first_slot: AtomicUsize,
    /// One record per slot.
    records: AtomicPtr<Record>,
    /// How many slots fit.
    slots: AtomicU32,
    /// The whole reservation, lead-in and tail included.
    reserved_bytes: AtomicUsize,
    /// How many slots have their guard, counted from slot 0.
    armed: AtomicU32,
}

/// What is known of a slot beside the stack itself. All zeros is a valid record of a slot without owner.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Record {
    /// Whose stack it is, or null (I6).
    pub(super) owner: AtomicPtr<()>,
    /// How many bytes at the top are set aside, and how many no trim may touch.
    pub(super) room_bytes: AtomicU32,
    pub(super) kept_bytes: AtomicU32,
}

/// The free slots, and what the scavenger has seen of them.
#[derive(Debug)]
pub(super) struct Lists {
    /// Slots as their last G left them, coldest first.
    pub(super) warm: VecDeque<u32>,
    /// Slots with their top page only, coldest first.
    pub(super) top: VecDeque<u32>,
    /// Slots without memory.
    pub(super) trimmed: Vec<u32>,
    /// How much is readable and writable, from slot 0 on.
    opened_bytes: usize,
    /// The smallest length of `warm` since the scavenger's round began: so many have not been needed.
    pub(super) warm_low: usize,
    /// The largest number of slots out since the round began.
    pub(super) out_peak: usize,
    /// The same over several rounds: an older peak is halved with each round.
    pub(super) out_recent: usize,
    /// How many of `warm` this round has still to trim.
    pub(super) idle: usize,
}

impl Arena {
    const fn new(class: Class) -> Arena {
        Arena {
            geometry: Geometry {
                class,
                first_slot: AtomicUsize::new(0),
                records: AtomicPtr::new(ptr::null_mut()),
                slots: AtomicU32::new(0),
                reserved_bytes: AtomicUsize::new(0),
                armed: AtomicU32::new(0),
            },
            lists: Mutex::new(Lists {
                warm: VecDeque::new(),
                top: VecDeque::new(),
                trimmed: Vec::new(),
                opened_bytes: 0,
                warm_low: 0,
                out_peak: 0,
                out_recent: 0,
                idle: 0,
            }),
        }
    }

    /// The arena of `class`.
    #[inline]
    pub(super) fn of(class: Class) -> &'static Arena {
        &ARENAS[class.index()]
    }

    /// The arenas that have a reservation.
    pub(super) fn all() -> impl Iterator<Item = &'static Arena> {
        ARENAS.iter().filter(|arena| arena.is_reserved())
    }

    /// The arena whose reservation `address` lies in. Signal-safe.
    pub(super) fn find(address: usize) -> Option<&'static Arena> {
        ARENAS.iter().find(|arena| arena.contains(address))
    }

    /// The class of all slots here.
    pub(super) fn class(&self) -> Class {
        self.geometry.class
    }

    /// The lowest address of a slot.
    #[inline]
    pub(super) fn slot_start(&self, index: u32) -> usize {
        // Relaxed: code that has a slot's number has seen the reservation (I5).
        self.geometry.first_slot.load(Ordering::Relaxed) + index as usize * self.class().slot_bytes()
    }

    /// The record of a slot.
    #[inline]
    pub(super) fn record(&self, index: u32) -> &'static Record {
        // Relaxed: as above (I5).
        let record = self.geometry.records.load(Ordering::Relaxed).wrapping_add(index as usize);
        // SAFETY: `reserve` made a zeroed, never unmapped record for every slot, and slots have numbers below
        // that (I5).
        unsafe { &*record }
    }

    /// Whether `address` lies in the reservation, lead-in and tail included. Signal-safe.
    pub(super) fn contains(&self, address: usize) -> bool {
        // Acquire: pairs with the Release in `reserve`, so that `reserved_bytes` is there too.
        let first_slot = self.geometry.first_slot.load(Ordering::Acquire);
        let start = first_slot - if first_slot == 0 { 0 } else { self.class().lead_bytes() };
        address.wrapping_sub(start) < self.geometry.reserved_bytes.load(Ordering::Relaxed) && first_slot != 0
    }

    /// The armed slot that `address` lies in, and how far above its start. Signal-safe.
    pub(super) fn place_of(&self, address: usize) -> Option<(u32, usize)> {
        let offset = address.checked_sub(self.geometry.first_slot.load(Ordering::Acquire))?;
        let slot_bytes = self.class().slot_bytes();
        let index = offset / slot_bytes;
        let is_armed = index < self.armed() as usize;
        is_armed.then_some((index as u32, offset % slot_bytes))
    }

    /// How many slots have ever been used at most, counted from slot 0.
    pub(super) fn armed(&self) -> u32 {
        // Acquire: pairs with the Release in `arm`: the record of an armed slot is there.
        self.geometry.armed.load(Ordering::Acquire)
    }

    /// Locks the lists. Nothing panics under this lock, so that it is poisoned means nothing.
    pub(super) fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many slots are in no list, that is in a cache or in use.
    pub(super) fn out(&self, lists: &Lists) -> usize {
        // Relaxed: written under the lock the caller holds.
        let armed = self.geometry.armed.load(Ordering::Relaxed) as usize;
        armed - lists.warm.len() - lists.top.len() - lists.trimmed.len()
    }

    /// Fills `taken` from the front with at least one slot, and returns with how many. Slots that have pages come
    /// first: a page that is there is used before a new one is touched.
    pub(super) fn refill(&self, taken: &mut [u32]) -> Result<usize, StackError> {
        let mut lists = self.lock();
        let mut count = 0;
        while count < taken.len() {
            let Some(index) = lists.pop() else { break };
            taken[count] = index;
            count += 1;
        }
        let armed = if count == 0 { self.arm(&mut lists, taken)? } else { 0 };
        lists.warm_low = lists.warm_low.min(lists.warm.len());
        lists.out_peak = lists.out_peak.max(self.out(&lists));
        // It takes some 40 us, for which no other P has to wait.
        drop(lists);
        self.populate(&taken[..armed]);
        Ok(count + armed)
    }

    /// Has the top pages of slots there that have just been armed: the next Gs use them all, if so many are out.
    fn populate(&self, fresh: &[u32]) {
        if fresh.len() < BATCH_SLOTS || fresh.contains(&0) {
            // Not for one slot alone, and not for the first ones: most programs need only a few.
            return;
        }
        let page = os::page_bytes();
        let mut tops = [Span { start: 0, bytes: page }; BATCH_SLOTS];
        for (top, index) in tops.iter_mut().zip(fresh) {
            top.start = self.slot_start(*index) + self.class().size_bytes() - page;
        }
        // SAFETY: these are open parts of our reservation, and the slots are the caller's.
        unsafe { os::populate(&tops) };
    }

    /// Takes slots back as their last Gs left them.
    pub(super) fn put_warm(&self, slots: &[u32]) {
        self.lock().warm.extend(slots);
    }

    /// Whether there is a reservation.
    fn is_reserved(&self) -> bool {
        // Acquire: pairs with the Release in `reserve`, for callers without a slot.
        self.geometry.first_slot.load(Ordering::Acquire) != 0
    }

    /// Arms the next slots and writes their numbers to `taken`, the lowest last, because a cache takes from
    /// the end.
    fn arm(&self, lists: &mut Lists, taken: &mut [u32]) -> Result<usize, StackError> {
        if !self.is_reserved() {
            self.reserve()?;
        }
        let slots = self.geometry.slots.load(Ordering::Relaxed) as usize;
        let first = self.geometry.armed.load(Ordering::Relaxed) as usize;
        let count = self.class().batch_slots().min(taken.len()).min(slots - first);
        if count == 0 {
            return Err(StackError::Exhausted { class: self.class(), slots });
        }
        self.open(lists, first + count)?;
        let count = self.guard(first, count)?;
        for (index, place) in (first..first + count).rev().zip(taken) {
            *place = index as u32;
        }
        // Release: pairs with the Acquire in `place_of`.
        self.geometry.armed.store((first + count) as u32, Ordering::Release);
        Ok(count)
    }

    /// Reserves address space for all slots and their records, less of it where there is a limit.
    #[cold]
    fn reserve(&self) -> Result<(), StackError> {
        let class = self.class();
        let mut arena_bytes = class.arena_bytes();
        let (reservation, around_bytes) = loop {
            // The tail is for a guard above the last slot, see `guard`.
            let around_bytes = class.lead_bytes() + class.guard_bytes();
            match os::reserve(arena_bytes + around_bytes, ALIGN_BYTES) {
                Ok(reservation) => break (reservation, around_bytes),
                // There is a limit: a quarter of what was refused leaves addresses to the program.
                Err(_) if arena_bytes / 4 >= class.step_bytes() => arena_bytes /= 4,
                Err(error) => return Err(StackError::refused(class, "to reserve address space", &error)),
            }
        };
        let slots = arena_bytes / class.slot_bytes();
        let records_bytes = (slots * size_of::<Record>()).next_multiple_of(os::page_bytes());
        let records = os::reserve(records_bytes, os::page_bytes()).and_then(|records| {
            let span = Span { start: records.as_ptr().expose_provenance(), bytes: records_bytes };
            // SAFETY: the range is the reservation made above (os I1).
            unsafe { os::open(span) }.map(|()| records)
        });
        let records = match records {
            Ok(records) => records,
            Err(error) => {
                // SAFETY: the reservation was made above, and no other code knows it yet.
                unsafe { os::release(reservation, arena_bytes + around_bytes) };
                return Err(StackError::refused(class, "memory for the table of stacks", &error));
            }
        };
        let start = reservation.as_ptr().expose_provenance();
        let whole = Span { start, bytes: arena_bytes + around_bytes };
        for advice in [Advice::DontDump, class.advice()] {
            // A kernel built without huge pages does not know the advice, and does not need it.
            // SAFETY: the range is the reservation made above (os I1).
            let _ = unsafe { os::advise(whole, advice) };
        }
        self.geometry.records.store(records.as_ptr().cast(), Ordering::Relaxed);
        self.geometry.slots.store(slots as u32, Ordering::Relaxed);
        self.geometry.reserved_bytes.store(whole.bytes, Ordering::Relaxed);
        // Release: pairs with the Acquire in `contains` and `is_reserved`; a reader that sees this sees the three above
        // (I5).
        self.geometry.first_slot.store(start + class.lead_bytes(), Ordering::Release);
        Ok(())
    }

    /// Moves the frontier up until the first `slots` slots are open. The kernel merges the pieces into one
    /// mapping.
    fn open(&self, lists: &mut Lists, slots: usize) -> Result<(), StackError> {
        let class = self.class();
        let needed_bytes = slots * class.slot_bytes() + class.guard_bytes();
        if lists.opened_bytes >= needed_bytes {
            return Ok(());
        }
        let end_bytes = self.geometry.reserved_bytes.load(Ordering::Relaxed) - class.lead_bytes();
        let opened_bytes = needed_bytes.next_multiple_of(class.step_bytes()).min(end_bytes);
        let span = Span { start: self.slot_start(0) + lists.opened_bytes, bytes: opened_bytes - lists.opened_bytes };
        // SAFETY: the range is the part of our own reservation above what is open (os I1).
        unsafe { os::open(span) }.map_err(|error| StackError::refused(class, "to open more memory", &error))?;
        lists.opened_bytes = opened_bytes;
        Ok(())
    }

    /// Installs the guards of `count` slots from `first` on. Returns how many slots have one now, at least one.
    fn guard(&self, first: usize, count: usize) -> Result<usize, StackError> {
        let class = self.class();
        let mut guards = [Span { start: 0, bytes: class.guard_bytes() }; BATCH_SLOTS + 1];
        for (offset, guard) in guards.iter_mut().enumerate() {
            guard.start = self.slot_start((first + offset) as u32);
        }
        if os::guard_backend() == Guard::Install {
            // Where huge pages are allowed, the guard of the next slot is installed too: without it the kernel
            // could use a huge page for the top page of the last slot of the batch.
            let count_now = count + usize::from(class.has_huge_pages());
            // SAFETY: these ranges are open parts of our reservation that no handle exists for yet (I2).
            if unsafe { os::install_guards(&guards[..count_now]) }.is_ok() {
                return Ok(count);
            }
            // The probe has succeeded, so something has changed since, as by an mlockall. The other kind of
            // guard still works.
        }
        for (done, guard) in guards[..count].iter().enumerate() {
            // SAFETY: as above.
            let closed = count_mapping().and_then(|()| {
                // SAFETY: as above.
                unsafe { os::close(*guard) }.map_err(|error| StackError::refused(class, "a guard", &error))
            });
            match closed {
                Ok(()) => {}
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
            }
        }
        Ok(count)
    }
}

/// Counts one more guard made with `mprotect`, unless there would be too many. At the kernel's limit on
/// mappings even malloc fails, and a panic hangs before it is printed. So a quarter is left for other code.
fn count_mapping() -> Result<(), StackError> {
    static GUARDS_MAX: OnceLock<usize> = OnceLock::new();
    static GUARDS: AtomicUsize = AtomicUsize::new(0);
    let guards_max = *GUARDS_MAX.get_or_init(|| os::max_map_count() / 4 * 3 / 2);
    // Relaxed: a number by itself.
    let counted =
        GUARDS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |guards| (guards < guards_max).then_some(guards + 1));
    counted.map(|_| ()).map_err(|_| StackError::TooManyGuards { guards_max })
}

impl Lists {
    /// Takes a free slot, one with more memory first.
    fn pop(&mut self) -> Option<u32> {
        self.warm.pop_back().or_else(|| self.top.pop_back()).or_else(|| self.trimmed.pop())
    }
}

/// The slot at an address, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    /// The slot's class.
    pub(crate) class: Class,
    /// The slot's number in its class.
    pub(crate) index: u32,
    /// What `Slot::set_owner` has stored, or null.
    pub(crate) owner: *const (),
    /// Whether the address lies in the slot's guard.
    pub(crate) is_guard: bool,
}

/// The slot that `address` lies in, if it is one that has ever been used. Signal-safe.
pub(crate) fn owner_of(address: usize) -> Option<Owner> {
    let arena = Arena::find(address)?;
    let (index, offset_bytes) = arena.place_of(address)?;
    Some(Owner {
        class: arena.class(),
        index,
        // Acquire: pairs with the Release in `Slot::set_owner`.
        owner: arena.record(index).owner.load(Ordering::Acquire),
        is_guard: offset_bytes < arena.class().guard_bytes(),
    })
}

impl Arena {
    /// The part that is readable and writable, if there is one.
    fn opened_span(&self) -> Option<Span> {
        let bytes = self.lock().opened_bytes;
        (bytes > 0).then(|| Span { start: self.slot_start(0), bytes })
    }
}

/// The usable part of the slot that `address` lies in, from the lowest address to the highest, and whose it is.
pub(crate) fn slot_of(address: usize) -> Option<((usize, usize), *const ())> {
    let arena = Arena::find(address)?;
    let (index, _) = arena.place_of(address)?;
    let start = arena.slot_start(index);
    let range = (start + arena.class().guard_bytes(), start + arena.class().size_bytes());
    Some((range, arena.record(index).owner.load(Ordering::Acquire)))
}

/// How many slots are in use, or in some P's cache, in all classes.
pub(crate) fn slots_out() -> usize {
    Class::ALL.iter().map(|class| Arena::of(*class)).map(|arena| arena.out(&arena.lock())).sum()
}

/// How much memory all stacks have, free ones included. It asks the kernel, which takes 30 us for each MiB.
pub(crate) fn resident_bytes() -> usize {
    let residency = Residency::open();
    let opened = Class::ALL.iter().filter_map(|class| Arena::of(*class).opened_span());
    opened.map(|span| residency.bytes(span)).sum()
}

/// The figures of one class at one moment.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClassStats {
    /// The class.
    pub(crate) class: Class,
    /// Slots in use or in some P's cache (`Cache::held`).
    pub(crate) out: usize,
    /// Slots in the arena's free lists.
    pub(crate) free: usize,
    /// Of these, slots that may hold more than one page.
    pub(crate) free_warm: usize,
    /// Address space reserved.
    pub(crate) reserved_bytes: usize,
    /// Address space that is readable and writable.
    pub(crate) opened_bytes: usize,
}

/// The figures of all classes. A class that was never used has zeros.
#[cfg(test)]
pub(crate) fn stats() -> [ClassStats; Class::COUNT] {
    Class::ALL.map(|class| {
        let arena = Arena::of(class);
        let lists = arena.lock();
        ClassStats {
            class,
            out: arena.out(&lists),
            free: lists.warm.len() + lists.top.len() + lists.trimmed.len(),
            free_warm: lists.warm.len(),
            reserved_bytes: arena.geometry.reserved_bytes.load(Ordering::Relaxed),
            opened_bytes: lists.opened_bytes,
        }
    })
}
