//! Idle Ps, which no M holds, and idle Ms, which sleep, one of them as the keeper.
//!
//! The lists are under the scheduler's lock. The number of idle Ps ([`Idle`](super::idle::Idle)) and the deadline of
//! the keeper ([`Keeper`](super::keeper::Keeper)) are read without it; they change together with the lists, and only
//! in this file.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a P on the idle list belongs to the lock")]

use super::queues::Queues;
use super::shared::Shared;
use crate::m::M;
use crate::p::{FreeP, OwnedP, P};
use std::sync::Arc;

/// The lists.
#[derive(Debug)]
pub(super) struct IdleLists {
    ps: Vec<usize>,
    ms: Vec<Arc<M>>,
    keeper: Option<Arc<M>>,
}

impl IdleLists {
    /// All Ps are idle, and there is no M.
    pub(super) fn new(procs: usize) -> IdleLists {
        IdleLists { ps: (0..procs).rev().collect(), ms: Vec::new(), keeper: None }
    }

    /// The numbers of the idle Ps.
    pub(super) fn ps(&self) -> &[usize] {
        &self.ps
    }

    /// The owner's sides of the idle Ps among `ps`, which are those of the runtime.
    pub(super) fn owned_ps<'q>(&'q mut self, ps: &'q [P]) -> impl Iterator<Item = OwnedP<'q>> {
        // SAFETY: an idle P belongs to the holder of the lock (p I1), of which this is a part.
        self.ps.iter().map(|id| unsafe { OwnedP::of(&ps[*id]) })
    }

    /// The Ms that sleep, the keeper among them.
    pub(super) fn sleepers(&self) -> impl Iterator<Item = &Arc<M>> {
        self.ms.iter().chain(&self.keeper)
    }

    /// The M that sleeps for the next timer.
    pub(super) fn keeper(&self) -> Option<&Arc<M>> {
        self.keeper.as_ref()
    }

    /// Whether `m` is the keeper.
    pub(super) fn is_keeper(&self, m: &M) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| is(keeper, m))
    }

    /// `m` is about to sleep, and not as the keeper.
    pub(super) fn add_m(&mut self, m: &M) {
        self.ms.push(m.arc());
    }

    /// Takes `m` out of the list, if it is there; it may be the keeper instead.
    pub(super) fn remove_m(&mut self, m: &M) -> bool {
        let at = self.ms.iter().position(|other| is(other, m));
        at.map(|at| self.ms.remove(at)).is_some()
    }

    /// Whether so many Ms sleep, the keeper not counted, that one may end.
    pub(super) fn has_spare_m(&self, procs: usize) -> bool {
        self.ms.len() > procs
    }

    /// All Ms have ended.
    pub(super) fn forget_ms(&mut self) {
        self.ms.clear();
        self.keeper = None;
    }
}

fn is(m: &Arc<M>, other: &M) -> bool {
    std::ptr::eq(&**m, other)
}

impl Shared {
    /// How many Ps are idle: a hint.
    #[inline]
    pub(crate) fn idle_ps(&self) -> usize {
        self.idle.idle_ps() as usize
    }

    /// How many Ms search: a hint.
    pub(crate) fn searching_ms(&self) -> usize {
        self.idle.searching() as usize
    }

    /// Takes a P off the idle list.
    pub(super) fn take_idle_p(&self, queues: &mut Queues) -> Option<FreeP<'_>> {
        let p = queues.idle.ps.pop()?;
        self.idle.p_left_idle();
        // SAFETY: `put_idle_p` gave its ownership up for this, as did the thread that built the runtime.
        Some(unsafe { FreeP::own(&self.ps[p]) })
    }

    /// Puts a P on the idle list.
    pub(super) fn put_idle_p(&self, queues: &mut Queues, p: FreeP<'_>) {
        queues.idle.ps.push(p.id);
        self.idle.p_went_idle();
    }

    /// Takes an M that sleeps, to be woken: the keeper last, as one M has to be the keeper.
    pub(super) fn take_idle_m(&self, queues: &mut Queues) -> Option<Arc<M>> {
        queues.idle.ms.pop().or_else(|| {
            let keeper = queues.idle.keeper.take()?;
            self.keeper.stop();
            Some(keeper)
        })
    }

    /// `m` becomes the keeper, or looks at the timers again as the keeper. Returns the deadline to sleep until.
    pub(super) fn start_keeping(&self, queues: &mut Queues, m: &M) -> u64 {
        if !queues.idle.is_keeper(m) {
            queues.idle.keeper = Some(m.arc());
        }
        self.keeper.start(|| self.earliest_ns())
    }

    /// Ends the keeping of `m`, if it is the keeper. Returns whether it was.
    pub(super) fn stop_keeping(&self, queues: &mut Queues, m: &M) -> bool {
        let is_keeper = queues.idle.is_keeper(m);
        if is_keeper {
            queues.idle.keeper = None;
            self.keeper.stop();
        }
        is_keeper
    }
}
