//! Ms that keep their P from others: which of them block, which compute for long, and what happens to their Ps.
//!
//! sysmon looks at an M whose G runs its own code if the M has picked nothing since the last look, or a few Gs and work
//! waits. The rules of `slice` judge what it sees, and say whether the P is taken. Either way the G continues, perhaps
//! without a P. Gs that compute without one are adrift: they are asked too, until they make a call and queue for a P.
//! The P of an M that computes is taken only if another thread is there to use it; otherwise the G is asked again.
//!
//! An M that seems to be in the runtime while its G has not suspended is judged as well: its G calls the runtime
//! again and again. The G may be asked at any time; its P is taken at a look that finds the M outside
//! (`m/section.rs`).

use super::pace::Looked;
use super::slice::{Scene, Sight, Slice, Verdict, computes, slice_ns};
use crate::clock::rest_thread;
use crate::config::{BLOCKER_NS, SYSMON_MIN_NS};
use crate::m::{M, count_asking};
use crate::observe::describe_blocked;
use crate::os::{thread_cpu_ns, thread_sleeps, thread_stretches};
use crate::p::P;
use crate::sched::{Setup, Shared, Warning};
use crate::timers::NEVER;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many of those adrift are looked at in a round, in turn, and how often at most: a look at one takes up to 5 us,
/// and a watchman that takes too much time on a busy machine is late everywhere else.
const ADRIFT_AT_ONCE: usize = 4;
const ADRIFT_EVERY_NS: u64 = 1_000_000;

/// An M that has picked so many Gs since the last look, on one P, is not asked whether it sleeps. If it does, the next look
/// finds that it has picked none.
const QUICK_PICKS: u32 = 8;

/// A thread that has run in fewer stretches is not said to nap.
const NAPS: u64 = 4;

/// What sysmon has seen of one P.
struct SeenP {
    /// How many Gs it had picked, and which M held it.
    picks: u32,
    holder: u32,
    /// The M with that number, once it has been looked up.
    m: Option<Arc<M>>,
    cpu: CpuClock,
    /// The thread's CPU time, and in how many stretches it had run, at an earlier look at this pick.
    stretches: Option<(u64, u64)>,
    slice: Slice,
}

impl SeenP {
    /// Whether the thread runs in short stretches, as far as that is known. `cpu` has just been read.
    fn naps(&mut self, tid: i32) -> bool {
        let cpu_ns = self.cpu.cpu_ns;
        let Some(stretches) = thread_stretches(tid) else { return false };
        let (cpu_before_ns, before) = *self.stretches.get_or_insert((cpu_ns, stretches));
        let run_in = stretches.saturating_sub(before);
        run_in >= NAPS && !computes(cpu_ns.saturating_sub(cpu_before_ns), run_in)
    }
}

/// How much a thread had computed when it was last looked at.
#[derive(Default)]
struct CpuClock {
    cpu_ns: u64,
    looked_ns: u64,
}

impl CpuClock {
    /// Reads it. How long the thread has computed since the last look, and how long that was ago; none the first time.
    fn read(&mut self, tid: i32, now_ns: u64) -> Option<(u64, u64)> {
        let cpu_ns = thread_cpu_ns(tid)?;
        let before = std::mem::replace(self, CpuClock { cpu_ns, looked_ns: now_ns });
        (before.looked_ns != 0).then(|| (cpu_ns.saturating_sub(before.cpu_ns), now_ns - before.looked_ns))
    }

    /// What the thread is doing. If it has computed nearly all the time, this does not ask whether it sleeps: that is
    /// the expensive part.
    fn sight(&mut self, tid: i32, now_ns: u64) -> Sight {
        let computed = self.read(tid, now_ns);
        let ran_ns = match computed {
            Some((cpu_ns, _)) => cpu_ns,
            // The kernel refuses the clock: it counts as if it had run all the time.
            None if self.looked_ns == 0 => u64::MAX,
            None => 0,
        };
        if computed.is_some_and(|(cpu_ns, ns)| cpu_ns > ns - ns / 8) {
            return Sight { ran_ns, ..Sight::default() };
        }
        let rested = computed.is_some_and(|(cpu_ns, _)| cpu_ns == 0);
        // Without procfs, a thread that has not computed at all is taken to be asleep.
        Sight { is_asleep: thread_sleeps(tid).unwrap_or(rested), rested, ran_ns, naps: false }
    }
}

/// An M whose P was taken, for as long as it is in the same G's code.
struct Adrift {
    m: Arc<M>,
    g: u64,
    /// When it was first seen in that code.
    since_ns: u64,
    cpu: CpuClock,
    /// In how many stretches it had run at the last look.
    stretches: u64,
    /// It computed then.
    computes: bool,
}

impl Adrift {
    /// Whether it is still in that code.
    fn is_there(&self) -> bool {
        let m = &self.m;
        // While an M calls its subscriber it seems to have no G; an idle M is in the runtime.
        let calls_subscriber = m.g().is_none() && !m.section.is_inside();
        m.p_ptr().is_null() && (calls_subscriber || m.g().is_some_and(|g| g.id() == self.g))
    }

    /// Whether it has run since the last look. Notes whether it did so for long stretches.
    fn has_run(&mut self, now_ns: u64) -> bool {
        let run_ns = self.cpu.read(self.m.tid(), now_ns).map_or(0, |(run_ns, _)| run_ns);
        let before = self.stretches;
        if run_ns > 0 {
            // Some kernels do not count them: then it is taken to compute.
            self.stretches = thread_stretches(self.m.tid()).unwrap_or(before);
        }
        self.computes = computes(run_ns, self.stretches.saturating_sub(before));
        run_ns > 0
    }
}

/// See the head of this file.
pub(super) struct Watch {
    seen: Vec<SeenP>,
    /// When it looked last.
    looked_ns: u64,
    adrift: Vec<Adrift>,
    adrift_due_ns: u64,
    /// Whose turn it is.
    next_adrift: usize,
    /// How many of those adrift have computed lately.
    computing: usize,
    /// This runtime is counted among those that ask.
    is_asking: bool,
    /// Gs that block for long are reported.
    names_blockers: bool,
    /// Takes every P that it can, always: for tests.
    is_eager: bool,
}

impl Watch {
    pub(super) fn new(setup: &Setup) -> Watch {
        let unseen = || SeenP {
            picks: 0,
            holder: u32::MAX,
            m: None,
            cpu: CpuClock::default(),
            stretches: None,
            slice: Slice::default(),
        };
        Watch {
            seen: (0..setup.procs).map(|_| unseen()).collect(),
            looked_ns: 0,
            adrift: Vec::new(),
            adrift_due_ns: 0,
            next_adrift: 0,
            computing: 0,
            is_asking: false,
            names_blockers: setup.names_blockers,
            is_eager: setup.retakes_eagerly,
        }
    }

    /// Looks at all Ps, and acts on what it sees.
    pub(super) fn look(&mut self, shared: &Shared, now_ns: u64) -> Looked {
        let mut looked = Looked::default();
        let mut hides = false;
        for p in &shared.ps {
            hides |= self.look_at(shared, p, now_ns, &mut looked) == Verdict::LookAgain;
        }
        let now_ns = if hides { self.look_again(shared, now_ns, &mut looked) } else { now_ns };
        self.looked_ns = now_ns;
        self.look_adrift(shared, now_ns);
        self.set_asking(self.computing > 0 || self.seen.iter().any(|seen| seen.slice.asked));
        looked.is_lively |= self.is_asking;
        looked.lingers |= self.is_asking;
        looked
    }

    /// Some Ps hide Gs, and their Ms have picked since the last look. Shows what is hidden where the same G still runs.
    /// Returns the time.
    fn look_again(&mut self, shared: &Shared, now_ns: u64, looked: &mut Looked) -> u64 {
        rest_thread(now_ns, now_ns + SYSMON_MIN_NS);
        let now_ns = shared.refresh_clock();
        for p in shared.ps.iter().filter(|p| p.has_hidden()) {
            let _ = self.look_at(shared, p, now_ns, looked);
        }
        now_ns
    }

    /// No G is asked any more.
    pub(super) fn stop(&mut self) {
        self.set_asking(false);
    }

    fn look_at(&mut self, shared: &Shared, p: &P, now_ns: u64, looked: &mut Looked) -> Verdict {
        let seen = &mut self.seen[p.id];
        let (picks, holder) = (p.picks(), p.holder());
        let is_same = (picks, holder) == (seen.picks, seen.holder);
        let picks_quickly = picks.wrapping_sub(seen.picks) >= QUICK_PICKS && seen.holder == holder;
        looked.picks_quickly |= picks_quickly;
        looked.work_stays |= is_same && p.has_queued();
        if !is_same {
            let m = seen.m.take().filter(|m| m.id == holder);
            // If it is not read at this look, what it has computed until now says nothing about the next one.
            let is_read_on = m.is_some() && !picks_quickly;
            let cpu = if is_read_on { std::mem::take(&mut seen.cpu) } else { CpuClock::default() };
            // If the P was taken after the last look, its first pick began then.
            let taken_ns = Some(p.taken_ns()).filter(|ns| *ns > self.looked_ns && picks == seen.picks.wrapping_add(1));
            *seen = SeenP {
                picks,
                holder,
                m,
                cpu,
                stretches: None,
                slice: Slice::new(taken_ns.unwrap_or(now_ns).min(now_ns)),
            };
            looked.is_lively = true;
            p.note_seen(picks, now_ns);
            // An M that has picked lately is looked at closer only if its P would be of use to others.
            if !self.is_eager && !p.has_hidden() && !shared.has_visible_work() {
                return Verdict::Leave;
            }
        }
        if seen.m.is_none() {
            seen.m = shared.machine(holder);
        }
        let Some(m) = seen.m.clone() else { return Verdict::Leave };
        if !std::ptr::eq(m.p_ptr(), p) || m.g().is_none() {
            // It looks for work, or its P is on its way to another.
            seen.slice.asked = false;
            return Verdict::Leave;
        }
        looked.lingers |= !picks_quickly;
        let is_inside = m.section.is_inside();
        // What the kernel says costs as much as some messages of a server.
        let mut sight = if is_inside || picks_quickly { Sight::default() } else { seen.cpu.sight(m.tid(), now_ns) };
        // An idle P without an M is of no use to what waits.
        let idle = shared.idle_ps() > 0 && !shared.is_starved();
        let waits = || shared.has_visible_work() || p.has_hidden() || shared.has_come(now_ns);
        let scene = Scene {
            others_wait: !idle && waits(),
            hides: idle && p.has_hidden(),
            slice_ns: slice_ns(self.computing, shared.ps.len()),
        };
        sight.naps = scene.others_wait && is_same && !is_inside && !sight.is_asleep && seen.naps(m.tid());
        let verdict = seen.slice.judge(now_ns, sight, &scene);
        looked.suspects |= sight.is_asleep;
        looked.is_lively |= seen.slice.is_lively(now_ns);
        looked.helped |= match verdict {
            _ if self.is_eager && !is_inside => self.take(shared, p, &m),
            Verdict::Leave | Verdict::LookAgain => false,
            Verdict::Ask => {
                m.ask();
                false
            }
            Verdict::TakeFromSleeper => self.take(shared, p, &m),
            Verdict::TakeFromOverdue => {
                let is_taken = shared.has_m_to_spare() && self.take(shared, p, &m);
                if !is_taken {
                    // There is no thread that could use the P, or the M is in the runtime just now.
                    m.ask();
                }
                is_taken
            }
            Verdict::Show => shared.free_stuck(&m),
        };
        verdict
    }

    fn take(&mut self, shared: &Shared, p: &P, m: &Arc<M>) -> bool {
        let Some(g) = m.g().map(|g| g.id()) else { return false };
        if !shared.retake(m, p) {
            return false;
        }
        let slice = &mut self.seen[p.id].slice;
        slice.asked = false;
        let since_ns = slice.since_ns;
        // It may be listed already, for an earlier P.
        self.adrift.retain(|adrift| !Arc::ptr_eq(&adrift.m, m));
        self.adrift.push(Adrift { m: m.clone(), g, since_ns, cpu: CpuClock::default(), stretches: 0, computes: false });
        true
    }

    /// Asks those that run without a P, some of them in each round. One that blocks is asked only when it runs again.
    fn look_adrift(&mut self, shared: &Shared, now_ns: u64) {
        if self.adrift.is_empty() || now_ns < self.adrift_due_ns {
            return;
        }
        for _ in 0..ADRIFT_AT_ONCE.min(self.adrift.len()) {
            // The turn wraps around. After a `swap_remove` another one is in this position.
            self.next_adrift = if self.next_adrift < self.adrift.len() { self.next_adrift } else { 0 };
            let Some(adrift) = self.adrift.get_mut(self.next_adrift) else { break };
            if !adrift.is_there() {
                self.adrift.swap_remove(self.next_adrift);
                continue;
            }
            if adrift.has_run(now_ns) {
                adrift.m.ask();
            } else if self.names_blockers && now_ns - adrift.since_ns >= BLOCKER_NS {
                name_blocker(shared, adrift);
            }
            self.next_adrift += 1;
        }
        self.computing = self.adrift.iter().filter(|adrift| adrift.computes).count();
        self.adrift_due_ns = now_ns + ADRIFT_EVERY_NS;
    }

    /// When it has to look again, even if all is idle: a blocked G may have to be reported.
    pub(super) fn due_ns(&self, now_ns: u64) -> u64 {
        let unreported = |adrift: &Adrift| adrift.m.g().is_some_and(|g| !g.is_reported.load(Ordering::Relaxed));
        let watches = self.names_blockers && self.adrift.iter().any(unreported);
        if watches { now_ns + BLOCKER_NS / 5 } else { NEVER }
    }

    fn set_asking(&mut self, asking: bool) {
        if std::mem::replace(&mut self.is_asking, asking) != asking {
            count_asking(asking);
        }
    }

    /// Whether some G computes without a P, so that it has to be asked.
    pub(super) fn has_computing(&self) -> bool {
        self.computing > 0
    }
}

/// Reports a G that blocks its thread, once.
fn name_blocker(shared: &Shared, adrift: &Adrift) {
    let Some(g) = adrift.m.g().filter(|g| g.id() == adrift.g) else { return };
    if thread_sleeps(adrift.m.tid()) == Some(false) {
        // It has got no CPU, or this is the first look at it.
        return;
    }
    if g.is_reported.swap(true, Ordering::Relaxed) {
        return;
    }
    let Some(text) = describe_blocked(shared, &adrift.m, adrift.g, adrift.since_ns) else { return };
    shared.report(Warning {
        event: format!("a goroutine blocks its thread: {}", text.lines().next().unwrap_or_default()),
        text: format!("pirn: a goroutine blocks its thread\n\n{text}\n"),
    });
}
