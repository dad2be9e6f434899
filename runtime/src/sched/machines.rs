//! The lives of Ms: how one begins, when there may be another, and how it ends.

use super::shared::{Queues, Shared};
use crate::m::current::event;
use crate::m::{M, current};
use crate::os;
use crate::p::P;
use crate::probe::{complain, fatal};
use crate::user_code::contain;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long to wait before the Ms are looked at again that are to end.
const PAUSE: Duration = Duration::from_micros(50);

/// What an M's thread does, from its beginning to its end.
pub(crate) fn machine_main(shared: &Arc<Shared>, m: &Arc<M>) {
    current::set_machine(Arc::as_ptr(m));
    m.set_thread(std::thread::current());
    // Else the M that keeps the time is 50 us late.
    os::set_timer_slack_ns(1);
    // Without an alternate stack an overflow is a bare SIGSEGV, which is worth a warning and no more.
    let alt_stack = os::AltStack::install().map_err(|error| shared.warn_no_alt_stack(&error));
    run_hook(shared.setup.on_start.as_deref());
    event!("m_start", m = m.id);
    // Kept: a payload may panic when it is dropped, and this is the end.
    let ended = catch_unwind(AssertUnwindSafe(|| shared.run(m)));
    if ended.is_err() {
        fatal("an M of the scheduler panicked");
    }
    event!("m_stop", m = m.id);
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
    /// Starts the first M, so that a system without threads says so at once.
    pub(crate) fn start_first(&self) -> io::Result<()> {
        let p = &self.ps[0];
        let mut queues = self.lock();
        queues.idle_ps.retain(|id| *id != p.id);
        self.idle.p_left_idle();
        drop(queues);
        self.start_first_m(p)
    }

    /// Starts the first M, from the thread that builds the runtime.
    ///
    /// # Errors
    /// What the system says when it has no thread.
    pub(crate) fn start_first_m(&self, p: &P) -> io::Result<()> {
        let m = self.new_m(&mut self.lock(), p, false);
        self.start_thread(&m)
    }

    /// A new M that begins with `p`. It is in the list, and has no thread yet.
    pub(super) fn new_m(&self, queues: &mut Queues, p: &P, searching: bool) -> Arc<M> {
        let nth = self.next_m.fetch_add(1, Ordering::Relaxed);
        // One number is sysmon's.
        let id = nth.wrapping_add(u32::from(nth >= self.sysmon_id));
        let m = Arc::new(M::new(id, self));
        m.searching.store(searching, Ordering::Relaxed);
        m.hand(p);
        queues.ms.push((m.clone(), None));
        m
    }

    /// Whether one more thread is allowed.
    pub(super) fn may_start_m(&self, queues: &Queues) -> bool {
        // Those of a runtime that was shut down with Gs left are not in the list any more.
        queues.ms.len().saturating_sub(queues.panicking_ms) < self.setup.max_threads
    }

    /// Whether a P that is taken from a G that computes could go to an M: one that sleeps, or one more thread. Some threads
    /// are left for Gs that block: else the next one that does would find none.
    pub(crate) fn has_m_to_spare(&self) -> bool {
        let queues = self.lock();
        let sleeps = !queues.idle_ms.is_empty() || queues.keeper.is_some();
        sleeps || self.may_ask_for_m(&queues) && queues.ms.len() + self.ps.len() < self.setup.max_threads
    }

    /// The M has slept for long, and others sleep too, as many as there are Ps: it leaves, and its thread ends.
    pub(super) fn may_leave(&self, m: &M) -> bool {
        let mut queues = self.lock();
        // Without its lock nobody can take it out of the list, so nobody hands it a P.
        let spare = queues.idle_ms.len() > self.ps.len();
        let Some(at) = queues.idle_ms.iter().position(|other| spare && std::ptr::eq(&**other, m)) else {
            return false;
        };
        queues.idle_ms.remove(at);
        drop(queues);
        self.depart(m);
        true
    }

    /// The M ends before its runtime does.
    #[cold]
    pub(super) fn depart(&self, m: &M) {
        self.m_stops.fetch_add(1, Ordering::Relaxed);
        let mut queues = self.lock();
        m.has_departed.store(true, Ordering::Relaxed);
        let ended = |thread: &Option<JoinHandle<()>>| thread.as_ref().is_none_or(JoinHandle::is_finished);
        let gone: Vec<_> = queues.departed.extract_if(.., |(_, thread)| ended(thread)).collect();
        // Whoever is just starting it looks for it in the list, and does this then.
        if let Some(at) = queues.ms.iter().position(|(other, thread)| std::ptr::eq(&**other, m) && thread.is_some()) {
            let departs = queues.ms.swap_remove(at);
            queues.departed.push(departs);
        }
        drop(queues);
        // Not under the lock: it is a system call for each.
        drop(gone);
    }

    /// The runtime stops, and nobody has handed this M a P: it leaves the lists.
    pub(super) fn must_stop(&self, m: &M) -> bool {
        let mut queues = self.lock();
        if !queues.stopping || m.has_handed() {
            return false;
        }
        queues.idle_ms.retain(|other| !std::ptr::eq(&**other, m));
        if queues.keeper.as_ref().is_some_and(|keeper| std::ptr::eq(&**keeper, m)) {
            queues.keeper = None;
            self.keeper.lay_down();
        }
        true
    }

    /// Ends every M, and waits for their threads; but if not all Gs `ended`, the Ms of those that did not are left.
    pub(crate) fn stop_machines(&self, ended: bool) {
        let mut queues = self.lock();
        queues.stopping = true;
        drop(queues);
        let mut waiting = Vec::new();
        loop {
            let mut queues = self.lock();
            // One without a handle is just being started: it has one soon, or is gone.
            waiting.extend(queues.ms.extract_if(.., |(_, thread)| thread.is_some()));
            waiting.append(&mut queues.departed);
            let starting = !queues.ms.is_empty();
            drop(queues);
            waiting.retain_mut(|(m, thread)| !(has_ended(m, thread) || !ended && m.has_g()));
            if waiting.is_empty() && !starting {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        self.stop_template();
        let mut queues = self.lock();
        queues.idle_ms.clear();
        queues.keeper = None;
    }
}

/// Whether an M's thread has ended; if not, it is woken to see that it should.
fn has_ended(m: &Arc<M>, thread: &mut Option<JoinHandle<()>>) -> bool {
    m.wake();
    match thread {
        Some(running) if !running.is_finished() => false,
        _ => {
            if let Some(ended) = thread.take() {
                // Its panic, if it had one, has been printed; an M that panics is a broken house rule.
                let _ = ended.join();
            }
            true
        }
    }
}
