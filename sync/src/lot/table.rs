//! The table, and what is done to it in a turn.

use pirn_runtime::internal::{Claimed, Line, Lock, Reason, Ticket, Told, Unparker, Waiter, on_unwind};
use smallvec::SmallVec;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr;
use std::time::Instant;

/// How many buckets there are, a power of two. One that is not used takes no memory but addresses.
#[cfg(not(loom))]
const BUCKETS: usize = 1024;
#[cfg(loom)]
const BUCKETS: usize = 1;

/// How many a turn should tell: a lock that is held for some microseconds makes others sleep.
const TELLS_MAX: usize = 16;

/// A line for each of some addresses.
#[repr(align(64))]
struct Bucket {
    lock: Lock,
    first: Cell<*const Queue>,
    /// How many have stood here. It may wrap: numbers are compared as of one moment.
    count: Cell<usize>,
}

// SAFETY: the cells are guarded by the lock.
unsafe impl Sync for Bucket {}
// SAFETY: as above.
unsafe impl Send for Bucket {}

#[cfg(not(loom))]
static TABLE: [Bucket; BUCKETS] =
    [const { Bucket { lock: Lock::new(), first: Cell::new(ptr::null()), count: Cell::new(0) } }; BUCKETS];

#[cfg(loom)]
loom::lazy_static! {
    static ref TABLE: [Bucket; BUCKETS] = [Bucket { lock: Lock::new(), first: Cell::new(ptr::null()), count: Cell::new(0) }];
}

fn bucket(key: usize) -> &'static Bucket {
    /// 2^64 divided by the golden ratio: neighbours land far from each other (Knuth, "Sorting and Searching", 6.4).
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let hash = (key as u64).wrapping_mul(SPREAD) >> 32;
    let table: &'static [Bucket; BUCKETS] = &TABLE;
    &table[hash as usize % BUCKETS]
}

/// For how long an operation waits.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// It is told, or unwound because its runtime closes.
    Told,
    /// The same, or this moment.
    Deadline(Instant),
    /// It is told. The caller cannot be unwound: it owes somebody a lock.
    ToldForCertain,
    /// In models, which cannot unwind: it has been told or not, and does what it does when it is unwound.
    #[cfg(all(test, loom))]
    Unwound,
}

/// What is known of one that waits.
pub(crate) struct Want {
    /// What it waits for, in the primitive's words.
    pub(crate) what: usize,
    /// Who it is (`holder.rs`); 0 if that is not known.
    pub(crate) who: u32,
    /// Why it waits.
    pub(crate) reason: &'static Reason,
    /// Since when.
    pub(crate) since: Instant,
}

/// Those that wait under one key.
struct Queue {
    key: Cell<usize>,
    line: Line<usize, Known>,
    next: Cell<*const Queue>,
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
}

/// An operation's place. It lies on the operation's stack, or in its future.
pub(super) struct Spot {
    ticket: Ticket<usize>,
    waiter: Waiter<usize, Known>,
    queue: Queue,
}

impl Spot {
    /// One that stands nowhere, for what `unparker` wakes.
    pub(super) fn new(want: Want, is_on_stack: bool, unparker: Unparker) -> Spot {
        let known = Known { want, is_on_stack, spot: Cell::new(ptr::null()), number: Cell::new(0) };
        Spot {
            ticket: Ticket::of(unparker),
            waiter: Waiter::new(known),
            queue: Queue { key: Cell::new(0), line: Line::new(), next: Cell::new(ptr::null()) },
        }
    }

    /// What it has been told.
    pub(super) fn told(&self) -> Option<usize> {
        self.ticket.told().copied()
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
    told: SmallVec<[Told; TELLS_MAX]>,
}

impl Turn {
    /// Waits for the lock.
    pub(crate) fn of(key: usize) -> Turn {
        let bucket = bucket(key);
        bucket.lock.lock();
        Turn { bucket, key, told: SmallVec::new() }
    }

    fn queue(&self) -> Option<&Queue> {
        let mut next = self.bucket.first.get();
        // SAFETY: a queue in the table lies in a spot that is there (I2, I3).
        while let Some(queue) = unsafe { next.as_ref() } {
            if queue.key.get() == self.key {
                return Some(queue);
            }
            next = queue.next.get();
        }
        None
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

    /// The one that is to be told next.
    pub(crate) fn first(&self) -> Option<&Want> {
        self.queue()?.line.first_data().map(|known| &known.want)
    }

    /// Whether it should tell no more.
    pub(crate) fn is_full(&self) -> bool {
        self.told.len() == TELLS_MAX
    }

    /// Tells all that stand in the line now, and ends the turn. `left` is called each time some have left.
    pub(crate) fn tell_all(self, answer: usize, left: impl Fn(&mut Turn)) {
        let end = self.bucket.count.get();
        let stood_before = |turn: &Turn| {
            let first = turn.queue().and_then(|queue| queue.line.first_data());
            first.is_some_and(|known| (known.number.get().wrapping_sub(end) as isize) < 0)
        };
        let key = self.key;
        let mut turn = self;
        loop {
            while !turn.is_full() && stood_before(&turn) {
                turn.tell_first(answer);
            }
            left(&mut turn);
            if !stood_before(&turn) {
                return;
            }
            drop(turn);
            turn = Turn::of(key);
        }
    }

    /// Tells the first, which there is, the answer.
    pub(crate) fn tell_first(&mut self, answer: usize) {
        let queue = self.queue().expect("somebody waits");
        let first: Claimed<_, _> = queue.line.claim_first().expect("a queue is not empty");
        let spot = first.data().spot.get();
        self.leave(queue, spot);
        self.told.push(first.tell(answer));
    }

    /// The spot has left the queue: the queue leaves the spot.
    fn leave(&self, queue: &Queue, spot: *const Spot) {
        let Some(first) = queue.line.first_data() else { return self.relink(queue, queue.next.get()) };
        // SAFETY: the spot is the caller's, or waits until it is told.
        if !ptr::eq(queue, unsafe { &raw const (*spot).queue }) {
            return;
        }
        // SAFETY: who stands in the line is there.
        let new = unsafe { &(*first.spot.get()).queue };
        new.key.set(self.key);
        new.next.set(queue.next.get());
        new.line.take_over(&queue.line);
        self.relink(queue, new);
    }

    /// Puts `new` where `old` is.
    fn relink(&self, old: &Queue, new: *const Queue) {
        let mut place = &self.bucket.first;
        while !ptr::eq(place.get(), old) {
            // SAFETY: a queue in the table lies in a spot that is there, and `old` is one of them.
            place = &unsafe { &*place.get() }.next;
        }
        place.set(new);
    }

    /// Puts a spot into the line: last, or before all others.
    ///
    /// # Safety
    /// It stands nowhere, and stays where it is until it is told or withdrawn.
    pub(super) unsafe fn stand(&self, spot: *const Spot, is_first: bool) {
        // SAFETY: as the caller promises.
        let spot = unsafe { &*spot };
        let known = spot.waiter.data();
        known.spot.set(spot);
        known.number.set(self.bucket.count.get());
        self.bucket.count.set(self.bucket.count.get().wrapping_add(1));
        let queue = self.queue().unwrap_or_else(|| {
            spot.queue.key.set(self.key);
            spot.queue.next.set(self.bucket.first.get());
            self.bucket.first.set(&raw const spot.queue);
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

    /// Stands in the line, ends the turn, and waits. Returns the answer; none if the deadline has passed.
    ///
    /// `left` is called in a turn when the caller has left the line by itself: at its deadline, or unwound. `undo` is
    /// called if it has been told but does not return, because it is unwound.
    pub(crate) fn wait(
        self,
        want: Want,
        is_first: bool,
        until: Until,
        left: impl Fn(&mut Turn),
        undo: impl Fn(usize),
    ) -> Option<usize> {
        self.wait_after(want, is_first, until, None::<fn()>, left, undo)
    }

    /// The same; `before` is called when the caller stands in the line, outside of the turn, and before it parks.
    pub(crate) fn wait_after(
        self,
        want: Want,
        is_first: bool,
        until: Until,
        before: Option<impl FnOnce()>,
        left: impl Fn(&mut Turn),
        undo: impl Fn(usize),
    ) -> Option<usize> {
        debug_assert!(self.told.is_empty());
        let (bucket, key, reason) = (self.bucket, self.key, want.reason);
        let spot = Spot::new(want, true, Unparker::current());
        // SAFETY: it stays here until it is told or withdrawn, also if this is unwound.
        unsafe { self.stand(&raw const spot, is_first) };
        let unwound = on_unwind(|| {
            if !Turn::of(key).withdraw(&spot, &left) {
                undo(spot.told().expect("who has left the line has been told"));
            }
        });
        match (until, before) {
            (Until::Told, None) => {
                // Its lock is given back below, and it has told nobody.
                let _turn = ManuallyDrop::new(self);
                // SAFETY: the caller holds the lock, which is a static; all who tell hold it (I4).
                unsafe { spot.ticket.wait_unlocking(&bucket.lock, reason, key) };
            }
            (until, before) => {
                drop(self);
                if let Some(before) = before {
                    before();
                }
                let has_come = match until {
                    Until::Told => !spot.ticket.wait(reason, key, None),
                    Until::Deadline(deadline) => !spot.ticket.wait(reason, key, Some(deadline)),
                    Until::ToldForCertain => {
                        spot.ticket.wait_uninterruptibly(reason, key);
                        false
                    }
                    #[cfg(all(test, loom))]
                    Until::Unwound => {
                        loom::thread::yield_now();
                        return None;
                    }
                };
                if has_come && Turn::of(key).withdraw(&spot, &left) {
                    unwound.disarm();
                    return None;
                }
            }
        }
        unwound.disarm();
        spot.told()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.bucket.lock.unlock();
        for told in self.told.drain(..) {
            told.wake();
        }
    }
}

/// Calls `f` with the key and the want of everyone who waits, bucket by bucket, under its lock: it must not wait.
#[cfg(not(loom))]
pub(crate) fn each_wait(mut f: impl FnMut(usize, &Want)) {
    for bucket in &TABLE {
        // Nobody has ever stood here. Only the lock may be read without it.
        if bucket.lock.moment() == 0 {
            continue;
        }
        bucket.lock.lock();
        let mut next = bucket.first.get();
        // SAFETY: a queue in the table lies in a spot that is there.
        while let Some(queue) = unsafe { next.as_ref() } {
            queue.line.for_each(|known| f(queue.key.get(), &known.want));
            next = queue.next.get();
        }
        bucket.lock.unlock();
    }
}
