//! Warnings that sysmon prints on behalf of other threads.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::os::{Mutex, MutexGuard};
use crate::stack::StackError;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// One warning.
#[derive(Debug)]
pub(crate) struct Warning {
    /// For standard error, with a line end.
    pub(crate) text: String,
    /// For a subscriber, in one line.
    pub(crate) event: String,
}

/// What makes a warning, on sysmon's thread: it may need more stack than who has found the cause.
type Later = Box<dyn FnOnce() -> Warning + Send>;

/// Warnings that wait for sysmon.
pub(super) struct Warnings {
    /// Warnings that are given once and have been given.
    no_thread_said: AtomicBool,
    no_stack_said: AtomicBool,
    no_alt_stack_said: AtomicBool,
    /// They are left to sysmon: the thread that finds the cause must not wait for a reader, and a subscriber is the
    /// user's code, which must not run inside a section.
    waiting: Mutex<Vec<Later>>,
}

impl Warnings {
    /// Nothing.
    pub(super) fn new() -> Warnings {
        Warnings {
            no_thread_said: AtomicBool::new(false),
            no_stack_said: AtomicBool::new(false),
            no_alt_stack_said: AtomicBool::new(false),
            waiting: Mutex::new(Vec::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Later>> {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Shared {
    /// Warns once that the system gave no thread.
    pub(crate) fn warn_no_thread(&self, error: &std::io::Error) {
        if !self.warnings.no_thread_said.swap(true, Ordering::Relaxed) {
            self.warn(format!(
                "no thread for the runtime {:?}: {error}; it goes on with those that it has, so goroutines that block \
                 their threads may hold up others. Raise the limit on threads (ulimit -u, pids.max of the cgroup, \
                 kernel.threads-max), on address space (ulimit -v) or on mappings (vm.max_map_count)",
                self.setup.name
            ));
        }
    }

    /// Warns once that there was no stack for a new G.
    pub(crate) fn warn_no_stack(&self, error: &StackError) {
        if !self.warnings.no_stack_said.swap(true, Ordering::Relaxed) {
            self.warn(format!(
                "no stack for a new goroutine of the runtime {:?}, which waits for one: {error}",
                self.setup.name
            ));
        }
    }

    /// Warns once that a thread has no alternate stack, without which an overflow is a bare SIGSEGV.
    pub(crate) fn warn_no_alt_stack(&self, error: &std::io::Error) {
        if !self.warnings.no_alt_stack_said.swap(true, Ordering::Relaxed) {
            self.warn(format!(
                "no alternate stack for signals for a thread of the runtime {:?}: {error}; stack overflows may not be named. \
                 Raise the limit on address space (ulimit -v) or on mappings (vm.max_map_count)",
                self.setup.name
            ));
        }
    }

    /// Leaves a warning to sysmon, in one line.
    pub(crate) fn warn(&self, what: String) {
        self.report(Warning { text: format!("pirn: {what}\n"), event: what });
    }

    /// Leaves a warning to sysmon.
    pub(crate) fn report(&self, warning: Warning) {
        self.report_later(|| warning);
    }

    /// Leaves it to sysmon to make a warning.
    pub(crate) fn report_later(&self, make: impl FnOnce() -> Warning + Send + 'static) {
        self.warnings.lock().push(Box::new(make));
        self.sysmon.unpark();
    }

    /// Takes the warnings that wait.
    pub(crate) fn take_warnings(&self) -> Vec<Warning> {
        let waiting = std::mem::take(&mut *self.warnings.lock());
        waiting.into_iter().map(|make| make()).collect()
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warnings").finish_non_exhaustive()
    }
}
