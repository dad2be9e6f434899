//! Wakes an M with an idle P, or starts one.

use super::run::machine_main;
use super::shared::{Queues, Setup, Shared};
use crate::m::{M, current};
use crate::os::thread_sleeps;
use crate::p::P;
use crate::probe::{fatal, give_up};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

impl Shared {
    /// Wakes one P to search. The caller has been told to by [`Idle::announce`](super::idle::Idle::announce): it counts
    /// as searching. Returns whether there was an idle P, and an M for it.
    #[cold]
    pub(crate) fn wake_p(&self) -> bool {
        let mut queues = self.lock();
        match self.take_idle_p(&mut queues) {
            Some(p) => self.start_m(queues, p),
            None => {
                // Under the lock: `idle.rs` needs it.
                self.idle.end_search();
                false
            }
        }
    }

    /// Takes a P off the idle list.
    pub(super) fn take_idle_p(&self, queues: &mut Queues) -> Option<&P> {
        let p = queues.idle_ps.pop()?;
        self.idle.p_left_idle();
        Some(&self.ps[p])
    }

    /// Puts a P on the idle list.
    pub(super) fn put_idle_p(&self, queues: &mut Queues, p: &P) {
        queues.idle_ps.push(p.id);
        self.idle.p_went_idle();
    }

    /// Gives `p` to an M that sleeps, or to a new one, which searches and has been counted as searching. If there is
    /// none to be had, `p` becomes idle, and the work stays where it is: the Ms that there are come to it, and sysmon
    /// tries again.
    pub(super) fn start_m(&self, mut queues: MutexGuard<'_, Queues>, p: &P) -> bool {
        let m = queues.idle_ms.pop().or_else(|| {
            let keeper = queues.keeper.take()?;
            self.keeper.lay_down();
            Some(keeper)
        });
        if let Some(m) = m {
            queues.starved = false;
            m.searching.store(true, Ordering::Relaxed);
            // Under the lock: an M that is to stop looks there whether it has been handed a P.
            m.hand(p);
            drop(queues);
            self.wakes.fetch_add(1, Ordering::Relaxed);
            m.wake();
            return true;
        }
        if !self.may_start_m(&queues) {
            return self.starve(queues, p);
        }
        drop(queues);
        match self.spawn_m(p, true) {
            Ok(()) => true,
            Err(error) => {
                let queues = self.lock();
                let stopping = queues.stopping;
                self.starve(queues, p);
                if !stopping {
                    self.warn_no_thread(&error);
                }
                false
            }
        }
    }

    /// There is no M for `p`: it becomes idle. An M may be on its way to the idle list, and takes it; else sysmon sees to
    /// it, and whether that is for ever.
    #[cold]
    fn starve(&self, mut queues: MutexGuard<'_, Queues>, p: &P) -> bool {
        queues.starved = true;
        self.put_idle_p(&mut queues, p);
        self.idle.end_search();
        drop(queues);
        self.wake_sysmon();
        false
    }

    /// Whether work waits for an M, but all that may be are there, and each is blocked in a G.
    pub(crate) fn is_exhausted(&self) -> bool {
        let queues = self.lock();
        if !queues.starved || queues.stopping || self.is_closing() || self.may_start_m(&queues) {
            return false;
        }
        let ms: Vec<Arc<M>> = queues.ms.iter().map(|(m, _)| m.clone()).collect();
        drop(queues);
        // One that is in the runtime goes on; one that computes will come to an end, or to a call.
        ms.iter().all(|m| {
            m.has_g() && !m.section.is_inside() && thread_sleeps(m.tid()) == Some(true)
                || m.waits_for_locked.load(Ordering::Relaxed)
        })
    }

    /// Ends the program, as Go does: it would hang, and nobody would know why.
    #[cold]
    pub(crate) fn exhausted(&self) -> ! {
        let queues = self.lock();
        let (all, locked) = (queues.ms.len(), queues.locked_ms);
        drop(queues);
        let Setup { name, max_threads, .. } = &self.setup;
        give_up(&format!(
            "thread exhaustion: the runtime {name:?} needs more than the {max_threads} threads that \
             Builder::max_threads allows. Of {all}, {locked} wait for a goroutine that is locked to them, and the others \
             are blocked in one: in a system call, a lock of std, or pirn::blocking. Let fewer goroutines block at the \
             same time, or allow more threads; PIRN_DEBUG=blockers=1 names those that block"
        ));
    }

    /// How the thread of the M `id` is called. The callback is the user's: while it runs the caller is no G, so it can
    /// not suspend.
    fn thread_name(&self, id: u32) -> String {
        let own = || format!("{}-m{id}", self.setup.name);
        let Some(callback) = &self.setup.thread_name else { return own() };
        let named = current::off_duty(|| catch_unwind(AssertUnwindSafe(|| callback(id as usize))));
        // A thread's name can not have a zero in it.
        named.map_or_else(|_| own(), |name| name.replace('\0', "?"))
    }

    /// Starts an M that begins with `p`.
    pub(crate) fn spawn_m(&self, p: &P, searching: bool) -> io::Result<()> {
        // The Ms keep the runtime; `boot` keeps it while it starts the first one.
        let shared = self.arc();
        let nth = self.next_m.fetch_add(1, Ordering::Relaxed);
        // One number is sysmon's.
        let id = nth + u32::from(nth >= self.sysmon_id);
        let m = Arc::new(M::new(id, Arc::as_ptr(&shared)));
        m.searching.store(searching, Ordering::Relaxed);
        m.hand(p);
        let name = self.thread_name(id);
        let mut queues = self.lock();
        if queues.stopping {
            return Err(io::Error::other("the runtime stops"));
        }
        queues.ms.push((m.clone(), None));
        drop(queues);
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.m_starts.fetch_add(1, Ordering::Relaxed);
        let started = std::thread::Builder::new().name(name).spawn({
            let m = m.clone();
            move || machine_main(&shared, &m)
        });
        let mut queues = self.lock();
        let at = queues.ms.iter().position(|(other, _)| Arc::ptr_eq(other, &m));
        match (started, at) {
            (Ok(thread), Some(at)) => {
                queues.ms[at].1 = Some(thread);
                if m.has_departed.load(Ordering::Relaxed) {
                    let departed = queues.ms.swap_remove(at);
                    queues.departed.push(departed);
                }
                Ok(())
            }
            // `stop_machines` takes only those that have their thread.
            (Ok(_), None) => fatal("an M has gone before it was started"),
            (Err(error), at) => {
                if let Some(at) = at {
                    queues.ms.swap_remove(at);
                }
                Err(error)
            }
        }
    }
}
