//! The owner's side of a P.

use super::ids::fresh_ids;
use super::processor::{LANE, P};
use crate::config::{ARRIVAL_SLICE_NS, COARSE_SLICE_NS, ID_BATCH, LOCAL_QUEUE_MAX, RUNNEXT_STREAK_MAX, WORTH_WAKE_NS};
use crate::event::{EventKind, Tally};
use crate::g::{FreeGs, G, Runnable, prefetch_record, prefetch_stack};
use crate::stack::Cache;
use crossbeam_deque::Steal;
use std::cell::RefMut;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::Ordering;

/// How far ahead of the next G stacks are prefetched; records twice as far.
const LOOKAHEAD: u32 = 3;
/// In a shorter lane everything is in the cache.
const LOOKAHEAD_MIN: usize = 32;

/// A steal takes half of what is there, so a full queue is taken by nine, if nobody else takes from it.
const STEALS_MAX: usize = 16;

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
    #[inline(always)]
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
        let len = local.lane_tail.load(Ordering::Relaxed).wrapping_sub(head);
        if len == 0 {
            return None;
        }
        local.lane_head.store(head.wrapping_add(1), Ordering::Relaxed);
        if len as usize > LOOKAHEAD_MIN {
            self.look_ahead(head);
        }
        // SAFETY: `push` stored the G of a Runnable there; records are never freed (g I3).
        let g = unsafe { &*local.lane[head as usize % LANE].get() };
        // SAFETY: `push` consumed its Runnable, and the place has just been left for good.
        Some(unsafe { Runnable::own(g) })
    }

    /// Prefetches what the next Gs will touch: the record of one some places ahead, and the top of the stack of a
    /// nearer one, whose record is in the cache by now. With it a wake of one G among 100,000 takes a fifth of the
    /// time.
    #[inline(never)]
    fn look_ahead(self, head: u32) {
        let lane = &self.0.local.lane;
        prefetch_record(lane[head.wrapping_add(2 * LOOKAHEAD) as usize % LANE].get());
        // SAFETY: the lane is longer than that, so a G is there; records are never freed (g I3).
        let near = unsafe { &*lane[head.wrapping_add(LOOKAHEAD) as usize % LANE].get() };
        prefetch_stack(near);
    }

    /// Calls `f` with the last `count` Gs of the lane, in their order, or with as many as it has.
    #[inline]
    pub(crate) fn for_last(self, count: usize, f: impl Fn(&G)) {
        let local = &*self.0.local;
        let tail = local.lane_tail.load(Ordering::Relaxed);
        for back in (1..=count.min(self.0.lane_len()) as u32).rev() {
            // SAFETY: the lane is at least so long, so a G is there; records are never freed (g I3).
            f(unsafe { &*local.lane[tail.wrapping_sub(back) as usize % LANE].get() });
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

    /// Whether what the lane has is worth an idle P.
    #[inline(always)]
    pub(crate) fn is_worth_wake(self) -> bool {
        self.0.lane_len() >= self.0.local.worth_len.get()
    }

    /// How many more Gs the queue holds.
    #[inline(always)]
    pub(crate) fn room(self) -> usize {
        LOCAL_QUEUE_MAX.saturating_sub(self.0.local.shown.len() + self.0.lane_len())
    }

    /// How many more Gs its first half holds. The other half is for what its Gs make ready.
    #[inline]
    pub(crate) fn room_in_half(self) -> usize {
        self.room().saturating_sub(LOCAL_QUEUE_MAX / 2)
    }

    /// The next G of this P: runnext first, which schedtick does not count, but only for a streak while others wait;
    /// then the queue.
    #[inline(always)]
    pub(crate) fn next(self) -> Option<Runnable> {
        let local = &*self.0.local;
        if let Some(g) = self.take_next() {
            // Otherwise two Gs could wake each other for ever.
            let streak = local.streak.get().saturating_add(1);
            local.streak.set(streak);
            if streak <= RUNNEXT_STREAK_MAX {
                return Some(g);
            }
            // It is the queue's turn. After a pop there is room for the G from runnext.
            match self.pop() {
                Some(head) => return Some(self.instead_of(g, head)),
                None => return Some(g),
            }
        }
        let g = self.pop()?;
        self.end_streak();
        Some(g)
    }

    /// As [`next`](Self::next), but it uses nothing of the shown part: None if that is where the next one is.
    #[inline(always)]
    pub(crate) fn next_hidden(self) -> Option<Runnable> {
        let local = &*self.0.local;
        let has_next = !local.runnext.load(Ordering::Relaxed).is_null();
        let streak = local.streak.get();
        if has_next && streak < RUNNEXT_STREAK_MAX {
            local.streak.set(streak + 1);
            return self.take_next();
        }
        if !local.shown.is_empty() {
            return None;
        }
        if has_next {
            return self.next_after_streak();
        }
        let g = self.pop_lane()?;
        self.end_streak();
        Some(g)
    }

    #[cold]
    #[inline(never)]
    fn next_after_streak(self) -> Option<Runnable> {
        self.next()
    }

    /// `head` runs next, `next` goes to the end of the queue.
    #[cold]
    fn instead_of(self, next: Runnable, head: Runnable) -> Runnable {
        self.end_streak();
        match self.push(next) {
            Ok(()) => head,
            Err(next) => {
                // It cannot be: `head` has left a place.
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
                    self.end_streak();
                    return Some(g);
                }
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
        None
    }

    /// Steals all of `victim`'s queue, as far as there is room: behind what the own one shows, and before its lane, as it
    /// has waited for long (I2). Whether there was any.
    pub(crate) fn steal_all_from(self, victim: &P) -> bool {
        let mut was_any = false;
        for _ in 0..STEALS_MAX {
            let room = self.room();
            if room == 0 {
                break;
            }
            let stolen = victim.stealer.steal_batch_with_limit(&self.0.local.shown, room);
            was_any |= stolen.is_success();
            if stolen.is_empty() {
                break;
            }
        }
        was_any
    }

    /// A G that did not come from runnext ends the streak, and counts.
    #[inline]
    pub(crate) fn end_streak(self) {
        self.0.local.streak.set(0);
        let tick = &self.0.local.schedtick;
        tick.store(tick.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
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

    /// Decides by the clock, from the last `picks` picks, whether slices are long, and how many are worth an idle P.
    pub(crate) fn judge_slices(self, picks: u32, now_ns: u64) {
        let local = &*self.0.local;
        let began = local.round_began_ns.replace(now_ns);
        let slice_ns = now_ns.saturating_sub(began) / u64::from(picks);
        local.coarse.set(slice_ns >= COARSE_SLICE_NS);
        local.short_slice_ns.set(slice_ns.min(local.slice_ns.replace(slice_ns)));
        // At least 1, so an empty lane never is.
        let worth_len = WORTH_WAKE_NS.div_ceil(slice_ns.max(1)).max(1);
        local.worth_len.set(usize::try_from(worth_len).unwrap_or(usize::MAX));
    }

    /// Leaves that much time out of the decision: the M looked for work.
    pub(crate) fn exclude(self, ns: u64) {
        let began = &self.0.local.round_began_ns;
        began.set(began.get() + ns);
    }

    /// Restarts the clock of slices: the P was idle, which is not a long slice. How long the slices are now is not
    /// known, so any G is worth an idle P.
    pub(crate) fn restart_clock(self, now_ns: u64) {
        self.0.local.round_began_ns.set(now_ns);
        self.0.local.worth_len.set(1);
    }

    /// How long slices are is not known: what has come here was made ready elsewhere.
    pub(crate) fn expect_long(self) {
        self.0.local.slice_ns.set(u64::MAX);
        self.0.local.short_slice_ns.set(u64::MAX);
    }

    /// It has polled, and so many Gs are queued, which come before those of the next poll.
    pub(crate) fn note_poll(self, queued: usize) {
        let local = &*self.0.local;
        local.turn_over_at.set(local.schedtick.load(Ordering::Relaxed) + queued as u64);
    }

    /// Whether as many Gs as were queued at the last poll have had their turn since.
    pub(crate) fn has_turned_over(self) -> bool {
        let local = &*self.0.local;
        local.schedtick.load(Ordering::Relaxed) >= local.turn_over_at.get()
    }

    /// How many Gs thieves may take.
    pub(crate) fn shown_len(self) -> usize {
        self.0.local.shown.len()
    }

    /// For how long so many Gs that have come from outside run at least.
    pub(crate) fn worth_ns(self, count: usize) -> u64 {
        let slice_ns = self.0.local.short_slice_ns.get().max(ARRIVAL_SLICE_NS);
        slice_ns.saturating_mul(count as u64)
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
            (next, end) = fresh_ids(ID_BATCH);
        }
        self.0.local.ids.set((next + 1, end));
        next
    }

    /// A random number below `n`.
    #[inline]
    pub(crate) fn random_below(self, n: usize) -> usize {
        self.0.local.random.below(n)
    }

    /// The free G records.
    #[inline]
    pub(crate) fn free_gs(self) -> &'a FreeGs {
        &self.0.local.free_gs
    }

    /// The free stacks.
    #[inline]
    pub(crate) fn stacks(self) -> RefMut<'a, Cache> {
        self.0.local.stacks.borrow_mut()
    }

    /// Gives free stacks that are not needed here to the common store, twice a second.
    pub(crate) fn age_stacks(self, now_ns: u64) {
        let aged = &self.0.local.aged_ns;
        if now_ns.saturating_sub(aged.get()) >= crate::config::SCAVENGE_NS {
            aged.set(now_ns);
            self.stacks().age();
        }
    }
}

impl Tally for OwnedP<'_> {
    #[inline(always)]
    fn tally(self, kind: EventKind) {
        self.0.local.counters.tally_alone(kind);
    }
}
