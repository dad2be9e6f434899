//! Kernels of Moby's (Docker's) bugs.

use super::kit::{Chan, Kernel, go, leak, settle};
use pirn_channels::{after, select};
use pirn_sync::{Condvar, Mutex, MutexGuard, WaitGroup};
use std::time::Duration;

pub(crate) const KERNELS: &[Kernel] = &[
    ("4951", moby4951::run),
    ("7559", moby7559::run),
    ("17176", moby17176::run),
    ("21233", moby21233::run),
    ("25384", moby25384::run),
    ("27782", moby27782::run),
    ("28462", moby28462::run),
    ("30408", moby30408::run),
    ("33781", moby33781::run),
    ("36114", moby36114::run),
];

/// A device is deleted twice: the devices are unlocked for a moment in which the other one locks them, then the device.
mod moby4951 {
    use super::*;

    struct DeviceSet {
        devices: Mutex<()>,
        info: Mutex<()>,
        waits: Chan,
        second_waits: Chan,
    }

    impl DeviceSet {
        fn delete_device(&self, fixed: bool) {
            let mut devices = self.devices.lock();
            if fixed {
                drop(devices);
                let _info = self.info.lock();
                devices = self.devices.lock();
                self.remove_device_and_wait(&mut devices);
                return;
            }
            //@ second delete_device: sync.Mutex.Lock, held by first delete_device
            let _info = self.info.lock();
            self.remove_device_and_wait(&mut devices);
        }

        fn remove_device_and_wait(&self, devices: &mut MutexGuard<'_, ()>) {
            //@ first delete_device: sync.Mutex.Lock, held by second delete_device
            MutexGuard::unlocked(devices, || {
                _ = self.waits.s.try_send(());
                self.second_waits.recv();
            });
        }
    }

    pub(super) fn run(fixed: bool) {
        let devices = leak(DeviceSet {
            devices: Mutex::new(()),
            info: Mutex::new(()),
            waits: Chan::with_buffer(1),
            second_waits: Chan::new(),
        });
        go("first delete_device", move || devices.delete_device(fixed));
        devices.waits.recv();
        go("second delete_device", move || devices.delete_device(fixed));
        settle("second delete_device");
        devices.second_waits.close();
    }
}

/// A loop continues after a failure without the unlock.
mod moby7559 {
    use super::*;

    struct UdpProxy {
        conn_track_lock: Mutex<()>,
    }

    impl UdpProxy {
        fn run(&self, fixed: bool) {
            for _ in 0..2 {
                //@ run: sync.Mutex.Lock, held by run
                let lock = self.conn_track_lock.lock();
                // The dial fails.
                if !fixed {
                    std::mem::forget(lock);
                }
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let proxy = leak(UdpProxy { conn_track_lock: Mutex::new(()) });
        go("run", move || proxy.run(fixed));
    }
}

/// An early return keeps the lock.
mod moby17176 {
    use super::*;

    struct DeviceSet {
        devices: Mutex<u32>,
    }

    impl DeviceSet {
        fn cleanup_deleted_devices(&self, fixed: bool) {
            let deleted = self.devices.lock();
            if *deleted == 0 && !fixed {
                std::mem::forget(deleted);
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let set = leak(DeviceSet { devices: Mutex::new(0) });
        go("test", move || {
            set.cleanup_deleted_devices(fixed);
            let done = Chan::with_buffer(1);
            let ended = done.clone();
            go("locks", move || {
                //@ locks: sync.Mutex.Lock, held by (ended)
                let _devices = set.devices.lock();
                done.send(());
            });
            select! {
                recv(ended.r) -> _ => {}
                recv(after(Duration::from_millis(1))) -> _ => {}
            }
        });
    }
}

/// The reader of the progress leaves, and the transfers wait for it.
mod moby21233 {
    use super::*;

    struct Watcher {
        release: Chan,
        running: Chan,
    }

    fn watch(mu: &'static Mutex<()>, progress: &'static Chan) -> Watcher {
        let _mu = mu.lock();
        let watcher = Watcher { release: Chan::new(), running: Chan::new() };
        let (release, running) = (watcher.release.clone(), watcher.running.clone());
        go("watch", move || {
            drop(mu.lock());
            //@ watch: chan send
            progress.send(());
            release.recv();
            running.close();
        });
        watcher
    }

    fn release(watcher: &Watcher) {
        watcher.release.close();
        //@ test_transfer: chan receive
        watcher.running.recv();
    }

    pub(super) fn run(fixed: bool) {
        let (mu, progress) = (leak(Mutex::new(())), leak(Chan::new()));
        go("reader", move || {
            while progress.recv().is_some() {
                if !fixed {
                    return;
                }
            }
        });
        go("test_transfer", || {
            let watchers = [0; 3].map(|_| watch(mu, progress));
            watchers.iter().for_each(release);
            progress.close();
        });
    }
}

/// The group is waited for in the loop that starts its members.
mod moby25384 {
    use super::*;

    fn init(plugins: usize, fixed: bool) {
        let group = leak(WaitGroup::new());
        group.add(plugins);
        for _ in 0..plugins {
            go("plugin", || group.done());
            if !fixed {
                //@ init: sync.WaitGroup.Wait
                group.wait();
            }
        }
        group.wait();
    }

    pub(super) fn run(fixed: bool) {
        go("init", move || init(2, fixed));
    }
}

/// A watcher of files waits until its reader says that the file is ignored, and the reader sends another event first.
mod moby27782 {
    use super::*;

    struct Watcher {
        events: Chan<&'static str>,
        exists: Mutex<bool>,
        cv: Condvar,
        done: Chan,
        close_notifier: Chan,
        is_removing: Chan,
    }

    impl Watcher {
        fn read_events(&self) {
            // Who follows has left its select.
            self.is_removing.recv();
            //@ read_events: select
            select! {
                send(self.events.s, "write") -> _ => {}
                recv(self.done.r) -> _ => return,
            }
            *self.exists.lock() = false;
            self.cv.notify_all();
        }

        fn remove(&self) {
            //@ follow_logs: sync.Cond.Wait
            self.cv.wait_while(&mut self.exists.lock(), |exists| *exists);
        }

        fn follow_logs(&'static self, fixed: bool) {
            select! {
                recv(self.events.r) -> _ => {}
                recv(self.close_notifier.r) -> _ => {
                    self.is_removing.close();
                    if fixed {
                        go("drain", || _ = self.events.recv());
                    }
                    self.remove();
                }
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let watcher = leak(Watcher {
            events: Chan::new(),
            exists: Mutex::new(true),
            cv: Condvar::new(),
            done: Chan::new(),
            close_notifier: Chan::new(),
            is_removing: Chan::new(),
        });
        go("read_events", || watcher.read_events());
        go("follow_logs", move || watcher.follow_logs(fixed));
        watcher.close_notifier.close();
    }
}

/// A monitor is stopped through a channel, with the mutex held that it locks before it looks at the channel.
mod moby28462 {
    use super::*;

    struct Daemon {
        container: Mutex<()>,
        stop: Chan,
        looked: Chan,
        is_stopping: Chan,
    }

    impl Daemon {
        fn state_changed(&self, fixed: bool) {
            let _container = self.container.lock();
            self.close_monitor_channel(fixed);
        }

        fn close_monitor_channel(&self, fixed: bool) {
            if fixed {
                return self.stop.close();
            }
            //@ state_changed: chan send
            self.stop.send(());
        }

        fn monitor(&self) {
            loop {
                select! {
                    recv(self.stop.r) -> _ => return,
                    default => {}
                }
                // The stop comes between its look and the lock.
                _ = self.looked.s.try_send(());
                self.is_stopping.recv();
                self.handle_probe_result();
            }
        }

        fn handle_probe_result(&self) {
            //@ monitor: sync.Mutex.Lock, held by state_changed
            drop(self.container.lock());
        }
    }

    pub(super) fn run(fixed: bool) {
        let looked = Chan::with_buffer(1);
        let daemon = leak(Daemon { container: Mutex::new(()), stop: Chan::new(), looked, is_stopping: Chan::new() });
        go("monitor", || daemon.monitor());
        daemon.looked.recv();
        go("state_changed", move || daemon.state_changed(fixed));
        settle("state_changed");
        daemon.is_stopping.close();
    }
}

/// An activation that has failed is not told to those that wait for it.
mod moby30408 {
    use super::*;

    #[derive(Default)]
    struct Plugin {
        activation: Mutex<Activation>,
        activate_wait: Condvar,
    }

    #[derive(Default)]
    struct Activation {
        has_manifest: bool,
        error: Option<&'static str>,
    }

    impl Plugin {
        fn wait_active(&self, fixed: bool) {
            let is_open = |it: &mut Activation| !(it.has_manifest || fixed && it.error.is_some());
            //@ wait_active: sync.Cond.Wait
            self.activate_wait.wait_while(&mut self.activation.lock(), is_open);
        }
    }

    pub(super) fn run(fixed: bool) {
        let plugin = leak(Plugin::default());
        plugin.activation.lock().error = Some("some junk happened");
        go("test_active", move || {
            let done = Chan::<()>::new();
            let ended = done.clone();
            go("wait_active", move || {
                plugin.wait_active(fixed);
                done.close();
            });
            //@ test_active: chan receive
            ended.recv();
        });
    }
}

/// A monitor is stopped, and its probe sends the result to nobody.
mod moby33781 {
    use super::*;

    fn monitor(stop: &Chan, stopped: &'static Chan, fixed: bool) {
        let results = Chan::with_buffer(usize::from(fixed));
        let result = results.clone();
        go("probe", move || {
            stopped.recv();
            //@ probe: chan send
            result.send(true);
        });
        select! {
            recv(stop.r) -> _ => {}
            recv(results.r) -> _ => {}
        }
    }

    pub(super) fn run(fixed: bool) {
        let [stop, stopped] = leak([Chan::new(), Chan::new()]);
        let monitors = go("monitor", move || monitor(stop, stopped, fixed));
        stop.send(());
        // The probe takes longer.
        monitors.join().expect("no panic");
        stopped.close();
    }
}

/// A disk is removed again by a function that locks, from one that has the lock.
mod moby36114 {
    use super::*;

    struct ServiceVm {
        lock: Mutex<()>,
    }

    impl ServiceVm {
        fn hot_add_vhds_at_start(&self, fixed: bool) {
            let lock = self.lock.lock();
            let _lock = (!fixed).then_some(lock);
            self.hot_remove_vhds_at_start();
        }

        fn hot_remove_vhds_at_start(&self) {
            //@ hot_add_vhds_at_start: sync.Mutex.Lock, held by hot_add_vhds_at_start
            drop(self.lock.lock());
        }
    }

    pub(super) fn run(fixed: bool) {
        let vm = leak(ServiceVm { lock: Mutex::new(()) });
        go("hot_add_vhds_at_start", move || vm.hot_add_vhds_at_start(fixed));
    }
}
