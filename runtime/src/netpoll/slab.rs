//! Where records come from: slabs for the whole process, found by the number of a record without a lock.

#![allow(unsafe_code, reason = "slabs that are never freed")]

use super::poll::Netpoll;
use super::record::{EVENT_LINES, Record};
use super::who::Who;
use crate::g::G;
use crate::os::{Mutex, MutexGuard, prefetch_lines};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// How many records are made at a time.
const SLAB: usize = 64;
/// How many slabs there may be: for 64 million descriptors. Linux gives a process a million, or more if it is asked to.
/// The table is address space alone, until it is used.
const SLABS_MAX: usize = 1 << 20;

/// The slabs that have been made, by their numbers; then null.
static SLABS: [AtomicPtr<[Record; SLAB]>; SLABS_MAX] = [const { AtomicPtr::new(ptr::null_mut()) }; SLABS_MAX];

static FREE: Mutex<Free> = Mutex::new(Free { slabs: 0, records: Vec::new() });

struct Free {
    /// How many slabs have been made.
    slabs: usize,
    records: Vec<&'static Record>,
}

fn free() -> MutexGuard<'static, Free> {
    // A panic under the lock can only be an allocation that failed, before anything was changed.
    FREE.lock().unwrap_or_else(|e| e.into_inner())
}

/// A free record.
///
/// # Panics
/// There are too many.
pub(crate) fn take() -> &'static Record {
    let mut free = free();
    if let Some(record) = free.records.pop() {
        return record;
    }
    let nth = free.slabs;
    let place = SLABS.get(nth).expect("more descriptors are waited for than Linux can open");
    let slab = make(nth);
    free.slabs += 1;
    free.records.extend(slab.iter().rev());
    // Release: whoever finds it finds records (partner: `slab`).
    place.store(ptr::from_ref(slab).cast_mut(), Ordering::Release);
    free.records.pop().expect("a slab has been made")
}

/// How many records have an owner.
pub(crate) fn count_taken() -> usize {
    let free = free();
    free.slabs * SLAB - free.records.len()
}

/// Makes a slab on the heap. An array would be made on the stack first: a frame of 32 KiB, which each G that waits for
/// the first time would touch.
#[cold]
#[inline(never)]
fn make(nth: usize) -> &'static [Record; SLAB] {
    let records: Vec<Record> = (0..SLAB).map(|at| Record::free((nth * SLAB + at) as u32)).collect();
    records.leak().first_chunk().expect("they are as many as a slab has")
}

/// Gives a record back, whose owner has gone.
pub(crate) fn give_back(record: &'static Record) {
    record.renew();
    free().records.push(record);
}

/// Adds the descriptor of a record to the epoll of `poll`, if it is at none yet. True: it is the only one there, so the
/// keeper has to be told.
///
/// # Errors
/// It cannot be watched, another record has it, there is no epoll, or the runtime has ended.
pub(crate) fn register(
    record: &Record,
    fd: BorrowedFd<'_>,
    kind: &'static str,
    poll: &Arc<Netpoll>,
) -> io::Result<bool> {
    record.register(fd, kind, poll, || {
        let mut is_used = false;
        // Who waits for one of others arms it again, or finds that it may not (`foreign.rs`).
        for_each(|other| is_used |= other.is_at(poll) && other.fd() == fd.as_raw_fd() && !other.is_foreign());
        is_used
    })
}

/// The slab with that number.
fn slab(nth: usize) -> Option<&'static [Record; SLAB]> {
    let slab = SLABS.get(nth)?.load(Ordering::Acquire);
    // SAFETY: `take` has made it, and it is never freed.
    unsafe { slab.as_ref() }
}

fn by_index(index: u32) -> Option<&'static Record> {
    let index = index as usize;
    slab(index / SLAB).map(|slab| &slab[index % SLAB])
}

/// The record of an event. None: it is for an old owner.
pub(crate) fn find(token: u64) -> Option<&'static Record> {
    by_index(token as u32).filter(|record| record.generation() == (token >> 32) as u32)
}

/// Prefetches what an event touches of its record.
pub(crate) fn prefetch(token: u64) {
    if let Some(record) = by_index(token as u32) {
        prefetch_lines(record, EVENT_LINES);
    }
}

/// Calls `f` with every record of the process, free ones too.
pub(crate) fn for_each(f: impl FnMut(&'static Record)) {
    (0..).map_while(slab).flatten().for_each(f);
}

/// Whether anything waits for a descriptor: it may be woken from outside. A G that is parked there has been seen.
pub(crate) fn is_waited_for() -> bool {
    (0..).map_while(slab).flatten().flat_map(Record::sides).any(|side| side.waiting() != 0)
}

/// How many wait for descriptors that are at that epoll: a hint.
pub(crate) fn count_waiters(poll: &Netpoll) -> usize {
    let records = (0..).map_while(slab).flatten().filter(|record| record.is_at(poll));
    records.flat_map(Record::sides).map(|side| side.waiting()).sum()
}

/// What a G waits for that waits on this.
pub(crate) fn by_what(what: usize) -> Option<&'static Record> {
    by_index(u32::try_from(what.checked_sub(1)?).ok()?)
}

/// Calls `f` with each G that waits for a descriptor, and its deadline.
pub(crate) fn for_each_waiting_g(mut f: impl FnMut(&'static G, u64, u64)) {
    for_each(|record| {
        for side in record.sides().filter(|side| side.waiting() != 0) {
            side.lock().for_each(|who, until_ns| {
                if let Who::G(g, id) = who {
                    f(g, *id, until_ns);
                }
            });
        }
    });
}
