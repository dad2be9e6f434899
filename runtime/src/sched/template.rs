//! The template: the thread that starts the threads of all Ms but the first.
//!
//! A new thread inherits much from the thread that starts it: CPU affinity, priority, signal mask, namespaces, and
//! whatever else the kernel keeps per thread. A G may change any of these on its M, above all a G that has locked it.
//! So an M starts no thread itself. It asks the template, which is started when the runtime is built, inherits from
//! the thread that builds it, and runs nothing but the user's name callback. Go has a template thread for the same
//! reason.
//!
//! # The protocol
//! A thread that needs an M puts it into `Template::to_start`, with a P in its hand, and wakes the template. The P is
//! then on its way (I1). The template starts the thread, or, if the system has none, takes the P back and makes it
//! idle.

#![cfg(not(loom))]

use super::machines::machine_main;
use super::queues::Queues;
use super::shared::Shared;
use crate::clock::now_ns;
use crate::config::NO_THREAD_NS;
use crate::m::M;
use crate::m::emit::emit;
use crate::os::MutexGuard;
use crate::os::thread_id;
use crate::p::FreeP;
use crate::user_code::contain;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// What is known of the template, under the scheduler's lock.
#[derive(Debug)]
pub(super) struct Template {
    thread: Option<JoinHandle<()>>,
    /// The kernel's number of its thread; 0 before it has begun.
    tid: i32,
    /// The Ms that wait for it to start their threads, with a P in their hands.
    to_start: VecDeque<Arc<M>>,
    /// The system had no thread: no M is asked for before this moment.
    no_thread_until_ns: u64,
}

impl Template {
    /// No template yet.
    pub(super) fn new() -> Template {
        Template { thread: None, tid: 0, to_start: VecDeque::new(), no_thread_until_ns: 0 }
    }
}

impl Shared {
    /// Starts the template, from the thread that builds the runtime.
    ///
    /// # Errors
    /// What the system says when it has no thread.
    pub(crate) fn start_template(&self) -> io::Result<()> {
        let shared = self.arc();
        let name = format!("{}-template", self.setup.name);
        let thread = thread::Builder::new().name(name).spawn(move || {
            shared.lock().template.tid = thread_id();
            while let Some(m) = shared.next_to_start() {
                if let Err(error) = shared.start_thread(&m) {
                    shared.not_started(&m, &error);
                }
            }
        })?;
        self.lock().template.thread = Some(thread);
        Ok(())
    }

    /// The next M that needs a thread. None when the runtime stops.
    fn next_to_start(&self) -> Option<Arc<M>> {
        loop {
            let mut queues = self.lock();
            if let Some(m) = queues.template.to_start.pop_front() {
                return Some(m);
            }
            if queues.machines.is_stopping() {
                return None;
            }
            drop(queues);
            thread::park();
        }
    }

    /// Waits for the end of the template. The runtime stops.
    pub(crate) fn stop_template(&self) {
        let Some(template) = self.lock().template.thread.take() else { return };
        template.thread().unpark();
        // It panics only if an invariant is broken, and then it has said so.
        let _ = template.join();
    }

    /// Asks the template to start an M with `p`, which searches.
    pub(super) fn ask_for_m(&self, mut queues: MutexGuard<'_, Queues>, p: FreeP<'_>) {
        queues.starved = false;
        let m = self.new_m(&mut queues, p);
        self.give_search(&m);
        queues.template.to_start.push_back(m);
        let template = queues.template.thread.as_ref().map(|thread| thread.thread().clone());
        drop(queues);
        if let Some(template) = template {
            template.unpark();
        }
    }

    /// Whether to ask for another thread: the runtime does not stop, and the system has not refused one lately.
    pub(super) fn may_ask_for_m(&self, queues: &Queues) -> bool {
        let Template { thread, no_thread_until_ns, .. } = &queues.template;
        !queues.machines.is_stopping() && thread.is_some() && now_ns() >= *no_thread_until_ns
    }

    /// Starts the thread of an M that is in the list. If the system has none, the M leaves the list.
    pub(super) fn start_thread(&self, m: &Arc<M>) -> io::Result<()> {
        // The Ms keep the runtime.
        let shared = self.arc();
        let started = thread::Builder::new().name(self.thread_name(m.id)).spawn({
            let m = m.clone();
            move || machine_main(&shared, &m)
        });
        let mut queues = self.lock();
        match started {
            Ok(thread) => {
                queues.machines.has_started(m, thread);
                drop(queues);
                emit!(&self.counters, Wake { m: m.id }).deliver();
                Ok(())
            }
            Err(error) => {
                queues.machines.has_not_started(m);
                Err(error)
            }
        }
    }

    /// The system has no thread for an M: its P becomes idle.
    fn not_started(&self, m: &M, error: &io::Error) {
        let mut queues = self.lock();
        queues.template.no_thread_until_ns = now_ns() + NO_THREAD_NS;
        let stopping = queues.machines.is_stopping();
        if let Some(p) = m.take_handed() {
            // An M may have become idle meanwhile.
            self.start_m(queues, p);
        } else {
            drop(queues);
        }
        if !stopping {
            self.warn_no_thread(error);
        }
    }

    /// The kernel's number of the template's thread.
    pub(crate) fn template_tid(&self) -> i32 {
        self.lock().template.tid
    }

    /// The name of the thread of the M `id`.
    fn thread_name(&self, id: u32) -> String {
        let own = || format!("{}-m{id}", self.setup.name);
        let Some(callback) = &self.setup.thread_name else { return own() };
        let named = contain(|| callback(id as usize));
        // The name of a thread must not contain a zero byte.
        named.map_or_else(own, |name| name.replace('\0', "?"))
    }
}
