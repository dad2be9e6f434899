//! A channel, and the channel under its lock.

use super::waiting::{Answer, Claimed, Line, Reservation};
use crate::loom::{AtomicBool, AtomicIsize, AtomicUsize, Ordering, UnsafeCell};
use pirn_runtime::internal::{Lock, Runs};
use slab::Slab;
use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::panicking;

/// A queue of values that has been longer than this gives its memory back when it is empty.
pub(super) const KEPT_MAX: usize = 1024;
/// Bounded channels up to this size have their room from the beginning.
const PREPARED_MAX: usize = 1 << 16;
const PREPARED_BYTES_MAX: usize = 1 << 22;

/// A channel that is not one of the clock's.
#[repr(C, align(64))]
pub(crate) struct Channel<T> {
    head: Head,
    buffer: UnsafeCell<VecDeque<T>>,
    /// The receivers that wait for a value which a select has chosen to send. None: the receiver has gone.
    promises: UnsafeCell<Slab<Option<Claimed>>>,
    /// How many handles there are. They cannot overflow: each handle counts in the `Arc` too, which aborts the process
    /// at `isize::MAX`, also if handles are forgotten.
    pub(crate) senders_alive: AtomicUsize,
    pub(crate) receivers_alive: AtomicUsize,
}

impl<T> Deref for Channel<T> {
    type Target = Head;

    #[inline]
    fn deref(&self) -> &Head {
        &self.head
    }
}

/// The part of a channel that does not depend on the type of its values: all that a select looks at. A transfer from
/// one operation to a waiting one needs only the first of its cache lines.
#[repr(C)]
pub(crate) struct Head {
    pub(crate) lock: Lock,
    /// The waiters that wait to send, and to receive. One of the lines is empty, except for selects that have been told
    /// in another line, and a select that would do either.
    pub(crate) senders: Line,
    pub(crate) receivers: Line,
    /// The number of values in the buffer that no select has chosen. It does not matter which value a select gets: the
    /// receiver that takes one first has received first.
    pub(super) values: Count,
    /// How many more values fit, without the room that selects have reserved. Below zero if more values were given back
    /// than fit.
    pub(super) room: Count,
    pub(super) is_closed: Flag,
    /// A line of watchers is not empty.
    pub(crate) is_watched: Cell<bool>,
    /// None: there is no limit.
    pub(super) capacity: Option<usize>,
    /// Selects that want to know when one could send, or receive.
    pub(super) room_watchers: Line,
    pub(super) value_watchers: Line,
}

// SAFETY: what is not atomic is used under the lock, by one thread at a time. It moves values between threads, which is
// what `Send` allows; it shares none.
unsafe impl<T: Send> Send for Channel<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Channel<T> {}

/// A number that is written under the lock and may be read without it. It counts values and cannot overflow: it would
/// take 2^63 of them.
pub(super) struct Count(AtomicIsize);

impl Count {
    #[inline]
    pub(super) fn get(&self) -> isize {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn add(&self, n: isize) {
        // Relaxed, and no read-modify-write: no other thread writes it.
        self.0.store(self.get() + n, Ordering::Relaxed);
    }
}

/// A flag that is set under the lock and may be read without it.
pub(super) struct Flag(AtomicBool);

impl Flag {
    #[inline]
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The channel, locked.
pub(crate) struct Locked<'a, T>(&'a Channel<T>);

impl<T> Deref for Locked<'_, T> {
    type Target = Channel<T>;

    #[inline]
    fn deref(&self) -> &Channel<T> {
        self.0
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.unlock();
    }
}

impl Head {
    /// Unlocks, and then tells the watchers. Only for the holder of the lock, which holds no other.
    #[inline]
    pub(crate) fn unlock(&self) {
        if self.unlock_quietly() {
            self.tell_watchers();
        }
    }

    /// Unlocks. True: the caller has to tell the watchers as soon as it holds no lock.
    #[inline]
    #[must_use]
    pub(crate) fn unlock_quietly(&self) -> bool {
        let is_watched = self.is_watched.get();
        self.lock.unlock();
        is_watched
    }

    /// Whether a receive could complete. Without the lock this is a hint.
    #[inline]
    pub(crate) fn can_take(&self) -> bool {
        self.values.get() > 0 || !self.senders.is_empty() || self.is_closed.get()
    }

    /// Whether a send could complete. Without the lock this is a hint.
    #[inline]
    pub(crate) fn can_give(&self) -> bool {
        !self.receivers.is_empty() || self.room.get() > 0 || self.is_closed.get()
    }

    /// Whether an operation has to take the lock: `can` says that it could complete, or the channel changed meanwhile.
    #[inline]
    pub(crate) fn may(&self, can: impl FnOnce(&Head) -> bool) -> bool {
        let moment = self.lock.moment();
        can(self) || !self.lock.is_still(moment)
    }

    /// How many values are in it.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.values.get()).unwrap_or(0)
    }

    /// None: there is no limit.
    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }
}

impl<T> Channel<T> {
    pub(crate) fn new(capacity: Option<usize>) -> Channel<T> {
        let is_small = |n: &usize| *n <= PREPARED_MAX && n.saturating_mul(size_of::<T>()) <= PREPARED_BYTES_MAX;
        let prepared = capacity.filter(is_small).unwrap_or(0);
        // A channel without a limit has one here too, which nothing reaches: to send so often takes centuries.
        let room = capacity.and_then(|capacity| isize::try_from(capacity).ok()).unwrap_or(isize::MAX);
        Channel {
            head: Head {
                lock: Lock::new(),
                senders: Line::new(),
                receivers: Line::new(),
                values: Count(AtomicIsize::new(0)),
                room: Count(AtomicIsize::new(room)),
                is_closed: Flag(AtomicBool::new(false)),
                is_watched: Cell::new(false),
                capacity,
                room_watchers: Line::new(),
                value_watchers: Line::new(),
            },
            buffer: UnsafeCell::new(VecDeque::with_capacity(prepared)),
            promises: UnsafeCell::new(Slab::new()),
            senders_alive: AtomicUsize::new(1),
            receivers_alive: AtomicUsize::new(1),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, T> {
        self.lock.lock();
        Locked(self)
    }

    /// Ends the channel for senders. Returns whether this call did.
    pub(crate) fn close(&self) -> bool {
        let channel = self.lock();
        let first = !channel.is_closed.get();
        channel.is_closed.set();
        drop(channel);
        // Not only the first: after this call no operation waits, even if another call is about to tell them too.
        self.tell_all();
        first
    }

    /// Ends the channel, because no receiver is left: its values are dropped. If destructors panic, the caller gets the
    /// first payload, and the others are forgotten.
    pub(crate) fn close_and_discard(&self) {
        self.close();
        let channel = self.lock();
        let rest = channel.with_buffer(mem::take);
        channel.values.add(-channel.values.get());
        drop(channel);
        // The values' destructors are the user's code, so the lock has been given back. If one panics, the other values
        // are dropped all the same. The caller gets the first payload, unless it unwinds already.
        let drop_each = |value| catch_unwind(AssertUnwindSafe(|| drop(value))).err();
        let panics = rest.into_iter().filter_map(drop_each);
        // The payloads after the first are forgotten: dropping them might panic too.
        match panics.reduce(|first, other| (first, mem::forget(other)).0) {
            Some(first) if !panicking() => resume_unwind(first),
            first => mem::forget(first),
        }
    }

    /// Tells all that wait that the channel is closed: one at a time, so that the lock is never held for long.
    fn tell_all(&self) {
        loop {
            let channel = self.lock();
            let Some(waiter) = channel.senders.claim_first().or_else(|| channel.receivers.claim_first()) else {
                return;
            };
            let purpose = waiter.data();
            let answer = if purpose.is_of_select() { purpose.selected(Reservation::Closed) } else { Answer::Closed };
            let told = waiter.tell(answer);
            drop(channel);
            told.wake_to_run(Runs::Last);
        }
    }
}

impl<T> Locked<'_, T> {
    #[inline]
    pub(super) fn with_buffer<R>(&self, f: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        // SAFETY: the lock is held, and `f` is given nothing to get at the buffer otherwise.
        self.buffer.with_mut(|buffer| f(unsafe { &mut *buffer }))
    }

    #[inline]
    pub(super) fn with_promises<R>(&self, f: impl FnOnce(&mut Slab<Option<Claimed>>) -> R) -> R {
        // SAFETY: as above.
        self.promises.with_mut(|promises| f(unsafe { &mut *promises }))
    }
}
