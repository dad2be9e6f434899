//! # What lives here
//! The processor, the right to run Gs: its queues, its free lists, its part of the timers.
//!
//! # Who may come in
//! `sched`, by way of an [`OwnedP`]; thieves by the stealer; timers by their lock; observers by the atomics.
//!
//! # Invariants
//! 1. The owner's side ([`OwnedP`]) is used by one thread at a time: the M that holds the P, inside its section, or
//!    the one that has borrowed it (`m/section.rs`).
//! 2. The local queue has two parts: the shown part, which thieves steal from, and the lane, which only the owner
//!    touches. Every G in the shown part came before every G in the lane, so both together are first in, first out.
//! 3. A G in runnext or in the lane is hidden: thieves can not take it. Its M comes to it, or shows it as soon as it
//!    picks and sees an idle P; sysmon shows it by borrowing if the M does not pick.
//! 4. The queue holds at most [`LOCAL_QUEUE_MAX`] Gs.
//!
//! The lane is what makes a switch cheap: a pop from the shown part is a read-modify-write (5 ns), a pop from the lane is
//! not. It is used while slices are short, so that a hidden G does not wait long for its M's next pick.

use crate::config::{FAIRNESS_TICKS, ID_BATCH, LOCAL_QUEUE_MAX, RUNNEXT_STREAK_MAX};
use crate::g::{FreeGs, G, Runnable};
use crate::os::prefetch;
use crate::stack::Cache;
use crate::timers::Timers;
use crossbeam_deque::{Steal, Stealer, Worker};
use crossbeam_utils::CachePadded;
use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// A processor.
pub(crate) struct P {
    /// Its number.
    pub(crate) id: usize,
    stealer: Stealer<Runnable>,
    pub(crate) timers: CachePadded<Timers>,
    /// The number of the M that took it last: where to look for who holds it.
    holder: AtomicU32,
    /// How often it was handed off: taken from an M whose G went on without it.
    handed_off: AtomicU64,
    local: CachePadded<Local>,
}

/// What only the owner touches (I1); the atomics are for observers too.
struct Local {
    runnext: AtomicPtr<G>,
    /// Where the lane begins and ends; they only grow, and wrap.
    lane_head: AtomicU32,
    lane_tail: AtomicU32,
    shown: Worker<Runnable>,
    /// Picks of this P so far.
    tick: AtomicU32,
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
    lane: [Cell<*const G>; LANE],
}

/// How far ahead of the next G stacks are fetched; records twice as far.
const LOOKAHEAD: u32 = 3;
/// In a shorter lane everything is in the cache.
const LOOKAHEAD_MIN: usize = 32;
/// So many cache lines from the top of a stack: what a parked G's last frames touch.
const STACK_LINES: usize = 5;

/// Places of the lane: a power of two, no less than the queue may hold.
const LANE: usize = LOCAL_QUEUE_MAX.next_power_of_two();

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
        let shown = Worker::new_fifo();
        P {
            id,
            stealer: shown.stealer(),
            timers: CachePadded::new(Timers::new()),
            holder: AtomicU32::new(u32::MAX),
            handed_off: AtomicU64::new(0),
            local: CachePadded::new(Local {
                runnext: AtomicPtr::new(ptr::null_mut()),
                lane_head: AtomicU32::new(0),
                lane_tail: AtomicU32::new(0),
                shown,
                tick: AtomicU32::new(0),
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
                lane: [const { Cell::new(ptr::null()) }; LANE],
            }),
        }
    }

    /// Whether there is something to steal.
    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        !self.stealer.is_empty()
    }

    /// Whether a G waits where thieves do not see it; a hint for sysmon.
    pub(crate) fn has_hidden(&self) -> bool {
        !self.local.runnext.load(Ordering::Relaxed).is_null() || self.lane_len() > 0
    }

    /// The number of the M that took it last.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.load(Ordering::Relaxed)
    }

    /// An M has taken it.
    pub(crate) fn set_holder(&self, m: u32) {
        self.holder.store(m, Ordering::Relaxed);
    }

    /// How often it was handed off.
    pub(crate) fn handed_off(&self) -> u64 {
        self.handed_off.load(Ordering::Relaxed)
    }

    /// Counts a hand-off.
    pub(crate) fn count_hand_off(&self) {
        self.handed_off.fetch_add(1, Ordering::Relaxed);
    }

    /// The length of the queue, for observers.
    pub(crate) fn queue_len(&self) -> usize {
        self.stealer.len() + self.lane_len()
    }

    #[inline(always)]
    fn lane_len(&self) -> usize {
        let head = self.local.lane_head.load(Ordering::Relaxed);
        // An observer may see the two at different moments.
        (self.local.lane_tail.load(Ordering::Relaxed).wrapping_sub(head) as usize).min(LANE)
    }

    /// How many Gs it has picked, wrapping: whether it picks at all.
    pub(crate) fn picks(&self) -> u32 {
        self.local.tick.load(Ordering::Relaxed)
    }

    /// Whether nothing at all waits on this P. For its M, without entering the runtime: it only looks.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.local.runnext.load(Ordering::Relaxed).is_null() && self.lane_len() == 0 && self.local.shown.is_empty()
    }

    /// Counts a yield that needed no switch as a pick; false, and nothing is counted, if it is time to look round.
    #[inline(always)]
    pub(crate) fn count_idle_yield(&self) -> bool {
        let tick = self.local.tick.load(Ordering::Relaxed).wrapping_add(1);
        let goes_on = !tick.is_multiple_of(FAIRNESS_TICKS);
        if goes_on {
            self.local.tick.store(tick, Ordering::Relaxed);
        }
        goes_on
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
        f.debug_struct("P").field("id", &self.id).field("queue_len", &self.queue_len()).finish_non_exhaustive()
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
        self.0.local.runnext.store(ptr::from_ref(g.g()).cast_mut(), Ordering::Relaxed);
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

    /// Appends a G to the queue, hidden, or gives it back if the queue is full.
    #[inline]
    pub(crate) fn push(self, g: Runnable) -> Result<(), Runnable> {
        if self.room() == 0 {
            return Err(g);
        }
        let local = &*self.0.local;
        let tail = local.lane_tail.load(Ordering::Relaxed);
        local.lane[tail as usize % LANE].set(g.g());
        local.lane_tail.store(tail.wrapping_add(1), Ordering::Relaxed);
        Ok(())
    }

    /// The G at the head of the queue.
    #[inline]
    pub(crate) fn pop(self) -> Option<Runnable> {
        // The shown part came first (I2).
        if !self.0.local.shown.is_empty()
            && let Some(g) = self.0.local.shown.pop()
        {
            return Some(g);
        }
        self.pop_lane()
    }

    #[inline(always)]
    fn pop_lane(self) -> Option<Runnable> {
        let local = &*self.0.local;
        let head = local.lane_head.load(Ordering::Relaxed);
        if head == local.lane_tail.load(Ordering::Relaxed) {
            return None;
        }
        local.lane_head.store(head.wrapping_add(1), Ordering::Relaxed);
        if self.0.lane_len() > LOOKAHEAD_MIN {
            self.look_ahead(head);
        }
        // SAFETY: `push` stored the G of a Runnable there; records are never freed (g I3).
        let g = unsafe { &*local.lane[head as usize % LANE].get() };
        // SAFETY: `push` gave up its Runnable, and the place has just been left for good.
        Some(unsafe { Runnable::own(g) })
    }

    /// Fetches what the Gs to come will touch: the record of one some places ahead, and the top of the stack of one
    /// nearer, whose record is there by now. A wake of one G among 100,000 takes a fifth of the time with it.
    #[inline]
    fn look_ahead(self, head: u32) {
        let lane = &self.0.local.lane;
        prefetch(lane[head.wrapping_add(2 * LOOKAHEAD) as usize % LANE].get());
        // SAFETY: the lane is longer than that, so a G is there; records are never freed (g I3).
        let near = unsafe { &*lane[head.wrapping_add(LOOKAHEAD) as usize % LANE].get() };
        if let Some(top) = near.stack_top() {
            for line in 1..=STACK_LINES {
                prefetch(top.wrapping_sub(line * 64));
            }
        }
    }

    /// Shows the older half of the lane to thieves, at least one G. The caller announces it.
    #[cold]
    pub(crate) fn show_half(self) {
        self.show(self.0.lane_len().div_ceil(2));
    }

    /// Shows the whole lane to thieves. The caller announces it.
    #[inline]
    pub(crate) fn show_all(self) {
        self.show(self.0.lane_len());
    }

    fn show(self, count: usize) {
        for _ in 0..count {
            let Some(g) = self.pop_lane() else { break };
            self.0.local.shown.push(g);
        }
    }

    /// Whether the lane has something.
    #[inline(always)]
    pub(crate) fn has_lane(self) -> bool {
        self.0.lane_len() > 0
    }

    /// How many more Gs the queue holds.
    #[inline(always)]
    pub(crate) fn room(self) -> usize {
        LOCAL_QUEUE_MAX.saturating_sub(self.0.local.shown.len() + self.0.lane_len())
    }

    /// The next G of this P's own: runnext, which inherits the slice, but not more than a streak of them while
    /// others wait; then the queue.
    #[inline]
    pub(crate) fn next(self) -> Option<Runnable> {
        let local = &*self.0.local;
        if let Some(g) = self.take_next() {
            let streak = local.streak.get() + 1;
            local.streak.set(streak);
            if streak <= RUNNEXT_STREAK_MAX {
                return Some(g);
            }
            // The queue's turn. After a pop there is room for the one that waits.
            match self.pop() {
                Some(head) => return Some(self.instead_of(g, head)),
                None => return Some(g),
            }
        }
        let g = self.pop()?;
        self.begin_slice();
        Some(g)
    }

    /// `head` begins a slice, `next` goes to the end of the queue.
    #[cold]
    fn instead_of(self, next: Runnable, head: Runnable) -> Runnable {
        self.begin_slice();
        match self.push(next) {
            Ok(()) => head,
            Err(next) => {
                // It can not be: `head` has left a place.
                self.0.local.shown.push(head);
                next
            }
        }
    }

    /// Steals half of `victim`'s queue: one G to run now, the others into the shown part of the own queue, which
    /// has to be empty (I2).
    pub(crate) fn steal_from(self, victim: &P) -> Option<Runnable> {
        for _ in 0..4 {
            match victim.stealer.steal_batch_with_limit_and_pop(&self.0.local.shown, LOCAL_QUEUE_MAX) {
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

    /// Counts a pick; returns how many there were.
    #[inline]
    pub(crate) fn count_pick(self) -> u32 {
        let tick = self.0.local.tick.load(Ordering::Relaxed).wrapping_add(1);
        self.0.local.tick.store(tick, Ordering::Relaxed);
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
        local.coarse.set(now_ns.saturating_sub(began) > u64::from(picks) * crate::config::COARSE_SLICE_NS);
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
        let tick = self.0.local.tick.load(Ordering::Relaxed);
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

    /// A random number below `n`.
    pub(crate) fn random_below(self, n: usize) -> usize {
        (self.random() % n as u64) as usize
    }

    /// A random number (xorshift: it spreads thieves, and picks among the ready cases of a select).
    pub(crate) fn random(self) -> u64 {
        let mut x = self.0.local.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.local.random.set(x);
        x
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
