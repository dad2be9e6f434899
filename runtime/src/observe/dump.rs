//! What every G does, with its stack: for people, in the shape of Go's tracebacks.

use super::goroutines::{Seen, look};
use super::trace::Traces;
use crate::m::M;
use crate::os::{now_ns, thread_sleeps};
use crate::park::current_g;
use crate::probe::Status;
use crate::sched::Shared;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Every G of a runtime that has not ended, with its stack if it is parked or calls this itself.
pub(crate) fn dump(shared: &Shared) -> String {
    let mut traces = Traces::new();
    let ms: Vec<Arc<M>> = shared.lock().ms.iter().map(|(m, _)| m.clone()).collect();
    let mut text = String::new();
    for seen in look(shared).iter().filter(|seen| !seen.g.join.has_result()) {
        describe(shared, seen, &ms, &mut traces, &mut text);
    }
    text
}

/// The G `g`, which blocks the thread of `m`: who it is, and where.
pub(crate) fn describe_blocked(shared: &Shared, m: &M, g: u64, since_ns: u64) -> Option<String> {
    let seen = look(shared).into_iter().find(|seen| seen.public.id.as_u64() == g)?;
    let blocked_for = Duration::from_millis(now_ns().saturating_sub(since_ns) / 1_000_000);
    let mut text = seen.public.head("syscall", &format!(", on M{} for {blocked_for:?}", m.id));
    text.push_str(":\n");
    match Traces::of_thread(m.tid(), seen.g) {
        Some(frames) => Traces::new().write(&frames, &mut text),
        None => text.push_str("(no stack: the thread does not answer)\n"),
    }
    write_origin(&seen, &mut text);
    Some(text)
}

fn describe(shared: &Shared, seen: &Seen, ms: &[Arc<M>], traces: &mut Traces, text: &mut String) {
    let Seen { g, public, status } = seen;
    let is_caller = current_g().is_some_and(|me| std::ptr::eq(me, *g));
    let (what, extra, frames) = match status {
        Status::Waiting => ("", String::new(), traces.of_parked(shared, g, public.id.as_u64())),
        Status::Running => {
            let m = ms.iter().find(|m| m.g().is_some_and(|of| std::ptr::eq(of, *g)));
            let (what, extra) = m.map_or(("running", String::new()), |m| where_it_runs(shared, m));
            (what, extra, if is_caller { Traces::of_caller(g) } else { None })
        }
        _ => ("", String::new(), None),
    };
    text.push_str(&public.head(what, &extra));
    text.push_str(":\n");
    if let Some(frames) = frames {
        traces.write(&frames, text);
    }
    write_origin(seen, text);
    text.push('\n');
}

fn write_origin(seen: &Seen, text: &mut String) {
    let public = &seen.public;
    let by = public.parent.map_or_else(|| "from a thread".to_owned(), |id| format!("in goroutine {}", id.as_u64()));
    if let Some(place) = public.birthplace {
        // Writing to a string can not fail.
        let _ = writeln!(text, "created by go {by}\n\t{}:{}", place.file(), place.line());
    }
}

/// On which M a G runs, since when, and where the M's P is. Go calls one that is in the kernel "syscall".
fn where_it_runs(shared: &Shared, m: &M) -> (&'static str, String) {
    let now_ns = now_ns();
    let ago = |since_ns: u64| Duration::from_millis(now_ns.saturating_sub(since_ns) / 1_000_000);
    let mut extra = format!(", on M{}", m.id);
    let asleep = thread_sleeps(m.tid()) == Some(true) && !m.section.is_inside();
    // Writing to a string can not fail.
    let _ = match (m.p_hint(), m.lost()) {
        (Some(p), _) => {
            let since = p.same_pick_since_ns().map_or_else(String::new, |ns| format!(" for {:?}", ago(ns)));
            write!(extra, " with P{}{since}", p.id)
        }
        (None, Some((p, ns))) => {
            let holder = shared.ps[p as usize].holder();
            write!(extra, " without a P since {:?}: P{p} went to M{holder}", ago(ns))
        }
        (None, None) => write!(extra, " without a P"),
    };
    (if asleep { "syscall" } else { "running" }, extra)
}
