//! The park word: whether a G is parked, has a token, or neither; and which G has the record.

use crate::loom::{AtomicU64, Ordering};

const STATE_BITS: u32 = 2;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;

/// An unpark came before a park; the next park takes the token and returns at once.
const TOKEN: u64 = 1;
/// The G is off its stack and waits. Whoever changes the word from this owns the G.
const PARKED: u64 = 2;

/// ```text
///  63                                2 1      0
/// +-----------------------------------+--------+
/// | id of the G, 0 for a free record  | state  |
/// +-----------------------------------+--------+
///
///   awake (0) --unpark--> TOKEN --take_token--> awake
///   awake --commit_park--> PARKED --unpark--> awake, and the unparker owns the G
/// ```
/// The id makes a stale unparker harmless: G records are recycled but their memory is never freed, so an old
/// [`Unparker`](crate::Unparker) may still look at the word, and finds another id.
#[derive(Debug)]
pub(crate) struct ParkWord(AtomicU64);

/// What an unpark did.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Unparked {
    /// The G was parked: the caller owns it now and has to make it ready.
    Claimed,
    /// It was awake, has a token already, or is gone.
    Nothing,
}

impl ParkWord {
    /// The word of a free record.
    pub(crate) fn free() -> ParkWord {
        ParkWord(AtomicU64::new(0))
    }

    /// Gives the record to the G `id`. Only for the owner of the free record.
    pub(crate) fn assign(&self, id: u64) {
        // Release: an observer that sees the number sees whose G it is (partner: `id`). All others get the G through
        // queues and handles, which synchronise.
        self.0.store(id << STATE_BITS, Ordering::Release);
    }

    /// Makes the record free again; unparkers of the old id do nothing from here on.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The G that the record belongs to, 0 if it is free.
    #[cfg_attr(loom, allow(dead_code, reason = "the models do not ask"))]
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        // Acquire: for observers (partner: `assign`).
        self.0.load(Ordering::Acquire) >> STATE_BITS
    }

    /// Whether the G `id` is parked: a hint for observers.
    #[cfg_attr(loom, allow(dead_code, reason = "only a model asks"))]
    pub(crate) fn is_parked(&self, id: u64) -> bool {
        self.0.load(Ordering::Relaxed) == id << STATE_BITS | PARKED
    }

    /// Takes the token if there is one. Only for the G itself, while it runs.
    #[inline]
    pub(crate) fn take_token(&self) -> bool {
        // The load keeps the common case, no token, free of a read-modify-write. The swap, not a store, takes it:
        // it reads the last unpark's write and so sees what that unparker did before (partner: `unpark`).
        let word = self.0.load(Ordering::Relaxed);
        word & STATE_MASK == TOKEN && {
            self.0.swap(word & !STATE_MASK, Ordering::AcqRel);
            true
        }
    }

    /// The G has left its stack and may be claimed from now on. False, and the token is taken, if an unpark came
    /// first: then the caller still owns the G.
    #[inline]
    pub(crate) fn commit_park(&self, id: u64) -> bool {
        let awake = id << STATE_BITS;
        // Release on success: the claimer must see the saved stack pointer (partner: `unpark`, Acquire).
        let parked = self.0.compare_exchange(awake, awake | PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok();
        parked || {
            self.0.swap(awake, Ordering::AcqRel);
            false
        }
    }

    /// Wakes the G `id`, or leaves a token for its next park.
    #[inline]
    pub(crate) fn unpark(&self, id: u64) -> Unparked {
        let awake = id << STATE_BITS;
        let mut seen = awake | PARKED;
        loop {
            let (next, claimed) = match seen {
                s if s == awake | PARKED => (awake, Unparked::Claimed),
                // Writing a token over a token is not idle: it makes what was done before this unpark visible to
                // the park that takes it.
                s if s == awake || s == awake | TOKEN => (awake | TOKEN, Unparked::Nothing),
                _ => return Unparked::Nothing,
            };
            match self.0.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return claimed,
                Err(now) => seen = now,
            }
        }
    }
}

#[cfg(all(test, loom))]
#[path = "word_loom.rs"]
mod tests;
