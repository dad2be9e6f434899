//! Gives the memory of free slots back to the system.
//!
//! A slot that has been in WARM for a whole round of half a second is trimmed. It keeps its top page as long as fewer
//! than an eighth of the recent peak of slots do; otherwise it loses all pages. The next burst starts on this eighth,
//! while the kernel makes fresh pages for the rest (1.4 us each). After a burst of deep stacks the average is near
//! 1 KiB per G, page tables included. The peak, and so what is kept, is halved with each round in which nothing has
//! needed it.

use crate::os::Mutex;
use std::sync::TryLockError;
use std::sync::atomic::Ordering;

use super::arena::{Arena, Lists};
use super::slot::Slot;
use crate::os::{self, Residency, Span};

/// How long a slot must have been idle: a full round.
const ROUND_MS: u64 = 500;
/// How many slots keep their top page at least.
const TOP_MIN: usize = 64;
/// Which part of the recent peak keeps its top page.
const TOP_DIVISOR: usize = 8;
/// How many slots one call of `scavenge` handles: 0.6 ms, or 1.1 ms if each has a room that is ended, so that sysmon stays
/// on time.
const CALL_SLOTS: usize = 512;
/// How many slots are off their lists at a time. No P can take these.
const CHUNK_SLOTS: usize = 256;

/// What a call of [`scavenge`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Scavenged {
    /// How many bytes went back to the system.
    pub(crate) bytes: usize,
    /// Whether later calls will find more, even if no slot is given back until then.
    pub(crate) more: More,
}

/// What is left for later calls of [`scavenge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum More {
    /// Nothing.
    Never,
    /// Some, in a later round.
    Later,
    /// Some now: this call has done as much as one may.
    Now,
}

/// When the next round begins, in the callers' milliseconds. The holder of the lock is the scavenger (I4).
static NEXT_ROUND_MS: Mutex<u64> = Mutex::new(0);

/// Gives back what belongs to the room at the top of a free slot. Says whether the room has gone with it; if not, its
/// kept bytes are still needed.
pub(crate) type EndRoom = fn(&Slot) -> bool;

/// Trims slots that have been idle, a limited number per call. It is called every now and then, with a monotonic
/// clock; if nothing is due it costs a few uncontended locks. All runtimes share the round and the work.
pub(crate) fn scavenge(now_ms: u64, end_room: EndRoom) -> Scavenged {
    let mut next_round_ms = match NEXT_ROUND_MS.try_lock() {
        Ok(next_round_ms) => next_round_ms,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            return Scavenged { bytes: 0, more: More::Later };
        }
    };
    let begins_round = now_ms >= *next_round_ms;
    if begins_round {
        *next_round_ms = now_ms + ROUND_MS;
    }
    let mut trimmer = Trimmer::new(end_room);
    let mut slots_left = CALL_SLOTS;
    let mut more = More::Never;
    for arena in Arena::all() {
        if begins_round {
            begin_round(arena, &mut arena.lock());
        }
        loop {
            let chunk = Chunk::take(arena, &mut arena.lock(), slots_left.min(CHUNK_SLOTS));
            if chunk.is_empty() {
                break;
            }
            slots_left -= chunk.len();
            trimmer.trim(arena, chunk);
        }
        let lists = arena.lock();
        let top_max_later = TOP_MIN.max(arena.out(&lists) / TOP_DIVISOR);
        if !lists.warm.is_empty() || lists.top.len() > top_max_later {
            more = more.max(More::Later);
        }
    }
    if slots_left == 0 {
        more = More::Now;
    }
    Scavenged { bytes: trimmer.trimmed_bytes, more }
}

/// Gives all pages of all free slots back, however many there are, and returns how many bytes that was. For the end of
/// a runtime.
pub(crate) fn scavenge_all(end_room: EndRoom) -> usize {
    let _round = NEXT_ROUND_MS.lock();
    let mut trimmer = Trimmer::new(end_room);
    for arena in Arena::all() {
        // Not more than there are now: another runtime may continue to give slots back.
        let mut slots_left = {
            let lists = arena.lock();
            lists.warm.len() + lists.top.len()
        };
        while slots_left > 0 {
            let chunk = Chunk::take_any(&mut arena.lock(), slots_left.min(CALL_SLOTS));
            if chunk.is_empty() {
                break;
            }
            slots_left -= chunk.len();
            trimmer.trim(arena, chunk);
        }
    }
    trimmer.trimmed_bytes
}

/// Notes how many slots were idle in the round that ends here, and begins to count again.
fn begin_round(arena: &Arena, lists: &mut Lists) {
    lists.idle = lists.warm_low;
    lists.warm_low = lists.warm.len();
    lists.out_recent = lists.out_peak.max(lists.out_recent / 2);
    lists.out_peak = arena.out(lists);
}

/// Slots taken off their lists to be trimmed.
struct Chunk {
    /// These keep their top page.
    to_top: Vec<u32>,
    /// These keep nothing, unless their room at the top cannot be ended.
    to_trimmed: Vec<u32>,
}

impl Chunk {
    /// Takes up to `slots_max` slots that are due, the coldest first.
    fn take(arena: &Arena, lists: &mut Lists, slots_max: usize) -> Chunk {
        let top_max = TOP_MIN.max(lists.out_recent.max(arena.out(lists)) / TOP_DIVISOR);
        let mut chunk = Chunk { to_top: Vec::new(), to_trimmed: Vec::new() };
        while chunk.len() < slots_max && lists.idle > 0 {
            lists.idle -= 1;
            let Some(index) = lists.warm.pop_front() else {
                continue;
            };
            let top_has_room = lists.top.len() + chunk.to_top.len() < top_max;
            if top_has_room { chunk.to_top.push(index) } else { chunk.to_trimmed.push(index) }
        }
        while chunk.len() < slots_max && lists.top.len() > top_max {
            chunk.to_trimmed.extend(lists.top.pop_front());
        }
        // The slots taken off were among those that were not needed.
        lists.warm_low = lists.warm_low.min(lists.warm.len());
        chunk
    }

    /// Takes up to `slots_max` slots, due or not.
    fn take_any(lists: &mut Lists, slots_max: usize) -> Chunk {
        let warm_count = slots_max.min(lists.warm.len());
        let top_count = (slots_max - warm_count).min(lists.top.len());
        let to_trimmed = lists.warm.drain(..warm_count).chain(lists.top.drain(..top_count)).collect();
        lists.warm_low = lists.warm_low.min(lists.warm.len());
        Chunk { to_top: Vec::new(), to_trimmed }
    }

    /// How many slots these are.
    fn len(&self) -> usize {
        self.to_top.len() + self.to_trimmed.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Trims chunks and counts.
struct Trimmer {
    /// Opened when the first chunk needs it.
    residency: Option<Residency>,
    end_room: EndRoom,
    trimmed_bytes: usize,
}

impl Trimmer {
    fn new(end_room: EndRoom) -> Trimmer {
        Trimmer { residency: None, end_room, trimmed_bytes: 0 }
    }

    /// Gives the memory of a chunk back and puts its slots on their new lists.
    fn trim(&mut self, arena: &Arena, mut chunk: Chunk) {
        // In order of address, so that neighbours become one range. Guards in between stay (os I2).
        chunk.to_trimmed.sort_unstable();
        let mut spans: Vec<Span> = Vec::with_capacity(chunk.len());
        for &index in &chunk.to_trimmed {
            let slot = Slot::new(arena.class(), index);
            if slot.room_bytes() != 0 && (self.end_room)(&slot) {
                slot.clear_room();
            }
            let span = span_below(arena, index, 0);
            match spans.last_mut() {
                Some(last) if last.start + last.bytes == span.start => last.bytes += span.bytes,
                _ => spans.push(span),
            }
        }
        spans.extend(chunk.to_top.iter().map(|&index| span_below(arena, index, os::page_bytes())));

        let residency = self.residency.get_or_insert_with(Residency::open);
        let mut resident_bytes = 0;
        spans.retain(|&span| {
            let span_bytes = residency.bytes(span);
            resident_bytes += span_bytes;
            span_bytes > 0
        });
        // SAFETY: the slots were taken off their lists, so no code uses them, and what is to be kept was left out (I4).
        if unsafe { os::discard(&spans) }.is_ok() {
            // Under mlockall the kernel refuses; then the slots keep their memory, which does no harm.
            self.trimmed_bytes += resident_bytes;
        }
        let mut lists = arena.lock();
        lists.top.extend(chunk.to_top);
        lists.trimmed.extend(chunk.to_trimmed);
    }
}

/// All of a slot but its `top_bytes`, or the kept ones if they are more. The spans of neighbours that keep nothing are
/// adjacent: they have what lies between the slots, which has no memory.
fn span_below(arena: &Arena, index: u32, top_bytes: usize) -> Span {
    // Relaxed: it was stored before the slot was put on its list, and the list's lock orders that.
    let kept_bytes = arena.record(index).kept_bytes.load(Ordering::Relaxed) as usize;
    let spared_bytes = kept_bytes.max(top_bytes).next_multiple_of(os::page_bytes());
    let class = arena.class();
    let bytes = if spared_bytes == 0 { class.slot_bytes() } else { class.size_bytes() - spared_bytes };
    Span { start: arena.slot_start(index), bytes }
}
