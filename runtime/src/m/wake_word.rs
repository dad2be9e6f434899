//! By which means an M that sleeps is woken: as a thread that is parked, or out of the poller.
//!
//! # The protocol
//! ```text
//!   an M that sleeps                               a thread that wakes it
//!     parked: AWAKE stays; park;                     swap WOKEN
//!             swap AWAKE                             it was POLLS: ring the poller's bell
//!     polled: AWAKE -> POLLS, or take WOKEN          otherwise: unpark the thread
//!             and do not wait; wait for events;
//!             swap AWAKE
//! ```
//! # The argument
//! A wake before the sleep is kept. If the M parks, the thread has the token of its unpark. If it polls, the word is
//! WOKEN, and it does not wait. A wake during the poll finds POLLS and rings the bell, which rings until the M silences
//! it. Only the first wake finds POLLS, so there is one ring for each poll at most.
//!
//! After a wake the M sees what had changed before it. It takes the wake with a swap (or the failed exchange), which
//! reads what the last waker has written: an Acquire for its Release. A plain store could overwrite a WOKEN that the M
//! has not read; the M would look too early, and the token that the waker left to the thread would not end a poll.
//!
//! What is left over does no harm. A waker may ring after the M has returned for another reason: the next poll ends at
//! once, and silences the bell. A poll that takes WOKEN leaves the token of the thread, and the next park ends at once.

use crate::loom::{AtomicU8, Ordering};

/// It does not poll. If it sleeps, its thread is parked.
const AWAKE: u8 = 0;
/// It waits in the poller, or is about to.
const POLLS: u8 = 1;
/// It was woken.
const WOKEN: u8 = 2;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct WakeWord(AtomicU8);

/// What a waker has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum WakeBy {
    /// Unpark the thread.
    Unpark,
    /// Ring the poller's bell.
    Bell,
}

impl WakeWord {
    /// That of an M that is awake.
    pub(crate) fn new() -> WakeWord {
        WakeWord(AtomicU8::new(AWAKE))
    }

    /// Wakes the M, by what this returns.
    pub(crate) fn wake(&self) -> WakeBy {
        // Release: what has changed for the M; Acquire only keeps the order of two wakers (partner: the two below).
        match self.0.swap(WOKEN, Ordering::AcqRel) {
            POLLS => WakeBy::Bell,
            _ => WakeBy::Unpark,
        }
    }

    /// The M is about to poll. False: it was woken, so it must not wait.
    pub(crate) fn begin_poll(&self) -> bool {
        let may_wait = self.0.compare_exchange(AWAKE, POLLS, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !may_wait {
            self.end_sleep();
        }
        may_wait
    }

    /// The M has slept, in either way.
    pub(crate) fn end_sleep(&self) {
        self.0.swap(AWAKE, Ordering::AcqRel);
    }

    /// Whether the M waits in the poller: a hint for observers.
    #[cfg_attr(loom, allow(dead_code, reason = "the models do not ask"))]
    pub(crate) fn polls(&self) -> bool {
        self.0.load(Ordering::Relaxed) == POLLS
    }
}

#[cfg(all(test, loom))]
#[path = "wake_word_loom.rs"]
mod tests;
