//! One look at the scheduler, as schedtrace shows it.
//!
//! Nothing is stopped for it, so what is read changes meanwhile. Still every G is shown in one place, and the parts add
//! up: each G is read once, and whatever can be derived is derived from that, and not read a second time. The G of an M
//! is the one whose record says that it runs there; if there are two, because the M went from one to the other, the one
//! that has left is corrected.

use super::goroutines::{SeenG, list};
use super::parties::Holder;
use super::schedtrace::{Detail, GLine, MLine, PLine, TraceLine};
use crate::event::Count;
use crate::m::M;
use crate::os::thread_sleeps;
use crate::p::P;
use crate::probe::Status;
use crate::sched::{SYSMON_ID, Shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Go's number for a G that is in a system call.
const IN_SYSCALL: u8 = 3;

/// Takes a look, in detail or not.
pub(super) fn take(shared: &Shared, now_ns: u64, detail: bool) -> (TraceLine, Option<Detail>) {
    let census = shared.census();
    let mut line = TraceLine {
        ms: now_ns.saturating_sub(shared.began_ns()) / 1_000_000,
        gomaxprocs: shared.ps.len(),
        idleprocs: shared.idle_ps(),
        // The Ms, and sysmon, which Go counts too.
        threads: census.ms.len() + 1,
        spinningthreads: shared.searching_ms(),
        // A request of Go's scheduler for one more searcher. pirn has none.
        needspinning: false,
        idlethreads: census.sleeping.len(),
        runqueue: census.global,
        local: shared.ps.iter().map(|p| p.queue_len() as u64).collect(),
        schedticks: shared.ps.iter().map(P::schedtick).collect(),
        nmidlelocked: census.locked_ms,
        // sysmon prints this line, so it does not sleep.
        sysmonwait: false,
        // The printer fills this in.
        leftout: 0,
    };
    if !detail {
        return (line, None);
    }
    let detail = look_closer(shared, now_ns, census.ms, &census.sleeping);
    line.idleprocs = detail.ps.iter().filter(|p| p.m.is_none()).count();
    line.spinningthreads = detail.ms.iter().filter(|m| m.spinning).count();
    line.local = detail.ps.iter().map(|p| p.runqsize as u64).collect();
    line.schedticks = detail.ps.iter().map(|p| p.schedtick).collect();
    (line, Some(detail))
}

fn look_closer(shared: &Shared, now_ns: u64, mut all: Vec<Arc<M>>, sleeping: &[Arc<M>]) -> Detail {
    // Go lists the youngest first.
    all.sort_unstable_by_key(|m| std::cmp::Reverse(m.id));
    let mut holders: Vec<Option<u32>> = vec![None; shared.ps.len()];
    let mut ms: Vec<MLine> = all.iter().map(|m| m_line(m, &mut holders, sleeping)).collect();
    let mut gs: Vec<GLine> = list(shared, now_ns).iter().map(|seen| g_line(seen, &all, &ms)).collect();
    for m in &all {
        reconcile(&mut gs, m);
    }
    for line in &mut ms {
        line.curg = gs.iter().find(|g| g.m == Some(line.id)).map(|g| g.id);
    }
    for g in gs.iter_mut().filter(|g| g.m.is_some()) {
        let m = all.iter().find(|m| Some(m.id) == g.m);
        if m.is_some_and(|m| m.p_ptr().is_null() && thread_sleeps(m.tid()) == Some(true)) {
            g.status = IN_SYSCALL;
        }
    }
    let tid = shared.sysmon_tid();
    ms.push(MLine {
        id: SYSMON_ID,
        p: None,
        curg: None,
        spinning: false,
        blocked: false,
        lockedg: None,
        polls: false,
        tid,
    });
    ms.sort_unstable_by_key(|m| std::cmp::Reverse(m.id));
    let ps = shared.ps.iter().zip(holders).map(|(p, m)| p_line(p, m)).collect();
    Detail { ps, ms, gs }
}

fn p_line(p: &P, m: Option<u32>) -> PLine {
    PLine {
        id: p.id,
        status: u8::from(m.is_some()),
        schedtick: p.schedtick(),
        syscalltick: p.count(Count::HandOffs),
        m,
        runqsize: p.queue_len(),
        gfreecnt: p.free_gs_len(),
        timerslen: p.timers.len(),
        runnext: p.next_id(),
    }
}

/// An M and its P. A P that went from one M to another meanwhile is shown with the first.
fn m_line(m: &Arc<M>, holders: &mut [Option<u32>], sleeping: &[Arc<M>]) -> MLine {
    let p = m.p_hint().map(|p| p.id).filter(|p| holders[*p].is_none());
    if let Some(p) = p {
        holders[p] = Some(m.id);
    }
    let lockedg = Some(m.locked_to.load(Ordering::Relaxed)).filter(|id| *id != 0);
    MLine {
        id: m.id,
        p,
        curg: None,
        spinning: m.searching.load(Ordering::Relaxed),
        blocked: m.waits_for_locked.load(Ordering::Relaxed) || sleeping.iter().any(|other| Arc::ptr_eq(other, m)),
        lockedg,
        polls: m.polls(),
        tid: m.tid(),
    }
}

fn g_line(seen: &SeenG, all: &[Arc<M>], ms: &[MLine]) -> GLine {
    let SeenG { g, public, status, .. } = seen;
    let id = public.id.as_u64();
    let runs = *status == Status::Running;
    // A G that was read after the Ms may be on an M that is not listed.
    let m = all.iter().find(|m| runs && g.was_last_on(m)).map(|m| m.id);
    let (heldby, heldbytid) = match &public.held_by {
        Some(Holder::Goroutine { id, .. }) => (Some(id.as_u64()), None),
        Some(Holder::Thread { id, .. }) => (None, Some(*id)),
        None => (None, None),
    };
    GLine {
        id,
        status: if runs && m.is_none() { Status::Runnable as u8 } else { *status as u8 },
        wait_reason: public.wait_reason.unwrap_or_default(),
        m,
        // As the line of the M says: a second look could see that the G has unlocked itself.
        lockedm: ms.iter().find(|m| m.lockedg == Some(id)).map(|m| m.id),
        name: public.name.clone(),
        wait_ms: public.waiting_for.map(|time| time.as_millis() as u64),
        heldby,
        heldbytid,
        birthplace: public.birthplace,
    }
}

/// Of several Gs that seemed to run on `m`, the others were seen before they left.
fn reconcile(gs: &mut [GLine], m: &M) {
    let on_m = |g: &GLine| g.m == Some(m.id);
    if gs.iter().filter(|g| on_m(g)).count() < 2 {
        return;
    }
    let now = m.g().map(|g| g.id());
    let stays = gs.iter().rposition(|g| on_m(g) && Some(g.id) == now).or_else(|| gs.iter().rposition(on_m));
    for (at, g) in gs.iter_mut().enumerate() {
        if g.m == Some(m.id) && Some(at) != stays {
            // It was running a moment ago, and is queued or waits by now.
            g.m = None;
            g.status = Status::Runnable as u8;
        }
    }
}
