//! The template: the thread from which the threads of all Ms but the first are started.
//!
//! A new thread inherits much from the one that starts it: CPU affinity, priority, signal mask, namespaces, and whatever
//! else the kernel keeps per thread. A G may change any of these on its M, most of all one that has locked it. So an M
//! starts no thread itself. It asks the template, which is started when the runtime is built, inherits from who builds it,
//! and runs nothing but the name callback of the user. As Go's template thread.
//!
//! # The protocol
//! Who needs an M puts it into `Queues::to_start`, with a P in its hand, and wakes the template. The P is on its way then
//! (I1). The template starts the thread, or, if the system has none, takes the P back and makes it idle.

use super::run::machine_main;
use super::shared::{Queues, Shared};
use crate::config::NO_THREAD_NS;
use crate::m::M;
use crate::m::emit::emit;
use crate::os::{now_ns, thread_id};
use crate::p::P;
use crate::probe::fatal;
use crate::user_code::contain;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread;

impl Shared {
    /// Starts the template, from the thread that builds the runtime.
    ///
    /// # Errors
    /// What the system says when it has no thread.
    pub(crate) fn start_template(&self) -> io::Result<()> {
        let shared = self.arc();
        let name = format!("{}-template", self.setup.name);
        let thread = thread::Builder::new().name(name).spawn(move || {
            shared.template_tid.store(thread_id(), Ordering::Relaxed);
            while let Some(m) = shared.next_to_start() {
                if let Err(error) = shared.start_thread(&m) {
                    shared.not_started(&m, &error);
                }
            }
        })?;
        self.lock().template = Some(thread);
        Ok(())
    }

    /// The next M that needs a thread. None when the runtime stops.
    fn next_to_start(&self) -> Option<Arc<M>> {
        loop {
            let mut queues = self.lock();
            if let Some(m) = queues.to_start.pop_front() {
                return Some(m);
            }
            if queues.stopping {
                return None;
            }
            drop(queues);
            thread::park();
        }
    }

    /// Waits for the end of the template. The runtime stops.
    pub(crate) fn stop_template(&self) {
        let Some(template) = self.lock().template.take() else { return };
        template.thread().unpark();
        // It panics only if a house rule is broken, and then it has said so.
        let _ = template.join();
    }

    /// A new M that begins with `p`. It is in the list, and has no thread yet.
    fn new_m(&self, queues: &mut Queues, p: &P, searching: bool) -> Arc<M> {
        let nth = self.next_m.fetch_add(1, Ordering::Relaxed);
        // One number is sysmon's.
        let id = nth.wrapping_add(u32::from(nth >= self.sysmon_id));
        let m = Arc::new(M::new(id, self));
        m.searching.store(searching, Ordering::Relaxed);
        m.hand(p);
        queues.ms.push((m.clone(), None));
        m
    }

    /// Starts the first M, from the thread that builds the runtime.
    ///
    /// # Errors
    /// What the system says when it has no thread.
    pub(crate) fn start_first_m(&self, p: &P) -> io::Result<()> {
        let m = self.new_m(&mut self.lock(), p, false);
        self.start_thread(&m)
    }

    /// Has the template start an M that begins with `p`, and searches.
    pub(super) fn ask_for_m(&self, mut queues: MutexGuard<'_, Queues>, p: &P) {
        queues.starved = false;
        let m = self.new_m(&mut queues, p, true);
        queues.to_start.push_back(m);
        let template = queues.template.as_ref().map(|thread| thread.thread().clone());
        drop(queues);
        if let Some(template) = template {
            template.unpark();
        }
    }

    /// Whether it is worth while to ask for another thread: the runtime goes on, and the system has not refused one a moment
    /// ago.
    pub(super) fn may_ask_for_m(&self, queues: &Queues) -> bool {
        !queues.stopping && queues.template.is_some() && now_ns() >= queues.no_thread_until_ns
    }

    /// Starts the thread of an M that is in the list. If there is none to be had the M leaves the list.
    fn start_thread(&self, m: &Arc<M>) -> io::Result<()> {
        // The Ms keep the runtime.
        let shared = self.arc();
        let started = thread::Builder::new().name(self.thread_name(m.id)).spawn({
            let m = m.clone();
            move || machine_main(&shared, &m)
        });
        let mut queues = self.lock();
        let at = queues.ms.iter().position(|(other, _)| Arc::ptr_eq(other, m));
        match (started, at) {
            (Ok(thread), Some(at)) => {
                queues.ms[at].1 = Some(thread);
                if m.has_departed.load(Ordering::Relaxed) {
                    let departed = queues.ms.swap_remove(at);
                    queues.departed.push(departed);
                }
                drop(queues);
                emit!(&self.counters, Wake { m: m.id }).deliver();
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

    /// The system has no thread for an M: its P becomes idle.
    fn not_started(&self, m: &M, error: &io::Error) {
        let mut queues = self.lock();
        queues.no_thread_until_ns = now_ns() + NO_THREAD_NS;
        let stopping = queues.stopping;
        if let Some(p) = m.take_handed() {
            // An M may have become idle meanwhile. SAFETY: Ps live as long as the runtime.
            self.start_m(queues, unsafe { &*p });
        } else {
            drop(queues);
        }
        if !stopping {
            self.warn_no_thread(error);
        }
    }

    /// How the thread of the M `id` is called.
    fn thread_name(&self, id: u32) -> String {
        let own = || format!("{}-m{id}", self.setup.name);
        let Some(callback) = &self.setup.thread_name else { return own() };
        let named = contain(|| callback(id as usize));
        // A thread's name can not have a zero in it.
        named.map_or_else(own, |name| name.replace('\0', "?"))
    }
}
