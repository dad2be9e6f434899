//! The table, and what is done to it in a turn.

use crate::loom::{AtomicPtr, Ordering};
use pirn_runtime::internal::{Claimed, Line, Lock, Reason, Runs, Ticket, ToldLine, Unparker, Waiter};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr;

/// How many buckets there are, a power of two. One that is not used takes no memory but addresses.
#[cfg(not(loom))]
const BUCKETS: usize = 1024;
#[cfg(loom)]
const BUCKETS: usize = 1;

/// How many a turn tells: a lock that is held for some microseconds makes others sleep. In models each turn has its end.
const TELLS_MAX: usize = if cfg!(loom) { 1 } else { 16 };

/// A line for each of some addresses.
#[repr(align(64))]
struct Bucket {
    lock: Lock,
    /// Written under the lock; an observer looks without it whether there is one.
    first: AtomicPtr<Queue>,
    /// How many have stood here. It may wrap: numbers are compared as of one moment.
    count: Cell<usize>,
}

// SAFETY: the cells are guarded by the lock.
unsafe impl Sync for Bucket {}
// SAFETY: as above.
unsafe impl Send for Bucket {}

#[cfg(not(loom))]
static TABLE: [Bucket; BUCKETS] =
    [const { Bucket { lock: Lock::new(), first: AtomicPtr::new(ptr::null_mut()), count: Cell::new(0) } }; BUCKETS];

#[cfg(loom)]
loom::lazy_static! {
    static ref TABLE: [Bucket; BUCKETS] = [Bucket { lock: Lock::new(), first: AtomicPtr::new(ptr::null_mut()), count: Cell::new(0) }];
}

impl Bucket {
    fn first(&self) -> *const Queue {
        self.first.load(Ordering::Relaxed)
    }

    fn set_first(&self, queue: *const Queue) {
        self.first.store(queue.cast_mut(), Ordering::Relaxed);
    }

    /// The queues, for the holder of the lock.
    fn queues(&self) -> impl Iterator<Item = &Queue> {
        // SAFETY: a queue in the table lies in a spot that is there (I2, I3).
        let as_ref = |queue: *const Queue| unsafe { queue.as_ref() };
        std::iter::successors(as_ref(self.first()), move |queue| as_ref(queue.next.get()))
    }

    /// The queue of that key, for the holder of the lock.
    fn queue(&self, key: usize) -> Option<&Queue> {
        self.queues().find(|queue| queue.key.get() == key)
    }
}

/// The key of an object: its address, by which an observer may find it (`watch.rs`).
#[inline]
pub(crate) fn key_of<T: ?Sized>(object: &T) -> usize {
    ptr::from_ref(object).cast::<()>().expose_provenance()
}

fn bucket(key: usize) -> &'static Bucket {
    /// 2^64 divided by the golden ratio: neighbours land far from each other (Knuth, "Sorting and Searching", 6.4).
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let hash = (key as u64).wrapping_mul(SPREAD) >> 32;
    let table: &'static [Bucket; BUCKETS] = &TABLE;
    &table[hash as usize % BUCKETS]
}

/// What is known of one that waits.
pub(crate) struct Want {
    /// What it waits for, in the primitive's words.
    pub(crate) what: usize,
    /// Who it is (`holder.rs`); 0 if that is not known.
    pub(crate) who: u32,
    /// Why it waits.
    pub(crate) reason: &'static Reason,
    /// Since when, in nanoseconds on the runtime's clock.
    pub(crate) since_ns: u64,
}

/// Those that wait under one key.
struct Queue {
    key: Cell<usize>,
    line: Line<usize, Known>,
    next: Cell<*const Queue>,
    /// Those that all are to be told, and are not yet.
    rest: Cell<Option<Rest>>,
}

/// The rest of a line of which all are told, while the lock is free for a moment.
#[derive(Clone, Copy)]
struct Rest {
    /// Those are meant whose number is lower.
    end: usize,
    answer: usize,
}

impl Queue {
    /// What the first is to be told, if it is one of the rest.
    fn answer_to_rest(&self) -> Option<usize> {
        let Rest { end, answer } = self.rest.get()?;
        let is_before = |known: &Known| (known.number.get().wrapping_sub(end) as isize) < 0;
        let is_one = self.line.first_data().is_some_and(is_before);
        if !is_one {
            self.rest.set(None);
        }
        is_one.then_some(answer)
    }
}

/// What the table knows of a waiter.
struct Known {
    want: Want,
    /// It lies on a stack, so it cannot be forgotten (I6).
    is_on_stack: bool,
    /// Where it stands. Set before it stands there.
    spot: Cell<*const Spot>,
    /// The bucket's count when it began to stand there.
    number: Cell<usize>,
    /// Its wait may end without being told: it has a deadline, or is a task's.
    may_end: bool,
}

/// An operation's place. It lies on the operation's stack, or in its future.
pub(crate) struct Spot {
    ticket: Ticket<usize>,
    waiter: Waiter<usize, Known>,
    queue: Queue,
}

impl Spot {
    /// One that stands nowhere, for what `unparker` wakes.
    pub(super) fn new(want: Want, may_end: bool, is_on_stack: bool, unparker: Unparker) -> Spot {
        let known = Known { want, spot: Cell::new(ptr::null()), number: Cell::new(0), may_end, is_on_stack };
        Spot {
            ticket: Ticket::of(unparker),
            waiter: Waiter::new(known),
            queue: Queue { key: Cell::new(0), line: Line::new(), next: Cell::new(ptr::null()), rest: Cell::new(None) },
        }
    }

    /// What it has been told.
    pub(super) fn told(&self) -> Option<usize> {
        self.ticket.told().copied()
    }

    /// Whether it has never stood anywhere.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        self.waiter.data().spot.get().is_null()
    }

    /// Who waits there.
    pub(crate) fn who(&self) -> u32 {
        self.waiter.data().want.who
    }

    pub(super) fn reason(&self) -> &'static Reason {
        self.waiter.data().want.reason
    }

    pub(super) fn ticket(&self) -> &Ticket<usize> {
        &self.ticket
    }
}

/// A turn of a bucket's lock, for one key. At its end, which is its drop, it unlocks, and wakes whom it has told.
#[must_use = "it holds the lock of a bucket"]
pub(crate) struct Turn {
    bucket: &'static Bucket,
    key: usize,
    told: ToldLine<usize, Known>,
    /// When the first of those runs whom it has told.
    first_runs: Runs,
}

impl Turn {
    /// Waits for the lock.
    pub(crate) fn of(key: usize) -> Turn {
        #[cfg(not(loom))]
        forks::watch();
        let bucket = bucket(key);
        bucket.lock.lock();
        Turn { bucket, key, told: ToldLine::new(), first_runs: Runs::Next }
    }

    /// Its key.
    pub(super) fn key(&self) -> usize {
        self.key
    }

    /// The turn of one that is going to wait, and tells nobody in it. It is small: moving what has just been written holds
    /// up the CPU.
    #[inline(always)]
    pub(super) fn into_held(self) -> Held {
        let turn = ManuallyDrop::new(self);
        debug_assert!(turn.told.is_empty());
        Held { bucket: turn.bucket, key: turn.key }
    }

    fn queue(&self) -> Option<&Queue> {
        self.bucket.queue(self.key)
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue().is_none()
    }

    /// Whether an operation waits on a stack for which `is_one` holds. If so, the object is there until the end of the
    /// turn (I3).
    pub(crate) fn is_borrowed(&self, is_one: impl Fn(&Want) -> bool) -> bool {
        let mut is_borrowed = false;
        if let Some(queue) = self.queue() {
            queue.line.for_each(|known| is_borrowed |= known.is_on_stack && is_one(&known.want));
        }
        is_borrowed
    }

    /// For who is going to stand in the line, and says whether the object's bit "somebody waits" is set. If it is not,
    /// those that stand here are forgotten futures, and leave (I6). Returns whether the bit has to be taken back, as
    /// nobody stands here.
    pub(crate) fn settle(&self, is_bit_set: bool) -> bool {
        match self.queue() {
            None => is_bit_set,
            Some(queue) if !is_bit_set => {
                self.relink(queue, queue.next.get());
                false
            }
            Some(_) => false,
        }
    }

    /// The one that is to be told next, for which there is room then. If there was none, this turn has ended and another one
    /// begun: what the caller has seen before is old.
    pub(crate) fn first(&mut self) -> Option<&Want> {
        self.make_room();
        self.queue()?.line.first_data().map(|known| &known.want)
    }

    /// If many have been told in this turn, and others wait, it ends and another one begins.
    fn make_room(&mut self) {
        // If nobody is left the caller takes the object's bit back in this turn: at its end line and bit have to agree.
        if !self.told.has_room(TELLS_MAX) && !self.is_empty() {
            self.end();
            self.bucket.lock.lock();
        }
    }

    /// Tells all that stand in the line now, in a turn that has told nobody. `left` is called when they have left. Returns how
    /// many it has told.
    ///
    /// They may be more than one turn can tell. Those that are left meanwhile are told by whoever calls
    /// [`tell_rest`](Self::tell_rest) first.
    pub(crate) fn tell_all(&mut self, answer: usize, left: impl Fn(&mut Turn)) -> usize {
        debug_assert!(self.told.is_empty());
        self.first_runs = Runs::Last;
        let rest = Rest { end: self.bucket.count.get(), answer };
        let mut told = 0;
        if self.queue().is_some_and(|queue| queue.rest.get().is_some()) {
            self.tell_rest();
        } else {
            // All that stand there are meant, as the lock is held all the time.
            while self.told.has_room(TELLS_MAX)
                && let Some(queue) = self.queue()
            {
                let first = self.claim_first(queue);
                self.told.tell(first, answer);
                told += 1;
            }
        }
        if let Some(queue) = self.queue() {
            queue.rest.set(Some(rest));
            told += self.tell_rest();
        }
        left(self);
        told
    }

    /// Tells those that another one is telling, all of them, and has not told yet: they come before those that the caller
    /// would tell. Returns how many they were.
    pub(crate) fn tell_rest(&mut self) -> usize {
        let mut told = 0;
        loop {
            self.make_room();
            let Some(answer) = self.queue().and_then(Queue::answer_to_rest) else { return told };
            self.tell_first(answer);
            told += 1;
        }
    }

    /// Tells the first, which there is, the answer. There is room for it: it is the first of this turn, or
    /// [`first`](Self::first) was called since the last.
    pub(crate) fn tell_first(&mut self, answer: usize) {
        let queue = self.queue().expect("somebody waits");
        let first = self.claim_first(queue);
        self.told.tell(first, answer);
    }

    /// Takes the first out of the line.
    #[inline(always)]
    fn claim_first(&self, queue: &Queue) -> Claimed<usize, Known> {
        let first: Claimed<_, _> = queue.line.claim_first().expect("a queue is not empty");
        let spot = first.data().spot.get();
        self.leave(queue, spot);
        first
    }

    /// Unlocks, and wakes whom it has told.
    fn end(&mut self) {
        self.bucket.lock.unlock();
        self.told.wake(self.first_runs);
        self.first_runs = Runs::Last;
    }

    /// The spot has left the queue: the queue leaves the spot.
    fn leave(&self, queue: &Queue, spot: *const Spot) {
        let Some(last) = queue.line.last_data() else { return self.relink(queue, queue.next.get()) };
        // SAFETY: the spot is the caller's, or waits until it is told.
        if !ptr::eq(queue, unsafe { &raw const (*spot).queue }) {
            return;
        }
        // SAFETY: who stands in the line is there.
        let new = unsafe { &(*last.spot.get()).queue };
        new.key.set(self.key);
        new.next.set(queue.next.get());
        new.rest.set(queue.rest.get());
        new.line.take_over(&queue.line);
        self.relink(queue, new);
    }

    /// Puts `new` where `old` is.
    fn relink(&self, old: &Queue, new: *const Queue) {
        match self.bucket.queues().find(|queue| ptr::eq(queue.next.get(), old)) {
            None => self.bucket.set_first(new),
            Some(before) => before.next.set(new),
        }
    }

    /// Takes a spot out of the line; then `left` says what follows from it. False: it has been told before.
    pub(super) fn withdraw(mut self, spot: &Spot, left: impl FnOnce(&mut Turn)) -> bool {
        let Some(queue) = self.queue() else { return false };
        if !queue.line.remove(&spot.waiter) {
            return false;
        }
        self.leave(queue, spot);
        left(&mut self);
        true
    }
}

/// A turn in which nobody is told. At its end, which is its drop, it unlocks.
pub(super) struct Held {
    bucket: &'static Bucket,
    key: usize,
}

impl Held {
    /// The lock, which the caller has to give back.
    #[inline(always)]
    pub(super) fn into_lock(self) -> &'static Lock {
        &ManuallyDrop::new(self).bucket.lock
    }

    /// Puts a spot into the line: last, or before all others.
    ///
    /// # Safety
    /// It stands nowhere, and stays where it is until it is told or withdrawn.
    #[inline]
    pub(super) unsafe fn stand(&self, spot: *const Spot, is_first: bool) {
        // SAFETY: as the caller promises.
        let spot = unsafe { &*spot };
        let known = spot.waiter.data();
        known.spot.set(spot);
        known.number.set(self.bucket.count.get());
        self.bucket.count.set(self.bucket.count.get().wrapping_add(1));
        let queue = self.bucket.queue(self.key).unwrap_or_else(|| {
            spot.queue.key.set(self.key);
            spot.queue.next.set(self.bucket.first());
            spot.queue.rest.set(None);
            self.bucket.set_first(&raw const spot.queue);
            &spot.queue
        });
        // SAFETY: ticket and waiter lie in the spot, which stays.
        let waiter = unsafe { spot.waiter.belongs_to(&raw const spot.ticket) };
        if is_first {
            // SAFETY: as above, and it is in no line.
            unsafe { queue.line.push_first(waiter) };
        } else {
            // SAFETY: as above.
            unsafe { queue.line.push(waiter) };
        }
    }
}

impl Drop for Held {
    #[inline(always)]
    fn drop(&mut self) {
        self.bucket.lock.unlock();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end();
    }
}

/// Calls `f` with the key and the want of everyone who waits, and whether the wait may end by itself; bucket by bucket,
/// under its lock.
#[cfg(not(loom))]
pub(super) fn each_wait(mut f: impl FnMut(usize, &Want, bool)) {
    for bucket in TABLE.iter().filter(|bucket| !bucket.first().is_null()) {
        bucket.lock.lock();
        for queue in bucket.queues() {
            queue.line.for_each(|known| f(queue.key.get(), &known.want, known.may_end));
        }
        bucket.lock.unlock();
    }
}

/// What is done around forks (I7).
#[cfg(not(loom))]
mod forks {
    use super::TABLE;
    use pirn_runtime::internal::around_forks;
    use std::ptr;
    use std::sync::atomic::{AtomicBool, Ordering};

    static IS_WATCHED: AtomicBool = AtomicBool::new(false);

    /// For each turn: from the first one on forks are prepared. No other waits for the first one, as a `Once` would have it:
    /// the thread that is in it may not be there in the child of a fork.
    #[inline]
    pub(super) fn watch() {
        if !IS_WATCHED.load(Ordering::Relaxed) && !IS_WATCHED.swap(true, Ordering::Relaxed) {
            // Without memory for it a child may hang, which is no reason to fail here.
            _ = around_forks(before, in_parent, in_child);
        }
    }

    extern "C" fn before() {
        TABLE.iter().for_each(|bucket| bucket.lock.lock());
    }

    extern "C" fn in_parent() {
        TABLE.iter().for_each(|bucket| bucket.lock.unlock());
    }

    extern "C" fn in_child() {
        for bucket in &TABLE {
            bucket.set_first(ptr::null());
            bucket.lock.unlock();
        }
    }
}
