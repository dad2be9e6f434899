//! What a runtime is built with.

#![cfg(not(loom))]

use crate::event::CallCounts;
use crate::locals::Locals;
use crate::probe::DeadlockReport;
use crate::stack::Class;
use std::fmt;
use std::sync::Arc;

/// A hook that runs on an M's thread.
pub(crate) type Hook = Arc<dyn Fn() + Send + Sync>;

/// What a runtime is built with.
pub(crate) struct Setup {
    pub(crate) procs: usize,
    pub(crate) class: Class,
    pub(crate) locals: Locals,
    /// libc's blocking functions park Gs (the crate `hook`); here their waits are counted.
    pub(crate) hooked: Option<Box<CallCounts>>,
    /// How much of a slot is set aside for thread-locals.
    pub(crate) room_bytes: usize,
    pub(crate) max_threads: usize,
    pub(crate) deadlock: DeadlockReport,
    /// How long nothing may run before a stall is reported.
    pub(crate) stall_ns: u64,
    /// Gs are dumped when the runtime ends, and when there is a SIGQUIT.
    pub(crate) dumps_on_exit: bool,
    pub(crate) dumps_on_signal: bool,
    /// Gs that block their threads for long are reported.
    pub(crate) names_blockers: bool,
    /// Gs and threads that wait for each other for ever are reported while others run.
    pub(crate) reports_partial_deadlocks: bool,
    /// Every P is taken from its M all the time: for tests.
    pub(crate) retakes_eagerly: bool,
    /// How many Ps may be awake for the events of descriptors; none: sysmon tries how many are best.
    pub(crate) width: Option<usize>,
    pub(crate) name: String,
    pub(crate) thread_name: Option<Arc<dyn Fn(usize) -> String + Send + Sync>>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("procs", &self.procs).field("name", &self.name).finish_non_exhaustive()
    }
}
