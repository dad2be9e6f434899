//! What the Ms of one runtime share, and the way into it from a G.

use super::idle::Idle;
use super::keeper::Keeper;
use crate::event::{Count, Counters, is_heard};
use crate::g::Runnable;
use crate::locals::Locals;
use crate::m::{M, current};
use crate::p::{OwnedP, P};
use crate::probe::DeadlockReport;
use crate::stack::{Class, StackError};
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::thread::{JoinHandle, Thread};

/// A hook that runs on an M's thread.
pub(crate) type Hook = Arc<dyn Fn() + Send + Sync>;

/// What a runtime is built with.
pub(crate) struct Setup {
    pub(crate) procs: usize,
    pub(crate) class: Class,
    pub(crate) locals: Locals,
    /// How much of a slot is set aside for thread-locals.
    pub(crate) room_bytes: usize,
    pub(crate) max_threads: usize,
    pub(crate) deadlock: DeadlockReport,
    /// How long nothing may run before that is reported.
    pub(crate) stall_ns: u64,
    /// Gs are dumped when the runtime ends, and when there is a SIGQUIT.
    pub(crate) dumps_on_exit: bool,
    pub(crate) dumps_on_signal: bool,
    /// Gs that block their threads for long are reported.
    pub(crate) names_blockers: bool,
    /// Every P is taken from its M all the time: for tests.
    pub(crate) retakes_eagerly: bool,
    pub(crate) name: String,
    pub(crate) thread_name: Option<Arc<dyn Fn(usize) -> String + Send + Sync>>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("procs", &self.procs).field("name", &self.name).finish_non_exhaustive()
    }
}

/// What sysmon is to say.
#[derive(Debug)]
pub(crate) struct Warning {
    /// For standard error, with a line end.
    pub(crate) text: String,
    /// For a subscriber, in one line.
    pub(crate) event: String,
}

/// One runtime.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) setup: Setup,
    pub(crate) ps: Box<[P]>,
    pub(crate) idle: CachePadded<Idle>,
    pub(crate) keeper: CachePadded<Keeper>,
    /// The length of the global queue, read without the lock.
    pub(crate) global_len: CachePadded<AtomicUsize>,
    queues: CachePadded<Mutex<Queues>>,
    /// Nanoseconds on the monotonic clock, a little old: kept by sysmon and by Ms that read the clock anyway.
    pub(crate) coarse_ns: CachePadded<AtomicU64>,
    /// No new Gs; whoever parks is unwound.
    pub(crate) closing: AtomicBool,
    /// sysmon sleeps because every P is idle; who takes a P wakes it.
    pub(crate) sysmon_asleep: AtomicBool,
    /// sysmon sleeps for long, though there are Ps that are held.
    pub(crate) sysmon_drowsy: AtomicBool,
    pub(crate) sysmon: OnceLock<Thread>,
    /// sysmon's number among the Ms, and the kernel's number of its thread.
    pub(crate) sysmon_id: u32,
    pub(crate) sysmon_tid: AtomicI32,
    /// The kernel's number of the template's thread.
    pub(crate) template_tid: AtomicI32,
    /// What has happened without a P of this runtime.
    pub(crate) counters: Counters,
    /// Somebody hears what happens: looked at on the path of a switch, where a static costs twice as much.
    pub(crate) is_heard: bool,
    /// How many [`Handle`](crate::Handle)s there are. It can not overflow: each has an `Arc` of this, which aborts before.
    pub(crate) handles: AtomicUsize,
    /// The number of the next M. It wraps: after four billion threads two Ms may have the same, to observers.
    pub(crate) next_m: AtomicU32,
    pub(crate) began_ns: u64,
    /// Somebody is in `Queues::stalled`.
    pub(crate) has_stalled: AtomicBool,
    /// How often a G has found no stack.
    pub(crate) stalls: AtomicU64,
    thread_warned: AtomicBool,
    stack_warned: AtomicBool,
    alt_stack_warned: AtomicBool,
    /// What sysmon is to say: who finds it must not wait for a reader, and a subscriber is the user's code, which must not
    /// run inside a section.
    warnings: Mutex<Vec<Warning>>,
    me: Weak<Shared>,
}

/// What the scheduler's lock guards.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) global: VecDeque<Runnable>,
    pub(crate) idle_ps: Vec<usize>,
    pub(crate) idle_ms: Vec<Arc<M>>,
    pub(crate) keeper: Option<Arc<M>>,
    /// Every M, those too that have no thread yet.
    pub(crate) ms: Vec<(Arc<M>, Option<JoinHandle<()>>)>,
    /// So many of them wait for a G that is locked to them.
    pub(crate) locked_ms: usize,
    /// Of those, whose G panics: it did not ask for a thread of its own, so they do not count as too many.
    pub(crate) panicking_ms: usize,
    /// Ms that have ended or are about to, of which somebody may want to know that they have.
    pub(crate) departed: Vec<(Arc<M>, Option<JoinHandle<()>>)>,
    /// Gs that found no stack for their first run; they wait until one is given back.
    pub(crate) stalled: Vec<Runnable>,
    /// Every M ends as soon as it has nothing to run.
    pub(crate) stopping: bool,
    /// There was work and an idle P, but no M to be had. The next M that is free takes a P; sysmon tries again.
    pub(crate) starved: bool,
    /// The thread that starts the Ms' threads, and the Ms that wait for it to do so, with a P in their hands.
    pub(super) template: Option<JoinHandle<()>>,
    pub(super) to_start: VecDeque<Arc<M>>,
    /// The system had no thread: nobody asks for one before then.
    pub(super) no_thread_until_ns: u64,
}

/// A global queue that has been longer than this gives its memory back when it is empty.
const GLOBAL_KEPT: usize = 4096;

impl Queues {
    /// Takes the next G of the global queue.
    pub(crate) fn pop_global(&mut self) -> Option<Runnable> {
        let g = self.global.pop_front();
        if self.global.is_empty() && self.global.capacity() > GLOBAL_KEPT {
            self.global = VecDeque::new();
        }
        g
    }
}

impl Shared {
    /// A runtime with all Ps idle and no M yet.
    pub(crate) fn new(setup: Setup) -> Arc<Shared> {
        let procs = setup.procs;
        let now = crate::os::now_ns();
        Arc::new_cyclic(|me| Shared {
            ps: (0..procs).map(P::new).collect(),
            idle: CachePadded::new(Idle::new(procs as u32)),
            keeper: CachePadded::new(Keeper::new()),
            global_len: CachePadded::new(AtomicUsize::new(0)),
            queues: CachePadded::new(Mutex::new(Queues {
                global: VecDeque::new(),
                idle_ps: (0..procs).rev().collect(),
                idle_ms: Vec::new(),
                keeper: None,
                ms: Vec::new(),
                locked_ms: 0,
                panicking_ms: 0,
                departed: Vec::new(),
                stalled: Vec::new(),
                stopping: false,
                starved: false,
                template: None,
                to_start: VecDeque::new(),
                no_thread_until_ns: 0,
            })),
            coarse_ns: CachePadded::new(AtomicU64::new(now)),
            closing: AtomicBool::new(false),
            sysmon_asleep: AtomicBool::new(false),
            sysmon_drowsy: AtomicBool::new(false),
            sysmon: OnceLock::new(),
            // The first M is 0.
            sysmon_id: 1,
            sysmon_tid: AtomicI32::new(0),
            template_tid: AtomicI32::new(0),
            counters: Counters::new(),
            is_heard: is_heard(),
            handles: AtomicUsize::new(0),
            next_m: AtomicU32::new(0),
            began_ns: now,
            has_stalled: AtomicBool::new(false),
            stalls: AtomicU64::new(0),
            thread_warned: AtomicBool::new(false),
            stack_warned: AtomicBool::new(false),
            alt_stack_warned: AtomicBool::new(false),
            warnings: Mutex::new(Vec::new()),
            me: me.clone(),
            setup,
        })
    }

    /// The runtime itself, to be kept.
    pub(crate) fn arc(&self) -> Arc<Shared> {
        self.me.upgrade().expect("the caller keeps the runtime")
    }

    /// The scheduler's lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queues> {
        // A panic under the lock can only be an allocation that failed, before anything was changed.
        self.queues.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Notes the length of the global queue after it changed, under the lock.
    pub(crate) fn publish_global(&self, queues: &Queues) {
        self.global_len.store(queues.global.len(), Ordering::Release);
    }

    /// Gives the free stacks of idle Ps to everybody, so that they can be trimmed.
    pub(crate) fn flush_idle_stacks(&self) {
        let queues = self.lock();
        for &id in &queues.idle_ps {
            // SAFETY: an idle P belongs to who holds the lock.
            unsafe { OwnedP::of(&self.ps[id]) }.stacks().flush();
        }
    }

    /// Reads the clock, for all.
    pub(crate) fn refresh_clock(&self) -> u64 {
        let now = crate::os::now_ns();
        self.coarse_ns.store(now, Ordering::Relaxed);
        now
    }

    /// Milliseconds since the start, a little old. They wrap after 49 days: who compares two of them takes the difference.
    #[inline]
    pub(crate) fn coarse_ms(&self) -> u32 {
        (self.coarse_ns.load(Ordering::Relaxed).saturating_sub(self.began_ns) / 1_000_000) as u32
    }

    /// Whether Gs are unwound instead of parked.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// How many Gs have been started and have not ended.
    pub(crate) fn live_gs(&self) -> u64 {
        // The ended ones first: each of them was counted as started before (event I3), so the difference is never too
        // small to be true at some moment in between, and 0 means 0 once no G can be started any more.
        let ended = self.count(Count::Ends);
        self.count(Count::Spawns).saturating_sub(ended)
    }

    /// How often something has happened, on all Ps and without one.
    pub(crate) fn count(&self, of: Count) -> u64 {
        self.counters.get(of) + self.ps.iter().map(|p| p.count(of)).sum::<u64>()
    }

    /// Says once that the system gave no thread.
    pub(crate) fn warn_no_thread(&self, error: &std::io::Error) {
        if !self.thread_warned.swap(true, Ordering::Relaxed) {
            self.warn(format!(
                "no thread for the runtime {:?}: {error}; it goes on with those that it has, so goroutines that block \
                 their threads may hold up others. Raise the limit on threads (ulimit -u, pids.max of the cgroup, \
                 kernel.threads-max), on address space (ulimit -v) or on mappings (vm.max_map_count)",
                self.setup.name
            ));
        }
    }

    /// Says once that there was no stack for a new G.
    pub(crate) fn warn_no_stack(&self, error: &StackError) {
        if !self.stack_warned.swap(true, Ordering::Relaxed) {
            self.warn(format!(
                "no stack for a new goroutine of the runtime {:?}, which waits for one: {error}",
                self.setup.name
            ));
        }
    }

    /// Says once that a thread has no alternate stack, without which an overflow is a bare SIGSEGV.
    pub(crate) fn warn_no_alt_stack(&self, error: &std::io::Error) {
        if !self.alt_stack_warned.swap(true, Ordering::Relaxed) {
            self.warn(format!(
                "no alternate stack for signals for a thread of the runtime {:?}: {error}; stack overflows may not be named. \
                 Raise the limit on address space (ulimit -v) or on mappings (vm.max_map_count)",
                self.setup.name
            ));
        }
    }

    /// Has sysmon warn, in one line.
    pub(crate) fn warn(&self, what: String) {
        self.report(Warning { text: format!("pirn: {what}\n"), event: what });
    }

    /// Has sysmon warn.
    pub(crate) fn report(&self, warning: Warning) {
        self.warnings.lock().unwrap_or_else(|e| e.into_inner()).push(warning);
        if let Some(sysmon) = self.sysmon.get() {
            sysmon.unpark();
        }
    }

    /// Work was queued that nobody may come to, as all Ps are held, or by Ms that block. Has sysmon look, which is late
    /// without this, and not too late.
    pub(crate) fn poke_sysmon(&self) {
        self.wake_sysmon_if(&self.sysmon_drowsy);
    }

    /// Wakes sysmon, if it sleeps because every P is idle: there is something that it has to try again.
    pub(crate) fn wake_sysmon(&self) {
        self.wake_sysmon_if(&self.sysmon_asleep);
    }

    fn wake_sysmon_if(&self, sleeps: &AtomicBool) {
        if sleeps.load(Ordering::Acquire)
            && sleeps.swap(false, Ordering::AcqRel)
            && let Some(sysmon) = self.sysmon.get()
        {
            sysmon.unpark();
        }
    }

    /// What there is to warn of.
    pub(crate) fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(|e| e.into_inner()))
    }
}

/// The runtime, entered from a G's own code: the M may use its P until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    m: &'a M,
    leave: bool,
}

impl<'a> Entered<'a> {
    /// Enters. None on a thread that is no M. `'a` must end before the next suspension point: it is the caller's
    /// function, which does not suspend while it has this.
    #[inline(always)]
    pub(crate) fn new() -> Option<Entered<'a>> {
        let m = current::machine();
        // SAFETY: an M lives as long as its thread runs (m I3).
        let m = unsafe { m.as_ref() }?;
        let leave = m.section.enter();
        Some(Entered { m, leave })
    }

    /// The P of this M, if it has one and it belongs to that runtime.
    #[inline(always)]
    pub(crate) fn p_of(&self, shared: *const Shared) -> Option<OwnedP<'a>> {
        if self.m.shared_ptr() != shared {
            return None;
        }
        self.p()
    }

    /// The P of this M.
    #[inline(always)]
    pub(crate) fn p(&self) -> Option<OwnedP<'a>> {
        // SAFETY: the M is in its section until `self` is dropped.
        unsafe { self.m.p() }
    }

    /// This M.
    #[inline(always)]
    pub(crate) fn m(&self) -> &'a M {
        self.m
    }

    /// Whether a G called, and not the M loop.
    #[inline(always)]
    pub(crate) fn on_g(&self) -> bool {
        self.m.g().is_some()
    }

    /// The runtime of this M.
    #[inline(always)]
    pub(crate) fn shared(&self) -> &'a Shared {
        // SAFETY: an M's runtime lives as long as its thread.
        unsafe { &*self.m.shared_ptr() }
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.leave {
            self.m.section.leave();
        }
    }
}
