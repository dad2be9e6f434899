//! Kernels of etcd's bugs.

use super::kit::{Chan, Kernel, go, leak, settle};
use pirn_channels::{select, select_biased};
use pirn_sync::{Barrier, Mutex, RwLock, WaitGroup};

pub(crate) const KERNELS: &[Kernel] = &[
    ("5509", etcd5509::run),
    ("6708", etcd6708::run),
    ("6857", etcd6857::run),
    ("6873", etcd6873::run),
    ("7492", etcd7492::run),
    ("7902", etcd7902::run),
    ("10492", etcd10492::run),
];

/// An early return keeps a read lock, and the writer waits for ever.
mod etcd5509 {
    use super::*;

    struct Client {
        mu: RwLock<()>,
    }

    impl Client {
        fn close(&self) {
            //@ close: sync.RWMutex.Lock
            drop(self.mu.write());
        }

        /// The connection is closed.
        fn acquire(&self, fixed: bool) {
            let mu = self.mu.read();
            if !fixed {
                std::mem::forget(mu);
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let client = leak(Client { mu: RwLock::new(()) });
        go("get", move || client.acquire(fixed)).join().expect("no panic");
        go("close", || client.close());
    }
}

/// `Sync` asks for the leader with the lock held, and the request locks it.
mod etcd6708 {
    use super::*;

    struct HttpClusterClient {
        lock: RwLock<()>,
    }

    impl HttpClusterClient {
        fn sync(&self, fixed: bool) {
            let lock = self.lock.write();
            let _lock = (!fixed).then_some(lock);
            self.get_leader_endpoint();
        }

        fn get_leader_endpoint(&self) {
            self.r#do();
        }

        fn r#do(&self) {
            //@ sync: sync.RWMutex.RLock, held by sync
            drop(self.lock.read());
        }
    }

    pub(super) fn run(fixed: bool) {
        let client = leak(HttpClusterClient { lock: RwLock::new(()) });
        go("sync", move || client.sync(fixed));
    }
}

/// A node is asked for its status when it has stopped.
mod etcd6857 {
    use super::*;

    struct Node {
        status: Chan<Chan>,
        stop: Chan,
        done: Chan,
    }

    impl Node {
        fn status(&self, fixed: bool) {
            let answer = Chan::new();
            if !fixed {
                //@ status: chan send
                self.status.send(answer.clone());
                answer.recv();
                return;
            }
            select! {
                send(self.status.s, answer.clone()) -> _ => _ = answer.recv(),
                recv(self.done.r) -> _ => {}
            }
        }

        fn run(&self) {
            loop {
                select! {
                    recv(self.status.r) -> answer => answer.expect("it is open").send(()),
                    recv(self.stop.r) -> _ => return self.done.close(),
                }
            }
        }

        fn stop(&self) {
            select! {
                send(self.stop.s, ()) -> _ => {}
                recv(self.done.r) -> _ => return,
            }
            self.done.recv();
        }
    }

    pub(super) fn run(fixed: bool) {
        let node = leak(Node { status: Chan::new(), stop: Chan::new(), done: Chan::new() });
        go("run", || node.run());
        // It is stopped first.
        go("stop", || node.stop()).join().expect("no panic");
        go("status", move || node.status(fixed));
    }
}

/// `stop` waits with the mutex held for one that locks it.
mod etcd6873 {
    use super::*;

    struct WatchBroadcasts {
        mu: Mutex<()>,
        updates: Chan<u32>,
        done: Chan,
        stops: Chan,
    }

    impl WatchBroadcasts {
        fn run(&self) {
            while self.updates.recv().is_some() {
                // The stop comes between the receive and the lock.
                self.stops.recv();
                self.coalesce();
            }
            self.done.close();
        }

        fn coalesce(&self) {
            //@ run: sync.Mutex.Lock, held by stop
            drop(self.mu.lock());
        }

        fn stop(&self, fixed: bool) {
            let mu = self.mu.lock();
            self.updates.close();
            let _mu = (!fixed).then_some(mu);
            //@ stop: chan receive
            self.done.recv();
        }
    }

    pub(super) fn run(fixed: bool) {
        let updates = Chan::with_buffer(1);
        let all = leak(WatchBroadcasts { mu: Mutex::new(()), updates, done: Chan::new(), stops: Chan::new() });
        go("run", || all.run());
        all.updates.send(1);
        settle("run");
        go("stop", move || all.stop(fixed));
        settle("stop");
        all.stops.close();
    }
}

/// A token is added with the mutex held, and who would take it wants the mutex first, to delete another one.
mod etcd7492 {
    use super::*;

    struct TokenSimple {
        simple_tokens_mu: Mutex<()>,
        add_simple_token: Chan,
        ticker: Chan,
        stop: Chan,
        /// The keeper has its first token.
        has_one: Chan,
    }

    impl TokenSimple {
        fn run(&self) {
            let mut has_token = false;
            loop {
                select_biased! {
                    recv(self.ticker.r) -> _ => {
                        if std::mem::take(&mut has_token) {
                            self.delete_token();
                        }
                    }
                    recv(self.add_simple_token.r) -> _ => {
                        has_token = true;
                        self.has_one.recv();
                    }
                    recv(self.stop.r) -> _ => return,
                }
            }
        }

        fn delete_token(&self) {
            //@ run: sync.Mutex.Lock, held by third authenticate
            drop(self.simple_tokens_mu.lock());
        }

        fn assign_simple_token_to_user(&self, fixed: bool) {
            let mu = self.simple_tokens_mu.lock();
            let _mu = (!fixed).then_some(mu);
            //@ third authenticate: chan send
            self.add_simple_token.send(());
        }
    }

    pub(super) fn run(fixed: bool) {
        let tokens = leak(TokenSimple {
            simple_tokens_mu: Mutex::new(()),
            add_simple_token: Chan::with_buffer(1),
            ticker: Chan::with_buffer(1),
            stop: Chan::new(),
            has_one: Chan::new(),
        });
        let group = leak(WaitGroup::new());
        go("run", || tokens.run());
        for name in ["first authenticate", "second authenticate", "third authenticate"] {
            group.add(1);
            go(name, move || {
                tokens.assign_simple_token_to_user(fixed);
                group.done();
            });
            // The keeper takes the first one. The second one fills the channel.
            settle(name);
            settle("run");
        }
        tokens.ticker.send(());
        tokens.has_one.close();
        go("teardown", || {
            //@ teardown: sync.WaitGroup.Wait
            group.wait();
            tokens.stop.close();
        });
    }
}

/// A follower waits for its leader with the mutex held that the leader needs.
mod etcd7902 {
    use super::*;

    struct Round {
        mu: Mutex<()>,
        next: Chan,
        all_are_valid: Barrier,
    }

    impl Round {
        fn follower(&self, fixed: bool) {
            self.all_are_valid.wait();
            let mu = self.mu.lock();
            let _mu = (!fixed).then_some(mu);
            //@ follower: chan receive
            self.next.recv();
        }

        fn leader(&self) {
            self.all_are_valid.wait();
            // The follower comes first.
            settle("follower");
            //@ leader: sync.Mutex.Lock, held by follower
            let _mu = self.mu.lock();
            self.next.close();
        }
    }

    pub(super) fn run(fixed: bool) {
        let round = leak(Round { mu: Mutex::new(()), next: Chan::new(), all_are_valid: Barrier::new(2) });
        go("follower", move || round.follower(fixed));
        go("leader", || round.leader());
    }
}

/// A lease is renewed with the lock held, and the checkpoint locks it.
mod etcd10492 {
    use super::*;

    struct Lessor {
        mu: RwLock<()>,
    }

    impl Lessor {
        fn checkpoint(&self) {
            //@ renew: sync.RWMutex.Lock, held by renew
            drop(self.mu.write());
        }

        fn renew(&self, fixed: bool) {
            let mu = self.mu.write();
            let _mu = (!fixed).then_some(mu);
            self.checkpoint();
        }
    }

    pub(super) fn run(fixed: bool) {
        let lessor = leak(Lessor { mu: RwLock::new(()) });
        go("renew", move || lessor.renew(fixed));
    }
}
