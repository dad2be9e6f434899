//! What sysmon does on Ps that are not its own: on an idle one, and on one whose M is outside, in a G's own code
//! (`m/section.rs`).

#![cfg(not(loom))]

use super::shared::Shared;
use crate::m::M;
use crate::p::{OwnedP, P};

impl Shared {
    /// Shows the Gs that the P of `m` hides, because the M runs a long slice. The caller announces them.
    pub(crate) fn free_stuck(&self, m: &M) -> bool {
        let mut next = None;
        let mut freed = false;
        in_stead_of(m, |p| {
            next = p.take_next();
            freed = next.is_some() || p.has_lane();
            p.show_all();
        });
        if let Some(g) = next {
            self.inject(g);
        }
        freed
    }

    /// Gives the free stacks of a P whose M is outside, in a G's own code, to the common store.
    pub(crate) fn flush_stacks_of(&self, p: &P) {
        if let Some(m) = self.machine(p.holder()) {
            in_stead_of(&m, |p| p.stacks().flush());
        }
    }

    /// Gives the free stacks of idle Ps to the common store, where they can be trimmed.
    pub(crate) fn flush_idle_stacks(&self) {
        let mut queues = self.lock();
        queues.idle.owned_ps(&self.ps).for_each(|p| p.stacks().flush());
    }
}

/// Acts in the place of `m` on the P that it holds, if it is outside, in a G's own code.
fn in_stead_of(m: &M, act: impl FnOnce(OwnedP<'_>)) {
    if let Some(borrowed) = m.borrow()
        && let Some(p) = borrowed.p()
    {
        act(p);
    }
}
