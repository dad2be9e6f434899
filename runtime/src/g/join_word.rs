//! The join word: who drops the result of a G, who is told of it, and who recycles the record.
//!
//! ```text
//! +-----------------------------+------+---------+--------+--------+
//! | address of the joiner, or 0 | TASK | RETIRED | RESULT | HANDLE |
//! +-----------------------------+------+---------+--------+--------+
//!   HANDLE   a JoinHandle exists           set by go, cleared by the handle when it needs the record no more
//!   RESULT   the result is in the record   set by the G itself, at its end, if there was a handle
//!   RETIRED  the G has left its stack      set by its M, if there was a handle
//!   TASK     the joiner is an async task   set and cleared by the handle, with the address
//! ```
//! The result belongs to the G until RESULT is set, and to the handle from then on. A handle that is dropped before
//! the G has ended clears HANDLE by a compare-exchange, which fails if RESULT has been set meanwhile. So exactly one
//! of the two drops the result.
//!
//! A joiner that parks is a ticket on its stack, and waits until it is told or has withdrawn. A joiner that is a task is
//! a box with its waker: the word owns it. The handle takes it back by a compare-exchange before it changes it, waits
//! otherwise, or goes; if that fails, RESULT has been set, and the G owns the box: it wakes the task and frees the box.
//! Once RESULT is set nobody reads the address again.
//!
//! The record belongs to both, until the second of `retire` and `release_record` sees the other's bit. Each is one
//! read-modify-write, so exactly one is the second. HANDLE is never set again, so whoever sees it clear has the
//! record alone, and needs no read-modify-write. If a runtime closes before a G has begun, the G has all three flags
//! from the start: its record belongs to the handle.

use crate::loom::{AtomicUsize, Ordering};

const HANDLE: usize = 1;
const RESULT: usize = 2;
const RETIRED: usize = 4;
const TASK: usize = 8;
const FLAGS: usize = 15;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct JoinWord(AtomicUsize);

/// What happens to a result that is in the record.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Settled {
    /// The handle is gone: the G drops its result itself.
    Detached,
    /// The handle will look for it.
    Kept,
    /// A joiner waits for it: tell the ticket at this address.
    Awaited(usize),
    /// A task waits for it: the box at this address is the caller's. Wake the task.
    AwaitedByTask(usize),
}

/// What a handle that is dropped has to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Dropped {
    /// Nothing: the G continues alone.
    Detached,
    /// The result is there: drop it, then release the record.
    HasResult,
    /// A task is registered: take it back, and drop the handle again.
    HasTask,
}

impl JoinWord {
    /// The word of a free record.
    pub(crate) fn new() -> JoinWord {
        JoinWord(AtomicUsize::new(0))
    }

    /// A new G, with a handle.
    #[inline]
    pub(crate) fn init(&self) {
        self.0.store(HANDLE, Ordering::Relaxed);
    }

    /// A new G, without a handle: its record is its own.
    #[inline]
    pub(crate) fn init_detached(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// A G that has ended already and has a handle, whose result is in the record.
    pub(crate) fn init_ended(&self) {
        // Relaxed, as `init`: whoever gets the handle gets with it what was done before.
        self.0.store(HANDLE | RESULT | RETIRED, Ordering::Relaxed);
    }

    /// Whether the handle was dropped before there was a result. For the G itself.
    #[inline]
    pub(crate) fn is_detached(&self) -> bool {
        self.0.load(Ordering::Acquire) & HANDLE == 0
    }

    /// Whether the result is there. For the handle.
    #[inline]
    pub(crate) fn has_result(&self) -> bool {
        // Acquire: the result itself (partner: `settle`).
        self.0.load(Ordering::Acquire) & RESULT != 0
    }

    /// The result is in the record. Returns what to do with it. For the G itself.
    #[inline]
    pub(crate) fn settle(&self) -> Settled {
        // Release: the result. Acquire: the ticket.
        let was = self.0.fetch_or(RESULT, Ordering::AcqRel);
        if was & HANDLE == 0 {
            Settled::Detached
        } else if was & TASK != 0 {
            Settled::AwaitedByTask(was & !FLAGS)
        } else if was & !FLAGS != 0 {
            Settled::Awaited(was & !FLAGS)
        } else {
            Settled::Kept
        }
    }

    /// The handle waits, by the ticket at `address`. False if the result is there already.
    #[inline]
    pub(crate) fn wait(&self, address: usize) -> bool {
        debug_assert_eq!(address & FLAGS, 0);
        self.0.compare_exchange(HANDLE, HANDLE | address, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The handle waits no longer, because it is being unwound. False if the ticket is being told.
    pub(crate) fn withdraw(&self, address: usize) -> bool {
        self.0.compare_exchange(HANDLE | address, HANDLE, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The handle waits as a task, whose box is at `address`: from here on it is the word's. False if the result is
    /// there already: then it is still the caller's. No joiner is registered.
    pub(crate) fn wait_as_task(&self, address: usize) -> bool {
        debug_assert_eq!(address & FLAGS, 0);
        // Release: the box (partner: `settle`). Acquire on failure: the result.
        self.0.compare_exchange(HANDLE, HANDLE | TASK | address, Ordering::Release, Ordering::Acquire).is_ok()
    }

    /// Takes the box of the task back. None: there is none, or it is the G's, which has set the result.
    #[inline]
    pub(crate) fn withdraw_task(&self) -> Option<usize> {
        // Relaxed: the handle itself has set it.
        let now = self.0.load(Ordering::Relaxed);
        if now & TASK == 0 {
            return None;
        }
        // Nothing but RESULT, or what comes after it, makes it fail. Relaxed: the handle made the box.
        self.0
            .compare_exchange(HANDLE | TASK | (now & !FLAGS), HANDLE, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
            .then_some(now & !FLAGS)
    }

    /// The handle is dropped.
    #[inline]
    pub(crate) fn drop_handle(&self) -> Dropped {
        // Acquire on failure: the result. Release on success: nothing needs what this handle did, but the record must
        // not be recycled before.
        match self.0.compare_exchange(HANDLE, 0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Dropped::Detached,
            Err(now) if now & RESULT == 0 => Dropped::HasTask,
            Err(_) => Dropped::HasResult,
        }
    }

    /// The handle has taken the result and needs the record no more. True: the caller recycles the record.
    #[inline]
    #[must_use]
    pub(crate) fn release_record(&self) -> bool {
        self.0.fetch_and(!HANDLE, Ordering::AcqRel) & RETIRED != 0
    }

    /// The G has left its stack for good. True: the caller recycles the record.
    #[inline]
    #[must_use]
    pub(crate) fn retire(&self) -> bool {
        self.is_detached() || self.0.fetch_or(RETIRED, Ordering::AcqRel) & HANDLE == 0
    }
}

#[cfg(all(test, loom))]
#[path = "join_word_loom.rs"]
mod tests;
