//! Kernels of Kubernetes' bugs.

use super::kit::{Chan, Kernel, go, leak, settle};
use pirn_channels::{Receiver, after, select, tick};
use pirn_sync::context::{Cancel, Context};
use pirn_sync::{Barrier, Condvar, Mutex, MutexGuard, RwLock, WaitGroup};
use std::time::Duration;

pub(crate) const KERNELS: &[Kernel] = &[
    ("1321", kubernetes1321::run),
    ("5316", kubernetes5316::run),
    ("6632", kubernetes6632::run),
    ("10182", kubernetes10182::run),
    ("13135", kubernetes13135::run),
    ("25331", kubernetes25331::run),
    ("26980", kubernetes26980::run),
    ("30872", kubernetes30872::run),
    ("38669", kubernetes38669::run),
    ("58107", kubernetes58107::run),
    ("62464", kubernetes62464::run),
    ("70277", kubernetes70277::run),
];

/// An event is sent to a watcher with the mutex held that the watcher locks in order to stop.
mod kubernetes1321 {
    use super::*;

    struct Mux {
        watcher: Mutex<Option<Chan>>,
    }

    impl Mux {
        fn distribute(&self) {
            let watcher = self.watcher.lock();
            if let Some(result) = &*watcher {
                //@ distribute: chan send
                result.send(());
            }
        }

        fn stop_watching(&self, result: Chan, fixed: bool) {
            if fixed {
                go("drain", move || while result.recv().is_some() {});
            }
            //@ stop: sync.Mutex.Lock, held by distribute
            let watcher = self.watcher.lock().take();
            watcher.expect("it watched").close();
        }
    }

    pub(super) fn run(fixed: bool) {
        let result = Chan::new();
        let mux = leak(Mux { watcher: Mutex::new(Some(result.clone())) });
        go("distribute", || (0..3).for_each(|_| mux.distribute()));
        settle("distribute");
        go("stop", move || mux.stop_watching(result, fixed));
    }
}

/// A request times out, and its result is sent to nobody.
mod kubernetes5316 {
    use super::*;

    fn finish_request(timeout: Duration, late: Chan, fixed: bool) {
        let results = Chan::with_buffer(usize::from(fixed));
        let result = results.clone();
        go("request", move || {
            late.recv();
            //@ request: chan send
            result.send(());
        });
        select! {
            recv(results.r) -> _ => {}
            recv(after(timeout)) -> _ => {}
        }
    }

    pub(super) fn run(fixed: bool) {
        let late = leak(Chan::new());
        let times_out = move || finish_request(Duration::from_micros(1), late.clone(), fixed);
        go("finish_request", times_out).join().expect("no panic");
        late.close();
    }
}

/// A frame is written with the lock held, to a channel whose receiver locks it in order to leave.
mod kubernetes6632 {
    use super::*;

    struct IdleAwareFramer {
        reset: Chan<bool>,
        write_lock: Mutex<()>,
        close: Chan,
    }

    impl IdleAwareFramer {
        fn monitor(&'static self, fixed: bool) {
            self.close.recv();
            if fixed {
                go("drain", || while self.reset.recv().is_some() {});
            }
            //@ monitor: sync.Mutex.Lock, held by write_frame
            let _lock = self.write_lock.lock();
            self.reset.close();
        }

        fn write_frame(&self) {
            let _lock = self.write_lock.lock();
            //@ write_frame: chan send
            self.reset.send(true);
        }
    }

    pub(super) fn run(fixed: bool) {
        let framer = leak(IdleAwareFramer { reset: Chan::new(), write_lock: Mutex::new(()), close: Chan::new() });
        go("write_frame", || framer.write_frame());
        settle("write_frame");
        go("monitor", move || framer.monitor(fixed));
        framer.close.send(());
    }
}

/// A status is sent with the lock held, and its receiver still has to lock it for the one before.
mod kubernetes10182 {
    use super::*;

    struct StatusManager {
        pod_statuses_lock: RwLock<()>,
        pod_status_channel: Chan<bool>,
        second_is_sent: Chan,
    }

    impl StatusManager {
        fn sync_batch(&self) {
            self.pod_status_channel.recv();
            self.second_is_sent.recv();
            self.delete_pod_status();
        }

        fn delete_pod_status(&self) {
            //@ start: sync.RWMutex.Lock, held by second set_pod_status
            drop(self.pod_statuses_lock.write());
        }

        fn set_pod_status(&self, fixed: bool) {
            let lock = self.pod_statuses_lock.write();
            let _lock = (!fixed).then_some(lock);
            //@ second set_pod_status: chan send
            self.pod_status_channel.send(true);
        }
    }

    pub(super) fn run(fixed: bool) {
        let manager = leak(StatusManager {
            pod_statuses_lock: RwLock::new(()),
            pod_status_channel: Chan::new(),
            second_is_sent: Chan::new(),
        });
        go("start", || (0..2).for_each(|_| manager.sync_batch()));
        go("first set_pod_status", move || manager.set_pod_status(fixed)).join().expect("no panic");
        go("second set_pod_status", move || manager.set_pod_status(fixed));
        settle("second set_pod_status");
        manager.second_is_sent.close();
    }
}

/// A cacher and its watch cache are locked in both orders. One of the locks is unlocked by a function of the other.
mod kubernetes13135 {
    use super::*;

    struct Cacher {
        mu: Mutex<()>,
        initialized: WaitGroup,
        watch_cache: RwLock<()>,
        both: Barrier,
    }

    impl Cacher {
        fn start_caching(&self) {
            // The first one finds all free.
            self.replace(self.mu.lock());
            self.initialized.done();
            let mu = self.mu.lock();
            self.both.wait();
            self.replace(mu);
        }

        fn replace(&self, mu: MutexGuard<'_, ()>) {
            //@ start_caching: sync.RWMutex.Lock, held by add
            let _cache = self.watch_cache.write();
            drop(mu);
        }

        fn add(&self, fixed: bool) {
            let cache = self.watch_cache.write();
            self.both.wait();
            let _cache = (!fixed).then_some(cache);
            self.process_event();
        }

        fn process_event(&self) {
            //@ add: sync.Mutex.Lock, held by start_caching
            drop(self.mu.lock());
        }
    }

    pub(super) fn run(fixed: bool) {
        let cacher = leak(Cacher {
            mu: Mutex::new(()),
            initialized: WaitGroup::new(),
            watch_cache: RwLock::new(()),
            both: Barrier::new(2),
        });
        cacher.initialized.add(1);
        go("start_caching", || cacher.start_caching());
        cacher.initialized.wait();
        go("add", move || cacher.add(fixed));
    }
}

/// The watch is cancelled, and then its error is sent to a receiver that may have gone.
mod kubernetes25331 {
    use super::*;

    struct WatchChan {
        context: Context,
        cancel: Cancel,
        results: Chan<bool>,
        errors: Chan<&'static str>,
    }

    impl WatchChan {
        fn stop(&self) {
            self.errors.send("an error");
            self.cancel.cancel();
        }

        fn run(&self, fixed: bool) {
            let Some(error) = self.errors.recv() else { return };
            if !fixed {
                self.cancel.cancel();
                //@ run: chan send
                self.results.send(error.is_empty());
            }
            select! {
                send(self.results.s, error.is_empty()) -> _ => {}
                recv(self.context.done()) -> _ => {}
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let (context, cancel) = Context::background().with_cancel();
        let watch = leak(WatchChan { context, cancel, results: Chan::new(), errors: Chan::new() });
        go("run", move || watch.run(fixed));
        go("stop", || watch.stop());
    }
}

/// A listener waits for the stop with the lock held that the stop comes after.
mod kubernetes26980 {
    use super::*;

    struct ProcessorListener {
        pending: Mutex<Vec<u32>>,
        cond: Condvar,
    }

    impl ProcessorListener {
        fn add(&self, notification: u32) {
            self.pending.lock().push(notification);
            self.cond.notify_all();
        }

        fn pop(&self, stop: &Chan, fixed: bool) {
            let mut pending = self.pending.lock();
            self.cond.wait_while(&mut pending, |pending| pending.is_empty());
            let _pending = (!fixed).then_some(pending);
            //@ pop: chan receive
            stop.recv();
        }
    }

    pub(super) fn run(fixed: bool) {
        let listener = leak(ProcessorListener { pending: Mutex::new(Vec::new()), cond: Condvar::new() });
        let [stop, result] = leak([Chan::new(), Chan::new()]);
        listener.add(1);
        go("pop", move || listener.pop(stop, fixed));
        settle("pop");
        go("locks", || {
            //@ locks: sync.Mutex.Lock, held by pop
            let _pending = listener.pending.lock();
            result.close();
        });
        go("test", || {
            //@ test: chan receive
            result.recv();
            stop.close();
        });
    }
}

/// The informer and its queue are locked in both orders.
mod kubernetes30872 {
    use super::*;

    struct FederatedInformer {
        mu: Mutex<()>,
        delta_fifo: RwLock<()>,
        both: Barrier,
    }

    impl FederatedInformer {
        fn clusters_synced(&self, fixed: bool) {
            let mu = self.mu.lock();
            self.both.wait();
            let _mu = (!fixed).then_some(mu);
            self.has_synced();
        }

        fn has_synced(&self) {
            //@ reconcile_namespace: sync.RWMutex.Lock, held by run
            drop(self.delta_fifo.write());
        }

        fn pop(&self) {
            let _fifo = self.delta_fifo.write();
            self.both.wait();
            self.add_cluster();
        }

        fn add_cluster(&self) {
            //@ run: sync.Mutex.Lock, held by reconcile_namespace
            drop(self.mu.lock());
        }

        fn stop(&self) {
            //@ stop: sync.Mutex.Lock, held by reconcile_namespace
            drop(self.mu.lock());
        }
    }

    pub(super) fn run(fixed: bool) {
        let informer =
            leak(FederatedInformer { mu: Mutex::new(()), delta_fifo: RwLock::new(()), both: Barrier::new(2) });
        go("reconcile_namespace", move || informer.clusters_synced(fixed));
        go("run", || informer.pop());
        settle("reconcile_namespace");
        settle("run");
        go("stop", || informer.stop());
    }
}

/// The first events are sent before anybody may receive them.
mod kubernetes38669 {
    use super::*;

    struct CacheWatcher {
        input: Chan<u32>,
        result: Chan<u32>,
        is_stopped: Mutex<bool>,
    }

    impl CacheWatcher {
        fn process(&self, events: &[u32]) {
            for event in events {
                //@ process: chan send
                self.result.send(*event);
            }
            while self.input.recv().is_some() {}
            self.stop();
            self.result.close();
        }

        fn stop(&self) {
            if !std::mem::replace(&mut *self.is_stopped.lock(), true) {
                self.input.close();
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let events = [1, 2];
        let result = Chan::with_buffer(if fixed { events.len() } else { 0 });
        let watcher = leak(CacheWatcher { input: Chan::new(), result, is_stopped: Mutex::new(false) });
        go("process", move || watcher.process(&events));
        watcher.stop();
    }
}

/// A worker waits for work with the read lock held. A writer waits for it, and the other worker for the writer.
mod kubernetes58107 {
    use super::*;

    #[derive(Default)]
    struct Queue {
        mu: Mutex<()>,
        cond: Condvar,
    }

    impl Queue {
        fn get(&self) {
            //@ first worker: sync.Cond.Wait
            self.cond.wait(&mut self.mu.lock());
        }

        fn put(&self) {
            self.cond.notify_one();
        }
    }

    struct ResourceQuotaController {
        worker_lock: RwLock<()>,
        queue: Queue,
        missing_usage_queue: Queue,
        got: Chan,
    }

    impl ResourceQuotaController {
        fn worker(&self, queue: &Queue, fixed: bool) {
            if fixed {
                queue.get();
            }
            //@ second worker: sync.RWMutex.RLock
            let _lock = self.worker_lock.read();
            if !fixed {
                queue.get();
            }
        }

        fn sync(&self) {
            //@ sync: sync.RWMutex.Lock
            drop(self.worker_lock.write());
        }

        /// What is in the one queue leads to what comes into the other one.
        fn helper_signals(&self) {
            self.missing_usage_queue.put();
            //@ helper_signals: chan receive
            self.got.recv();
            self.queue.put();
        }
    }

    pub(super) fn run(fixed: bool) {
        let controller = leak(ResourceQuotaController {
            worker_lock: RwLock::new(()),
            queue: Queue::default(),
            missing_usage_queue: Queue::default(),
            got: Chan::new(),
        });
        go("first worker", move || controller.worker(&controller.queue, fixed));
        settle("first worker");
        go("sync", || controller.sync());
        settle("sync");
        go("second worker", move || {
            controller.worker(&controller.missing_usage_queue, fixed);
            controller.got.close();
        });
        settle("second worker");
        go("helper_signals", || controller.helper_signals());
    }
}

/// A reader reads again while a writer waits.
mod kubernetes62464 {
    use super::*;

    struct StateMemory {
        lock: RwLock<()>,
    }

    impl StateMemory {
        fn get_cpuset_or_default(&'static self, fixed: bool) {
            let lock = self.lock.read();
            go("remove_container", || self.set_default_cpuset());
            settle("remove_container");
            let _lock = (!fixed).then_some(lock);
            self.get_cpuset();
        }

        fn get_cpuset(&self) {
            //@ reconcile_state: sync.RWMutex.RLock
            drop(self.lock.read());
        }

        fn set_default_cpuset(&self) {
            //@ remove_container: sync.RWMutex.Lock
            drop(self.lock.write());
        }
    }

    pub(super) fn run(fixed: bool) {
        let state = leak(StateMemory { lock: RwLock::new(()) });
        go("reconcile_state", move || state.get_cpuset_or_default(fixed));
    }
}

/// The caller waits until a poll is done, by a channel that is closed only when the caller has returned.
mod kubernetes70277 {
    use super::*;

    fn poller(interval: Duration, timeout: Duration, done: Receiver<()>) -> Chan {
        let ticks = Chan::new();
        let sender = ticks.clone();
        go("poller", move || {
            let (ticker, timeout) = (tick(interval), after(timeout));
            loop {
                select! {
                    recv(ticker) -> _ => _ = sender.s.try_send(()),
                    recv(timeout) -> _ => break,
                    recv(done) -> _ => break,
                }
            }
            sender.close();
        });
        ticks
    }

    /// The fix: there is a channel for this poll alone, closed when it is done.
    fn wait_for(done: &Chan, fixed: bool) -> Receiver<()> {
        let own = Chan::new();
        let done = if fixed { &own } else { done };
        poller(Duration::from_millis(1), Duration::from_millis(20), done.r.clone()).recv();
        if fixed {
            own.close();
        }
        done.r.clone()
    }

    pub(super) fn run(fixed: bool) {
        let stop = leak(Chan::new());
        go("test", move || {
            let done = wait_for(stop, fixed);
            //@ test: chan receive
            done.recv().expect_err("it is closed");
            stop.close();
        });
    }
}
