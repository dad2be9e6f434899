//! Gs that found no stack for their first run.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::g::Runnable;
use crate::stack::StackError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is known of these Gs without the lock; they are in `Queues::stackless`.
#[derive(Debug)]
pub(super) struct Stackless {
    /// There are some.
    any: AtomicBool,
    /// How often a G has found no stack.
    count: AtomicU64,
}

impl Stackless {
    /// There are none.
    pub(super) fn new() -> Stackless {
        Stackless { any: AtomicBool::new(false), count: AtomicU64::new(0) }
    }
}

impl Shared {
    /// Whether Gs wait for stacks.
    #[inline(always)]
    pub(crate) fn has_stackless(&self) -> bool {
        // Relaxed: it is a hint. sysmon looks again, and under the lock before it falls asleep.
        self.stackless.any.load(Ordering::Relaxed)
    }

    /// How often a G has found no stack.
    pub(crate) fn count_no_stack(&self) -> u64 {
        self.stackless.count.load(Ordering::Relaxed)
    }

    /// There is no stack for a G's first run. It waits until another G gives one back, or sysmon tries again.
    #[cold]
    pub(super) fn wait_for_stack(&self, runnable: Runnable, error: &StackError) {
        self.stackless.count.fetch_add(1, Ordering::Relaxed);
        let mut queues = self.lock();
        queues.stackless.push(runnable);
        let first = !self.stackless.any.swap(true, Ordering::SeqCst);
        drop(queues);
        if first {
            self.warn_no_stack(error);
        }
    }

    /// Queues one of these Gs, so that it tries again. Whether it was the last shows when it has found a stack.
    #[cold]
    pub(crate) fn retry_stackless(&self) {
        let mut queues = self.lock();
        let Some(g) = queues.stackless.pop() else { return };
        queues.global.push(g);
        self.publish_global(&queues);
        drop(queues);
        self.announce();
    }

    /// A G has found a stack while others wait for one.
    #[cold]
    pub(super) fn got_stack(&self) {
        let queues = self.lock();
        self.stackless.any.store(!queues.stackless.is_empty(), Ordering::SeqCst);
        drop(queues);
        self.retry_stackless();
    }
}
