//! The lock under an [`RwLock`](crate::RwLock): one word, and who holds it to write.
//!
//! # The protocol
//! ```text
//!   WRITER    somebody has it to write
//!   WAITERS   somebody stands in the lot, under the lock's address; changed only in a turn of that (lot I1)
//!   WOKEN     a writer who waited is awake and tries again
//!   the rest  how many have it to read
//! ```
//! As a mutex (`raw_mutex.rs`) for writers: a lock that is free is taken by whoever comes, but a writer that has waited
//! for a millisecond is handed it. While others read and somebody waits, a new reader waits too, so that writers are
//! not kept out; one that says that it reads already ([`read_recursive`](RawRwLock::read_recursive)) does not.
//! Readers at the head of the line are always let in, all at once: that costs no turn of anybody.
//!
//! # Invariants
//! 1. *One writes, or some read.* The last reader gives the lock on by itself, if somebody waits: it takes WRITER, if
//!    nobody was faster, and [`release`](RawRwLock::release) decides with WRITER in its hand.
//! 2. *Nobody sleeps for ever.* While the lock is free and WAITERS is set, the last reader is about to take it, or WOKEN
//!    is set, and the writer that it stands for is awake: it takes the lock, or waits again and takes WOKEN back while others hold the lock, or gives up and
//!    wakes the next ([`pass_on`](RawRwLock::pass_on)). While others read, the first in the line is a writer: a reader
//!    that becomes the first is let in ([`left`](RawRwLock::left)).
//! 3. *The holder is a hint*, as a mutex's, and is that of a writer: who reads is not known.

use crate::holder::{self, me};
use crate::loom::{AtomicU32, Ordering, checkpoint, give_way, now};
use crate::lot::{Newcomer, Place, Turn, Until, Want, owner_of};
use crate::raw_mutex::is_starved;
use pirn_runtime::internal::{Kind, Owner, Reason};
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll};
use std::time::Instant;

const WRITER: u32 = 1;
const WAITERS: u32 = 1 << 1;
const WOKEN: u32 = 1 << 2;
const READER: u32 = 1 << 3;
/// There is room for more, so that those who come too many can be told so.
const READERS_MAX: u32 = u32::MAX / READER / 2;

/// Answers.
const RETRY: usize = 0;
const HANDED: usize = 1;

/// Kinds of waiters.
const READS: usize = 0;
const WRITES: usize = 1;
const TASK_WRITES: usize = 2;

/// A G waits to read.
static READ: Reason = Reason::new("sync.RWMutex.RLock", Kind::Object("rwlock")).with_owner(owner);
/// A G waits to write.
static WRITE: Reason = Reason::new("sync.RWMutex.Lock", Kind::Object("rwlock")).with_owner(owner);

/// The lock under an [`RwLock`](crate::RwLock), for the guards of `lock_api`: `lock_api::RwLock<RawRwLock, T>`.
///
/// A call of lock_api that waits is not unwound while the runtime shuts down, as lock_api is not made for it.
#[cfg_attr(not(any(feature = "lock_api_04", feature = "lock_api_05")), allow(unreachable_pub, reason = "for lock_api"))]
#[derive(Debug)]
pub struct RawRwLock {
    state: AtomicU32,
    holder: AtomicU32,
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

    fn key(&self) -> usize {
        ptr::from_ref(self).expose_provenance()
    }

    /// Whether somebody has it to write.
    pub(crate) fn is_locked_exclusive(&self) -> bool {
        self.state.load(Ordering::Relaxed) & WRITER != 0
    }

    /// Whether somebody has it.
    pub(crate) fn is_locked(&self) -> bool {
        self.state.load(Ordering::Relaxed) & !(WAITERS | WOKEN) != 0
    }

    /// Waits to read.
    #[inline]
    pub(crate) fn read(&self) {
        checkpoint();
        if !self.try_take_read(may_read) {
            self.wait_to_read(may_read, Until::Told);
        }
    }

    /// Waits to read, but not for a writer that waits.
    pub(crate) fn read_recursive(&self) {
        checkpoint();
        if !self.try_take_read(may_read_again) {
            self.wait_to_read(may_read_again, Until::Told);
        }
    }

    /// Waits to read, for a caller that cannot be unwound; `again` is as `read_recursive`.
    #[cfg(any(feature = "lock_api_04", feature = "lock_api_05"))]
    pub(crate) fn read_for_certain(&self, again: bool) {
        let may_read = if again { may_read_again } else { may_read };
        if !self.try_take_read(may_read) {
            self.wait_to_read(may_read, Until::ToldForCertain);
        }
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
        self.try_take_read(may_read) || self.wait_to_read(may_read, Until::Deadline(deadline))
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
        self.try_take_read(may_read) || self.wait_to_read(may_read, Until::Unwound)
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
    fn try_take_read(&self, may_read: fn(u32) -> bool) -> bool {
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

    /// Takes it to write, if it is free and nobody waits.
    #[inline]
    fn is_taken_at_once(&self) -> bool {
        // Acquire: what the last writer and the last readers have done (partner: their Release).
        self.state.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes it to write, if it is free, and takes the bits `less` back with that.
    fn try_take_write(&self, less: u32) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while is_free(state) {
            let new = (state | WRITER) & !less;
            match self.state.compare_exchange_weak(state, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => state = other,
            }
        }
        false
    }

    #[cold]
    pub(crate) fn wait_to_read(&self, may_read: fn(u32) -> bool, until: Until<'_>) -> bool {
        self.look_for_own(&READ, until);
        let newcomer = Newcomer::caller(READS, &READ, now());
        let turn = loop {
            let turn = Turn::of(self.key());
            if self.will_wait(&turn, 0, may_read) {
                break turn;
            }
            drop(turn);
            if self.try_take_read(may_read) {
                return true;
            }
        };
        // It is let in, or not at all.
        turn.wait(newcomer, false, until, |turn| self.left(turn), |_| self.unlock_read()).is_some()
    }

    #[cold]
    pub(crate) fn wait_to_write(&self, until: Until<'_>) -> bool {
        self.look_for_own(&WRITE, until);
        // What this caller has of WOKEN.
        let mut woken = 0;
        let (mut since, mut has_waited) = (None, false);
        loop {
            if self.try_take_write(woken) {
                self.holder.store(me(), Ordering::Relaxed);
                return true;
            }
            let newcomer = Newcomer::caller(WRITES, &WRITE, *since.get_or_insert_with(now));
            let turn = Turn::of(self.key());
            if !self.will_wait(&turn, woken, is_free) {
                continue;
            }
            match turn.wait(newcomer, has_waited, until, |turn| self.left(turn), |answer| self.undo_write(answer)) {
                None => return false,
                Some(HANDED) => return true,
                Some(_) => (woken, has_waited) = (WOKEN, true),
            }
        }
    }

    /// One that has it to write waits for it: for ever, if it does so without a deadline.
    fn look_for_own(&self, reason: &'static Reason, until: Until<'_>) {
        if !until.may_end() && self.holder.load(Ordering::Relaxed) == me() {
            holder::report_own(reason, self.key());
        }
    }

    /// In a turn: the caller is going to wait, and is not awake any more. False if it need not.
    fn will_wait(&self, turn: &Turn, woken: u32, may_go: fn(u32) -> bool) -> bool {
        if turn.settle(self.state.load(Ordering::Relaxed) & WAITERS != 0) {
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        }
        let wait = |state| (!may_go(state)).then_some((state | WAITERS) & !woken);
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wait).is_ok()
    }

    /// In a turn: one that waited has left by itself, or others have been let in. Readers that are the first now are
    /// let in, if others read (I2).
    fn left(&self, turn: &mut Turn) {
        while turn.first().is_some_and(|first| first.what == READS) && self.joins_readers() {
            turn.tell_first(HANDED);
        }
        if turn.is_empty() {
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }

    /// Counts one more reader, if others read.
    fn joins_readers(&self) -> bool {
        let join = |state| (state & WRITER == 0 && state >= READER).then(|| one_more(state));
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, join).is_ok()
    }

    /// A writer has been told, but has no use for the answer.
    fn undo_write(&self, answer: usize) {
        if answer == HANDED { self.unlock_write() } else { self.pass_on() }
    }

    /// A writer that was woken gives up.
    fn pass_on(&self) {
        let mut turn = Turn::of(self.key());
        let state = self.state.fetch_and(!WOKEN, Ordering::Relaxed);
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
        if self.state.compare_exchange(WRITER, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.unlock_contended();
        }
    }

    #[cold]
    fn unlock_contended(&self) {
        if !self.is_free_without_waking() {
            self.release(Turn::of(self.key()));
        }
    }

    /// Gives it back, if nobody waits or one is awake. The caller has WRITER.
    fn is_free_without_waking(&self) -> bool {
        let free = |state| (state & WAITERS == 0 || state & WOKEN != 0).then_some(state & !WRITER);
        self.state.fetch_update(Ordering::Release, Ordering::Relaxed, free).is_ok()
    }

    /// Gives it back. The caller has it to read.
    #[inline]
    pub(crate) fn unlock_read(&self) {
        // Release: a writer comes after what was read (partner: its Acquire).
        let before = self.state.fetch_sub(READER, Ordering::Release);
        if before == READER | WAITERS {
            self.give_on();
        }
    }

    /// The last reader has gone, somebody waits, and nobody is awake: if nobody has taken it since, whose turn it would
    /// be then, the caller takes it to give it on (I1).
    #[cold]
    fn give_on(&self) {
        if self.state.compare_exchange(WAITERS, WAITERS | WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            self.unlock_contended();
        }
    }

    /// Gives it back, in a turn. The caller has WRITER. The lock goes to the readers at the head of the line; to the
    /// writer there, if that has waited for long; or to anybody, and the writer is woken.
    fn release(&self, mut turn: Turn) {
        let Some(first) = turn.first() else {
            // They have left since; or it has moved away from a future that was forgotten (lot I6).
            self.state.fetch_and(!(WRITER | WAITERS), Ordering::Release);
            return;
        };
        let (what, who, since) = (first.what, first.who, first.since);
        if what == READS {
            return self.give_to_readers(turn);
        }
        if what == TASK_WRITES || is_starved(since) {
            self.holder.store(who, Ordering::Relaxed);
            turn.tell_first(HANDED);
            self.left(&mut turn);
            drop(turn);
            return give_way();
        }
        // Nobody is awake: only one that is told in a turn becomes so.
        self.state.fetch_xor(WRITER | WOKEN, Ordering::Release);
        turn.tell_first(RETRY);
        self.left(&mut turn);
    }

    /// Gives it to all readers at the head of the line. The caller, which has WRITER, reads meanwhile.
    fn give_to_readers(&self, turn: Turn) {
        // Release: what was written (partner: the readers are told after it).
        self.state.fetch_add(READER - WRITER, Ordering::Release);
        self.let_readers_in(turn);
        self.unlock_read();
    }

    /// Lets all readers at the head of the line in. The caller reads.
    fn let_readers_in(&self, mut turn: Turn) {
        self.left(&mut turn);
    }

    /// One that has it to write has it to read from now on.
    pub(crate) fn downgrade(&self) {
        self.holder.store(0, Ordering::Relaxed);
        // Release: what was written. WRITER is set.
        let before = self.state.fetch_add(READER - WRITER, Ordering::Release);
        if before & WAITERS != 0 {
            self.let_readers_in(Turn::of(self.key()));
        }
    }

    /// As `read`, for a task: `place` is its future's.
    pub(crate) fn poll_read(&self, place: Pin<&mut Place>, context: &mut Context<'_>) -> Poll<()> {
        checkpoint();
        if place.is_used() {
            return place.poll(context).map(|_| ());
        }
        while !self.try_take_read(may_read) {
            let newcomer = Newcomer::task(READS, &READ, context);
            let turn = Turn::of(self.key());
            if self.will_wait(&turn, 0, may_read) {
                place.stand(turn, newcomer);
                return Poll::Pending;
            }
            drop(turn);
            newcomer.discard();
        }
        Poll::Ready(())
    }

    /// As `write`, for a task.
    pub(crate) fn poll_write(&self, place: Pin<&mut Place>, context: &mut Context<'_>) -> Poll<()> {
        checkpoint();
        if place.is_used() {
            return place.poll(context).map(|_| ());
        }
        while !self.try_take_write(0) {
            let newcomer = Newcomer::task(TASK_WRITES, &WRITE, context);
            let turn = Turn::of(self.key());
            if self.will_wait(&turn, 0, is_free) {
                place.stand(turn, newcomer);
                return Poll::Pending;
            }
            drop(turn);
            newcomer.discard();
        }
        Poll::Ready(())
    }

    /// The future of `poll_read` is dropped.
    pub(crate) fn forget_reader(&self, place: Pin<&mut Place>) {
        place.withdraw(|turn| self.left(turn), |_| self.unlock_read());
    }

    /// The future of `poll_write` is dropped.
    pub(crate) fn forget_writer(&self, place: Pin<&mut Place>) {
        place.withdraw(|turn| self.left(turn), |answer| self.undo_write(answer));
    }
}

/// Nobody has it.
fn is_free(state: u32) -> bool {
    state & WRITER == 0 && state < READER
}

/// A reader need not wait: nobody writes; and nobody waits, or nobody has it.
#[inline]
pub(crate) fn may_read(state: u32) -> bool {
    state & (WRITER | WAITERS) == 0 || is_free(state)
}

/// The same for one that reads already.
fn may_read_again(state: u32) -> bool {
    state & WRITER == 0
}

/// With one reader more.
#[inline]
fn one_more(state: u32) -> u32 {
    if state / READER >= READERS_MAX {
        too_many();
    }
    state + READER
}

#[cold]
fn too_many() -> ! {
    panic!("RwLock: {READERS_MAX} have it to read, which is all that it has room for; guards may have been forgotten");
}

/// Who has the lock at that address to write.
fn owner(what: usize) -> Option<Owner> {
    owner_of(what, is_one, |raw: &RawRwLock| raw.holder.load(Ordering::Relaxed))
}

fn is_one(want: &Want) -> bool {
    want.reason == &READ || want.reason == &WRITE
}
