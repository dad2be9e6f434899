//! What the Ms of one runtime share. Each part belongs to the file of its type, and is changed only there; other rooms
//! use the verbs of [`Shared`] that stand in these files.

#![cfg(not(loom))]

use super::arrivals::Width;
use super::closing::Closing;
use super::coarse_clock::CoarseClock;
use super::global::GlobalLen;
use super::idle::Idle;
use super::keeper::Keeper;
use super::poller::Poller;
use super::queues::Queues;
use super::setup::Setup;
use super::stackless::Stackless;
use super::sysmon_link::SysmonLink;
use super::warnings::Warnings;
use crate::clock::Reader;
use crate::event::{Count, Counters, is_heard};
use crate::os::Mutex;
use crate::p::P;
use crossbeam_utils::CachePadded;
use std::sync::{Arc, Weak};

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
    pub(super) width: Width,
    pub(super) global_len: GlobalLen,
    /// The scheduler's lock ([`lock`](Shared::lock)).
    pub(super) queues: CachePadded<Mutex<Queues>>,
    pub(super) clock: CoarseClock,
    pub(super) closing: Closing,
    pub(super) stackless: Stackless,
    pub(super) sysmon: SysmonLink,
    pub(super) warnings: Warnings,
    /// Counts what happens without a P of this runtime.
    pub(crate) counters: Counters,
    /// Whether there is a listener or a subscriber. Read on the path of a switch, where a static costs twice as much.
    pub(crate) is_heard: bool,
    me: Weak<Shared>,
    _reads_clock: Reader,
}

impl Shared {
    /// A runtime with all Ps idle and no M yet.
    pub(crate) fn new(setup: Setup) -> Arc<Shared> {
        let procs = setup.procs;
        Arc::new_cyclic(|me| Shared {
            ps: (0..procs).map(P::new).collect(),
            idle: CachePadded::new(Idle::new(procs as u32)),
            keeper: CachePadded::new(Keeper::new()),
            poller: Poller::new(),
            width: Width::new(setup.width.unwrap_or(procs)),
            global_len: GlobalLen::new(),
            queues: CachePadded::new(Mutex::new(Queues::new(procs))),
            clock: CoarseClock::new(),
            closing: Closing::new(),
            stackless: Stackless::new(),
            sysmon: SysmonLink::new(),
            warnings: Warnings::new(),
            counters: Counters::new(),
            is_heard: is_heard(),
            me: me.clone(),
            _reads_clock: Reader::new(),
            setup,
        })
    }

    /// A reference that keeps the runtime.
    pub(crate) fn arc(&self) -> Arc<Shared> {
        self.me.upgrade().expect("the caller keeps the runtime")
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
}
