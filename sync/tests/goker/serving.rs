//! A kernel of Knative Serving's bugs.

use super::kit::{Chan, Kernel, go, leak, settle};
use pirn_sync::{Mutex, MutexGuard};

pub(crate) const KERNELS: &[Kernel] = &[("2137", serving2137::run)];

/// The requests are unlocked and waited for in their order, and the breaker has let them in the other way round.
mod serving2137 {
    use super::*;

    struct Request {
        lock: MutexGuard<'static, ()>,
        accepted: Chan<bool>,
    }

    struct Breaker {
        pending_requests: Chan,
        active_requests: Chan,
    }

    impl Breaker {
        fn maybe(&self, thunk: impl FnOnce()) -> bool {
            if self.pending_requests.s.try_send(()).is_err() {
                return false;
            }
            //@ first request: chan send
            self.active_requests.send(());
            thunk();
            self.active_requests.recv();
            self.pending_requests.recv();
            true
        }

        fn concurrent_request(&'static self, name: &'static str) -> Request {
            let mutex = leak(Mutex::new(()));
            let request = Request { lock: mutex.lock(), accepted: Chan::with_buffer(1) };
            let accepted = request.accepted.clone();
            go(name, move || {
                let is_ok = self.maybe(|| {
                    //@ second request: sync.Mutex.Lock, held by unlock_all
                    drop(mutex.lock());
                });
                accepted.send(is_ok);
            });
            settle(name);
            request
        }
    }

    fn unlock_all(requests: [Request; 2], fixed: bool) {
        let mut others = Vec::new();
        for Request { lock, accepted } in requests {
            drop(lock);
            if fixed {
                // All are unlocked first.
                others.push(accepted);
                continue;
            }
            //@ unlock_all: chan receive
            accepted.recv();
        }
        others.iter().for_each(|accepted| _ = accepted.recv());
    }

    pub(super) fn run(fixed: bool) {
        let breaker = leak(Breaker { pending_requests: Chan::with_buffer(2), active_requests: Chan::with_buffer(1) });
        go("unlock_all", move || {
            let second = breaker.concurrent_request("second request");
            let first = breaker.concurrent_request("first request");
            unlock_all([first, second], fixed);
        });
    }
}
