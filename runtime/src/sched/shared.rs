//! What the Ms of one runtime share. Each part belongs to the file of its type, and is changed only there; other rooms
//! use the verbs of [`Shared`] that stand in these files.

use super::closing::Closing;
use super::coarse_clock::CoarseClock;
use super::global::GlobalLen;
use super::idle::Idle;
use super::keeper::Keeper;
use super::poller::Poller;
use super::queues::Queues;
use super::setup::Setup;
use super::stalls::Stalls;
use super::sysmon_link::SysmonLink;
use super::warnings::Warnings;
use crate::p::P;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// One runtime.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What it was built with, and its Ps: neither changes.
    pub(crate) setup: Setup,
    pub(crate) ps: Box<[P]>,
    /// How many Ps are idle and how many Ms search; until when the keeper sleeps. Read at every wake, so each has cache
    /// lines of its own.
    pub(super) idle: CachePadded<Idle>,
    pub(super) keeper: CachePadded<Keeper>,
    pub(super) poller: Poller,
    pub(super) global_len: GlobalLen,
    /// The scheduler's lock ([`lock`](Shared::lock)).
    pub(super) queues: CachePadded<Mutex<Queues>>,
    pub(super) clock: CoarseClock,
    pub(super) closing: Closing,
    pub(super) stalls: Stalls,
    pub(super) sysmon: SysmonLink,
    pub(super) warnings: Warnings,
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
    me: Weak<Shared>,
}

impl Shared {
    /// A runtime with all Ps idle and no M yet.
    pub(crate) fn new(setup: Setup) -> Arc<Shared> {
        let procs = setup.procs;
        Arc::new_cyclic(|me| Shared {
            ps: (0..procs).map(P::new).collect(),
            idle: CachePadded::new(Idle::new(procs as u32)),
            keeper: CachePadded::new(Keeper::new()),
            poller: Poller,
            global_len: GlobalLen::new(),
            queues: CachePadded::new(Mutex::new(Queues::new(procs))),
            clock: CoarseClock::new(),
            closing: Closing::new(),
            stalls: Stalls::new(),
            sysmon: SysmonLink::new(),
            warnings: Warnings::new(),
            foreign_spawned: AtomicU64::new(0),
            foreign_retired: AtomicU64::new(0),
            foreign_parks: AtomicU64::new(0),
            foreign_readies: AtomicU64::new(0),
            wakes: AtomicU64::new(0),
            m_starts: AtomicU64::new(0),
            m_stops: AtomicU64::new(0),
            me: me.clone(),
            setup,
        })
    }

    /// The runtime itself, to be kept.
    pub(crate) fn arc(&self) -> Arc<Shared> {
        self.me.upgrade().expect("the caller keeps the runtime")
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
}
