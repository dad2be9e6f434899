//! The watchman's thread and what it does in a round.

use super::crowd::{self, Crowd};
use super::deadlock::Deadlock;
use super::no_stack::NoStack;
use super::no_thread::NoThread;
use super::output::{Output, Trace};
use super::pace::{Looked, Pace, Scene, is_long};
use super::partial::Partial;
use super::stall::Stall;
use super::watch::Watch;
use crate::chores::{self, Due, take_due};
use crate::clock::rest_thread;
use crate::config::{SCAVENGE_NS, SCAVENGE_PAUSE_NS};
use crate::hooked::{do_later, do_later_at_end, has_later, wake_left};
use crate::locals::unmake_block;
use crate::m::fork::{end_in_fork, is_fork};
use crate::m::section::has_lost_fence;
use crate::os::{RunningThreads, answer_quits, online_cpus, set_timer_slack_ns};
use crate::p::P;
use crate::sched::Shared;
use crate::stack::{More, scavenge};
use crate::timers::NEVER;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};

/// The running thread.
#[derive(Debug)]
pub(crate) struct Sysmon {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

/// Starts a G for a chore, or leaves it for later. Starting Gs is above this room.
pub(crate) type StartChore = fn(&Shared, Due);

/// Starts it.
///
/// # Errors
/// What the system says when it has no thread.
pub(crate) fn start(shared: &Arc<Shared>, trace: Option<Trace>, start_chore: StartChore) -> io::Result<Sysmon> {
    let stop = Arc::new(AtomicBool::new(false));
    let watch = Watchman {
        watch: Watch::new(&shared.setup),
        crowd: Crowd::default(),
        running: RunningThreads::default(),
        shared: shared.clone(),
        stop: stop.clone(),
        output: Output::new(shared, trace),
        deadlock: Deadlock::new(),
        stall: Stall::new(shared.setup.stall_ns, shared.began_ns()),
        partial: Partial::new(shared.setup.reports_partial_deadlocks, shared.began_ns()),
        scavenge_due_ns: NEVER,
        scavenge_more: More::Never,
        pace: Pace::fresh(),
        no_stack: NoStack::new(),
        no_thread: NoThread::new(shared.began_ns()),
        start_chore,
    };
    let thread = thread::Builder::new().name(format!("{}-sysmon", shared.setup.name)).spawn(|| watch.run());
    // This is done before the thread runs: a signal may come earlier.
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
        // It panics only if an invariant is broken, and then it has said so.
        let _ = self.thread.join();
    }
}

struct Watchman {
    shared: Arc<Shared>,
    watch: Watch,
    crowd: Crowd,
    running: RunningThreads,
    stop: Arc<AtomicBool>,
    output: Output,
    scavenge_due_ns: u64,
    scavenge_more: More,
    pace: Pace,
    no_stack: NoStack,
    no_thread: NoThread,
    deadlock: Deadlock,
    stall: Stall,
    partial: Partial,
    start_chore: StartChore,
}

impl Watchman {
    fn run(mut self) {
        self.shared.begin_sysmon();
        // Without this every pause is 50 us too long.
        set_timer_slack_ns(1);
        while !self.stop.load(Ordering::Acquire) {
            if is_fork() {
                end_in_fork("sysmon was told to fork by a subscriber");
            }
            let now = self.shared.refresh_clock();
            self.output.look(&self.shared, now);
            self.stall.look(&self.shared, &mut self.output, now);
            self.partial.look(&self.shared, &mut self.output, now);
            self.give_back(now);
            self.do_chores(now);
            wake_left();
            do_later();
            if let Some(warning) = self.shared.setup.locals.look_for_libraries() {
                self.shared.warn(warning);
            }
            let busy = self.shared.idle_ps() < self.shared.ps.len();
            let looked = self.help(now, busy);
            self.pause(now, busy, &looked);
        }
        self.watch.stop();
        do_later_at_end();
        self.output.close(&self.shared);
        if self.shared.setup.dumps_on_signal {
            answer_quits(false);
        }
    }

    /// Gives the memory of idle stacks back now and then; while all is idle, only as long as there is some.
    fn give_back(&mut self, now: u64) {
        if now < self.scavenge_due_ns {
            return;
        }
        if self.scavenge_more != More::Now {
            self.shared.flush_idle_stacks();
        }
        self.scavenge_more = scavenge(now / 1_000_000, unmake_block).more;
        self.scavenge_due_ns = match self.scavenge_more {
            More::Now => self.shared.refresh_clock() + SCAVENGE_PAUSE_NS,
            More::Later => now + SCAVENGE_NS,
            More::Never => NEVER,
        };
    }

    /// Has done what crates above want to have done.
    fn do_chores(&self, now: u64) {
        if self.does_chores() {
            take_due(now).into_iter().for_each(|due| (self.start_chore)(&self.shared, due));
        }
    }

    /// Whether this runtime does chores. One that closes starts no Gs; and where all Gs wait for ever, one more would
    /// look as if something had changed.
    fn does_chores(&self) -> bool {
        !self.shared.is_closing() && !self.deadlock.was_reported()
    }

    /// Warns once that no P can be borrowed any more (`m/section.rs`).
    fn see_whether_fenced(&self) {
        if has_lost_fence() {
            let what = "the kernel refuses membarrier, which it had allowed (by a seccomp filter?): a goroutine that blocks \
                        its thread or computes for long keeps its P until it comes back. Allow membarrier, or install \
                        the filter before the first runtime is built";
            self.shared.warn(what.to_owned());
        }
    }

    /// Does what the Ms cannot do for themselves at the moment.
    fn help(&mut self, now: u64, busy: bool) -> Looked {
        if busy && self.scavenge_due_ns == NEVER {
            self.scavenge_due_ns = now + SCAVENGE_NS;
        }
        let shared = &*self.shared;
        self.no_stack.look(shared, now);
        let mut looked = self.watch.look(shared, now);
        self.see_whether_fenced();
        // No reason to look again at once: it asks once in a millisecond at most.
        shared.ask_as_sysmon(now, looked.picks_quickly);
        if shared.ps.len() > 1 && shared.setup.width.is_none() && shared.has_events_lately(now) {
            see_crowd(&mut self.crowd, &mut self.running, shared, now);
        }
        // Work that no M takes, or timers of a P whose M does not look at them. What a P has that picks is for its own M.
        let work_waits = looked.work_stays || !shared.is_global_empty();
        let waits = shared.idle_ps() > 0 && (shared.has_come(now) || work_waits);
        looked.helped |= waits && shared.announce();
        looked.helped |= waits && shared.stand_in(now);
        self.no_thread.look(shared, now, waits);
        looked
    }

    /// What sysmon has to watch, after that look.
    fn scene(&self, now_ns: u64, busy: bool, looked: &Looked) -> Scene {
        let shared = &*self.shared;
        let dues = [
            self.output.due_ns(shared, now_ns),
            self.scavenge_due_ns,
            self.watch.due_ns(now_ns),
            self.stall.due_ns(),
            self.partial.due_ns(),
            if self.does_chores() { chores::due_ns() } else { NEVER },
            // While all Ps are idle, a keeper waits for what comes; or, if there is none, `sleep_as_sysmon` sees to it.
            if busy { shared.must_ask_ns(looked.picks_quickly) } else { NEVER },
        ];
        Scene {
            now_ns,
            is_busy: busy || self.watch.has_computing(),
            work_waits: shared.has_stackless() || shared.has_visible_work(),
            has_come: shared.has_come(now_ns),
            hides: shared.ps.iter().any(P::has_hidden),
            timer_ns: shared.earliest_ns(),
            due_ns: dues.into_iter().min().unwrap_or(NEVER),
        }
    }

    /// Sleeps until the next look.
    fn pause(&mut self, now_ns: u64, busy: bool, looked: &Looked) {
        let scene = self.scene(now_ns, busy, looked);
        self.pace = self.pace.next(&scene, looked);
        let until_ns = self.pace.until_ns(&scene);
        match self.pace {
            Pace::Watching { .. } => {
                self.deadlock.forget();
                if !is_long(now_ns, until_ns) {
                    rest_thread(now_ns, until_ns);
                } else if self.shared.doze_as_sysmon(|| rest_thread(now_ns, until_ns)) {
                    // One look now, another soon.
                    self.pace = Pace::fresh();
                }
            }
            Pace::Quiet { .. } => rest_thread(now_ns, until_ns),
            Pace::Asleep { .. } => {
                let until_ns = until_ns.min(self.deadlock.look(&self.shared, &mut self.output, now_ns));
                let does_chores = self.does_chores();
                // I2.
                self.shared.sleep_as_sysmon(|timers_ns| {
                    if !self.stop.load(Ordering::Acquire) && !has_later() {
                        // A G may have added a chore since the scene was seen: it has taken a P, and released it.
                        let until_ns = if does_chores { until_ns.min(chores::due_ns()) } else { until_ns };
                        let until_ns = until_ns.min(self.partial.due_before_sleep_ns(now_ns));
                        rest_thread(now_ns, until_ns.min(timers_ns));
                    }
                });
            }
        }
    }
}

/// Counts those that want a CPU, and says how many Ps may be awake for what comes from outside.
fn see_crowd(crowd: &mut Crowd, running: &mut RunningThreads, shared: &Shared, now_ns: u64) {
    let procs = shared.ps.len();
    if crowd.wants_sample(now_ns) {
        // This thread, and an M for each busy P. Without procfs nobody else is known.
        let ours = 1 + procs - shared.idle_ps();
        let others = running.count().map_or(0, |running| running.saturating_sub(ours));
        crowd.sample(now_ns, others, online_cpus);
    }
    let picks = shared.ps.iter().fold(0, |sum: u32, p| sum.wrapping_add(p.picks()));
    shared.set_width(crowd.width(&crowd::Scene { now_ns, picks, procs }));
}
