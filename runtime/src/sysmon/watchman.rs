//! The watchman's thread and what it does in a round.

use super::deadlock::Deadlock;
use super::output::{Output, Trace};
use super::pace::Looked;
use super::stall::Stall;
use super::watch::Watch;
use crate::config::{SCAVENGE_NS, SCAVENGE_PAUSE_NS, SYSMON_DROWSY_NS, SYSMON_MIN_NS};
use crate::m::fork::{end_in_fork, is_fork};
use crate::m::section::has_lost_fence;
use crate::observe;
use crate::os::{answer_quits, set_timer_slack_ns};
use crate::p::P;
use crate::probe::fatal;
use crate::sched::Shared;
use crate::stack::{More, scavenge};
use crate::timers::NEVER;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

/// The running thread.
#[derive(Debug)]
pub(crate) struct Sysmon {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

/// Starts it.
///
/// # Errors
/// What the system says when it has no thread.
pub(crate) fn start(shared: &Arc<Shared>, trace: Option<Trace>) -> io::Result<Sysmon> {
    let stop = Arc::new(AtomicBool::new(false));
    let watch = Watchman {
        watch: Watch::new(&shared.setup),
        shared: shared.clone(),
        stop: stop.clone(),
        output: Output::new(shared, trace),
        deadlock: Deadlock::new(),
        stall: Stall::new(shared.setup.stall_ns, shared.began_ns()),
        scavenge_due_ns: NEVER,
        scavenge_more: More::Never,
        delay_ns: SYSMON_MIN_NS,
        idle_rounds: 0,
        stalled_since_ns: NEVER,
        stalls_before: 0,
        exhausted: Exhausted { slices: 0, since_ns: shared.began_ns(), looks: 0 },
    };
    let thread = thread::Builder::new().name(format!("{}-sysmon", shared.setup.name)).spawn(|| watch.run());
    // Not left to the thread either: a signal may come before it runs.
    if thread.is_ok() && shared.setup.dumps_on_signal {
        answer_quits(true);
    }
    Ok(Sysmon { thread: thread?, stop })
}

impl Sysmon {
    /// Ends it.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        let thread: &Thread = self.thread.thread();
        thread.unpark();
        // It panics only if a house rule is broken, and then it has said so.
        let _ = self.thread.join();
    }
}

/// All idle so many times in a row, and it sleeps until somebody takes a P.
const IDLE_ROUNDS: u32 = 3;

/// How long every G may wait for a stack before that is fatal, and how often they must have tried meanwhile: on a busy
/// machine a second may pass without any M having run.
const STALLED_MAX_NS: u64 = 1_000_000_000;
const STALLS_MAX: u64 = 20;

/// How long work may wait for an M when there can be none, and at how many looks that must have been so: on a busy machine
/// much time may pass between two.
const EXHAUSTED_MAX_NS: u64 = 100_000_000;
const EXHAUSTED_LOOKS: u32 = 20;

/// Since when work waits for an M, there can be none, and no slice has begun.
struct Exhausted {
    slices: u64,
    since_ns: u64,
    looks: u32,
}

struct Watchman {
    shared: Arc<Shared>,
    watch: Watch,
    stop: Arc<AtomicBool>,
    output: Output,
    scavenge_due_ns: u64,
    scavenge_more: More,
    delay_ns: u64,
    idle_rounds: u32,
    /// Since when all Gs that live wait for stacks, and how often one had found none until then.
    stalled_since_ns: u64,
    stalls_before: u64,
    exhausted: Exhausted,
    deadlock: Deadlock,
    stall: Stall,
}

impl Watchman {
    fn run(mut self) {
        self.shared.begin_sysmon();
        // Else every pause is 50 us too long.
        set_timer_slack_ns(1);
        while !self.stop.load(Ordering::Acquire) {
            if is_fork() {
                end_in_fork("sysmon was told to fork by a subscriber");
            }
            let now = self.shared.refresh_clock();
            self.output.look(&self.shared, now);
            self.stall.look(&self.shared, &mut self.output, now);
            self.give_back(now);
            self.shared.setup.locals.look_for_libraries();
            let busy = self.shared.idle_ps() < self.shared.ps.len();
            let looked = self.help(now, busy);
            self.pause(now, busy, &looked);
        }
        self.watch.stop();
        self.output.close(&self.shared);
        if self.shared.setup.dumps_on_signal {
            answer_quits(false);
        }
    }

    /// Now and then idle stacks give memory back; while all is idle only as long as there is something to give.
    fn give_back(&mut self, now: u64) {
        if now < self.scavenge_due_ns {
            return;
        }
        if self.scavenge_more != More::Now {
            self.shared.flush_idle_stacks();
        }
        self.scavenge_more = scavenge(now / 1_000_000).more;
        self.scavenge_due_ns = match self.scavenge_more {
            More::Now => self.shared.refresh_clock() + SCAVENGE_PAUSE_NS,
            More::Later => now + SCAVENGE_NS,
            More::Never => NEVER,
        };
    }

    /// Says once that no P can be borrowed any more (`m/section.rs`).
    fn see_whether_fenced(&self) {
        if has_lost_fence() {
            let what = "the kernel refuses membarrier, which it had allowed (by a seccomp filter?): a goroutine that blocks \
                        its thread or computes for long keeps its P until it comes back. Allow membarrier, or install \
                        the filter before the first runtime is built";
            self.shared.warn(what.to_owned());
        }
    }

    /// Does what the Ms can not do for themselves just now.
    fn help(&mut self, now: u64, busy: bool) -> Looked {
        if busy && self.scavenge_due_ns == NEVER {
            self.scavenge_due_ns = now + SCAVENGE_NS;
        }
        self.retry_stalled(now);
        let shared = &*self.shared;
        let mut looked = self.watch.look(shared, now);
        self.see_whether_fenced();
        // Work that nobody comes to, or timers of a P whose M does not look at them.
        let waits = shared.idle_ps() > 0 && (shared.has_come(now) || shared.has_visible_work());
        looked.helped |= waits && shared.announce();
        looked.helped |= waits && shared.stand_in(now);
        self.see_whether_exhausted(now, waits);
        looked
    }

    /// Work waits for an M, and all that there may be are blocked in Gs: if it stays so, that is the end.
    fn see_whether_exhausted(&mut self, now: u64, waits: bool) {
        let shared = &*self.shared;
        let slices = shared.ps.iter().map(P::schedtick).sum();
        let goes_on = std::mem::replace(&mut self.exhausted.slices, slices) != slices;
        if goes_on || !waits || !shared.is_exhausted() {
            self.exhausted = Exhausted { slices, since_ns: now, looks: 0 };
        }
        self.exhausted.looks = self.exhausted.looks.saturating_add(1);
        if now - self.exhausted.since_ns > EXHAUSTED_MAX_NS && self.exhausted.looks > EXHAUSTED_LOOKS {
            shared.exhausted();
        }
    }

    /// Gs wait for stacks: those that Ps keep are for all, and one G tries again. If for a second no other G has a stack
    /// that it could give back, and all have tried in vain, none ever will.
    fn retry_stalled(&mut self, now: u64) {
        let shared = &*self.shared;
        if !shared.has_stalled() {
            self.stalled_since_ns = NEVER;
            return;
        }
        shared.flush_idle_stacks();
        shared.ps.iter().for_each(|p| shared.flush_stacks_of(p));
        shared.unstall();
        let stalls = shared.count_stalls();
        let hopeless = observe::goroutines(shared).iter().all(|g| g.state == observe::State::Runnable);
        if !hopeless {
            self.stalled_since_ns = NEVER;
        } else if self.stalled_since_ns == NEVER {
            self.stalled_since_ns = now;
            self.stalls_before = stalls;
        } else if now - self.stalled_since_ns > STALLED_MAX_NS && stalls - self.stalls_before > STALLS_MAX {
            fatal("no goroutine can run: there is no memory or address space for stacks");
        }
    }

    /// Sleeps: see the head of this file.
    fn pause(&mut self, now: u64, busy: bool, looked: &Looked) {
        let mut due = self
            .output
            .due_ns(&self.shared, now)
            .min(self.scavenge_due_ns)
            .min(self.watch.due_ns(now))
            .min(self.stall.due_ns());
        let shared = &*self.shared;
        let stalled = shared.has_stalled();
        // Without a thread to be had, work may wait though every P is idle.
        let late = shared.has_come(now) && self.idle_rounds > 0;
        if busy || stalled || late || self.watch.has_computing() || shared.has_visible_work() {
            self.idle_rounds = 0;
            self.deadlock.is_none();
            let waits = stalled || shared.has_visible_work() || shared.ps.iter().any(|p| p.has_hidden());
            self.delay_ns = looked.pause_ns(self.delay_ns, waits);
            let timers = Some(shared.earliest_ns()).filter(|ns| *ns > now).unwrap_or(NEVER).max(now + SYSMON_MIN_NS);
            let until = due.min(now + self.delay_ns).min(timers);
            let sleep = || sleep_until(now, until);
            if until <= now + SYSMON_DROWSY_NS {
                sleep();
            } else if shared.doze_as_sysmon(sleep) {
                // A first look now, a second one soon.
                self.delay_ns = SYSMON_MIN_NS;
            }
            return;
        }
        self.idle_rounds += 1;
        if self.idle_rounds < IDLE_ROUNDS {
            return sleep_until(now, due.min(now + self.delay_ns));
        }
        due = due.min(self.deadlock.look(&self.shared, &mut self.output, now));
        // I2.
        self.shared.sleep_as_sysmon(|timers| {
            if !self.stop.load(Ordering::Acquire) {
                sleep_until(now, due.min(timers));
            }
        });
        self.delay_ns = SYSMON_MIN_NS;
        self.idle_rounds = 0;
    }
}

fn sleep_until(now: u64, until: u64) {
    if until == NEVER {
        thread::park();
    } else if until > now {
        thread::park_timeout(Duration::from_nanos(until - now));
    }
}
