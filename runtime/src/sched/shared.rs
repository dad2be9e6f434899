//! What the Ms of one runtime share.

use super::idle::Idle;
use super::keeper::Keeper;
use super::setup::Setup;
use super::warnings::Warning;
use crate::g::Runnable;
use crate::m::M;
use crate::p::{OwnedP, P};
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::thread::{JoinHandle, Thread};

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
    /// Gs started and ended by who holds no P of this runtime. This and the counts below are of 64 bits, which never wrap.
    pub(crate) foreign_spawned: AtomicU64,
    pub(crate) foreign_retired: AtomicU64,
    /// Gs parked and made ready by who holds no P.
    pub(crate) foreign_parks: AtomicU64,
    pub(crate) foreign_readies: AtomicU64,
    /// Ms that were woken or started with a P; that have begun; that have ended before the runtime.
    pub(crate) wakes: AtomicU64,
    pub(crate) m_starts: AtomicU64,
    pub(crate) m_stops: AtomicU64,
    /// How many [`Handle`](crate::Handle)s there are. It can not overflow: each has an `Arc` of this, which aborts before.
    pub(crate) handles: AtomicUsize,
    /// The number of the next M. It wraps: after four billion threads two Ms may have the same, to observers.
    pub(crate) next_m: AtomicU32,
    pub(crate) began_ns: u64,
    /// Somebody is in `Queues::stalled`.
    pub(crate) has_stalled: AtomicBool,
    /// How often a G has found no stack.
    pub(crate) stalls: AtomicU64,
    pub(super) thread_warned: AtomicBool,
    pub(super) stack_warned: AtomicBool,
    pub(super) alt_stack_warned: AtomicBool,
    /// What sysmon is to say: who finds it must not wait for a reader, and a subscriber is the user's code, which must not
    /// run inside a section.
    pub(super) warnings: Mutex<Vec<Warning>>,
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
            foreign_spawned: AtomicU64::new(0),
            foreign_retired: AtomicU64::new(0),
            foreign_parks: AtomicU64::new(0),
            foreign_readies: AtomicU64::new(0),
            wakes: AtomicU64::new(0),
            m_starts: AtomicU64::new(0),
            m_stops: AtomicU64::new(0),
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
        // The ended ones first: each of them was counted as started before, so the difference is never too small to
        // be true at some moment in between, and 0 means 0 once no G can be started any more.
        let retired = self.ended_gs();
        self.spawned_gs().saturating_sub(retired)
    }

    /// How many Gs have been started.
    pub(crate) fn spawned_gs(&self) -> u64 {
        self.foreign_spawned.load(Ordering::SeqCst) + self.ps.iter().map(P::spawned).sum::<u64>()
    }

    /// How many Gs have ended.
    pub(crate) fn ended_gs(&self) -> u64 {
        self.foreign_retired.load(Ordering::Acquire) + self.ps.iter().map(P::retired).sum::<u64>()
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
}
