//! The global queue, and its length, which is read without the lock.

#![cfg(not(loom))]

use super::queues::Queues;
use super::shared::Shared;
use crate::g::Runnable;
use crate::p::OwnedP;
use crate::probe::Status;
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A queue that has been longer than this gives its memory back when it is empty.
const KEPT: usize = 4096;

/// The queue, under the scheduler's lock. Whoever changes it publishes its length before unlocking.
#[derive(Debug)]
pub(super) struct GlobalQueue(VecDeque<Runnable>);

/// Its length, on a cache line of its own: every P reads it, and it changes seldom.
#[derive(Debug)]
pub(super) struct GlobalLen(CachePadded<AtomicUsize>);

impl GlobalQueue {
    /// An empty one.
    pub(super) fn new() -> GlobalQueue {
        GlobalQueue(VecDeque::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a G.
    pub(super) fn push(&mut self, g: Runnable) {
        self.0.push_back(g);
    }

    /// Takes the next G.
    pub(super) fn pop(&mut self) -> Option<Runnable> {
        let g = self.0.pop_front();
        if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0 = VecDeque::new();
        }
        g
    }

    /// Puts back what was taken last.
    pub(super) fn put_back(&mut self, g: Runnable) {
        self.0.push_front(g);
    }

    /// Takes the first G that is locked to an M.
    pub(super) fn take_locked(&mut self) -> Option<Runnable> {
        // The holder of the lock owns what is queued, so it may look at it.
        let at = self.0.iter().position(|g| !g.g().locked_m.get().is_null())?;
        self.0.remove(at)
    }
}

impl GlobalLen {
    /// That of an empty queue.
    pub(super) fn new() -> GlobalLen {
        GlobalLen(CachePadded::new(AtomicUsize::new(0)))
    }
}

impl Shared {
    /// Whether the global queue is empty: a hint.
    #[inline(always)]
    pub(crate) fn is_global_empty(&self) -> bool {
        self.global_len() == 0
    }

    /// How long the global queue is: a hint.
    #[inline(always)]
    pub(super) fn global_len(&self) -> usize {
        self.global_len.0.load(Ordering::Relaxed)
    }

    /// Notes the length of the global queue after it changed, under the lock.
    pub(super) fn publish_global(&self, queues: &Queues) {
        self.global_len.0.store(queues.global.len(), Ordering::Release);
    }

    /// Appends a G to the global queue: for callers without a P of this runtime, and for Gs that yield to all others.
    pub(crate) fn inject(&self, g: Runnable) {
        g.g().set_status(Status::Runnable);
        let mut queues = self.lock();
        queues.global.push(g);
        self.publish_global(&queues);
        drop(queues);
        self.announce();
    }

    /// Appends a G to the global queue, for callers that take nothing from it themselves, and announces it.
    pub(crate) fn inject_foreign(&self, g: Runnable) {
        self.inject(g);
        if self.idle_ps() == 0 {
            self.poke_sysmon();
        }
    }

    /// Appends Gs that are ready to the global queue, and announces them, for a caller without a P.
    pub(super) fn inject_all(&self, gs: Vec<Runnable>) {
        let mut queues = self.lock();
        gs.into_iter().for_each(|g| queues.global.push(g));
        self.publish_global(&queues);
        drop(queues);
        self.announce();
        if self.idle_ps() == 0 {
            self.poke_sysmon();
        }
    }

    /// A fair share of the global queue, but at most `most`: one G to run, the rest into the local queue.
    pub(super) fn take_global(&self, p: OwnedP<'_>, most: usize) -> Option<Runnable> {
        if self.is_global_empty() {
            return None;
        }
        let mut queues = self.lock();
        let first = queues.global.pop()?;
        let share = queues.global.len() / self.ps.len();
        draw(&mut queues.global, p, share.min(most - 1));
        self.publish_global(&queues);
        drop(queues);
        p.end_streak();
        Some(first)
    }

    /// Appends a fair share of the global queue to the local one, at most `most` Gs.
    #[cold]
    pub(super) fn draw_global(&self, p: OwnedP<'_>, most: usize) {
        let mut queues = self.lock();
        let share = queues.global.len().div_ceil(self.ps.len());
        draw(&mut queues.global, p, share.min(most));
        self.publish_global(&queues);
    }
}

/// Appends so many Gs to a local queue, or as many as there are and it has room for.
fn draw(global: &mut GlobalQueue, p: OwnedP<'_>, count: usize) {
    for _ in 0..count.min(p.room()) {
        let Some(g) = global.pop() else { break };
        if let Err(g) = p.push(g) {
            global.put_back(g);
            break;
        }
    }
}
