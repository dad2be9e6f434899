//! Who is going to stand in a line. It is made before the turn: it reads the clock, and a task's waker is the user's code.

use super::table::{Spot, Want};
use super::wait::Until;
use super::watch;
use crate::holder::short;
use crate::loom::{Unparker, now_ns};
use pirn_runtime::internal::{Reason, discard};
use std::task::Context;

/// What it waits for, and what wakes it.
pub(crate) struct Newcomer {
    pub(super) want: Want,
    pub(super) unparker: Unparker,
}

impl Newcomer {
    /// The caller, a G or a thread, which waits since now. Where nobody has what it waits for, its reports alone are about
    /// that time, so it is taken from the coarse clock.
    #[inline(always)]
    pub(crate) fn caller(what: usize, reason: &'static Reason) -> Newcomer {
        Newcomer::of_caller(what, reason, |coarse_ns| if reason.has_owner() { now_ns() } else { coarse_ns })
    }

    /// The same, which waits since then.
    #[inline(always)]
    pub(crate) fn caller_since(what: usize, reason: &'static Reason, since_ns: u64) -> Newcomer {
        Newcomer::of_caller(what, reason, |_| since_ns)
    }

    #[inline(always)]
    fn of_caller(what: usize, reason: &'static Reason, since_ns: impl FnOnce(u64) -> u64) -> Newcomer {
        watch::begin();
        let (unparker, word, coarse_ns) = Unparker::current_at();
        Newcomer { want: Want { what, who: short(word), reason, since_ns: since_ns(coarse_ns) }, unparker }
    }

    /// A task.
    pub(crate) fn task(what: usize, reason: &'static Reason, context: &Context<'_>) -> Newcomer {
        let unparker = Unparker::from(context.waker().clone());
        Newcomer { want: Want { what, who: 0, reason, since_ns: now_ns() }, unparker }
    }

    /// It waits on its stack, until then at most.
    #[inline(always)]
    pub(crate) fn on_stack(self, until: Until<'_>) -> Spot {
        Spot::new(self.want, until.may_end(), true, self.unparker)
    }

    /// It need not wait. Not in a turn.
    pub(crate) fn discard(self) {
        discard(self.unparker);
    }
}
