//! Whether some Gs or threads wait for each other for ever, while others run: the partial deadlock.
//!
//! `observe/cycles.rs` has the argument. Crates above that have locks say since when the longest wait lasts for what
//! somebody has (`WaitSource`). While nobody waits, sysmon only asks for that, once a second while it watches, and once
//! before it sleeps. When a wait has lasted for a second, sysmon looks at all Gs. A cycle that it sees at two looks is
//! reported, once.
//!
//! Cycles of joins alone are in the deadlock report and the stall report. To find them here, sysmon would have to look
//! at all Gs all the time, as a G that joins others is nothing special.

use super::output::Output;
use crate::clock::now_ns;
use crate::observe::{Cycle, dump_some, find_cycles, longest_wait};
use crate::sched::{Shared, Warning};
use crate::timers::NEVER;

/// How long a wait has to last before it is looked at, and the least time between two looks.
const LONG_NS: u64 = 1_000_000_000;

/// The longest time between two looks, while the same wait goes on.
const PAUSE_MAX_NS: u64 = 16_000_000_000;

/// How many times as long as a look a pause is: with a million Gs a look takes some 50 ms.
const PAUSE_PER_LOOK: u64 = 50;

/// What was seen at the last look.
pub(super) struct Partial {
    is_on: bool,
    due_ns: u64,
    pause_ns: u64,
    /// Since when the longest wait lasted.
    longest: Option<u64>,
    /// The cycles that were there.
    seen: Vec<Cycle>,
}

impl Partial {
    pub(super) fn new(is_on: bool, now_ns: u64) -> Partial {
        let due_ns = if is_on { now_ns } else { NEVER };
        Partial { is_on, due_ns, pause_ns: LONG_NS, longest: None, seen: Vec::new() }
    }

    /// When to look again, if somebody waited at the last look.
    pub(super) fn due_ns(&self) -> u64 {
        if self.longest.is_some() { self.due_ns } else { NEVER }
    }

    /// sysmon is about to sleep, and has said so: a G that begins to wait from here on takes a P before, which wakes
    /// sysmon. Asks once more, and returns when to look again.
    pub(super) fn due_before_sleep_ns(&mut self, now_ns: u64) -> u64 {
        if self.is_on && self.longest.is_none() {
            self.longest = longest_wait();
            self.due_ns = now_ns + LONG_NS;
        }
        self.due_ns()
    }

    /// Looks, if it is time.
    pub(super) fn look(&mut self, shared: &Shared, output: &mut Output, looked_ns: u64) {
        if looked_ns < self.due_ns {
            return;
        }
        if shared.is_closing() {
            // Its Gs are unwound.
            (self.is_on, self.due_ns) = (false, NEVER);
            return;
        }
        let before = std::mem::replace(&mut self.longest, longest_wait());
        let is_long = self.longest.is_some_and(|since_ns| now_ns().saturating_sub(since_ns) >= LONG_NS);
        let cycles = if is_long { self.look_at_all(shared, output, looked_ns) } else { Vec::new() };
        let is_same = is_long && before == self.longest && cycles == self.seen;
        self.seen = cycles;
        self.pause_ns = if is_same { (self.pause_ns * 2).min(PAUSE_MAX_NS) } else { LONG_NS };
        let look_ns = now_ns().saturating_sub(looked_ns);
        self.due_ns = looked_ns + self.pause_ns.max(look_ns * PAUSE_PER_LOOK);
    }

    /// Looks for cycles, and reports those that it has seen before. Returns those that it sees.
    fn look_at_all(&self, shared: &Shared, output: &mut Output, now_ns: u64) -> Vec<Cycle> {
        let mut cycles = find_cycles(shared);
        cycles.retain(|cycle| cycle.is_closed() && cycle.is_settled(shared.coarse_ms()));
        for cycle in cycles.iter().filter(|cycle| self.seen.contains(cycle) && cycle.is_new()) {
            output.report(shared, report(shared, cycle), now_ns);
        }
        cycles
    }
}

fn report(shared: &Shared, cycle: &Cycle) -> Warning {
    let event = format!("partial deadlock: {}", cycle.describe());
    let members = dump_some(shared, &cycle.gs()) + &cycle.describe_others();
    Warning { text: format!("pirn: {event}\n\n{members}"), event }
}
