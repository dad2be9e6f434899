//! # What lives here
//! The processor, the right to run Gs: its queues, its free lists, its part of the timers.
//!
//! # Who may come in
//! `sched`, by way of an [`OwnedP`]; thieves by the stealer; timers by their lock; observers by the atomics.
//!
//! # Invariants
//! 1. The owner's side ([`OwnedP`]) is used by one thread at a time: the M that holds the P, inside its section, or
//!    the one that has borrowed it (`m/section.rs`).
//! 2. A G in runnext is not in the queue. Thieves can not take it; sysmon can, by borrowing.
//! 3. The queue holds at most [`LOCAL_QUEUE_MAX`] Gs.

use crate::config::{ID_BATCH, LOCAL_QUEUE_MAX, RUNNEXT_STREAK_MAX};
use crate::g::{FreeGs, G, Runnable};
use crate::stack::Cache;
use crate::timers::Timers;
use crossbeam_deque::{Steal, Stealer, Worker};
use crossbeam_utils::CachePadded;
use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// A processor.
pub(crate) struct P {
    /// Its number.
    pub(crate) id: usize,
    stealer: Stealer<Runnable>,
    pub(crate) timers: CachePadded<Timers>,
    local: CachePadded<Local>,
}

/// What only the owner touches (I1); the atomics are for observers too.
struct Local {
    runnext: AtomicPtr<G>,
    queue: Worker<Runnable>,
    /// Picks of this P so far.
    tick: Cell<u32>,
    /// How many picks in a row came from runnext.
    streak: Cell<u32>,
    /// Whether slices are long (see [`crate::config::COARSE_SLICE_NS`]).
    coarse: Cell<bool>,
    /// The clock when `tick` was last a multiple of the fairness ticks.
    round_began_ns: Cell<u64>,
    /// The tick at which the queue last overflowed.
    overflow_tick: Cell<u32>,
    /// When its free stacks were last looked through.
    aged_ns: Cell<u64>,
    ids: Cell<(u64, u64)>,
    random: Cell<u64>,
    free_gs: RefCell<FreeGs>,
    stacks: RefCell<Cache>,
    /// Picks that began a slice; a G from runnext inherits one.
    schedtick: AtomicU64,
    spawned: AtomicU64,
    retired: AtomicU64,
}

// SAFETY: `Local` is used by one thread at a time (I1); the rest is made to be shared.
unsafe impl Sync for P {}
// SAFETY: nothing in a P belongs to a thread.
unsafe impl Send for P {}

/// The next process-wide id of a G; 0 is none.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Ids for who has no P: one at a time.
pub(crate) fn fresh_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

impl P {
    /// The processor `id`.
    pub(crate) fn new(id: usize) -> P {
        let queue = Worker::new_fifo();
        P {
            id,
            stealer: queue.stealer(),
            timers: CachePadded::new(Timers::new()),
            local: CachePadded::new(Local {
                runnext: AtomicPtr::new(ptr::null_mut()),
                queue,
                tick: Cell::new(0),
                streak: Cell::new(0),
                coarse: Cell::new(true),
                round_began_ns: Cell::new(0),
                overflow_tick: Cell::new(u32::MAX),
                aged_ns: Cell::new(0),
                ids: Cell::new((0, 0)),
                random: Cell::new(0x9E37_79B9_7F4A_7C15 ^ (id as u64 + 1)),
                free_gs: RefCell::new(FreeGs::default()),
                stacks: RefCell::new(Cache::new()),
                schedtick: AtomicU64::new(0),
                spawned: AtomicU64::new(0),
                retired: AtomicU64::new(0),
            }),
        }
    }

    /// Whether there is something to steal.
    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        !self.stealer.is_empty()
    }

    /// Whether a G waits in runnext; a hint for sysmon.
    pub(crate) fn has_next(&self) -> bool {
        !self.local.runnext.load(Ordering::Relaxed).is_null()
    }

    /// The length of the queue, for observers.
    pub(crate) fn queue_len(&self) -> usize {
        self.stealer.len()
    }

    /// How many slices it has begun.
    pub(crate) fn schedtick(&self) -> u64 {
        self.local.schedtick.load(Ordering::Relaxed)
    }

    /// How many Gs were started on it.
    pub(crate) fn spawned(&self) -> u64 {
        self.local.spawned.load(Ordering::Acquire)
    }

    /// How many Gs ended on it.
    pub(crate) fn retired(&self) -> u64 {
        self.local.retired.load(Ordering::Acquire)
    }
}

impl fmt::Debug for P {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("P")
            .field("id", &self.id)
            .field("queue_len", &self.queue_len())
            .finish_non_exhaustive()
    }
}

/// The evidence that the caller may use a P's owner's side (I1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnedP<'a>(&'a P);

impl Deref for OwnedP<'_> {
    type Target = P;

    #[inline(always)]
    fn deref(&self) -> &P {
        self.0
    }
}

/// A counter that one thread writes and many read.
#[inline(always)]
fn bump(counter: &AtomicU64) {
    // Release: who waits for the count to be even sees what was done before (partner: `P::retired`).
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
}

impl<'a> OwnedP<'a> {
    /// Takes the owner's side.
    ///
    /// # Safety
    /// The caller is the owner by I1, for as long as it keeps this.
    #[inline(always)]
    pub(crate) unsafe fn of(p: &'a P) -> OwnedP<'a> {
        OwnedP(p)
    }

    /// Puts a G into runnext and returns the one that it drives out.
    #[inline]
    pub(crate) fn put_next(self, g: Runnable) -> Option<Runnable> {
        let old = self.take_next();
        // Relaxed: thieves do not read it, and a borrower is ordered by the section.
        self.0
            .local
            .runnext
            .store(ptr::from_ref(g.g()).cast_mut(), Ordering::Relaxed);
        old
    }

    /// Takes the G out of runnext.
    #[inline]
    pub(crate) fn take_next(self) -> Option<Runnable> {
        let next = self.0.local.runnext.load(Ordering::Relaxed);
        if next.is_null() {
            return None;
        }
        self.0.local.runnext.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: records are never freed (g I3).
        let g = unsafe { &*next };
        // SAFETY: `put_next` stored a Runnable's G, and it has just been taken out for good (g I2).
        Some(unsafe { Runnable::own(g) })
    }

    /// Appends a G to the queue, or gives it back if the queue is full.
    #[inline]
    pub(crate) fn push(self, g: Runnable) -> Result<(), Runnable> {
        if self.0.local.queue.len() >= LOCAL_QUEUE_MAX {
            return Err(g);
        }
        self.0.local.queue.push(g);
        Ok(())
    }

    /// The G at the head of the queue.
    #[inline]
    pub(crate) fn pop(self) -> Option<Runnable> {
        self.0.local.queue.pop()
    }

    /// How many more Gs the queue holds.
    pub(crate) fn room(self) -> usize {
        LOCAL_QUEUE_MAX.saturating_sub(self.0.local.queue.len())
    }

    /// Whether nothing at all waits on this P.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0.local.runnext.load(Ordering::Relaxed).is_null() && self.0.local.queue.is_empty()
    }

    /// The next G of this P's own: runnext, which inherits the slice, but not more than a streak of them while
    /// others wait; then the queue.
    #[inline]
    pub(crate) fn next(self) -> Option<Runnable> {
        let local = &*self.0.local;
        if let Some(g) = self.take_next() {
            let streak = local.streak.get() + 1;
            if streak <= RUNNEXT_STREAK_MAX || local.queue.is_empty() {
                local.streak.set(streak);
                return Some(g);
            }
            // One slot is free or becomes free by the pop below, so a full queue only changes the order.
            let head = local.queue.pop();
            local.queue.push(g);
            local.streak.set(0);
            bump(&local.schedtick);
            return head.or_else(|| local.queue.pop());
        }
        let g = local.queue.pop()?;
        local.streak.set(0);
        bump(&local.schedtick);
        Some(g)
    }

    /// Steals half of `victim`'s queue: one G to run now, the others into the own queue, which has to be empty.
    pub(crate) fn steal_from(self, victim: &P) -> Option<Runnable> {
        for _ in 0..4 {
            match victim
                .stealer
                .steal_batch_with_limit_and_pop(&self.0.local.queue, LOCAL_QUEUE_MAX)
            {
                Steal::Success(g) => {
                    self.begin_slice();
                    return Some(g);
                }
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
        None
    }

    /// A G that came from elsewhere begins a slice.
    #[inline]
    pub(crate) fn begin_slice(self) {
        self.0.local.streak.set(0);
        bump(&self.0.local.schedtick);
    }

    /// The number that the next pick gets.
    #[inline]
    pub(crate) fn peek_pick(self) -> u32 {
        self.0.local.tick.get().wrapping_add(1)
    }

    /// Counts a pick; returns how many there were.
    #[inline]
    pub(crate) fn count_pick(self) -> u32 {
        let tick = self.0.local.tick.get().wrapping_add(1);
        self.0.local.tick.set(tick);
        tick
    }

    /// Whether slices are long.
    #[inline]
    pub(crate) fn is_coarse(self) -> bool {
        self.0.local.coarse.get()
    }

    /// Judges the last `picks` picks by the clock.
    pub(crate) fn judge_slices(self, picks: u32, now_ns: u64) {
        let local = &*self.0.local;
        let began = local.round_began_ns.replace(now_ns);
        local
            .coarse
            .set(now_ns.saturating_sub(began) > u64::from(picks) * crate::config::COARSE_SLICE_NS);
    }

    /// So much of the time since the last judgement was no slice: the M looked for work.
    pub(crate) fn exclude(self, ns: u64) {
        let began = &self.0.local.round_began_ns;
        began.set(began.get() + ns);
    }

    /// The clock starts anew: the P was idle, which is not a long slice.
    pub(crate) fn restart_clock(self, now_ns: u64) {
        self.0.local.round_began_ns.set(now_ns);
    }

    /// Notes an overflow of the queue; true if it is not the first one in this slice.
    pub(crate) fn note_overflow(self) -> bool {
        let tick = self.0.local.tick.get();
        self.0.local.overflow_tick.replace(tick) == tick
    }

    /// An id for a new G.
    #[inline]
    pub(crate) fn fresh_id(self) -> u64 {
        let (mut next, mut end) = self.0.local.ids.get();
        if next == end {
            next = NEXT_ID.fetch_add(ID_BATCH, Ordering::Relaxed);
            end = next + ID_BATCH;
        }
        self.0.local.ids.set((next + 1, end));
        next
    }

    /// A random number below `n` (xorshift; it only spreads thieves).
    pub(crate) fn random_below(self, n: usize) -> usize {
        let mut x = self.0.local.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.local.random.set(x);
        (x % n as u64) as usize
    }

    /// The free G records.
    #[inline]
    pub(crate) fn free_gs(self) -> RefMut<'a, FreeGs> {
        self.0.local.free_gs.borrow_mut()
    }

    /// The free stacks.
    #[inline]
    pub(crate) fn stacks(self) -> RefMut<'a, Cache> {
        self.0.local.stacks.borrow_mut()
    }

    /// Gives free stacks that are not needed here to everybody, twice a second.
    pub(crate) fn age_stacks(self, now_ns: u64) {
        let aged = &self.0.local.aged_ns;
        if now_ns.saturating_sub(aged.get()) >= crate::config::SCAVENGE_NS {
            aged.set(now_ns);
            self.stacks().age();
        }
    }

    /// Counts a started G.
    #[inline]
    pub(crate) fn count_spawned(self) {
        bump(&self.0.local.spawned);
    }

    /// Counts an ended G.
    #[inline]
    pub(crate) fn count_retired(self) {
        bump(&self.0.local.retired);
    }
}
