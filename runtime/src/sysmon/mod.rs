//! # What lives here
//! The watchman: a thread that needs no P, but holds one while it stands in for an M that is not to be had. It prints
//! schedtrace, dumps and warnings (`output`), keeps the coarse clock, gives idle stacks back, and helps where the Ms by
//! themselves would be late: it takes Ps back from Ms that block or compute (`watch`), frees a G that is stuck in
//! runnext behind a long slice, and sees to timers that nobody looks at and work that no idle P has heard of. It
//! reports that all Gs wait for ever (`deadlock`), or that nothing has run for long (`stall`).
//!
//! # How often it looks
//! A round costs 15 to 30 us of somebody's time, so: 20 us after something was found to do, then twice as long each time,
//! up to 1 ms while any M may block, up to 10 ms while all that run compute for long and nobody waits, and not at all
//! while every P is idle. Who finds it in a long sleep and all Ps taken pokes it (`poke_sysmon`).
//!
//! # Invariants
//! 1. Nothing depends on sysmon to happen at all, but what waits behind a G that does not come into the runtime; and, if the
//!    system has given no thread, timers without a keeper and work without an M, which it tries to find one for; and Gs
//!    without a stack, which it has try again.
//! 2. sysmon sleeps without a limit only while every P is idle; it says so under the scheduler's lock, and whoever takes
//!    a P after that wakes it (`sched/find.rs`, `took_p`). It wakes by itself for what has a time: a line of schedtrace, a
//!    SIGQUIT to be answered, a stall to be looked for.
//! 3. sysmon never waits for a reader of what it prints, but in its last words.

#![cfg(not(loom))]

mod deadlock;
mod output;
mod slice;
mod stall;
mod watch;

use crate::config::{SCAVENGE_NS, SCAVENGE_PAUSE_NS, SYSMON_DROWSY_NS, SYSMON_MIN_NS};
use crate::m::M;
use crate::m::fork::{end_in_fork, is_fork};
use crate::m::section::has_lost_fence;
use crate::observe;
use crate::os::{answer_quits, set_timer_slack_ns, thread_id};
use crate::p::{OwnedP, P};
use crate::probe::fatal;
use crate::sched::Shared;
use crate::stack::{More, scavenge};
use crate::timers::NEVER;
use deadlock::Deadlock;
use output::Output;
use slice::Looked;
use stall::Stall;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;
use watch::Watch;

pub(crate) use output::Trace;

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
        stall: Stall::new(shared.setup.stall_ns, shared.began_ns),
        scavenge_due_ns: NEVER,
        scavenge_more: More::Never,
        delay_ns: SYSMON_MIN_NS,
        idle_rounds: 0,
        stalled_since_ns: NEVER,
        stalls_before: 0,
        exhausted: Exhausted { slices: 0, since_ns: shared.began_ns, looks: 0 },
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
        // It is set once: this is the only sysmon of that runtime.
        let _ = self.shared.sysmon.set(thread::current());
        self.shared.sysmon_tid.store(thread_id(), Ordering::Relaxed);
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
            let busy = (self.shared.idle.idle_ps() as usize) < self.shared.ps.len();
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
        let waits = shared.idle.idle_ps() > 0 && (shared.earliest_ns() <= now || shared.has_visible_work());
        if waits && shared.idle.announce() {
            looked.helped |= shared.wake_p();
        }
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
        if !shared.has_stalled.load(Ordering::SeqCst) {
            self.stalled_since_ns = NEVER;
            return;
        }
        shared.flush_idle_stacks();
        shared.ps.iter().for_each(|p| shared.flush_stacks_of(p));
        shared.unstall();
        let stalls = shared.stalls.load(Ordering::Relaxed);
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
        let stalled = shared.has_stalled.load(Ordering::SeqCst);
        // Without a thread to be had, work may wait though every P is idle.
        let late = shared.earliest_ns() <= now && self.idle_rounds > 0;
        if busy || stalled || late || self.watch.has_computing() || shared.has_visible_work() {
            self.idle_rounds = 0;
            self.deadlock.is_none();
            let waits = stalled || shared.has_visible_work() || shared.ps.iter().any(|p| p.has_hidden());
            self.delay_ns = looked.pause_ns(self.delay_ns, waits);
            let timers = Some(shared.earliest_ns()).filter(|ns| *ns > now).unwrap_or(NEVER).max(now + SYSMON_MIN_NS);
            let until = due.min(now + self.delay_ns).min(timers);
            shared.sysmon_drowsy.store(until > now + SYSMON_DROWSY_NS, Ordering::Relaxed);
            sleep_until(now, until);
            let poked = until > now + SYSMON_DROWSY_NS && !shared.sysmon_drowsy.swap(false, Ordering::Relaxed);
            if poked {
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
        // I2: it is said under the lock, and only while every P is idle.
        let queues = self.shared.lock();
        let all_idle = queues.idle_ps.len() == self.shared.ps.len() && !self.shared.has_visible_work();
        // It happens that there is no M to keep the time: the system gave no thread.
        let timers = if queues.keeper.is_some() { NEVER } else { self.shared.earliest_ns() };
        let due = due.min(timers);
        self.shared.sysmon_asleep.store(all_idle, Ordering::Release);
        drop(queues);
        if all_idle && !self.stop.load(Ordering::Acquire) {
            sleep_until(now, due);
            self.shared.sysmon_asleep.store(false, Ordering::Release);
        }
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

impl Shared {
    /// Makes the Gs visible that the P of `m` hides, as the M runs a long slice. The caller announces them.
    fn free_stuck(&self, m: &M) -> bool {
        let mut next = None;
        let mut freed = false;
        in_stead_of(m, |p| {
            next = p.take_next();
            freed = next.is_some() || p.has_lane();
            p.show_all();
        });
        if let Some(g) = next {
            self.inject(g);
        }
        freed
    }

    /// The M with that number, if it is there.
    fn machine(&self, id: u32) -> Option<Arc<M>> {
        self.lock().ms.iter().map(|(m, _)| m).find(|m| m.id == id).cloned()
    }

    /// Gives the free stacks of a P whose M is out in a G's own code to all.
    fn flush_stacks_of(&self, p: &P) {
        if let Some(m) = self.machine(p.holder()) {
            in_stead_of(&m, |p| p.stacks().flush());
        }
    }
}

/// Acts in the stead of `m` on the P that it holds, if it is out in a G's own code.
fn in_stead_of(m: &M, act: impl FnOnce(OwnedP<'_>)) {
    let Some(_borrowed) = m.section.borrow() else { return };
    // SAFETY: borrowed, so its owner's side is ours until `_borrowed` is dropped.
    if let Some(p) = unsafe { m.p() } {
        act(p);
    }
}
