//! The loop of a worker.

use super::state::Shared;
use crate::job::{Ran, Work};
use pirn_runtime::{current_gid, yield_now};
use std::sync::Arc;

/// Starts a worker, which is counted already.
pub(super) fn start(shared: &Arc<Shared>) {
    let worker = Worker { shared: shared.clone(), is_counted: true, is_idle: false };
    shared.place.start(move || worker.run());
}

/// A worker, from when it is counted to its end.
struct Worker {
    shared: Arc<Shared>,
    /// It is among `workers`.
    is_counted: bool,
    /// It is among `idle`.
    is_idle: bool,
}

impl Worker {
    fn run(mut self) {
        let g = current_gid().map(|g| g.as_u64());
        while let Some((number, work)) = self.next(g) {
            let ran = work.run();
            let ended = self.shared.state.lock().end(number, ran);
            drop(ended);
            if ran == Ran::ShutDown {
                // If it is the runtime of this G that ends, this unwinds it. The job may have got the panic of another.
                yield_now();
            }
        }
    }

    /// The next job, for which it waits. None: it has left.
    fn next(&mut self, g: Option<u64>) -> Option<(u64, Box<dyn Work>)> {
        let shared = self.shared.clone();
        let config = &shared.config;
        let mut state = shared.state.lock();
        loop {
            if let Some(next) = state.begin(g) {
                shared.room.notify_one();
                return Some(next);
            }
            if !state.is_open {
                break;
            }
            state.idle += 1;
            self.is_idle = true;
            // There is room for one more, if the queue has none.
            shared.room.notify_one();
            let is_late = if state.workers > config.min {
                shared.work.wait_timeout(&mut state, config.idle).timed_out()
            } else {
                shared.work.wait(&mut state);
                false
            };
            state.idle -= 1;
            self.is_idle = false;
            if is_late && state.queue.len() == 0 && state.workers > config.min {
                break;
            }
        }
        // pool I3
        state.workers -= 1;
        self.is_counted = false;
        drop(state);
        shared.ended.notify_all();
        None
    }
}

impl Drop for Worker {
    /// It leaves without having been told to: it is unwound, or it could not start.
    fn drop(&mut self) {
        if !self.is_counted {
            return;
        }
        let left = {
            let mut state = self.shared.state.lock();
            state.workers -= 1;
            state.idle -= usize::from(self.is_idle);
            // pool I6
            let left = if state.workers == 0 { state.queue.take() } else { Vec::new() };
            state.is_open &= state.workers > 0;
            state.figures.dropped += left.len() as u64;
            left
        };
        self.shared.notify_all();
        self.shared.ended.notify_all();
        drop(left);
    }
}
