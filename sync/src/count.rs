//! A count of what is not done, for which one may wait until it is zero.
//!
//! # The word
//! ```text
//!    63          40   39        38           0
//!   | being added | WAITERS |  count + BIAS  |
//! ```
//! While WAITERS is not set the count is what is left, and nobody stands in the line; "being added" means nothing then.
//! While it is set, what is left is the count less what is being added. WAITERS changes only in a turn of the lot
//! (lot I1); whoever sets it clears "being added". It is cleared if nobody stands there, and nothing is being added.
//!
//! # The protocol
//! To be done is one subtraction, and to add one is one addition, to the count and to "being added" at once. What they
//! find says whether that is all:
//!
//! - Who adds, and finds WAITERS, takes one from "being added" by an exchange that fails if nothing is left. Until then
//!   WAITERS stays.
//! - Who is done, and finds WAITERS and one left, takes a turn, and tells those who stand in the line.
//! - Nothing left, and WAITERS: a round is over, and some may not have been told. This lasts until a turn: nothing leaves
//!   "being added" outside of one. Who adds takes a turn too, tells those who stand there, and then goes on.
//!
//! # Invariants
//! 1. *In a turn in which WAITERS is set and nothing is left, all in the line may be told*: who came to the line found
//!    something left, so the end of the round came later.
//! 2. *A new round begins when the line is empty*: see the third point. So who waits for the next round is not told of
//!    the end of the last one, by whoever comes late to a turn. What he tells by is what the word says in his turn.
//! 3. *Nobody waits for ever.* Who stands in the line has set the bit, in the same turn; so the last that is done takes a
//!    turn after that.
//!
//! A group may thus be used again at once. (A subtraction alone, with the same quantity added and taken away, could not
//! do it: another round may have begun before the last of a round gets his turn, and the word would not show it.)
//!
//! If the sum is more than [`COUNT_MAX`] what was added is taken back, as if it was done: meanwhile the last of the
//! others may have been. One that is done too often takes the count below zero for a moment.

use crate::loom::{AtomicUsize, Ordering};
use crate::lot::{Turn, Until, key_of};
use crate::waiting::{self, Awaited, Wait};
use pirn_runtime::internal::Reason;
use std::time::Duration;

const ONE: usize = 1;
const WAITERS: usize = 1 << 39;
/// One that is being added. There is room for one of each thread of a process: there are fewer than 2^22.
const ADDED: usize = 1 << 40;

/// The highest count, which is small in models. The word has room for what all threads may have added beyond it and not
/// taken back yet.
pub(crate) const COUNT_MAX: usize = if cfg!(loom) { 3 } else { 1 << 38 };
/// Is added to the count, which may be below zero for a moment: by one for each thread.
const BIAS: usize = 1 << 23;

/// What those that wait are told.
const DONE: usize = 0;

/// The word of a group, or of what counts in the same way and has its own reason to wait.
pub(crate) struct Count {
    state: AtomicUsize,
}

/// What the word was at a moment.
#[derive(Clone, Copy)]
struct Word(usize);

/// One waits until a count is zero.
struct Zero<'a> {
    count: &'a Count,
    reason: &'static Reason,
}

impl Word {
    #[inline]
    fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    /// With what is being added.
    #[inline]
    fn count(self) -> isize {
        (self.0 & (WAITERS - 1)).cast_signed() - BIAS.cast_signed()
    }

    /// If somebody waits.
    #[inline]
    fn being_added(self) -> usize {
        self.0 / ADDED
    }

    /// How many are not done.
    #[inline]
    fn left(self) -> isize {
        let being_added = if self.has_waiters() { self.being_added() } else { 0 };
        self.count() - being_added.cast_signed()
    }

    /// Nobody waits, and the count may be one more.
    #[inline]
    fn takes_one(self) -> bool {
        // WAITERS is more than any count.
        self.0 & (ADDED - 1) < COUNT_MAX + BIAS
    }

    /// A round is over, and some may not have been told.
    fn is_over(self) -> bool {
        self.has_waiters() && self.left() <= 0
    }

    /// If it is not done: as it is when somebody waits.
    fn waited_for(self) -> Option<usize> {
        let awaited = if self.has_waiters() { self.0 } else { self.0 & (WAITERS - 1) | WAITERS };
        (self.left() > 0).then_some(awaited)
    }

    /// As it is when nobody waits any more, if that changes it and may be.
    fn left_alone(self) -> Option<usize> {
        (self.has_waiters() && self.being_added() == 0).then_some(self.0 & !WAITERS)
    }
}

impl Count {
    pub(crate) fn new() -> Count {
        Count { state: AtomicUsize::new(BIAS) }
    }

    /// Waits until it is zero, for as long as that says. False if the wait has ended without that.
    #[inline]
    pub(crate) fn wait(&self, reason: &'static Reason, until: Until<'_>) -> bool {
        waiting::wait(&Zero { count: self, reason }, until)
    }

    /// The same, for `timeout` at most.
    pub(crate) fn wait_timeout(&self, reason: &'static Reason, timeout: Duration) -> bool {
        waiting::wait_timeout(&Zero { count: self, reason }, timeout)
    }

    /// The same, for async tasks.
    pub(crate) fn wait_async(&self, reason: &'static Reason) -> Wait<impl Awaited + '_> {
        Wait::new(Zero { count: self, reason })
    }

    /// A hint, as it may change at once.
    pub(crate) fn get(&self) -> usize {
        self.word().left().try_into().unwrap_or(0)
    }

    #[inline]
    fn word(&self) -> Word {
        Word(self.state.load(Ordering::Relaxed))
    }

    /// False: the count would be too large.
    #[inline]
    pub(crate) fn add(&self, n: usize) -> bool {
        if n != 1 {
            return self.add_many(n);
        }
        // Relaxed: what the others have to see of the caller comes to them with the work.
        let before = Word(self.state.fetch_add(ONE + ADDED, Ordering::Relaxed));
        before.takes_one() || self.add_to(before)
    }

    /// One has been added to that, which is too much, or somebody waits.
    #[cold]
    fn add_to(&self, before: Word) -> bool {
        if before.has_waiters() {
            self.raise(|word| Some(word.0 - ADDED));
        }
        if before.count() < COUNT_MAX.cast_signed() {
            return true;
        }
        let is_taken_back = self.done();
        debug_assert!(is_taken_back);
        false
    }

    fn add_many(&self, n: usize) -> bool {
        let has_room = |word: Word| word.count() <= (COUNT_MAX - n).cast_signed();
        n <= COUNT_MAX && self.raise(|word| has_room(word).then_some(word.0 + n))
    }

    /// Makes what is left more, as `change` says. False: it says that it cannot be.
    fn raise(&self, change: impl Fn(Word) -> Option<usize>) -> bool {
        loop {
            let word = self.word();
            if !word.is_over() {
                let Some(raised) = change(word) else { return false };
                // Relaxed: as in `add`.
                let exchanged = self.state.compare_exchange_weak(word.0, raised, Ordering::Relaxed, Ordering::Relaxed);
                if exchanged.is_ok() {
                    return true;
                }
                continue;
            }
            let mut turn = Turn::of(key_of(self));
            self.tell(&mut turn);
            if self.word().is_over() {
                // I2: the line is empty, and nothing but a turn ends this state.
                let change = |state| change(Word(state));
                let is_raised = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok();
                self.left(&turn);
                return is_raised;
            }
        }
    }

    /// False: the count is zero.
    #[inline]
    pub(crate) fn done(&self) -> bool {
        // Release: what the caller did (partners: `has_come`, `will_wait`, `tell`; the steps of others in between go on with
        // it).
        let before = Word(self.state.fetch_sub(ONE, Ordering::Release));
        before.left() > isize::from(before.has_waiters()) || self.end(before)
    }

    /// One was taken from that: it was the last, and somebody waits; or there was none.
    #[cold]
    fn end(&self, before: Word) -> bool {
        if before.left() <= 0 {
            self.state.fetch_add(ONE, Ordering::Relaxed);
            return false;
        }
        let mut turn = Turn::of(key_of(self));
        self.tell(&mut turn);
        self.left(&turn);
        true
    }

    /// In a turn: tells all in the line that the round is over, if it is (I1).
    fn tell(&self, turn: &mut Turn) {
        // Acquire: what all did, for those who are told (partner: the Release in `done`).
        while turn.first().is_some() && Word(self.state.load(Ordering::Acquire)).is_over() {
            turn.tell_first(DONE);
        }
    }

    /// In a turn: some have left the line.
    fn left(&self, turn: &Turn) {
        if turn.is_empty() {
            let leave = |state| Word(state).left_alone();
            _ = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, leave);
        }
    }
}

impl Awaited for Zero<'_> {
    fn reason(&self) -> &'static Reason {
        self.reason
    }

    #[inline]
    fn has_come(&self) -> bool {
        // Acquire: what was done (partner: the Release in `done`).
        Word(self.count.state.load(Ordering::Acquire)).left() <= 0
    }

    fn has_waiters(&self) -> bool {
        self.count.word().has_waiters()
    }

    fn will_wait(&self) -> bool {
        let wait = |state| Word(state).waited_for();
        // Acquire: as in `has_come`.
        self.count.state.fetch_update(Ordering::Relaxed, Ordering::Acquire, wait).is_ok()
    }

    fn left(&self, turn: &mut Turn) {
        self.count.left(turn);
    }

    fn key(&self) -> usize {
        key_of(self.count)
    }
}

#[cfg(all(test, loom))]
#[path = "count_loom.rs"]
mod models;
