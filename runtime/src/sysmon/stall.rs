//! Whether nothing has run for long, though Gs wait for something other than the clock: the stall report.
//!
//! The deadlock report (`deadlock.rs`) speaks only if it is certain that no code is left that could wake a G. So it
//! is silent in a process with other threads: a test runner's, another runtime's. The user asks for the stall report,
//! with a time, and it does not claim that much: it reports what it sees.
//!
//! # What it looks for
//! 1. No P has picked a G for that time, and no M that has a G has computed. sysmon has looked several times
//!    meanwhile, so it was not the process that was stopped.
//! 2. Some G waits, and not for the clock; or it blocks its thread in a lock, without a timeout. A G waits for the
//!    clock if it sleeps, if a timer is to wake it, or if it waits for a [`Timer`](crate::time::Timer) or a ticker
//!    while any is pending.
//!
//! A pending timer does not silence the report: the timer may be the time limit of a test. The report says when it is
//! due. It is made once, until something runs again.

use super::output::Output;
use crate::join::threads_waiting_in;
use crate::m::M;
use crate::observe::{State, describe_cycles, dump, list, plural, thread_waits, woken_by_clock};
use crate::os::{is_in_lock, thread_cpu_ns, thread_name, thread_sleeps, threads};
use crate::p::P;
use crate::reason::Kind;
use crate::sched::{Shared, Warning};
use crate::timers::NEVER;
use std::sync::Arc;
use std::time::Duration;

/// How many looks there are in the time that the user asked for, and the least time between two.
const LOOKS: u32 = 8;
const EVERY_MIN_NS: u64 = 1_000_000;

/// How much a thread may compute only because it was asked where it is.
const ASKED_MAX_NS: u64 = 1_000_000;

/// How many threads of others are named at most.
const NAMED_MAX: usize = 20;

/// Since when nothing has run, and whether that has been reported.
pub(super) struct Stall {
    /// How long nothing may run; [`NEVER`] if the user has not asked.
    after_ns: u64,
    due_ns: u64,
    /// What Ps had picked and Ms had computed at the last look.
    picks: u32,
    cpu_ns: u64,
    since_ns: u64,
    looks: u32,
    is_judged: bool,
}

impl Stall {
    pub(super) fn new(after_ns: u64, now_ns: u64) -> Stall {
        let due_ns = if after_ns == NEVER { NEVER } else { now_ns };
        Stall { after_ns, due_ns, picks: 0, cpu_ns: 0, since_ns: now_ns, looks: 0, is_judged: false }
    }

    /// When to look again.
    pub(super) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Looks, if it is time.
    pub(super) fn look(&mut self, shared: &Shared, output: &mut Output, now_ns: u64) {
        if now_ns < self.due_ns {
            return;
        }
        self.due_ns = now_ns + (self.after_ns / u64::from(LOOKS)).max(EVERY_MIN_NS);
        let ms: Vec<Arc<M>> = shared.machines();
        if self.has_run(shared, &ms) {
            (self.since_ns, self.looks, self.is_judged) = (now_ns, 0, false);
            return;
        }
        self.looks += 1;
        let quiet_ns = now_ns - self.since_ns;
        if self.is_judged || quiet_ns < self.after_ns || self.looks < LOOKS / 2 || shared.is_closing() {
            return;
        }
        self.is_judged = true;
        if let Some(what) = judge(shared, &ms) {
            output.report(shared, report(shared, &ms, &what, quiet_ns, now_ns), now_ns);
            self.cpu_ns = computed_ns(&ms);
        }
    }

    /// Whether something has run since the last look.
    fn has_run(&mut self, shared: &Shared, ms: &[Arc<M>]) -> bool {
        let picks = shared.ps.iter().map(P::picks).fold(0, u32::wrapping_add);
        let cpu_ns = computed_ns(ms);
        let picked = std::mem::replace(&mut self.picks, picks) != picks;
        let allowed_ns = if self.is_judged { ASKED_MAX_NS } else { 0 };
        let computed = cpu_ns.abs_diff(self.cpu_ns) > allowed_ns;
        if !self.is_judged {
            self.cpu_ns = cpu_ns;
        }
        picked || computed
    }
}

/// How much the threads that run a G have computed, all together.
fn computed_ns(ms: &[Arc<M>]) -> u64 {
    ms.iter().filter(|m| m.g().is_some()).filter_map(|m| thread_cpu_ns(m.tid())).fold(0, u64::wrapping_add)
}

/// Which Gs wait for something other than the clock, in words. None if there are none.
fn judge(shared: &Shared, ms: &[Arc<M>]) -> Option<String> {
    let by_clock = woken_by_clock(shared);
    let is_pending = shared.earliest_ns() != NEVER;
    let waits = list(shared, shared.refresh_clock()).into_iter().filter(|g| {
        let of_clock = g.reason.is_some_and(|reason| match reason.kind() {
            Kind::Moment => true,
            Kind::Timer => is_pending,
            Kind::Event | Kind::Goroutine | Kind::Scope | Kind::Descriptor => false,
            Kind::Process | Kind::Word | Kind::Object(_) => false,
        });
        g.public.state == State::Waiting && !of_clock && !by_clock.contains(&g.public.id.as_u64())
    });
    let waiting = waits.count() as u64;
    let locked = ms.iter().filter(|m| m.g().is_some() && is_in_lock(m.tid()) == Some(true)).count() as u64;
    let waiting_says = plural(waiting, "goroutine waits", "goroutines wait") + " for something other than the clock";
    let locked_says = plural(locked, "goroutine blocks its thread", "goroutines block their threads") + " in a lock";
    match (waiting, locked) {
        (0, 0) => None,
        (_, 0) => Some(waiting_says),
        (0, _) => Some(locked_says),
        _ => Some(format!("{waiting_says}, and {locked_says}")),
    }
}

fn report(shared: &Shared, ms: &[Arc<M>], what: &str, quiet_ns: u64, now_ns: u64) -> Warning {
    let whole_ms = |ns: u64| Duration::from_millis(ns / 1_000_000);
    let name = &shared.setup.name;
    let event = format!("the runtime {name:?} stalls: nothing has run for {:?}, and {what}", whole_ms(quiet_ns));
    let timer = match shared.earliest_ns() {
        NEVER => "no timer is pending".to_owned(),
        due_ns => format!("the next timer is due in {:?}", whole_ms(due_ns.saturating_sub(now_ns))),
    };
    let (others, cycles, gs) = (others(shared, ms), describe_cycles(shared), dump(shared));
    let descriptors = descriptors(shared, now_ns);
    let text = format!("pirn: {event}\npirn: {timer}; {descriptors}{others}\n\n{cycles}{gs}");
    Warning { text, event }
}

/// How many Gs wait for descriptors, if there are any. Which these are is in the dump.
fn descriptors(shared: &Shared, now_ns: u64) -> String {
    let seen = list(shared, now_ns);
    let waiting = seen.iter().filter_map(|g| g.reason).filter(|reason| reason.kind() == Kind::Descriptor).count();
    match waiting as u64 {
        0 => String::new(),
        count => plural(count, "goroutine waits for a descriptor", "goroutines wait for descriptors") + "; ",
    }
}

/// The threads of the process that do not belong to the runtime.
fn others(shared: &Shared, ms: &[Arc<M>]) -> String {
    let Some(mut tids) = threads() else { return "the system does not say which other threads there are".to_owned() };
    let own = [shared.sysmon_tid(), shared.template_tid()];
    tids.retain(|tid| !own.contains(tid) && ms.iter().all(|m| m.tid() != *tid));
    let (waiting, in_locks) = (threads_waiting_in(shared), thread_waits());
    let named = tids.iter().take(NAMED_MAX).map(|tid| {
        let name = thread_name(*tid).unwrap_or_default();
        let joins = waiting.iter().find(|waiting| waiting.tid == *tid).map(|waiting| waiting.g);
        let locks = in_locks.binary_search_by_key(tid, |(tid, _)| *tid).ok().map(|at| in_locks[at].1.reason.name());
        let does = match (joins, locks) {
            (Some(g), _) => format!("waits for goroutine {g}"),
            (None, Some(reason)) => format!("waits in {reason}"),
            (None, None) if thread_sleeps(*tid) == Some(true) => "asleep".to_owned(),
            (None, None) => "runs".to_owned(),
        };
        format!("{name:?} ({tid}, {does})")
    });
    let named: Vec<String> = named.collect();
    match tids.len() {
        0 => "the process has no other thread".to_owned(),
        n if n > NAMED_MAX => format!("threads of others: {} and {} more", named.join(", "), n - NAMED_MAX),
        _ => format!("threads of others: {}", named.join(", ")),
    }
}
