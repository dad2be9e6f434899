//! How Ms start and end, and when there may be another.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a `Me` is made here: the caller is an M inside its section")]

use super::queues::Queues;
use super::shared::Shared;
use super::sysmon_link::SYSMON_ID;
use crate::m::emit::emit;
use crate::m::{M, Me, current};
use crate::os;
use crate::p::FreeP;
use crate::probe::{complain, fatal};
use crate::user_code::contain;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long to wait before looking again at the Ms that have to end.
const PAUSE: Duration = Duration::from_micros(50);

/// An M, and the thread that it has been given.
type Listed = (Arc<M>, Option<JoinHandle<()>>);

/// The Ms of a runtime, under the scheduler's lock.
#[derive(Debug)]
pub(super) struct Machines {
    /// Every M, those too that have no thread yet.
    all: Vec<Listed>,
    /// Ms that have ended or are about to, which a shutdown waits for.
    departed: Vec<Listed>,
    /// The number of the next M. It wraps: after four billion threads two Ms may have the same, to observers.
    next_id: u32,
    /// How many of them wait for a G that is locked to them.
    locked: usize,
    /// How many of these have a G that panics: it did not ask for a thread of its own, so they do not count for the
    /// limit.
    panicking: usize,
    /// Every M ends as soon as it has nothing to run.
    is_stopping: bool,
}

impl Machines {
    /// None yet.
    pub(super) fn new() -> Machines {
        Machines { all: Vec::new(), departed: Vec::new(), next_id: 0, locked: 0, panicking: 0, is_stopping: false }
    }

    /// Every M, those too that have no thread yet.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<M>> {
        self.all.iter().map(|(m, _)| m)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many wait for a G that is locked to them.
    pub(super) fn count_locked(&self) -> usize {
        self.locked
    }

    /// Whether every M ends as soon as it has nothing to run.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// An M begins to wait for a G that is locked to it, which may panic.
    pub(super) fn begin_locked_wait(&mut self, panics: bool) {
        self.locked += 1;
        self.panicking += usize::from(panics);
    }

    /// It has got the G.
    pub(super) fn end_locked_wait(&mut self, panics: bool) {
        self.locked -= 1;
        self.panicking -= usize::from(panics);
    }

    /// A new M without a thread.
    fn add(&mut self, shared: &Shared) -> Arc<M> {
        // One number is sysmon's.
        let id = self.next_id.wrapping_add(u32::from(self.next_id >= SYSMON_ID));
        self.next_id = self.next_id.wrapping_add(1);
        let m = M::new(id, shared);
        self.all.push((m.clone(), None));
        m
    }

    /// The thread of `m` has been started. It may have ended already, or be about to.
    pub(super) fn has_started(&mut self, m: &M, thread: JoinHandle<()>) {
        let Some(at) = self.position(m) else {
            // `stop_machines` takes only those that have their thread.
            fatal("an M has gone before it was started");
        };
        self.all[at].1 = Some(thread);
        if m.has_departed.load(Ordering::Relaxed) {
            let departed = self.all.swap_remove(at);
            self.departed.push(departed);
        }
    }

    /// There is no thread for `m`.
    pub(super) fn has_not_started(&mut self, m: &M) {
        if let Some(at) = self.position(m) {
            self.all.swap_remove(at);
        }
    }

    /// `m` ends. Returns those that have ended before, to be dropped without the lock: it is a system call for each.
    fn depart(&mut self, m: &M) -> Vec<Listed> {
        m.has_departed.store(true, Ordering::Relaxed);
        let ended = |thread: &Option<JoinHandle<()>>| thread.as_ref().is_none_or(JoinHandle::is_finished);
        let gone = self.departed.extract_if(.., |(_, thread)| ended(thread)).collect();
        // Without a thread it is being started, and `has_started` does this.
        if let Some(at) = self.position(m).filter(|at| self.all[*at].1.is_some()) {
            let departs = self.all.swap_remove(at);
            self.departed.push(departs);
        }
        gone
    }

    /// Takes all that have a thread, also those that have departed. Whether others are just being started: they have
    /// one soon, or are gone.
    fn take_started(&mut self, into: &mut Vec<Listed>) -> bool {
        into.extend(self.all.extract_if(.., |(_, thread)| thread.is_some()));
        into.append(&mut self.departed);
        !self.all.is_empty()
    }

    fn position(&self, m: &M) -> Option<usize> {
        self.all.iter().position(|(other, _)| ptr::eq(&**other, m))
    }
}

/// What an M's thread does, from its beginning to its end.
pub(crate) fn machine_main(shared: &Arc<Shared>, m: &Arc<M>) {
    current::begin_machine(Arc::as_ptr(m));
    m.begin_thread();
    // Without this the keeper is 50 us late.
    os::set_timer_slack_ns(1);
    // Without an alternate stack an overflow is a bare SIGSEGV, which is worth a warning and no more.
    let alt_stack = os::AltStack::install().map_err(|error| shared.warn_no_alt_stack(&error));
    run_hook(shared.setup.on_start.as_deref());
    emit!(&shared.counters, MStart { m: m.id }).deliver();
    // SAFETY: this is its own thread, which is inside from the beginning; it goes outside by way of this.
    let mut me = unsafe { Me::of(m) };
    // Kept: a payload may panic when it is dropped, and this is the end.
    let ended = catch_unwind(AssertUnwindSafe(|| shared.run(&mut me)));
    if ended.is_err() {
        fatal("an M of the scheduler panicked");
    }
    emit!(&shared.counters, MStop { m: m.id }).deliver();
    run_hook(shared.setup.on_stop.as_deref());
    drop(alt_stack);
    current::set_machine(ptr::null());
}

fn run_hook(hook: Option<&(dyn Fn() + Send + Sync)>) {
    let Some(hook) = hook else { return };
    if contain(hook).is_none() {
        complain("pirn: a thread hook panicked (Builder::on_thread_start, on_thread_stop)");
    }
}

impl Shared {
    /// Starts the first M, from the thread that builds the runtime, so that a system without threads says so at once.
    ///
    /// # Errors
    /// What the system says when it has no thread.
    pub(crate) fn start_first_m(&self) -> io::Result<()> {
        let mut queues = self.lock();
        let p = self.take_idle_p(&mut queues).expect("every P is idle");
        let m = self.new_m(&mut queues, p);
        drop(queues);
        self.start_thread(&m)
    }

    /// A new M that begins with `p`. It is in the list, and has no thread yet.
    pub(super) fn new_m(&self, queues: &mut Queues, p: FreeP<'_>) -> Arc<M> {
        let m = queues.machines.add(self);
        m.hand(p);
        m
    }

    /// Whether one more thread is allowed.
    pub(super) fn may_start_m(&self, queues: &Queues) -> bool {
        // Those of a runtime that was shut down with Gs left are not in the list any more.
        let Machines { all, panicking, .. } = &queues.machines;
        all.len().saturating_sub(*panicking) < self.setup.max_threads
    }

    /// Whether a P that is taken from a G that computes could go to an M: one that sleeps, or one more thread. Some
    /// threads are kept for Gs that block: otherwise the next G that blocks would find none.
    pub(crate) fn has_m_to_spare(&self) -> bool {
        let queues = self.lock();
        let sleeps = queues.idle.sleepers().next().is_some();
        sleeps || self.may_ask_for_m(&queues) && queues.machines.len() + self.ps.len() < self.setup.max_threads
    }

    /// The M has slept for long, and as many others sleep as there are Ps: it leaves, and its thread ends.
    pub(super) fn may_leave(&self, m: &M) -> bool {
        let mut queues = self.lock();
        // Only a holder of the lock takes it out of the list, so it is handed no P.
        let leaves = queues.idle.has_spare_m(self.ps.len()) && queues.idle.remove_m(m);
        drop(queues);
        if leaves {
            self.depart(m);
        }
        leaves
    }

    /// The M ends before its runtime does.
    #[cold]
    pub(super) fn depart(&self, m: &M) {
        let gone = self.lock().machines.depart(m);
        // Without the lock.
        drop(gone);
    }

    /// Whether the M must end: the runtime stops, and the M has been handed no P. Then it leaves the lists.
    pub(super) fn must_stop(&self, m: &M) -> bool {
        let mut queues = self.lock();
        if !queues.machines.is_stopping || m.has_handed() {
            return false;
        }
        queues.idle.remove_m(m);
        self.stop_keeping(&mut queues, m);
        true
    }

    /// Ends every M and waits for their threads; if not all Gs have `ended`, the Ms that still have one are left.
    pub(crate) fn stop_machines(&self, ended: bool) {
        self.lock().machines.is_stopping = true;
        let mut waiting = Vec::new();
        loop {
            let starting = self.lock().machines.take_started(&mut waiting);
            waiting.retain_mut(|(m, thread)| !(self.has_ended(m, thread) || !ended && m.has_g()));
            if waiting.is_empty() && !starting {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        self.stop_template();
        self.lock().idle.forget_ms();
    }

    /// Whether an M's thread has ended; if not, wakes it, so that it sees that the runtime stops.
    fn has_ended(&self, m: &M, thread: &mut Option<JoinHandle<()>>) -> bool {
        self.poller.wake(m);
        match thread {
            Some(running) if !running.is_finished() => false,
            _ => {
                if let Some(ended) = thread.take() {
                    // Its panic, if it had one, has been printed; an M that panics has broken an invariant.
                    let _ = ended.join();
                }
                true
            }
        }
    }
}
