//! Wakes an M with an idle P, or starts one.

use super::run::machine_main;
use super::shared::{Queues, Shared};
use crate::m::M;
use crate::p::P;
use crate::probe::fatal;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

impl Shared {
    /// Wakes one P to search. The caller has been told to by [`Idle::announce`](super::idle::Idle::announce): it counts
    /// as searching.
    #[cold]
    pub(crate) fn wake_p(&self) {
        let mut queues = self.lock();
        match self.take_idle_p(&mut queues) {
            Some(p) => self.start_m(queues, p, true),
            // Under the lock: `idle.rs` needs it.
            None => {
                self.idle.end_search();
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

    /// Gives `p` to an M that sleeps, or to a new one.
    pub(super) fn start_m(&self, mut queues: MutexGuard<'_, Queues>, p: &P, searching: bool) {
        let m = queues.idle_ms.pop().or_else(|| {
            let keeper = queues.keeper.take()?;
            self.keeper.lay_down();
            Some(keeper)
        });
        if let Some(m) = m {
            drop(queues);
            m.searching.store(searching, Ordering::Relaxed);
            m.hand(p);
            m.wake();
            return;
        }
        let stopping = queues.stopping;
        let full = queues.ms.len() >= self.setup.max_threads;
        drop(queues);
        let started = if stopping || full {
            Err(io::Error::other(
                "no more threads are allowed (Builder::max_threads)",
            ))
        } else {
            self.spawn_m(p, searching)
        };
        if let Err(error) = started {
            // The work stays where it is; the Ms there are come to it, and the next announcement tries again.
            let mut queues = self.lock();
            self.put_idle_p(&mut queues, p);
            if searching {
                self.idle.end_search();
            }
            drop(queues);
            if !stopping {
                self.warn_no_thread(&error);
            }
        }
    }

    /// Starts an M that begins with `p`.
    pub(crate) fn spawn_m(&self, p: &P, searching: bool) -> io::Result<()> {
        // The Ms keep the runtime; `boot` keeps it while it starts the first one.
        let shared = self.arc();
        let id = self.next_m.fetch_add(1, Ordering::Relaxed);
        let m = Arc::new(M::new(id, Arc::as_ptr(&shared)));
        m.searching.store(searching, Ordering::Relaxed);
        m.hand(p);
        let name = match &self.setup.thread_name {
            Some(name) => name(id as usize),
            None => format!("{}-m{id}", self.setup.name),
        };
        let mut queues = self.lock();
        if queues.stopping {
            return Err(io::Error::other("the runtime stops"));
        }
        queues.ms.push((m.clone(), None));
        drop(queues);
        let started = std::thread::Builder::new().name(name).spawn({
            let m = m.clone();
            move || machine_main(&shared, &m)
        });
        let mut queues = self.lock();
        let at = queues.ms.iter().position(|(other, _)| Arc::ptr_eq(other, &m));
        match (started, at) {
            (Ok(thread), Some(at)) => {
                queues.ms[at].1 = Some(thread);
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
