//! # What lives here
//! Readers: they look at everything and change nothing.
//!
//! # Invariants
//! 1. Nobody waits for an observer: the numbers are read one after the other, without stopping anybody, so they may be
//!    of slightly different moments.

mod goroutines;
#[allow(dead_code, unused_imports, reason = "wired by sysmon next")]
pub(crate) mod schedtrace;

pub(crate) use goroutines::goroutines;
pub use goroutines::{Goroutine, StackUse, State, stack_use};

use crate::boot::env::Format;
use crate::os::write_stderr;
use crate::p::P;
use crate::sched::Shared;
use schedtrace::Line;
use std::sync::atomic::Ordering;

/// Prints one line of schedtrace.
pub(crate) fn print_schedtrace(shared: &Shared, now_ns: u64, format: Format) {
    let queues = shared.lock();
    // The Ms, and sysmon, which Go counts too.
    let threads = queues.ms.len() + 1;
    let idlethreads = queues.idle_ms.len() + usize::from(queues.keeper.is_some());
    drop(queues);
    let line = Line {
        ms: now_ns.saturating_sub(shared.began_ns) / 1_000_000,
        gomaxprocs: shared.ps.len(),
        idleprocs: shared.idle.idle_ps() as usize,
        threads,
        spinningthreads: shared.idle.searching() as usize,
        // Go's way of handing a search on, which is not needed here.
        needspinning: false,
        idlethreads,
        runqueue: shared.global_len.load(Ordering::Relaxed),
        local: shared.ps.iter().map(P::queue_len).collect(),
        schedticks: shared.ps.iter().map(P::schedtick).collect(),
        // These two are printed only with detail.
        nmidlelocked: 0,
        sysmonwait: false,
    };
    let text = match format {
        Format::Go => schedtrace::go(&line),
        Format::Compact => schedtrace::compact(&line),
    };
    write_stderr(text.as_bytes());
}
