//! Kernels of CockroachDB's bugs.

use super::kit::{Chan, Kernel, go, leak, settle};
use pirn_channels::{select, select_biased};
use pirn_sync::context::{Cancel, Context};
use pirn_sync::{Barrier, Condvar, Mutex, RwLock, WaitGroup};

pub(crate) const KERNELS: &[Kernel] = &[
    ("584", cockroach584::run),
    ("1055", cockroach1055::run),
    ("1462", cockroach1462::run),
    ("2448", cockroach2448::run),
    ("3710", cockroach3710::run),
    ("6181", cockroach6181::run),
    ("7504", cockroach7504::run),
    ("9935", cockroach9935::run),
    ("10214", cockroach10214::run),
    ("10790", cockroach10790::run),
    ("13197", cockroach13197::run),
    ("13755", cockroach13755::run),
    ("16167", cockroach16167::run),
    ("18101", cockroach18101::run),
    ("24808", cockroach24808::run),
    ("25456", cockroach25456::run),
    ("35073", cockroach35073::run),
    ("35931", cockroach35931::run),
];

/// A loop is left without the unlock, and the next function locks again.
mod cockroach584 {
    use super::*;

    struct Gossip {
        mu: Mutex<()>,
        is_closed: bool,
    }

    impl Gossip {
        fn bootstrap(&self, fixed: bool) {
            loop {
                let guard = self.mu.lock();
                if self.is_closed {
                    if !fixed {
                        std::mem::forget(guard);
                    }
                    break;
                }
            }
        }

        fn manage(&self) {
            loop {
                //@ gossip: sync.Mutex.Lock, held by gossip
                let _guard = self.mu.lock();
                if self.is_closed {
                    break;
                }
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let gossip = leak(Gossip { mu: Mutex::new(()), is_closed: true });
        go("gossip", move || {
            gossip.bootstrap(fixed);
            gossip.manage();
        });
    }
}

/// A task is counted, but nobody says that it is done; the stopper waits for that with its mutex held.
mod cockroach1055 {
    use super::*;

    struct Stopper {
        stopper: Chan,
        stop: WaitGroup,
        mu: Mutex<()>,
        drain: WaitGroup,
    }

    impl Stopper {
        fn start_task(&self) {
            let _mu = self.mu.lock();
            self.drain.add(1);
        }

        fn quiesce(&self) {
            let _mu = self.mu.lock();
            //@ stop: sync.WaitGroup.Wait
            self.drain.wait();
        }

        fn stop(&self) {
            let _mu = self.mu.lock();
            self.drain.wait();
            self.stopper.close();
            self.stop.wait();
        }
    }

    pub(super) fn run(fixed: bool) {
        let new =
            || Stopper { stopper: Chan::new(), stop: WaitGroup::new(), mu: Mutex::new(()), drain: WaitGroup::new() };
        let s = leak(new());
        s.stop.add(1);
        go("worker", move || {
            s.start_task();
            if fixed {
                s.drain.done();
            }
            //@ worker: chan receive
            s.stopper.recv();
            s.stop.done();
        });
        // The task is counted before the stop.
        settle("worker");
        let done = Chan::<()>::new();
        let ended = done.clone();
        go("stop", move || {
            s.quiesce();
            s.stop();
            done.close();
        });
        go("main of it", move || {
            //@ main of it: chan receive
            ended.recv();
        });
    }
}

/// A worker sends without looking at the stopper, after its receiver has gone.
mod cockroach1462 {
    use super::*;

    struct Stopper {
        stopper: Chan,
        stop: WaitGroup,
        mu: Mutex<usize>,
        drain: Condvar,
    }

    impl Stopper {
        fn run_worker(&'static self, name: &'static str, f: impl FnOnce() + Send + 'static) {
            self.stop.add(1);
            go(name, move || {
                f();
                self.stop.done();
            });
        }

        fn quiesce(&self) {
            self.drain.wait_while(&mut self.mu.lock(), |tasks| *tasks > 0);
        }
    }

    /// Its first look at the stopper comes before the stop, and its send when the receiver has gone.
    fn transport(stopper: &Stopper, events: &Chan, looked: &Chan, go_on: &Chan, fixed: bool) {
        loop {
            select! {
                recv(stopper.stopper.r) -> _ => return,
                default => {}
            }
            looked.send(());
            go_on.recv();
            if !fixed {
                //@ transport: chan send
                events.send(());
                continue;
            }
            select! {
                send(events.s, ()) -> _ => {}
                recv(stopper.stopper.r) -> _ => return,
            }
        }
    }

    fn process_events_until(events: &Chan, stopper: &Stopper) {
        select! {
            recv(events.r) -> _ => unreachable!("the sender waits for the stop"),
            recv(stopper.stopper.r) -> _ => {}
        }
    }

    pub(super) fn run(fixed: bool) {
        let mu = Mutex::new(0);
        let s = leak(Stopper { stopper: Chan::new(), stop: WaitGroup::new(), mu, drain: Condvar::new() });
        let [events, looked, go_on] = leak([Chan::new(), Chan::new(), Chan::new()]);
        s.run_worker("transport", move || transport(s, events, looked, go_on, fixed));
        s.run_worker("process_events_until", move || process_events_until(events, s));
        go("stop", move || {
            looked.recv();
            s.quiesce();
            s.stopper.close();
            settle("process_events_until");
            go_on.close();
            //@ stop: sync.WaitGroup.Wait
            s.stop.wait();
        });
    }
}

/// Two loops, each sends to the other, which does not receive meanwhile.
mod cockroach2448 {
    use super::*;

    struct MultiRaft {
        stopper: Chan,
        events: Chan<&'static str>,
        callback_chan: Chan,
    }

    impl MultiRaft {
        /// The fix: callbacks are taken here too.
        fn send_event(&self, fixed: bool) {
            if fixed {
                return select! {
                    send(self.events.s, "membership change committed") -> _ => {}
                    recv(self.callback_chan.r) -> _ => self.stopper.close(),
                    recv(self.stopper.r) -> _ => {}
                };
            }
            //@ start: select
            select! {
                send(self.events.s, "membership change committed") -> _ => {}
                recv(self.stopper.r) -> _ => {}
            }
        }

        fn start(&self, fixed: bool) {
            loop {
                select! {
                    recv(self.stopper.r) -> _ => return,
                    recv(self.callback_chan.r) -> _ => {}
                    default => self.send_event(fixed),
                }
            }
        }

        fn process_raft(&self) {
            loop {
                select! {
                    recv(self.events.r) -> _ => self.callback(),
                    recv(self.stopper.r) -> _ => return,
                }
            }
        }

        /// The other loop sends the next event already.
        fn callback(&self) {
            settle("start");
            //@ process_raft: select
            select! {
                send(self.callback_chan.s, ()) -> _ => {}
                recv(self.stopper.r) -> _ => {}
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let m = leak(MultiRaft { stopper: Chan::new(), events: Chan::new(), callback_chan: Chan::new() });
        go("process_raft", move || m.process_raft());
        go("start", move || m.start(fixed));
    }
}

/// A reader reads again while a writer waits, which it has to let in first.
mod cockroach3710 {
    use super::*;

    struct Store {
        raft_log_queue: Mutex<()>,
        mu: RwLock<()>,
    }

    impl Store {
        fn force_raft_log_scan_and_process(&'static self, fixed: bool) {
            let mu = self.mu.read();
            go("process_raft", || self.process_raft());
            settle("process_raft");
            let _mu = (!fixed).then_some(mu);
            self.maybe_add();
        }

        fn maybe_add(&self) {
            let _queue = self.raft_log_queue.lock();
            self.raft_status();
        }

        fn raft_status(&self) {
            //@ scan: sync.RWMutex.RLock
            drop(self.mu.read());
        }

        fn process_raft(&self) {
            //@ process_raft: sync.RWMutex.Lock
            drop(self.mu.write());
        }
    }

    pub(super) fn run(fixed: bool) {
        let store = leak(Store { raft_log_queue: Mutex::new(()), mu: RwLock::new(()) });
        go("scan", move || store.force_raft_log_scan_and_process(fixed));
    }
}

/// The cache is printed under its read lock, and the printing reads again, behind a writer that waits.
mod cockroach6181 {
    use super::*;

    struct RangeDescriptorCache {
        range_cache_mu: RwLock<()>,
    }

    impl RangeDescriptorCache {
        fn lookup_range_descriptor(&self, fixed: bool, before_string: impl FnOnce()) {
            let mu = self.range_cache_mu.read();
            before_string();
            if !fixed {
                self.string();
            }
            drop(mu);
            //@ second lookup: sync.RWMutex.Lock
            drop(self.range_cache_mu.write());
        }

        fn string(&self) {
            //@ first lookup: sync.RWMutex.RLock
            drop(self.range_cache_mu.read());
        }
    }

    pub(super) fn run(fixed: bool) {
        let cache = leak(RangeDescriptorCache { range_cache_mu: RwLock::new(()) });
        go("first lookup", move || {
            cache.lookup_range_descriptor(fixed, || {
                go("second lookup", move || cache.lookup_range_descriptor(fixed, || {}));
                settle("second lookup");
            });
        });
    }
}

/// A lease and the cache of names are locked in both orders.
mod cockroach7504 {
    use super::*;

    struct LeaseManager {
        table_state: Mutex<()>,
        lease: Mutex<()>,
        table_name_cache: Mutex<()>,
        both: Barrier,
    }

    impl LeaseManager {
        fn acquire_by_name(&self) {
            let _cache = self.table_name_cache.lock();
            self.both.wait();
            //@ acquire_by_name: sync.Mutex.Lock, held by release
            drop(self.lease.lock());
        }

        fn release(&self, fixed: bool) {
            let _table = self.table_state.lock();
            let lease = self.lease.lock();
            self.both.wait();
            let _lease = (!fixed).then_some(lease);
            self.remove_lease();
        }

        fn remove_lease(&self) {
            //@ release: sync.Mutex.Lock, held by acquire_by_name
            drop(self.table_name_cache.lock());
        }
    }

    pub(super) fn run(fixed: bool) {
        let manager = leak(LeaseManager {
            table_state: Mutex::new(()),
            lease: Mutex::new(()),
            table_name_cache: Mutex::new(()),
            both: Barrier::new(2),
        });
        go("acquire_by_name", move || manager.acquire_by_name());
        go("release", move || manager.release(fixed));
    }
}

/// A failure is handled with the mutex held, by a function that locks it.
mod cockroach9935 {
    use super::*;

    struct LoggingT {
        mu: Mutex<()>,
    }

    impl LoggingT {
        fn output_log_entry(&self, fixed: bool) {
            let mu = self.mu.lock();
            // Creating the file has failed.
            let _mu = (!fixed).then_some(mu);
            self.exit();
        }

        fn exit(&self) {
            //@ output_log_entry: sync.Mutex.Lock, held by output_log_entry
            drop(self.mu.lock());
        }
    }

    pub(super) fn run(fixed: bool) {
        let logging = leak(LoggingT { mu: Mutex::new(()) });
        go("output_log_entry", move || logging.output_log_entry(fixed));
    }
}

/// Heartbeats lock `coalescedMu` and then `raftMu`, a tick the other way round.
mod cockroach10214 {
    use super::*;

    struct Store {
        coalesced_mu: Mutex<u32>,
        replica: Replica,
        both: Barrier,
    }

    struct Replica {
        raft_mu: Mutex<()>,
        mu: Mutex<()>,
    }

    impl Store {
        fn send_queued_heartbeats(&self, fixed: bool) {
            let coalesced = self.coalesced_mu.lock();
            self.both.wait();
            let _coalesced = (!fixed).then_some(coalesced);
            self.replica.report_unreachable();
        }
    }

    impl Replica {
        fn report_unreachable(&self) {
            //@ send_queued_heartbeats: sync.Mutex.Lock, held by tick
            drop(self.raft_mu.lock());
        }

        fn tick(&self, store: &Store) {
            let _raft = self.raft_mu.lock();
            let _mu = self.mu.lock();
            store.both.wait();
            self.maybe_coalesce_heartbeat(store);
        }

        fn maybe_coalesce_heartbeat(&self, store: &Store) {
            //@ tick: sync.Mutex.Lock, held by send_queued_heartbeats
            *store.coalesced_mu.lock() += 1;
        }
    }

    pub(super) fn run(fixed: bool) {
        let replica = Replica { raft_mu: Mutex::new(()), mu: Mutex::new(()) };
        let store = leak(Store { coalesced_mu: Mutex::new(0), replica, both: Barrier::new(2) });
        go("send_queued_heartbeats", move || store.send_queued_heartbeats(fixed));
        go("tick", move || store.replica.tick(store));
    }
}

/// The context is cancelled, the sender leaves, and others wait for what it would have sent.
mod cockroach10790 {
    use super::*;

    struct Replica {
        chans: [Chan<bool>; 2],
    }

    impl Replica {
        fn begin_cmds(&'static self, context: &Context) {
            for chan in &self.chans {
                select! {
                    recv(chan.r) -> _ => {}
                    recv(context.done()) -> _ => _ = go("drain", || self.drain()),
                }
            }
        }

        fn drain(&self) {
            for chan in &self.chans {
                //@ drain: chan receive
                chan.recv();
            }
        }

        /// Nobody receives yet, and the context is cancelled already.
        fn send_chans(&self, context: &Context, fixed: bool) {
            for chan in &self.chans {
                select! {
                    send(chan.s, true) -> _ => {}
                    recv(context.done()) -> _ => break,
                }
            }
            if fixed {
                self.chans.iter().for_each(Chan::close);
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let replica = leak(Replica { chans: [Chan::new(), Chan::new()] });
        let (context, cancel) = Context::background().with_cancel();
        cancel.cancel();
        let senders = context.clone();
        go("send_chans", move || replica.send_chans(&senders, fixed)).join().expect("no panic");
        go("begin_cmds", move || replica.begin_cmds(&context));
    }
}

/// A transaction is never rolled back, so its context is never cancelled.
mod cockroach13197 {
    use super::*;

    struct Tx {
        context: Context,
        cancel: Cancel,
    }

    impl Tx {
        fn begin() -> &'static Tx {
            let (context, cancel) = Context::background().with_cancel();
            let tx = leak(Tx { context, cancel });
            go("await_done", || tx.await_done());
            tx
        }

        fn await_done(&self) {
            //@ await_done: context wait
            self.context.wait();
        }

        fn rollback(&self) {
            self.cancel.cancel();
        }
    }

    pub(super) fn run(fixed: bool) {
        let tx = Tx::begin();
        if fixed {
            tx.rollback();
        }
    }
}

/// Rows are never closed, so their context is never cancelled.
mod cockroach13755 {
    use super::*;

    struct Rows {
        cancel: Cancel,
    }

    impl Rows {
        fn init_context_close() -> &'static Rows {
            let (context, cancel) = Context::background().with_cancel();
            let rows = leak(Rows { cancel });
            go("await_done", move || rows.await_done(&context));
            rows
        }

        fn await_done(&self, context: &Context) {
            //@ await_done: chan receive
            context.done().recv().expect_err("nothing is sent");
            self.close();
        }

        fn close(&self) {
            self.cancel.cancel();
        }
    }

    pub(super) fn run(fixed: bool) {
        let rows = Rows::init_context_close();
        if fixed {
            rows.close();
        }
    }
}

/// A statement runs under the read lock, and a statement in it reads again, behind a writer.
mod cockroach16167 {
    use super::*;

    struct Executor {
        system_config_mu: RwLock<()>,
    }

    impl Executor {
        fn exec_parsed(&'static self, fixed: bool) {
            let config = self.system_config_mu.read();
            go("update_system_config", || self.update_system_config());
            settle("update_system_config");
            let _config = (!fixed).then_some(config);
            self.prepare();
        }

        fn prepare(&self) {
            self.get_database_cache();
        }

        fn get_database_cache(&self) {
            //@ exec_parsed: sync.RWMutex.RLock
            drop(self.system_config_mu.read());
        }

        fn update_system_config(&self) {
            //@ update_system_config: sync.RWMutex.Lock
            drop(self.system_config_mu.write());
        }
    }

    pub(super) fn run(fixed: bool) {
        let executor = leak(Executor { system_config_mu: RwLock::new(()) });
        go("exec_parsed", move || executor.exec_parsed(fixed));
    }
}

/// The receiver leaves when the context is cancelled, the sender does not.
mod cockroach18101 {
    use super::*;

    const CHAN_SIZE: usize = 6;

    fn restore(context: &Context, fixed: bool) {
        let ready = Chan::with_buffer(CHAN_SIZE);
        let (sender, sends) = (ready.clone(), context.clone());
        go("split_and_scatter", move || {
            split_and_scatter(&sends, &sender, fixed);
            sender.close();
        });
        ready.recv();
        // It is cancelled already.
        context.wait();
    }

    fn split_and_scatter(context: &Context, ready: &Chan<bool>, fixed: bool) {
        for n in 0..CHAN_SIZE + 2 {
            if !fixed {
                //@ split_and_scatter: chan send
                ready.send(n != 0);
                continue;
            }
            select_biased! {
                send(ready.s, n != 0) -> _ => {}
                recv(context.done()) -> _ => return,
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let (context, cancel) = Context::background().with_cancel();
        cancel.cancel();
        go("restore", move || restore(&context, fixed));
    }
}

/// The compactor sends to its own full channel before it starts who receives.
mod cockroach24808 {
    use super::*;

    struct Compactor {
        chan: Chan,
    }

    impl Compactor {
        fn start(&'static self, stopper: &Chan, fixed: bool) {
            if fixed {
                _ = self.chan.s.try_send(());
            } else {
                //@ start: chan send
                self.chan.send(());
            }
            let stopper = stopper.clone();
            go("worker", move || {
                loop {
                    select! {
                        recv(stopper.r) -> _ => return,
                        recv(self.chan.r) -> _ => {}
                    }
                }
            });
        }
    }

    pub(super) fn run(fixed: bool) {
        let compactor = leak(Compactor { chan: Chan::with_buffer(1) });
        compactor.chan.send(());
        go("start", move || {
            let stopper = Chan::new();
            compactor.start(&stopper, fixed);
            stopper.close();
        });
    }
}

/// Nobody stops the stopper of the test.
mod cockroach25456 {
    use super::*;

    struct ConsistencyQueue {
        quiescer: Chan,
    }

    impl ConsistencyQueue {
        fn process(&self) {
            //@ process: chan receive
            self.quiescer.recv();
        }
    }

    pub(super) fn run(fixed: bool) {
        let queue = leak(ConsistencyQueue { quiescer: Chan::new() });
        go("process", || (0..2).for_each(|_| queue.process()));
        if fixed {
            queue.quiescer.close();
        }
    }
}

/// The outbox ends without taking what is in its channel, and those that push wait for room.
mod cockroach35073 {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    const ROWS: usize = 16;

    struct Outbox {
        data_chan: Chan,
        consumer_is_closed: AtomicBool,
    }

    impl Outbox {
        fn push(&self) {
            if !self.consumer_is_closed.load(SeqCst) {
                //@ pusher: chan send
                //@ outbox: chan send
                self.data_chan.send(());
            }
        }

        fn consumer_closed(&self) {
            self.consumer_is_closed.store(true, SeqCst);
            // One may be on its way.
            _ = self.data_chan.r.try_recv();
        }

        fn run(&self, fixed: bool) {
            if fixed {
                self.consumer_closed();
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let outbox = leak(Outbox { data_chan: Chan::with_buffer(ROWS), consumer_is_closed: AtomicBool::new(false) });
        go("outbox", move || {
            (0..ROWS).for_each(|_| outbox.push());
            go("pusher", || outbox.push());
            settle("pusher");
            let group = WaitGroup::new();
            group.go(move || outbox.run(fixed));
            group.wait();
            outbox.push();
        });
    }
}

/// A flow that is cancelled tells its receivers, and one of them is full.
mod cockroach35931 {
    use super::*;

    struct FlowRegistry {
        mu: Mutex<()>,
        receivers: [Chan; 2],
    }

    impl FlowRegistry {
        fn cancel(&self, fixed: bool) {
            drop(self.mu.lock());
            for receiver in &self.receivers {
                if fixed {
                    _ = receiver.s.try_send(());
                } else {
                    //@ cancel: chan send
                    receiver.send(());
                }
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let receivers = [Chan::with_buffer(1), Chan::with_buffer(1)];
        let registry = leak(FlowRegistry { mu: Mutex::new(()), receivers });
        registry.receivers[0].send(());
        go("cancel", move || registry.cancel(fixed));
    }
}
