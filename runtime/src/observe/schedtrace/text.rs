//! As lines of text: byte for byte as Go does, and with detail, after what Go knows of a P, M or G, what it does not.

use super::super::outbox::plural;
use super::{Detail, GLine, Line, MLine, Or, PLine, push, room_for};

/// Formats a line as Go 1.27 does: `... runqueue=0 [ 0 3 ] schedticks=[ 68426 26756 ]` and a line end.
pub(crate) fn go(line: &Line) -> String {
    let mut text = room_for(line, None);
    head(&mut text, line);
    text.push_str(" [ ");
    for length in &line.local {
        push(&mut text, format_args!("{length} "));
    }
    text.push_str("] schedticks=[ ");
    for ticks in &line.schedticks {
        push(&mut text, format_args!("{ticks} "));
    }
    text.push_str("]\n");
    text
}

/// Formats a line as Go did before 1.25: `... runqueue=0 [0 3]` and a line end.
pub(crate) fn compact(line: &Line) -> String {
    let mut text = room_for(line, None);
    head(&mut text, line);
    text.push_str(" [");
    for (nth, length) in line.local.iter().enumerate() {
        let space = if nth == 0 { "" } else { " " };
        push(&mut text, format_args!("{space}{length}"));
    }
    text.push_str("]\n");
    text
}

/// Formats as Go does with `scheddetail=1`: a header without lists, and a line for each P, M and G, at the end of which
/// stands what Go does not know. Before Go 1.25 it was the same, so there is no compact form.
pub(crate) fn go_detail(line: &Line, detail: &Detail) -> String {
    let mut text = room_for(line, Some(detail));
    head(&mut text, line);
    head_detail(&mut text, line);
    for p in &detail.ps {
        go_p(&mut text, p);
        own_p(&mut text, p);
        text.push('\n');
    }
    for m in &detail.ms {
        go_m(&mut text, m);
        own_m(&mut text, m);
        text.push('\n');
    }
    for g in &detail.gs {
        go_g(&mut text, g);
        own_g(&mut text, g);
        text.push('\n');
    }
    text
}

/// What all shapes begin with.
fn head(text: &mut String, line: &Line) {
    let Line { ms, gomaxprocs, idleprocs, threads, spinningthreads, idlethreads, runqueue, leftout, .. } = line;
    if *leftout > 0 {
        let lines = plural(*leftout, "line was", "lines were");
        push(text, format_args!("pirn: schedtrace: {lines} left out: the reader is too slow\n"));
    }
    let needspinning = u8::from(line.needspinning);
    push(text, format_args!("SCHED {ms}ms: gomaxprocs={gomaxprocs} idleprocs={idleprocs} threads={threads}"));
    push(text, format_args!(" spinningthreads={spinningthreads} needspinning={needspinning}"));
    push(text, format_args!(" idlethreads={idlethreads} runqueue={runqueue}"));
}

/// The rest of the header with detail. The world is never stopped here, so three of the values do not change.
fn head_detail(text: &mut String, line: &Line) {
    let Line { nmidlelocked, sysmonwait, .. } = line;
    push(text, format_args!(" gcwaiting=false nmidlelocked={nmidlelocked} stopwait=0 sysmonwait={sysmonwait}\n"));
}

/// What Go says of a P.
pub(super) fn go_p(text: &mut String, p: &PLine) {
    let PLine { id, status, schedtick, syscalltick, runqsize, gfreecnt, timerslen, .. } = p;
    let m = Or(p.m, "nil");
    push(text, format_args!("  P{id}: status={status} schedtick={schedtick} syscalltick={syscalltick} m={m}"));
    push(text, format_args!(" runqsize={runqsize} gfreecnt={gfreecnt} timerslen={timerslen}"));
}

/// What Go does not say of a P.
fn own_p(text: &mut String, p: &PLine) {
    push(text, format_args!(" runnext={}", Or(p.runnext, "nil")));
}

/// What Go says of an M. Five of the values are about Go's allocator, collector and crashes: they do not change here.
pub(super) fn go_m(text: &mut String, m: &MLine) {
    let MLine { id, spinning, blocked, .. } = m;
    push(text, format_args!("  M{id}: p={} curg={}", Or(m.p, "nil"), Or(m.curg, "nil")));
    text.push_str(" mallocing=0 throwing=0 preemptoff= locks=0 dying=0");
    push(text, format_args!(" spinning={spinning} blocked={blocked} lockedg={}", Or(m.lockedg, "nil")));
}

/// What Go does not say of an M.
fn own_m(text: &mut String, m: &MLine) {
    push(text, format_args!(" tid={}", m.tid));
}

/// What Go says of a G.
pub(super) fn go_g(text: &mut String, g: &GLine) {
    let GLine { id, status, wait_reason, .. } = g;
    push(text, format_args!("  G{id}: status={status}({wait_reason})"));
    push(text, format_args!(" m={} lockedm={}", Or(g.m, "nil"), Or(g.lockedm, "nil")));
}

/// What Go does not say of a G. A name is written as a literal of Rust, so that a line stays a line.
fn own_g(text: &mut String, g: &GLine) {
    if let Some(name) = &g.name {
        push(text, format_args!(" name={name:?}"));
    }
    if let Some(wait_ms) = g.wait_ms {
        push(text, format_args!(" wait={wait_ms}ms"));
    }
    if let Some(place) = g.birthplace {
        push(text, format_args!(" created={place}"));
    }
}
