//! Kernels of Syncthing's bugs.

use super::kit::{Chan, Kernel, Once, go, leak};
use pirn_channels::select;
use pirn_sync::RwLock;

pub(crate) const KERNELS: &[Kernel] = &[("4829", syncthing4829::run), ("5795", syncthing5795::run)];

/// Addresses are removed with the lock held, and who hears of it reads them.
mod syncthing4829 {
    use super::*;

    struct Mapping {
        lock: RwLock<Vec<u32>>,
    }

    impl Mapping {
        fn clear_addresses(&self, fixed: bool) {
            let mut addresses = self.lock.write();
            addresses.clear();
            let _addresses = (!fixed).then_some(addresses);
            self.notify();
        }

        fn notify(&self) {
            //@ remove_mapping: sync.RWMutex.RLock, held by remove_mapping
            drop(self.lock.read());
        }
    }

    struct Service {
        lock: RwLock<Mapping>,
    }

    pub(super) fn run(fixed: bool) {
        let service = leak(Service { lock: RwLock::new(Mapping { lock: RwLock::new(vec![0]) }) });
        go("remove_mapping", move || service.lock.write().clear_addresses(fixed));
    }
}

/// A message closes the connection, and the close waits until the loop that handles the message has ended.
mod syncthing5795 {
    use super::*;

    struct RawConnection {
        inbox: Chan<&'static str>,
        dispatcher_loop_stopped: Chan,
        closed: Chan,
        close_once: Once,
    }

    impl RawConnection {
        fn dispatcher_loop(&'static self, fixed: bool) {
            loop {
                select! {
                    recv(self.inbox.r) -> _ => self.cluster_config(fixed),
                    recv(self.closed.r) -> _ => break,
                }
            }
            self.dispatcher_loop_stopped.close();
        }

        fn cluster_config(&'static self, fixed: bool) {
            if fixed {
                go("close", || self.close());
            } else {
                self.close();
            }
        }

        fn close(&self) {
            self.close_once.call(|| {
                self.closed.close();
                //@ dispatcher_loop: chan receive
                self.dispatcher_loop_stopped.recv();
            });
        }
    }

    pub(super) fn run(fixed: bool) {
        let connection = leak(RawConnection {
            inbox: Chan::new(),
            dispatcher_loop_stopped: Chan::new(),
            closed: Chan::new(),
            close_once: Once::new(),
        });
        go("dispatcher_loop", move || connection.dispatcher_loop(fixed));
        connection.inbox.send("cluster config");
        go("test", || {
            //@ test: chan receive
            connection.dispatcher_loop_stopped.recv();
        });
    }
}
