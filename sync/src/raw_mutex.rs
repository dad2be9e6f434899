//! The lock under a mutex: one word, and who holds it.
//!
//! # The protocol
//! `mutex_word.rs` has the word. Locking sets HELD, and may be faster than those that wait: a lock that is handed over is
//! idle until the one that gets it runs, so each hand-over costs a switch. Unlocking takes HELD back, whoever waits. If the
//! word has LOOK then, the one that has unlocked takes the lock again, if nobody was faster, and decides with HELD in its
//! hand who gets it ([`release`](RawMutex::release)). One that has waited for [`STARVES_AFTER_NS`] is handed the lock: HELD
//! stays, and the one that gives it away gives way, so that the other runs next. These are the rules of Go's `sync.Mutex`.
//! One that spins does not set WOKEN while the first in the line is due to be handed the lock: a few that spin in turn
//! would keep it out.
//!
//! While several wait, one of them is mostly awake: it stands in the queue of a busy P, and WAITERS and WOKEN are set.
//! So that state has to be as fast as a free lock, and LOOK is not set in it.
//!
//! # Invariants
//! 1. *One has it*: HELD is set by the one that gets it, or stays set from the one that hands it over.
//! 2. *Nobody sleeps for ever.* While WAITERS is set and the lock is free, the one that has unlocked is about to take it
//!    again ([`give_on`](RawMutex::give_on)); or WOKEN is set, and the one that it stands for is awake: it takes the lock,
//!    or waits again and takes WOKEN back while the lock is held, whose holder will look for it, or gives up and wakes the
//!    next ([`pass_on`](RawMutex::pass_on)). If somebody is faster than `give_on`, that one unlocks later, and looks then.
//! 3. *The holder is a hint.* It is written after the lock has been taken and cleared before it is given back, so who
//!    reads its own name there has the lock, or has given the guard to somebody else.
//!
//! Async tasks are always handed the lock: one that is not polled would otherwise keep the others asleep by WOKEN.

use crate::holder::{self, me};
use crate::loom::{AtomicU32, Ordering, checkpoint, give_way, may_spin, now_ns, pause};
use crate::lot::{Newcomer, Place, Turn, Until, Want, key_of, owner_of};
use crate::mutex_word::{HELD, LOOK, NOT_HELD, WAITERS, WOKEN, has_look, settled, update};
use pirn_runtime::internal::{Kind, Owner, Reason};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// Who has waited for longer is handed the lock. Go's figure.
const STARVES_AFTER_NS: u64 = 1_000_000;

/// How often one that finds the lock held tries again before it parks, and how long it pauses in between: Go's figures. Each
/// try takes the cache line from the holder.
#[cfg(not(loom))]
const SPINS: u32 = 4;
#[cfg(loom)]
const SPINS: u32 = 1;
const PAUSES: u32 = 30;

/// Answers.
const RETRY: usize = 0;
const HANDED: usize = 1;

/// Kinds of waiters.
const PARKS: usize = 0;
const TASK: usize = 1;

/// A G waits for a mutex.
static LOCK: Reason = Reason::new("sync.Mutex.Lock", Kind::Object("mutex")).with_owner(owner);

/// The lock under a [`Mutex`](crate::Mutex), for the guards of `lock_api`: `lock_api::Mutex<RawMutex, T>`.
///
/// A call of lock_api that waits is not unwound while the runtime shuts down, as lock_api is not made for it.
#[cfg_attr(not(any(feature = "lock_api_04", feature = "lock_api_05")), allow(unreachable_pub, reason = "for lock_api"))]
#[derive(Debug)]
pub struct RawMutex {
    state: AtomicU32,
    holder: AtomicU32,
}

impl RawMutex {
    /// A free one.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) const fn new() -> RawMutex {
        RawMutex { state: AtomicU32::new(0), holder: AtomicU32::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> RawMutex {
        RawMutex { state: AtomicU32::new(0), holder: AtomicU32::new(0) }
    }

    fn key(&self) -> usize {
        key_of(self)
    }

    /// Waits for the lock.
    #[inline]
    pub(crate) fn lock(&self) {
        checkpoint();
        if !self.is_taken_at_once() {
            self.wait_until_told();
        }
    }

    /// The same for a caller that owes it to somebody: this never unwinds.
    pub(crate) fn lock_for_certain(&self) {
        self.lock_for_certain_by(me());
    }

    /// The same. The caller knows who it is.
    #[inline]
    pub(crate) fn lock_for_certain_by(&self, me: u32) {
        if !self.is_taken_at_once_by(|| me) {
            self.wait(Until::ToldForCertain);
        }
    }

    /// The same for a caller that is unwound where it waits. False if it was.
    #[cfg(all(test, loom))]
    pub(crate) fn lock_or_be_unwound(&self) -> bool {
        self.is_taken_at_once() || self.wait(Until::Unwound)
    }

    /// Waits for the lock until `deadline`. False if that has passed.
    #[inline]
    pub(crate) fn lock_until(&self, deadline: Instant) -> bool {
        checkpoint();
        self.is_taken_at_once() || self.wait(Until::Deadline(deadline))
    }

    /// Takes it, if it is free.
    #[inline]
    fn is_taken_at_once(&self) -> bool {
        self.is_taken_at_once_by(me)
    }

    /// The same. The caller is asked who it is when it has it.
    #[inline]
    fn is_taken_at_once_by(&self, me: impl FnOnce() -> u32) -> bool {
        // Acquire: what was done under the lock before (partner: each Release that takes HELD back).
        let is_taken = self.state.fetch_or(HELD, Ordering::Acquire) & HELD == 0;
        if is_taken {
            self.holder.store(me(), Ordering::Relaxed);
        }
        is_taken
    }

    /// Takes it, if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        checkpoint();
        let is_taken = self.try_take(0);
        if is_taken {
            self.holder.store(me(), Ordering::Relaxed);
        }
        is_taken
    }

    /// Takes it, if it is free, and takes the bits `less` back with that.
    #[inline]
    fn try_take(&self, less: u32) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & HELD == 0 {
            let new = settled((state | HELD) & !less);
            // Acquire: as above.
            match self.state.compare_exchange_weak(state, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => state = other,
            }
        }
        false
    }

    /// Whether somebody has it.
    #[inline]
    pub(crate) fn is_locked(&self) -> bool {
        self.state.load(Ordering::Relaxed) & HELD != 0
    }

    /// Who has it, as far as is known (I3).
    pub(crate) fn holder(&self) -> u32 {
        self.holder.load(Ordering::Relaxed)
    }

    /// [`lock`](Self::lock) passes nothing, so that it writes nothing before it has the lock: the locked instruction would
    /// wait for that.
    #[cold]
    fn wait_until_told(&self) {
        self.wait(Until::Told);
    }

    #[cold]
    pub(crate) fn wait(&self, until: Until<'_>) -> bool {
        let me = me();
        if !until.may_end() && self.holder() == me {
            holder::report_own(&LOCK, self.key());
        }
        // What this caller has of WOKEN.
        let mut woken = 0;
        let (mut since_ns, mut has_waited) = (None, false);
        let mut spins = SPINS;
        loop {
            if self.try_take(woken) {
                self.holder.store(me, Ordering::Relaxed);
                return true;
            }
            if spins > 0 && may_spin() {
                spins -= 1;
                woken |= self.announce_spinner(woken);
                pause(PAUSES);
                continue;
            }
            let spot = Newcomer::caller_since(PARKS, &LOCK, *since_ns.get_or_insert_with(now_ns)).on_stack(until);
            let turn = Turn::of(self.key());
            if !self.will_wait(&turn, woken) {
                continue;
            }
            match turn.wait(&spot, has_waited, until, |turn| self.left(turn), |answer| self.undo(answer)) {
                None => return false,
                Some(HANDED) => return true,
                Some(_) => (woken, has_waited) = (WOKEN, true),
            }
            spins = SPINS;
        }
    }

    /// One that spins says that it is awake, if others wait and nobody is awake for them. Returns what it has of WOKEN.
    fn announce_spinner(&self, woken: u32) -> u32 {
        let may_announce = |state| state & (HELD | LOOK) == HELD | LOOK;
        if woken != 0 || !may_announce(self.state.load(Ordering::Relaxed)) {
            return 0;
        }
        let mut turn = Turn::of(self.key());
        if turn.first().is_none_or(is_handed) {
            return 0;
        }
        let announce = |state| may_announce(state).then_some(settled(state | WOKEN));
        match self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, announce) {
            Ok(_) => WOKEN,
            Err(_) => 0,
        }
    }

    /// In a turn: the caller is going to wait, and is not awake any more. False if the lock is free.
    fn will_wait(&self, turn: &Turn, woken: u32) -> bool {
        if turn.settle(self.state.load(Ordering::Relaxed) & WAITERS != 0) {
            self.nobody_waits();
        }
        let wait = |state| (state & HELD != 0).then_some(settled((state | WAITERS) & !woken));
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wait).is_ok()
    }

    /// In a turn: one that waited has left by itself.
    fn left(&self, turn: &mut Turn) {
        if turn.is_empty() {
            self.nobody_waits();
        }
    }

    /// In a turn: takes WAITERS back.
    fn nobody_waits(&self) {
        update(&self.state, Ordering::Relaxed, |state| state & !WAITERS);
    }

    /// One that waited has been told, but has no use for the answer.
    fn undo(&self, answer: usize) {
        if answer == HANDED { self.unlock() } else { self.pass_on() }
    }

    /// One that was woken gives up.
    fn pass_on(&self) {
        let turn = Turn::of(self.key());
        let state = update(&self.state, Ordering::Relaxed, |state| state & !WOKEN);
        // If it is held, its holder sees that nobody is awake.
        if state & (HELD | WAITERS) == WAITERS && self.try_take(0) {
            self.release(turn);
        }
    }

    /// Gives it back. The caller has it, from whomever.
    #[inline]
    pub(crate) fn unlock(&self) {
        if self.set_free() {
            self.give_on();
        }
    }

    /// Gives it back, also in a turn of another key. Whether the caller has to [`give_on`](Self::give_on) then, not in a turn.
    #[inline]
    #[must_use = "nobody is awake for those that wait"]
    pub(crate) fn set_free(&self) -> bool {
        self.holder.store(0, Ordering::Relaxed);
        // Release: what was done under the lock (partner: the next one's Acquire).
        let before = self.state.fetch_add(NOT_HELD, Ordering::Release);
        has_look(before.wrapping_add(NOT_HELD))
    }

    /// Gives it back: to the first that waits, if there is one.
    pub(crate) fn unlock_fair(&self) {
        self.holder.store(0, Ordering::Relaxed);
        if self.state.compare_exchange(HELD, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            let turn = Turn::of(self.key());
            if turn.is_empty() { self.release(turn) } else { self.hand_over(turn) }
        }
    }

    /// The caller has unlocked it. If nobody has it, somebody waits, and nobody is awake, it takes it to give it on (I2).
    #[cold]
    pub(crate) fn give_on(&self) {
        let given = WAITERS | LOOK;
        if self.state.load(Ordering::Relaxed) == given
            && self.state.compare_exchange(given, given | HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            self.release(Turn::of(self.key()));
        }
    }

    /// Gives it back, in a turn: to the first, if that has waited for long, or to anybody, and wakes the first.
    fn release(&self, mut turn: Turn) {
        let Some(first) = turn.first() else {
            // They have left since; or it has moved away from a future that was forgotten (lot I6).
            update(&self.state, Ordering::Release, |state| state & !(HELD | WAITERS));
            return;
        };
        if is_handed(first) {
            return self.hand_over(turn);
        }
        // Only in a turn somebody becomes awake: one that spins may have said so since.
        let before = update(&self.state, Ordering::Release, |state| state & !HELD | WOKEN);
        if before & WOKEN == 0 {
            turn.tell_first(RETRY);
            self.left(&mut turn);
        }
    }

    /// Gives it to the first, which there is, in a turn. The caller then lets others run.
    fn hand_over(&self, mut turn: Turn) {
        self.holder.store(turn.first().map_or(0, |first| first.who), Ordering::Relaxed);
        turn.tell_first(HANDED);
        self.left(&mut turn);
        drop(turn);
        give_way();
    }

    /// As `lock`, for a task: `place` is its future's.
    pub(crate) fn poll_lock(&self, place: Pin<&mut Place>, context: &mut Context<'_>) -> Poll<()> {
        place.poll_taking(context, self.key(), TASK, &LOCK, || self.try_take(0), |turn| self.will_wait(turn, 0))
    }

    /// The future of `poll_lock` is dropped.
    pub(crate) fn forget_place(&self, place: Pin<&mut Place>) {
        place.withdraw(|turn| self.left(turn), |answer| self.undo(answer));
    }
}

/// Whether the first in the line is handed the lock.
fn is_handed(first: &Want) -> bool {
    first.what == TASK || is_starved(first.since_ns)
}

/// Who has the lock at that address.
fn owner(what: usize) -> Option<Owner> {
    owner_of(what, is_one, RawMutex::holder)
}

fn is_one(want: &Want) -> bool {
    want.reason == &LOCK
}

/// Who has waited since then is handed the lock.
#[cfg(not(loom))]
pub(crate) fn is_starved(since_ns: u64) -> bool {
    now_ns().saturating_sub(since_ns) > STARVES_AFTER_NS
}

/// There is no time in a model, which says it.
#[cfg(loom)]
pub(crate) fn is_starved(_: u64) -> bool {
    crate::loom::are_starved()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{HELD, LOOK, Ordering, Place, RawMutex, STARVES_AFTER_NS, WAITERS, WOKEN, owner};
    use std::task::{Context, Waker};
    use std::thread::{scope, sleep, yield_now};
    use std::time::Duration;

    #[test]
    fn one_that_unlocks_looks_closer_only_while_all_that_wait_sleep() {
        let raw = RawMutex::new();
        raw.state.store(WAITERS | WOKEN, Ordering::Relaxed);
        raw.lock();
        assert_eq!(raw.state.load(Ordering::Relaxed), HELD | WAITERS | WOKEN);
        raw.unlock();
        assert_eq!(raw.state.load(Ordering::Relaxed), WAITERS | WOKEN);
        // The one that was awake has the lock now, and nobody stands in the line any more.
        assert!(raw.try_take(WOKEN));
        assert_eq!(raw.state.load(Ordering::Relaxed), HELD | WAITERS | LOOK);
        raw.unlock();
        assert_eq!(raw.state.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_that_spins_does_not_keep_out_one_that_starves() {
        let raw = RawMutex::new();
        raw.lock();
        scope(|scope| {
            scope.spawn(|| {
                raw.lock();
                raw.unlock();
            });
            while raw.state.load(Ordering::Relaxed) & WAITERS == 0 {
                yield_now();
            }
            sleep(Duration::from_nanos(STARVES_AFTER_NS * 2));
            assert_eq!(raw.announce_spinner(0), 0);
            raw.unlock();
        });
    }

    /// The future borrows the lock no more, so the lock may be gone.
    #[test]
    fn an_observer_does_not_look_at_the_lock_of_a_forgotten_future() {
        let raw = RawMutex::new();
        raw.lock();
        let mut place = Box::pin(Place::new());
        assert!(raw.poll_lock(place.as_mut(), &mut Context::from_waker(Waker::noop())).is_pending());
        std::mem::forget(place);
        assert_ne!(raw.holder(), 0);
        assert_eq!(owner(raw.key()), None);
    }
}
