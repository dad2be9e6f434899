//! Ms that keep their P from others: which of them block, which compute for long, and what becomes of their Ps.
//!
//! An M that has picked nothing since the last look is in one G's code. If its thread was asleep in the kernel at two
//! looks and has not computed in between, its P is taken. If it computes, while others wait and no P is idle, its G is
//! asked after a slice of 10 ms to let them run, which calls of the runtime heed, and at the look after that the P is
//! taken. Either way the G goes on, without a P. Those that compute without one are adrift: they are asked too, until
//! they come to a call and queue for a P.

use crate::config::{ADRIFT_PER_P, BLOCKER_NS, SLICE_NS};
use crate::m::{M, count_asking};
use crate::observe::describe_blocked;
use crate::os::{thread_cpu_ns, thread_sleeps, write_stderr};
use crate::p::P;
use crate::sched::{Setup, Shared};
use crate::timers::NEVER;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Those adrift are looked at so often at most; many of them less often.
const ADRIFT_EVERY_NS: u64 = 1_000_000;
const ADRIFT_EACH_NS: u64 = 5_000;

/// What has been seen of one P.
struct Slice {
    /// How many Gs it had picked, and whose it was.
    picks: u32,
    holder: u32,
    /// The M with that number, once it has been looked for.
    m: Option<Arc<M>>,
    /// When this pick was first seen.
    since_ns: u64,
    cpu: CpuClock,
    /// It was seen to be asleep at the last look.
    was_asleep: bool,
    /// It has been asked.
    asked: bool,
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

    /// Whether the thread sleeps in the kernel, and has not computed since the last look. One that has computed nearly all
    /// the time is not asked for: that is the dear part.
    fn says_asleep(&mut self, tid: i32, now_ns: u64) -> (bool, bool) {
        let computed = self.read(tid, now_ns);
        if computed.is_some_and(|(cpu_ns, ns)| cpu_ns > ns - ns / 8) {
            return (false, false);
        }
        let rested = computed.is_some_and(|(cpu_ns, _)| cpu_ns == 0);
        // Without procfs, what has not computed at all is taken to be asleep.
        (thread_sleeps(tid).unwrap_or(rested), rested)
    }
}

/// An M whose P was taken, for as long as it is in the same G's code.
struct Adrift {
    m: Arc<M>,
    g: u64,
    /// When it was first seen in that code.
    since_ns: u64,
    cpu: CpuClock,
}

/// What a look has brought.
#[derive(Default)]
pub(super) struct Looked {
    /// A P was taken, or freed of what it hid.
    pub(super) helped: bool,
    /// An M was seen to sleep, for the first time: look again at once.
    pub(super) suspects: bool,
    /// Some P has picked lately, or its M may block any moment: look again soon.
    pub(super) is_lively: bool,
}

/// See the head of this file.
pub(super) struct Watch {
    slices: Vec<Slice>,
    adrift: Vec<Adrift>,
    adrift_due_ns: u64,
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
        let unseen = || Slice {
            picks: 0,
            holder: u32::MAX,
            m: None,
            since_ns: 0,
            cpu: CpuClock::default(),
            was_asleep: false,
            asked: false,
        };
        Watch {
            slices: (0..setup.procs).map(|_| unseen()).collect(),
            adrift: Vec::new(),
            adrift_due_ns: 0,
            computing: 0,
            is_asking: false,
            names_blockers: setup.names_blockers,
            is_eager: setup.retakes_eagerly,
        }
    }

    /// Looks at all Ps, and does what is to be done.
    pub(super) fn look(&mut self, shared: &Shared, now_ns: u64) -> Looked {
        let mut looked = Looked::default();
        for p in &shared.ps {
            self.look_at(shared, p, now_ns, &mut looked);
        }
        self.look_adrift(shared, now_ns);
        self.set_asking(self.computing > 0 || self.slices.iter().any(|slice| slice.asked));
        looked.is_lively |= self.is_asking;
        looked
    }

    /// Nobody is asked any more.
    pub(super) fn stop(&mut self) {
        self.set_asking(false);
    }

    fn look_at(&mut self, shared: &Shared, p: &P, now_ns: u64, looked: &mut Looked) {
        let slice = &mut self.slices[p.id];
        let (picks, holder) = (p.picks(), p.holder());
        if (picks, holder) != (slice.picks, slice.holder) {
            let m = slice.m.take().filter(|m| m.id == holder);
            let cpu = if m.is_some() { std::mem::take(&mut slice.cpu) } else { CpuClock::default() };
            *slice = Slice { picks, holder, m, since_ns: now_ns, cpu, was_asleep: false, asked: false };
            looked.is_lively = true;
            p.note_seen(picks, now_ns);
            // One that has picked lately is looked at closer only if its P would be of use to others.
            if !self.is_eager && !p.has_hidden() && !shared.has_visible_work() {
                return;
            }
        }
        if slice.m.is_none() {
            slice.m = shared.machine(holder);
        }
        let Some(m) = slice.m.clone() else { return };
        if !std::ptr::eq(m.p_ptr(), p) || m.section.is_inside() {
            slice.asked = false;
            return;
        }
        // Twice, and nothing in between: what sleeps for a moment, in a lock or a page fault, keeps its P.
        let (is_asleep, rested) = slice.cpu.says_asleep(m.tid(), now_ns);
        let was_asleep = std::mem::replace(&mut slice.was_asleep, is_asleep);
        let asleep = is_asleep && was_asleep && rested;
        looked.suspects |= is_asleep;
        looked.is_lively |= is_asleep || now_ns - slice.since_ns < SLICE_NS;
        if asleep || self.is_eager || self.is_overdue(shared, p, &m, now_ns) {
            looked.helped |= self.take(shared, p, &m);
        } else if p.has_hidden() && shared.idle.idle_ps() > 0 {
            looked.helped |= shared.free_stuck(&m);
        }
    }

    /// Whether an M that computes has been asked to let others run and has not done so. Asks it if it is time to.
    fn is_overdue(&mut self, shared: &Shared, p: &P, m: &M, now_ns: u64) -> bool {
        let slice = &mut self.slices[p.id];
        let slice_ns = SLICE_NS + SLICE_NS * self.computing as u64 / (ADRIFT_PER_P * shared.ps.len()) as u64;
        let others_wait = || shared.has_visible_work() || p.has_hidden() || shared.earliest_ns() <= now_ns;
        if now_ns - slice.since_ns < slice_ns || shared.idle.idle_ps() > 0 || !others_wait() {
            slice.asked = false;
            return false;
        }
        if !std::mem::replace(&mut slice.asked, true) {
            m.ask();
            return false;
        }
        shared.has_m_to_spare()
    }

    fn take(&mut self, shared: &Shared, p: &P, m: &Arc<M>) -> bool {
        let Some(g) = m.g().map(|g| g.id()) else { return false };
        if !shared.retake(m, p) {
            return false;
        }
        self.slices[p.id].asked = false;
        let since_ns = self.slices[p.id].since_ns;
        // It may be listed already, for an earlier P.
        self.adrift.retain(|adrift| !Arc::ptr_eq(&adrift.m, m));
        self.adrift.push(Adrift { m: m.clone(), g, since_ns, cpu: CpuClock::default() });
        true
    }

    /// Asks those that compute without a P. One that blocks will come by itself when it has a P, or computes.
    fn look_adrift(&mut self, shared: &Shared, now_ns: u64) {
        if self.adrift.is_empty() || now_ns < self.adrift_due_ns {
            return;
        }
        self.computing = 0;
        self.adrift.retain_mut(|adrift| {
            let m = &adrift.m;
            // While its subscriber is told of something an M seems to have no G; an idle one is in the runtime.
            let is_off_duty = m.g().is_none() && !m.section.is_inside();
            if !m.p_ptr().is_null() || !is_off_duty && m.g().is_none_or(|g| g.id() != adrift.g) {
                return false;
            }
            let computes = adrift.cpu.read(m.tid(), now_ns).is_some_and(|(cpu_ns, _)| cpu_ns > 0);
            if computes {
                m.ask();
                self.computing += 1;
            } else if self.names_blockers && now_ns - adrift.since_ns >= BLOCKER_NS {
                name_blocker(shared, adrift);
            }
            true
        });
        self.adrift_due_ns = now_ns + ADRIFT_EVERY_NS.max(ADRIFT_EACH_NS * self.adrift.len() as u64);
    }

    /// When it wants to look again, however idle all is: somebody may have to be reported.
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
    if g.is_reported.swap(true, Ordering::Relaxed) {
        return;
    }
    let Some(text) = describe_blocked(shared, &adrift.m, adrift.g, adrift.since_ns) else { return };
    write_stderr(format!("pirn: a goroutine blocks its thread\n\n{text}\n").as_bytes());
    shared.warn(format!("a goroutine blocks its thread: {}", text.lines().next().unwrap_or_default()));
}
