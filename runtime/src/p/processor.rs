//! The processor: what belongs to it, and what others may read of it.

use crate::clock::Random;
use crate::config::{FAIRNESS_TICKS, LOCAL_QUEUE_MAX};
use crate::event::{Count, Counters};
use crate::g::{FreeGs, G, Runnable};
use crate::stack::Cache;
use crate::timers::Timers;
use crossbeam_deque::{Stealer, Worker};
use crossbeam_utils::CachePadded;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// A processor.
pub(crate) struct P {
    /// Its number.
    pub(crate) id: usize,
    pub(super) stealer: Stealer<Runnable>,
    pub(crate) timers: CachePadded<Timers>,
    /// The number of the M that took it last: where to look for its holder.
    holder: AtomicU32,
    /// When an M took it last.
    taken_ns: AtomicU64,
    /// What sysmon saw last: a number of picks, and when it first saw it.
    seen_picks: AtomicU32,
    seen_ns: AtomicU64,
    /// How many picks there were when a thief looked last, and since when it was so.
    thief_picks: AtomicU32,
    thief_ns: AtomicU64,
    pub(super) local: CachePadded<Local>,
}

/// What only the owner writes (I1); observers read the atomics.
pub(super) struct Local {
    pub(super) runnext: AtomicPtr<G>,
    /// The ends of the lane; they only grow, and wrap.
    pub(super) lane_head: AtomicU32,
    pub(super) lane_tail: AtomicU32,
    pub(super) shown: Worker<Runnable>,
    /// Picks of this P so far. It wraps: it is compared for equality, and counted in rounds.
    pub(super) tick: AtomicU32,
    /// How many picks in a row came from runnext. It saturates.
    pub(super) streak: Cell<u32>,
    /// Whether slices are long (see [`crate::config::COARSE_SLICE_NS`]).
    pub(super) coarse: Cell<bool>,
    /// How long the lane has to be before it is worth an idle P (see [`crate::config::WORTH_WAKE_NS`]).
    pub(super) worth_len: Cell<usize>,
    /// How long slices were on average in the last round, and in the shorter one of the last two: in one of them the
    /// kernel may have run another thread meanwhile.
    pub(super) slice_ns: Cell<u64>,
    pub(super) short_slice_ns: Cell<u64>,
    /// The clock when `tick` was last a multiple of the fairness ticks.
    pub(super) round_began_ns: Cell<u64>,
    /// The tick at which the queue last overflowed.
    pub(super) overflow_tick: Cell<u32>,
    /// When its free stacks were last looked through.
    pub(super) aged_ns: Cell<u64>,
    /// At which `schedtick` all will have had their turn that were queued when it last polled.
    pub(super) turn_over_at: Cell<u64>,
    pub(super) ids: Cell<(u64, u64)>,
    pub(super) random: Random,
    pub(super) free_gs: FreeGs,
    pub(super) stacks: RefCell<Cache>,
    /// Picks that were not from runnext. It wraps, in theory: 64 bits last for centuries of one a nanosecond.
    pub(super) schedtick: AtomicU64,
    pub(super) counters: Counters,
    pub(super) lane: [Cell<*const G>; LANE],
}

/// Places of the lane: a power of two, no less than the queue may hold.
pub(super) const LANE: usize = LOCAL_QUEUE_MAX.next_power_of_two();

// SAFETY: `Local` is used by one thread at a time (I1); the rest is made to be shared.
unsafe impl Sync for P {}
// SAFETY: nothing in a P belongs to a thread.
unsafe impl Send for P {}

impl P {
    /// The processor `id`.
    pub(crate) fn new(id: usize) -> P {
        let shown = Worker::new_fifo();
        P {
            id,
            stealer: shown.stealer(),
            timers: CachePadded::new(Timers::new()),
            holder: AtomicU32::new(u32::MAX),
            taken_ns: AtomicU64::new(0),
            seen_picks: AtomicU32::new(0),
            seen_ns: AtomicU64::new(0),
            thief_picks: AtomicU32::new(0),
            thief_ns: AtomicU64::new(0),
            local: CachePadded::new(Local {
                runnext: AtomicPtr::new(ptr::null_mut()),
                lane_head: AtomicU32::new(0),
                lane_tail: AtomicU32::new(0),
                shown,
                tick: AtomicU32::new(0),
                streak: Cell::new(0),
                coarse: Cell::new(true),
                worth_len: Cell::new(1),
                slice_ns: Cell::new(u64::MAX),
                short_slice_ns: Cell::new(u64::MAX),
                round_began_ns: Cell::new(0),
                overflow_tick: Cell::new(u32::MAX),
                aged_ns: Cell::new(0),
                turn_over_at: Cell::new(0),
                ids: Cell::new((0, 0)),
                random: Random::new(id as u64),
                free_gs: FreeGs::new(),
                stacks: RefCell::new(Cache::new()),
                schedtick: AtomicU64::new(0),
                counters: Counters::new(),
                lane: [const { Cell::new(ptr::null()) }; LANE],
            }),
        }
    }

    /// Whether there is something to steal.
    #[inline]
    pub(crate) fn has_queued(&self) -> bool {
        !self.stealer.is_empty()
    }

    /// Whether a G waits hidden from thieves; a hint for sysmon.
    pub(crate) fn has_hidden(&self) -> bool {
        !self.local.runnext.load(Ordering::Relaxed).is_null() || self.lane_len() > 0
    }

    /// A thief looks. For how long this P has picked nothing, as far as thieves have seen: a hint that its M has no CPU.
    /// None: it has picked since one looked last.
    pub(crate) fn note_thief(&self, now_ns: u64) -> Option<u64> {
        let picks = self.picks();
        if self.thief_picks.load(Ordering::Relaxed) == picks {
            return Some(now_ns.saturating_sub(self.thief_ns.load(Ordering::Relaxed)));
        }
        self.thief_ns.store(now_ns, Ordering::Relaxed);
        self.thief_picks.store(picks, Ordering::Relaxed);
        None
    }

    /// The number of the M that took it last.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.load(Ordering::Relaxed)
    }

    /// An M has taken it.
    pub(crate) fn set_holder(&self, m: u32, now_ns: u64) {
        self.taken_ns.store(now_ns, Ordering::Relaxed);
        self.holder.store(m, Ordering::Relaxed);
    }

    /// When an M took it last.
    pub(crate) fn taken_ns(&self) -> u64 {
        self.taken_ns.load(Ordering::Relaxed)
    }

    /// The length of the queue, for observers.
    pub(crate) fn queue_len(&self) -> usize {
        self.stealer.len() + self.lane_len()
    }

    #[inline(always)]
    pub(super) fn lane_len(&self) -> usize {
        let head = self.local.lane_head.load(Ordering::Relaxed);
        // An observer may see the two at different moments.
        (self.local.lane_tail.load(Ordering::Relaxed).wrapping_sub(head) as usize).min(LANE)
    }

    /// How many Gs it has picked, wrapping: whether it picks at all.
    pub(crate) fn picks(&self) -> u32 {
        self.local.tick.load(Ordering::Relaxed)
    }

    /// Whether nothing at all waits on this P. For its M, which does not enter the runtime for it, as it only looks.
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

    /// How many free G records it keeps.
    pub(crate) fn free_gs_len(&self) -> usize {
        self.local.free_gs.len()
    }

    /// The number of the G in runnext.
    pub(crate) fn next_id(&self) -> Option<u64> {
        let next = self.local.runnext.load(Ordering::Relaxed);
        // SAFETY: records are never freed (g I3).
        unsafe { next.as_ref() }.map(G::id).filter(|id| *id != 0)
    }

    /// sysmon has seen a pick for the first time.
    pub(crate) fn note_seen(&self, picks: u32, now_ns: u64) {
        self.seen_picks.store(picks, Ordering::Relaxed);
        self.seen_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Since when it has picked nothing, as far as sysmon has seen it; none if it has picked lately.
    pub(crate) fn same_pick_since_ns(&self) -> Option<u64> {
        let is_seen = self.seen_picks.load(Ordering::Relaxed) == self.picks();
        is_seen.then(|| self.seen_ns.load(Ordering::Relaxed))
    }

    /// How often something has happened on it.
    pub(crate) fn count(&self, of: Count) -> u64 {
        self.local.counters.get(of)
    }

    /// How often it has picked a G, those from runnext not counted.
    pub(crate) fn schedtick(&self) -> u64 {
        self.local.schedtick.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for P {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("P").field("id", &self.id).field("queue_len", &self.queue_len()).finish_non_exhaustive()
    }
}
