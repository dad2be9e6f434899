//! Who is going to stand in a line. It is made before the turn: it reads the clock, and a task's waker is the user's code.

use super::table::Want;
use super::watch;
use crate::holder::me;
use crate::loom::{Unparker, now};
use pirn_runtime::internal::{Reason, discard};
use std::task::Context;
use std::time::Instant;

/// What it waits for, and what wakes it.
pub(crate) struct Newcomer {
    pub(super) want: Want,
    pub(super) unparker: Unparker,
}

impl Newcomer {
    /// The caller, a G or a thread, which waits since then.
    pub(crate) fn caller(what: usize, reason: &'static Reason, since: Instant) -> Newcomer {
        watch::begin();
        Newcomer { want: Want { what, who: me(), reason, since }, unparker: Unparker::current() }
    }

    /// A task.
    pub(crate) fn task(what: usize, reason: &'static Reason, context: &Context<'_>) -> Newcomer {
        let unparker = Unparker::from(context.waker().clone());
        Newcomer { want: Want { what, who: 0, reason, since: now() }, unparker }
    }

    /// It need not wait. Not in a turn.
    pub(crate) fn discard(self) {
        discard(self.unparker);
    }
}
