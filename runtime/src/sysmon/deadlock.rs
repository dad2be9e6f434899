//! Whether all Gs wait for ever.
//!
//! # The argument
//! Under the scheduler's lock: every P is on the idle list; every M is on the idle list, or is the keeper, or waits for
//! a G that is locked to it; so none of them runs the user's code, and none has been handed a P. No timer is pending,
//! nothing waits for a descriptor, no G is queued. Then only something outside could make a G ready: a thread of the
//! process that is no M, nor sysmon, nor the template, nor waits in a `join` or `run` for one of these very Gs that has
//! not ended, nor waits without a timeout for what a crate above keeps (`WaitSource`); or the holder of a
//! [`Handle`](crate::Handle). If there is none of these, no code in this process runs any more but sysmon's, and none
//! ever will, except a signal handler, which cannot be known. If there is one of these, sysmon reports nothing, and
//! looks again from time to time. Where it cannot be certain, `stall.rs` reports what it sees, if the user has asked
//! for it.

use super::output::Output;
use crate::join::{WaitingThread, threads_waiting_in};
use crate::observe::{Wait, describe_cycles, dump, thread_waits};
use crate::os::thread_count;
use crate::probe::{DeadlockReport, exit_with_report};
use crate::sched::{Shared, Warning};
use crate::timers::NEVER;

/// The pause until the next look, at first and at most.
const AGAIN_MIN_NS: u64 = 100_000_000;
const AGAIN_MAX_NS: u64 = 5_000_000_000;

/// When to look, and whether the deadlock has been reported.
#[derive(Debug)]
pub(super) struct Deadlock {
    due_ns: u64,
    again_ns: u64,
    said: bool,
}

impl Deadlock {
    pub(super) fn new() -> Deadlock {
        Deadlock { due_ns: 0, again_ns: AGAIN_MIN_NS, said: false }
    }

    /// Something runs: forgets what was seen before.
    pub(super) fn forget(&mut self) {
        *self = Deadlock::new();
    }

    /// Every P is idle. Returns when to look again.
    pub(super) fn look(&mut self, shared: &Shared, output: &mut Output, now_ns: u64) -> u64 {
        let waits = shared.live_gs() > 0 && !shared.awaits();
        if self.said || !waits || shared.setup.deadlock == DeadlockReport::Off {
            return NEVER;
        }
        if now_ns >= self.due_ns {
            if is_deadlock(shared) == Some(true) {
                self.said = true;
                report(shared, output, now_ns);
                return NEVER;
            }
            self.due_ns = now_ns + self.again_ns;
            self.again_ns = (self.again_ns * 2).min(AGAIN_MAX_NS);
        }
        self.due_ns
    }
}

/// See the head of this file. None if the system does not say how many threads there are.
fn is_deadlock(shared: &Shared) -> Option<bool> {
    let in_locks = thread_waits();
    let is_one = is_deadlock_with(shared, &in_locks)?;
    // If they still wait, they have waited all the time, and none of them has run.
    Some(is_one && thread_waits() == in_locks)
}

/// The same, if these threads wait all the time.
fn is_deadlock_with(shared: &Shared, in_locks: &[(i32, Wait)]) -> Option<bool> {
    let Some(asleep) = shared.all_asleep() else { return Some(false) };
    let nobody_else = !shared.has_handles() && !shared.is_closing();
    if !nobody_else || shared.awaits() || shared.live_gs() == 0 {
        return Some(false);
    }
    let waiting = threads_waiting_in(shared);
    // A thread whose G has its result goes on at once.
    if !waiting.iter().all(WaitingThread::is_stuck) {
        return Some(false);
    }
    if in_locks.iter().any(|(_, wait)| wait.may_end) {
        return Some(false);
    }
    // Beside the Ms there are sysmon and the template.
    let alone = thread_count()? == asleep.count_ms() + 2 + waiting.len() + in_locks.len();
    // Last: a thread may have started a timer, which takes none of these locks, and gone.
    Some(alone && !shared.awaits())
}

fn report(shared: &Shared, output: &mut Output, now_ns: u64) {
    let what = "all goroutines are asleep - deadlock!";
    let gs = describe_cycles(shared) + &dump(shared);
    if shared.setup.deadlock == DeadlockReport::Abort {
        output.close(shared);
        exit_with_report(&format!("{what}\n\n{}", gs.strip_suffix('\n').unwrap_or(&gs)));
    }
    let event = format!("{what} (runtime {:?})", shared.setup.name);
    output.report(shared, Warning { text: format!("pirn: {event}\n\n{gs}"), event }, now_ns);
}
