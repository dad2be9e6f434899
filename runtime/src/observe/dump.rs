//! What every G does, with its stack: for people, in the format of Go's tracebacks.

use super::goroutines::{SeenG, lasting, list};
use super::trace::{StartAt, Traces};
use crate::clock::now_ns;
use crate::m::M;
use crate::os::thread_sleeps;
use crate::park::current_g;
use crate::probe::Status;
use crate::sched::Shared;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Every G of a runtime that has not ended, with its stack if it is parked, blocks its thread, or calls this itself.
/// All times are of one moment.
pub(crate) fn dump(shared: &Shared) -> String {
    dump_and_count(shared).0
}

/// The same, with the number of Gs that it shows.
pub(crate) fn dump_and_count(shared: &Shared) -> (String, usize) {
    dump_those(shared, |_| true)
}

/// The same, of the Gs with these numbers.
pub(crate) fn dump_some(shared: &Shared, gs: &[u64]) -> String {
    dump_those(shared, |id| gs.contains(&id)).0
}

fn dump_those(shared: &Shared, is_shown: impl Fn(u64) -> bool) -> (String, usize) {
    let now_ns = shared.refresh_clock();
    let mut dump = Dump {
        shared,
        now_ns,
        ms: shared.machines(),
        traces: Traces::new(),
        asks_until_ns: now_ns + ASKING_NS,
        text: String::new(),
    };
    let mut count = 0;
    let is_shown = |seen: &&SeenG| is_shown(seen.public.id.as_u64()) && !seen.g.join.has_result();
    for seen in list(shared, now_ns).iter().filter(is_shown) {
        dump.describe(seen);
        count += 1;
    }
    (dump.text, count)
}

/// The G `g`, which blocks the thread of `m`: its head and its stack.
pub(crate) fn describe_blocked(shared: &Shared, m: &M, g: u64, since_ns: u64) -> Option<String> {
    let now_ns = shared.refresh_clock();
    let seen = list(shared, now_ns).into_iter().find(|seen| seen.public.id.as_u64() == g)?;
    let blocked_for = lasting(Duration::from_nanos(now_ns.saturating_sub(since_ns)));
    let mut text = seen.public.head("syscall", &format!(", on M{} for {blocked_for}", m.id));
    text.push_str(":\n");
    match Traces::of_thread(m.tid(), seen.g) {
        Some(frames) => Traces::new().write(&frames, StartAt::Call, &mut text),
        None => text.push_str(NO_ANSWER),
    }
    write_origin(&seen, &mut text);
    Some(text)
}

/// The time limit for asking threads where they are, for all together: a thread that does not answer takes 20 ms.
const ASKING_NS: u64 = 500_000_000;

const NO_ANSWER: &str = "(no stack: the thread does not answer)\n";
const NO_TIME: &str = "(no stack: it takes too long to ask so many threads)\n";

/// A dump that is being made.
struct Dump<'a> {
    shared: &'a Shared,
    now_ns: u64,
    ms: Vec<Arc<M>>,
    traces: Traces,
    asks_until_ns: u64,
    text: String,
}

impl Dump<'_> {
    fn describe(&mut self, seen: &SeenG) {
        let SeenG { g, public, status, .. } = seen;
        let m = match status {
            Status::Running => self.ms.iter().find(|m| m.g().is_some_and(|of| std::ptr::eq(of, *g))).cloned(),
            _ => None,
        };
        let (what, extra) = m.as_ref().map_or(("", String::new()), |m| self.where_it_runs(m));
        self.text.push_str(&public.head(what, &extra));
        self.text.push_str(":\n");
        self.write_stack(seen, m.as_ref().filter(|_| what == IN_KERNEL));
        write_origin(seen, &mut self.text);
        self.text.push('\n');
    }

    /// The stack of a G that is parked, that calls, or that blocks the thread of `blocks`.
    fn write_stack(&mut self, seen: &SeenG, blocks: Option<&Arc<M>>) {
        let g = seen.g;
        let (frames, start) = if seen.status == Status::Waiting {
            (self.traces.of_parked(self.shared, g, seen.public.id.as_u64()), StartAt::Call)
        } else if current_g().is_some_and(|me| std::ptr::eq(me, g)) {
            (Traces::of_caller(g), StartAt::Caller)
        } else if let Some(m) = blocks {
            let may_ask = now_ns() < self.asks_until_ns;
            let frames = if may_ask { Traces::of_thread(m.tid(), g) } else { None };
            if frames.is_none() {
                self.text.push_str(if may_ask { NO_ANSWER } else { NO_TIME });
            }
            (frames, StartAt::Call)
        } else {
            return;
        };
        if let Some(frames) = frames {
            self.traces.write(&frames, start, &mut self.text);
        }
    }

    /// On which M a G runs, since when, and where the M's P is. Go calls a G that is in the kernel "syscall".
    fn where_it_runs(&self, m: &M) -> (&'static str, String) {
        let ago = |since_ns: u64| lasting(Duration::from_nanos(self.now_ns.saturating_sub(since_ns)));
        let mut extra = format!(", on M{}", m.id);
        let asleep = thread_sleeps(m.tid()) == Some(true) && !m.section.is_inside();
        // Writing to a string cannot fail.
        let _ = match (m.p_hint(), m.lost()) {
            (Some(p), _) => {
                let since = p.same_pick_since_ns().map_or_else(String::new, |ns| format!(" for {}", ago(ns)));
                write!(extra, " with P{}{since}", p.id)
            }
            (None, Some((p, ns))) => {
                let holder = self.ms.iter().find(|m| m.p_hint().is_some_and(|held| held.id == p as usize));
                let now = holder.map_or_else(|| "is idle".to_owned(), |m| format!("went to M{}", m.id));
                write!(extra, " without a P since {}: P{p} {now}", ago(ns))
            }
            (None, None) => write!(extra, " without a P"),
        };
        (if asleep { IN_KERNEL } else { "running" }, extra)
    }
}

/// Go's word for a G whose thread is in the kernel.
const IN_KERNEL: &str = "syscall";

fn write_origin(seen: &SeenG, text: &mut String) {
    let public = &seen.public;
    let by = public.parent.map_or_else(|| "from a thread".to_owned(), |id| format!("in goroutine {}", id.as_u64()));
    if let Some(place) = public.birthplace {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "created by go {by}\n\t{}:{}", place.file(), place.line());
    }
}
