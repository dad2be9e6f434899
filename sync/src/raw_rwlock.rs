//! The lock under an [`RwLock`](crate::RwLock): one word, and who holds it to write.
//!
//! # The protocol
//! `rwlock_word.rs` has the word. A reader adds itself to it before it knows whether it may read. If the sum has LOOK it
//! looks closer, and subtracts itself again if it may not read; then it waits in the lot. While it is counted it is a
//! reader as any other: while WRITER is set it does not read, and when the writer has gone no other can come. So what
//! holds of those that read holds of it: the writer that it kept out is woken when it goes. One that only tries does not
//! add itself before it knows, as it would make others fail that try at the same time.
//!
//! As a mutex (`raw_mutex.rs`) for writers: a lock that is free is taken by whoever comes, but a writer that has waited
//! for a millisecond is handed it. While others read, somebody waits and nobody is awake, a new reader waits too, so that
//! writers are not kept out; one that says that it reads already ([`read_recursive`](RawRwLock::read_recursive)) does not.
//! Readers at the head of the line are always let in, all at once: that costs no turn of anybody.
//!
//! While several wait, a writer is mostly awake: it stands in the queue of a busy P. In that state LOOK is not set, so
//! that others read as if nobody waited. When the writer runs and has to wait again, readers wait behind it.
//!
//! `raw_rwlock_upgrade.rs` has the verbs of the one reader that may become a writer.
//!
//! # Invariants
//! 1. *One writes, or some read.* A reader that is counted while WRITER is not set reads, and WRITER is set only when no
//!    reader is counted. The last reader gives the lock on by itself, if somebody waits: it takes WRITER, if nobody was
//!    faster, and [`release`](RawRwLock::release) decides with WRITER in its hand. A reader that goes need not know
//!    whether it is the last: whoever finds the lock free, with WAITERS and without WOKEN, may do that.
//! 2. *Nobody sleeps for ever.* While the lock is free and WAITERS is set, the last reader or the last writer is about to
//!    take it; or WOKEN is set, and the writer that it stands for is awake: it takes the lock, or waits again and takes
//!    WOKEN back while others hold the lock, or gives up and wakes the next ([`pass_on`](RawRwLock::pass_on)). While others
//!    read and nobody is awake, the first in the line is a writer, or one that upgrades, or an upgradable reader while there
//!    is another one: a reader that becomes the first is let in ([`left`](RawRwLock::left)). A writer takes LOOK back together with WRITER, in one step, though somebody may wait. If so, it looks after that
//!    ([`look_after_writing`](RawRwLock::look_after_writing)): it takes the lock again, or sets LOOK for those that read
//!    since; a writer that was faster looks when it goes.
//! 3. *The holder is a hint*, as a mutex's, and is the writer or the upgradable reader: who else reads is not known.
//!    (A reader that left its number there took 12 % longer: to ask who the caller is costs as much as to count it.)
//! 4. *One that upgrades gets the lock.* It waits as a reader, so nobody writes meanwhile, and it waits for readers only.
//!    While it waits, UPGRADING and LOOK are set: new readers wait, except those that say that they read already; and a
//!    reader that goes and leaves it alone gives it the lock, in a turn. It stands first in the line: a writer that has
//!    waited before stands last while UPGRADING is set.

use crate::holder::{self, me};
use crate::loom::{AtomicU32, Ordering, checkpoint, give_way, now_ns};
use crate::lot::{Newcomer, Turn, Until, Want, key_of, owner_of};
use crate::raw_mutex::is_starved;
use crate::rwlock_word::{
    LOOK, ONE_LESS, READER, UPGRADABLE, UPGRADING, WAITERS, WOKEN, WRITER, WRITTEN, has_look, is_asleep, is_free,
    is_full, is_read, may_read, may_read_again, one_more, one_more_upgradable, settled, too_many, update, upgraded,
};
use pirn_runtime::internal::{Kind, Owner, Reason};
use std::time::Instant;

/// Answers.
const RETRY: usize = 0;
const HANDED: usize = 1;

/// Kinds of waiters.
pub(crate) const READS: usize = 0;
const WRITES: usize = 1;
pub(crate) const TASK_WRITES: usize = 2;
/// A reader that may upgrade.
pub(crate) const UPGRADABLE_READS: usize = 3;
/// That one, until the other readers have gone.
pub(crate) const UPGRADES: usize = 4;

/// A G waits to read.
pub(crate) static READ: Reason = Reason::new("sync.RWMutex.RLock", Kind::Object("rwlock")).with_owner(owner_of_reader);
/// A G waits to write.
pub(crate) static WRITE: Reason = Reason::new("sync.RWMutex.Lock", Kind::Object("rwlock")).with_owner(owner);
/// A G waits to read, and may upgrade then.
pub(crate) static UPGRADABLE_READ: Reason =
    Reason::new("sync.RWMutex.UpgradableRLock", Kind::Object("rwlock")).with_owner(owner);

/// The lock under an [`RwLock`](crate::RwLock), for the guards of `lock_api`: `lock_api::RwLock<RawRwLock, T>`.
///
/// A call of lock_api that waits is not unwound while the runtime shuts down, as lock_api is not made for it.
#[cfg_attr(not(any(feature = "lock_api_04", feature = "lock_api_05")), allow(unreachable_pub, reason = "for lock_api"))]
#[derive(Debug)]
pub struct RawRwLock {
    pub(crate) state: AtomicU32,
    pub(crate) holder: AtomicU32,
}

impl RawRwLock {
    /// A free one.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) const fn new() -> RawRwLock {
        RawRwLock { state: AtomicU32::new(0), holder: AtomicU32::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> RawRwLock {
        RawRwLock { state: AtomicU32::new(0), holder: AtomicU32::new(0) }
    }

    pub(crate) fn key(&self) -> usize {
        key_of(self)
    }

    /// Whether somebody has it to write.
    pub(crate) fn is_locked_exclusive(&self) -> bool {
        self.state.load(Ordering::Relaxed) & WRITER != 0
    }

    /// Whether somebody has it.
    pub(crate) fn is_locked(&self) -> bool {
        self.state.load(Ordering::Relaxed) & !(WAITERS | WOKEN | LOOK) != 0
    }

    /// Waits to read.
    #[inline]
    pub(crate) fn read(&self) {
        checkpoint();
        self.read_within(may_read, Until::Told);
    }

    /// Waits to read, but not for a writer that waits.
    #[inline]
    pub(crate) fn read_recursive(&self) {
        checkpoint();
        self.read_within(may_read_again, Until::Told);
    }

    /// Waits to read, for a caller that cannot be unwound; `again` is as `read_recursive`.
    #[inline]
    #[cfg(any(feature = "lock_api_04", feature = "lock_api_05"))]
    pub(crate) fn read_for_certain(&self, again: bool) {
        self.read_within(if again { may_read_again } else { may_read }, Until::ToldForCertain);
    }

    #[inline]
    fn read_within(&self, may_read: fn(u32) -> bool, until: Until) -> bool {
        // Acquire: what the last writer has done (partner: each Release that takes WRITER back).
        let before = self.state.fetch_add(READER, Ordering::Acquire);
        !has_look(before.wrapping_add(READER))
            || self.look_before_reading(may_read)
            || self.wait_to_read(may_read, until)
    }

    /// The caller is counted as a reader, and somebody writes or waits. If it may not read it is counted no more.
    #[cold]
    fn look_before_reading(&self, may_read: fn(u32) -> bool) -> bool {
        // Acquire: the writer that the addition has met may have gone since.
        let state = self.state.load(Ordering::Acquire);
        let is_one_too_many = is_full(state);
        if may_read(state.wrapping_sub(READER)) && !is_one_too_many {
            return true;
        }
        self.unlock_read();
        if is_one_too_many {
            too_many();
        }
        false
    }

    /// Waits to write, for a caller that cannot be unwound.
    #[cfg(any(feature = "lock_api_04", feature = "lock_api_05"))]
    pub(crate) fn write_for_certain(&self) {
        if self.is_taken_at_once() {
            self.holder.store(me(), Ordering::Relaxed);
        } else {
            self.wait_to_write(Until::ToldForCertain);
        }
    }

    /// Waits to read until `deadline`. False if that has passed.
    pub(crate) fn read_until(&self, deadline: Instant) -> bool {
        checkpoint();
        self.read_within(may_read, Until::Deadline(deadline))
    }

    /// Has it to read, if that is possible at once.
    #[inline]
    pub(crate) fn try_read(&self) -> bool {
        checkpoint();
        self.try_take_read(may_read)
    }

    /// As `try_read`, but not for a writer that waits.
    pub(crate) fn try_read_recursive(&self) -> bool {
        checkpoint();
        self.try_take_read(may_read_again)
    }

    /// Waits to write.
    #[inline]
    pub(crate) fn write(&self) {
        checkpoint();
        if self.is_taken_at_once() {
            self.holder.store(me(), Ordering::Relaxed);
        } else {
            self.wait_to_write(Until::Told);
        }
    }

    /// Waits to read, for a caller that is unwound where it waits. False if it was.
    #[cfg(all(test, loom))]
    pub(crate) fn read_or_be_unwound(&self) -> bool {
        self.read_within(may_read, Until::Unwound)
    }

    /// Waits to write until `deadline`. False if that has passed.
    pub(crate) fn write_until(&self, deadline: Instant) -> bool {
        checkpoint();
        if self.is_taken_at_once() {
            self.holder.store(me(), Ordering::Relaxed);
            return true;
        }
        self.wait_to_write(Until::Deadline(deadline))
    }

    /// Has it to write, if that is possible at once.
    #[inline]
    pub(crate) fn try_write(&self) -> bool {
        checkpoint();
        let is_taken = self.try_take_write(0);
        if is_taken {
            self.holder.store(me(), Ordering::Relaxed);
        }
        is_taken
    }

    #[inline]
    pub(crate) fn try_take_read(&self, may_read: fn(u32) -> bool) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while may_read(state) {
            let new = one_more(state);
            // Acquire: what the last writer has done (partner: each Release that takes WRITER back).
            match self.state.compare_exchange_weak(state, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => state = other,
            }
        }
        false
    }

    /// Takes it to write, if it is free. The first exchange assumes that nobody waits.
    #[inline]
    fn is_taken_at_once(&self) -> bool {
        // Acquire: what the last writer and the last readers have done (partner: their Release).
        match self.state.compare_exchange(0, WRITTEN, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => true,
            Err(state) => self.try_take_write_from(state, 0),
        }
    }

    /// Takes it to write, if it is free, and takes the bits `less` back with that.
    pub(crate) fn try_take_write(&self, less: u32) -> bool {
        self.try_take_write_from(self.state.load(Ordering::Relaxed), less)
    }

    /// The same, where the state was `state`.
    #[inline]
    fn try_take_write_from(&self, mut state: u32, less: u32) -> bool {
        while is_free(state) {
            let new = settled((state | WRITER) & !less);
            match self.state.compare_exchange_weak(state, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => state = other,
            }
        }
        false
    }

    #[cold]
    pub(crate) fn wait_to_read(&self, may_read: fn(u32) -> bool, until: Until<'_>) -> bool {
        if self.is_locked_exclusive() {
            self.look_for_own(&READ, until);
        }
        let is_taken = || self.try_take_read(may_read);
        self.wait_to_be_let_in(READS, &READ, until, may_read, is_taken, || self.unlock_read())
    }

    /// A reader of the kind `what` waits. It is let in, or not at all.
    pub(crate) fn wait_to_be_let_in(
        &self,
        what: usize,
        reason: &'static Reason,
        until: Until<'_>,
        may_go: fn(u32) -> bool,
        is_taken: impl Fn() -> bool,
        undo: impl Fn(),
    ) -> bool {
        let spot = Newcomer::caller(what, reason).on_stack(until);
        let turn = loop {
            let turn = Turn::of(self.key());
            if self.will_wait(&turn, WAITERS, 0, may_go) {
                break turn;
            }
            drop(turn);
            if is_taken() {
                return true;
            }
        };
        turn.wait(&spot, false, until, |turn| self.left(turn), |_| undo()).is_some()
    }

    #[cold]
    pub(crate) fn wait_to_write(&self, until: Until<'_>) -> bool {
        self.look_for_own(&WRITE, until);
        // What this caller has of WOKEN.
        let mut woken = 0;
        let (mut since_ns, mut has_waited) = (None, false);
        loop {
            if self.try_take_write(woken) {
                self.holder.store(me(), Ordering::Relaxed);
                return true;
            }
            let spot = Newcomer::caller_since(WRITES, &WRITE, *since_ns.get_or_insert_with(now_ns)).on_stack(until);
            let turn = Turn::of(self.key());
            if !self.will_wait(&turn, WAITERS, woken, is_free) {
                continue;
            }
            // One that upgrades stays the first: others wait for it, and it waits for readers only.
            let is_first = has_waited && self.state.load(Ordering::Relaxed) & UPGRADING == 0;
            match turn.wait(&spot, is_first, until, |turn| self.left(turn), |answer| self.undo_write(answer)) {
                None => return false,
                Some(HANDED) => return true,
                Some(_) => (woken, has_waited) = (WOKEN, true),
            }
        }
    }

    /// One that has it to write, or may upgrade, waits for it: for ever, if it does so without a deadline.
    pub(crate) fn look_for_own(&self, reason: &'static Reason, until: Until<'_>) {
        if !until.may_end() && self.holder.load(Ordering::Relaxed) == me() {
            holder::report_own(reason, self.key());
        }
    }

    /// In a turn: the caller is going to wait, and is not awake any more. So it sets and takes back such bits. False if it
    /// need not.
    pub(crate) fn will_wait(&self, turn: &Turn, set: u32, less: u32, may_go: fn(u32) -> bool) -> bool {
        if turn.settle(self.state.load(Ordering::Relaxed) & WAITERS != 0) {
            self.nobody_waits();
        }
        let wait = |state| (!may_go(state)).then_some(settled((state | set) & !less));
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wait).is_ok()
    }

    /// In a turn: one that waited has left by itself, or others have been let in. Those that are the first now are let in,
    /// if they can be (I2).
    pub(crate) fn left(&self, turn: &mut Turn) {
        while turn.first().is_some_and(|first| self.lets_in(first)) {
            turn.tell_first(HANDED);
        }
        if turn.is_empty() {
            self.nobody_waits();
        }
    }

    /// In a turn: takes WAITERS back.
    fn nobody_waits(&self) {
        update(&self.state, Ordering::Relaxed, |state| state & !WAITERS);
    }

    /// In a turn: gives the first what it waits for. That is possible for a reader if others read, and for one that
    /// upgrades if no others do.
    fn lets_in(&self, first: &Want) -> bool {
        let new = |state| match first.what {
            READS => is_read(state).then(|| one_more(state)),
            UPGRADABLE_READS => (is_read(state) && state & UPGRADABLE == 0).then(|| one_more_upgradable(state)),
            UPGRADES => upgraded(state),
            _ => None,
        };
        // Acquire: what others have done before (partner: each Release that takes READER or WRITER back).
        let is_let_in = self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, new).is_ok();
        if is_let_in && first.what != READS {
            self.holder.store(first.who, Ordering::Relaxed);
        }
        is_let_in
    }

    /// A writer has been told, but has no use for the answer.
    pub(crate) fn undo_write(&self, answer: usize) {
        if answer == HANDED { self.unlock_write() } else { self.pass_on() }
    }

    /// A writer that was woken gives up.
    fn pass_on(&self) {
        let mut turn = Turn::of(self.key());
        let state = update(&self.state, Ordering::Relaxed, |state| state & !WOKEN);
        // If others have it, they see that nobody is awake. Readers that stood behind the writer need not wait for it.
        if state & WAITERS != 0 && self.try_take_write(0) {
            self.release(turn);
        } else {
            self.left(&mut turn);
        }
    }

    /// Gives it back. The caller has it to write.
    #[inline]
    pub(crate) fn unlock_write(&self) {
        self.holder.store(0, Ordering::Relaxed);
        // Release: what was written (partner: the Acquire of the next one).
        if self.state.fetch_sub(WRITTEN, Ordering::Release) != WRITTEN {
            self.look_after_writing();
        }
    }

    /// A writer has gone, and LOOK with it, though somebody may wait (I2).
    #[cold]
    fn look_after_writing(&self) {
        let mut state = self.state.load(Ordering::Relaxed);
        while is_asleep(state) && state & (WRITER | LOOK) == 0 {
            let new = if is_free(state) { state | WRITTEN } else { state | LOOK };
            // Acquire: what others have done since (partner: their Release).
            match self.state.compare_exchange_weak(state, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if new & WRITER != 0 => return self.release(Turn::of(self.key())),
                Ok(_) => return,
                Err(other) => state = other,
            }
        }
    }

    /// Gives it back. The caller has it to read.
    #[inline]
    pub(crate) fn unlock_read(&self) {
        // Release: a writer comes after what was read (partner: its Acquire).
        let before = self.state.fetch_add(ONE_LESS, Ordering::Release);
        if has_look(before.wrapping_add(ONE_LESS)) {
            self.give_on();
        }
    }

    /// A reader has gone. If nobody has the lock, somebody waits, and nobody is awake, the caller takes it to give it on
    /// (I1). If only the one that upgrades has it, the caller gives it what it waits for (I4).
    #[cold]
    pub(crate) fn give_on(&self) {
        let given = WAITERS | LOOK;
        let state = self.state.load(Ordering::Relaxed);
        if state == given
            && self.state.compare_exchange(given, given | WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            self.release(Turn::of(self.key()));
        } else if state & UPGRADING != 0 && upgraded(state).is_some() {
            self.left(&mut Turn::of(self.key()));
        }
    }

    /// Gives it back, in a turn. The caller has WRITER. The lock goes to the readers at the head of the line; to the
    /// writer there, if that has waited for long; or to anybody, and the writer is woken.
    fn release(&self, mut turn: Turn) {
        let Some(first) = turn.first() else {
            // They have left since; or it has moved away from a future that was forgotten (lot I6).
            update(&self.state, Ordering::Release, |state| state & !(WRITER | WAITERS));
            return;
        };
        let (what, who, since_ns) = (first.what, first.who, first.since_ns);
        if what == READS || what == UPGRADABLE_READS {
            return self.give_to_readers(turn);
        }
        if what == TASK_WRITES || is_starved(since_ns) {
            self.holder.store(who, Ordering::Relaxed);
            turn.tell_first(HANDED);
            self.left(&mut turn);
            drop(turn);
            return give_way();
        }
        // Nobody is awake: only one that is told in a turn becomes so.
        self.state.fetch_xor(WRITTEN | WOKEN, Ordering::Release);
        turn.tell_first(RETRY);
        self.left(&mut turn);
    }

    /// Gives it to all readers at the head of the line. The caller, which has WRITER, reads meanwhile.
    fn give_to_readers(&self, mut turn: Turn) {
        // Release: what was written (partner: the readers are told after it). Nobody is awake, so LOOK stays.
        self.state.fetch_add(READER - WRITER, Ordering::Release);
        self.left(&mut turn);
        drop(turn);
        self.unlock_read();
    }

    /// One that has it to write has it to read from now on.
    pub(crate) fn downgrade(&self) {
        self.holder.store(0, Ordering::Relaxed);
        // Release: what was written (partner: the Acquire of a reader). WRITER is set.
        let before = update(&self.state, Ordering::Release, |state| state + READER - WRITER);
        if before & WAITERS != 0 {
            self.left(&mut Turn::of(self.key()));
        }
    }
}

/// Who has the lock at that address to write, or may upgrade: who writes or upgrades waits for each reader.
fn owner(what: usize) -> Option<Owner> {
    owner_of(what, is_one, |raw: &RawRwLock| raw.holder.load(Ordering::Relaxed))
}

/// Who has the lock at that address to write: who reads waits for nobody else that is known.
fn owner_of_reader(what: usize) -> Option<Owner> {
    owner_of(what, is_one, |raw: &RawRwLock| {
        let holder = raw.holder.load(Ordering::Relaxed);
        if raw.is_locked_exclusive() { holder } else { 0 }
    })
}

fn is_one(want: &Want) -> bool {
    [&READ, &WRITE, &UPGRADABLE_READ].contains(&want.reason)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{LOOK, Ordering, READER, RETRY, RawRwLock, WAITERS, WOKEN, WRITER, update};
    use crate::lot::Place;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn state(raw: &RawRwLock) -> u32 {
        raw.state.load(Ordering::Relaxed)
    }

    #[test]
    fn a_reader_too_many_is_told_so_and_not_counted() {
        for full in [LOOK - READER, LOOK | (LOOK / 2) | WAITERS] {
            let raw = RawRwLock::new();
            raw.state.store(full, Ordering::Relaxed);
            assert!(catch_unwind(AssertUnwindSafe(|| raw.read())).is_err());
            assert!(catch_unwind(AssertUnwindSafe(|| raw.read_recursive())).is_err());
            assert_eq!(state(&raw), full);
        }
        let raw = RawRwLock::new();
        raw.state.store(LOOK / 2, Ordering::Relaxed);
        assert!(catch_unwind(AssertUnwindSafe(|| raw.try_read())).is_err());
        assert_eq!(state(&raw), LOOK / 2);
    }

    #[test]
    fn readers_look_closer_only_while_one_writes_or_all_that_wait_sleep() {
        let raw = RawRwLock::new();
        raw.state.store(WAITERS | WOKEN, Ordering::Relaxed);
        raw.read();
        assert!(raw.try_read());
        assert_eq!(state(&raw), WAITERS | WOKEN | (2 * READER));
        raw.unlock_read();
        raw.unlock_read();
        assert!(raw.try_take_write(WOKEN));
        assert_eq!(state(&raw), WRITER | WAITERS | LOOK);
        // Nobody stands in the line.
        raw.unlock_write();
        assert_eq!(state(&raw), 0);
    }

    #[test]
    fn a_reader_that_comes_while_a_writer_goes_keeps_nobody_asleep() {
        let raw = RawRwLock::new();
        raw.state.store(WAITERS | READER, Ordering::Relaxed);
        raw.look_after_writing();
        assert_eq!(state(&raw), WAITERS | READER | LOOK);
        assert!(!raw.try_read());
        raw.unlock_read();
        assert_eq!(state(&raw), 0);
    }

    /// One that was woken stands for WOKEN, and no longer in the line.
    #[test]
    fn a_woken_writer_that_gives_up_lets_the_readers_behind_it_in() {
        let (raw, context) = (RawRwLock::new(), &mut Context::from_waker(Waker::noop()));
        let (mut writes, mut reads) = (pin!(Place::new()), pin!(Place::new()));
        raw.read();
        assert!(raw.poll_write(writes.as_mut(), context).is_pending());
        assert!(raw.poll_read(reads.as_mut(), context).is_pending());
        writes.withdraw(|_| {}, |_| {});
        update(&raw.state, Ordering::Relaxed, |state| state | WOKEN);
        raw.undo_write(RETRY);
        assert!(raw.poll_read(reads.as_mut(), context).is_ready());
        assert_eq!(state(&raw), 2 * READER);
        raw.unlock_read();
        raw.unlock_read();
        assert_eq!(state(&raw), 0);
    }

    #[test]
    fn readers_look_closer_while_one_writes() {
        let raw = RawRwLock::new();
        raw.write();
        assert_eq!(state(&raw), WRITER | LOOK);
        raw.downgrade();
        assert_eq!(state(&raw), READER);
        raw.read();
        raw.unlock_read();
        raw.unlock_read();
        assert!(raw.try_write());
        raw.unlock_write();
        assert_eq!(state(&raw), 0);
    }
}
