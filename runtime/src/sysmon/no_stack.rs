//! Gs that wait for stacks: sysmon helps them to one; if it is certain that they never get any, the process ends.

use crate::observe::{State, goroutines};
use crate::probe::fatal;
use crate::sched::Shared;
use crate::timers::NEVER;

/// How long every G may wait for a stack before that is fatal, and how often they must have tried meanwhile: on a busy
/// machine a second may pass without any M having run.
const HOPELESS_NS: u64 = 1_000_000_000;
const HOPELESS_TRIES: u64 = 20;

/// Since when all Gs that live wait for stacks, and how often one had found none until then.
#[derive(Debug)]
pub(super) struct NoStack {
    since_ns: u64,
    tries_before: u64,
}

impl NoStack {
    /// No G waits for a stack.
    pub(super) fn new() -> NoStack {
        NoStack { since_ns: NEVER, tries_before: 0 }
    }

    /// If Gs wait for stacks, gives the stacks that Ps keep to the common store, and lets one G try again. If for a
    /// second no other G has a stack that it could free, and all have tried in vain, none ever will find one.
    pub(super) fn look(&mut self, shared: &Shared, now_ns: u64) {
        if !shared.has_stackless() {
            self.since_ns = NEVER;
            return;
        }
        shared.flush_idle_stacks();
        shared.ps.iter().for_each(|p| shared.flush_stacks_of(p));
        shared.retry_stackless();
        let tries = shared.count_no_stack();
        let hopeless = goroutines(shared).iter().all(|g| g.state == State::Runnable);
        if !hopeless {
            self.since_ns = NEVER;
        } else if self.since_ns == NEVER {
            *self = NoStack { since_ns: now_ns, tries_before: tries };
        } else if now_ns - self.since_ns > HOPELESS_NS && tries - self.tries_before > HOPELESS_TRIES {
            fatal("no goroutine can run: there is no memory or address space for stacks");
        }
    }
}
