//! The state of a runtime, as plain numbers.

use crate::event::Count;
use crate::hooked::waits_by_call;
use crate::netpoll::count_waiters;
use crate::sched::Shared;
use crate::stack::{resident_bytes, slots_out};

/// The state of a runtime, and what has happened in it so far: see [`Runtime::metrics`](crate::Runtime::metrics).
///
/// The counts of events have the names of the `tracing` events under `pirn::sched`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Ps.
    pub procs: usize,
    /// Ps that no M holds.
    pub idle_procs: usize,
    /// Ms: threads that run Gs, or wait for Gs to run. sysmon and the template, which starts Ms, are not among them.
    pub threads: usize,
    /// Ms that sleep until there is something to do.
    pub idle_threads: usize,
    /// Ms that look for a G to run.
    pub searching_threads: usize,
    /// Ms that wait for the G that is locked to them.
    pub locked_threads: usize,
    /// Gs that have been started and have not ended.
    pub goroutines: usize,
    /// Gs that are on an M.
    pub running: usize,
    /// Gs that are ready, and wait for an M.
    pub runnable: usize,
    /// Gs that are parked.
    pub waiting: usize,
    /// Gs on the global queue.
    pub global_queue: usize,
    /// Gs on the local queue of each P; a G in runnext is counted in `runnable` only.
    pub local_queues: Vec<usize>,
    /// Pending timers.
    pub timers: usize,
    /// Descriptors that the runtime watches: something has waited for them, and they have not been closed.
    pub descriptors: usize,
    /// Gs, threads and async tasks that wait for these.
    pub io_waiters: usize,
    /// How often the system was asked which of them are ready, also by waiting for it.
    pub polls: u64,
    /// How often one of them became ready.
    pub poll_events: u64,
    /// How often Gs have waited in calls of libc's, by what dumps say of such a wait, as `recv`. Without the feature
    /// `hook` it is empty.
    pub hooked_waits: Vec<(&'static str, u64)>,
    /// Stacks in use by Gs, or kept by Ps for the next ones; of all runtimes in the process.
    pub stacks: usize,
    /// Memory that stacks have, in bytes; of all runtimes in the process.
    pub stack_bytes: usize,
    /// Gs started.
    pub spawns: u64,
    /// Gs ended.
    pub ends: u64,
    /// How often a G has parked.
    pub parks: u64,
    /// How often a parked G was made ready.
    pub readies: u64,
    /// How often a P stole from another's queue.
    pub steals: u64,
    /// How often an M lost its P, or handed it off, while its G continued or waited.
    pub hand_offs: u64,
    /// How often an M was woken, or started, to look for work: the most expensive event.
    pub wakes: u64,
    /// Threads started.
    pub m_starts: u64,
    /// Threads that have ended. Before the runtime shuts down these are threads that were not needed, or whose G had
    /// locked them and leaked the guard.
    pub m_stops: u64,
}

/// Reads them all.
pub(crate) fn metrics(shared: &Shared) -> Metrics {
    let census = shared.census();
    let running = census.ms.iter().filter(|m| m.g().is_some()).count();
    let ps = &shared.ps;
    let local_queues: Vec<usize> = ps.iter().map(|p| p.queue_len()).collect();
    let next = ps.iter().filter(|p| p.next_id().is_some()).count();
    let runnable = census.global + census.stackless + local_queues.iter().sum::<usize>() + next;
    // The ended ones are read first, so that the difference is never too small.
    let ends = shared.count(Count::Ends);
    let spawns = shared.count(Count::Spawns);
    let goroutines = spawns.saturating_sub(ends) as usize;
    let netpoll = shared.netpoll();
    let (polls, poll_events) = netpoll.counts();
    Metrics {
        procs: ps.len(),
        idle_procs: shared.idle_ps(),
        threads: census.ms.len(),
        idle_threads: census.sleeping.len(),
        searching_threads: shared.searching_ms(),
        locked_threads: census.locked_ms,
        goroutines,
        running,
        runnable,
        waiting: goroutines.saturating_sub(running + runnable),
        global_queue: census.global,
        local_queues,
        timers: ps.iter().map(|p| p.timers.len()).sum(),
        descriptors: netpoll.registered(),
        io_waiters: count_waiters(netpoll),
        polls,
        poll_events,
        hooked_waits: shared.setup.hooked.as_deref().map(waits_by_call).unwrap_or_default(),
        stacks: slots_out(),
        stack_bytes: resident_bytes(),
        spawns,
        ends,
        parks: shared.count(Count::Parks),
        readies: shared.count(Count::Readies),
        steals: shared.count(Count::Steals),
        hand_offs: shared.count(Count::HandOffs),
        wakes: shared.count(Count::Wakes),
        m_starts: shared.count(Count::MStarts),
        m_stops: shared.count(Count::MStops),
    }
}
