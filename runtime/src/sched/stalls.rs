//! Gs that have found no stack for their first run.

use super::shared::Shared;
use crate::g::Runnable;
use crate::stack::StackError;
use std::sync::atomic::Ordering;

impl Shared {
    /// There is no stack for a G's first run. It waits until another G gives one back, or sysmon tries again.
    #[cold]
    pub(super) fn stall(&self, runnable: Runnable, error: &StackError) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
        let mut queues = self.lock();
        queues.stalled.push(runnable);
        let first = !self.has_stalled.swap(true, Ordering::SeqCst);
        drop(queues);
        if first {
            self.warn_no_stack(error);
        }
    }

    /// Has one of the Gs try again that found no stack. Whether it is the last of them shows when it has got one.
    #[cold]
    pub(crate) fn unstall(&self) {
        let mut queues = self.lock();
        let Some(g) = queues.stalled.pop() else { return };
        queues.global.push_back(g);
        self.publish_global(&queues);
        drop(queues);
        self.announce();
    }

    /// A G has got a stack while others waited for one.
    #[cold]
    pub(super) fn got_stack(&self) {
        let queues = self.lock();
        self.has_stalled.store(!queues.stalled.is_empty(), Ordering::SeqCst);
        drop(queues);
        self.unstall();
    }
}
