//! Kernels of Istio's bugs.

use super::kit::{Chan, Kernel, go, leak, settle};
use pirn_channels::{select, timer};
use pirn_sync::Mutex;
use pirn_sync::context::{Cancel, Context};
use std::time::Duration;

pub(crate) const KERNELS: &[Kernel] =
    &[("16224", istio16224::run), ("17860", istio17860::run), ("18454", istio18454::run)];

/// A handler sends with the mutex held, and who receives locks it first.
mod istio16224 {
    use super::*;

    struct Controller {
        events: Chan<u32>,
        lock: Mutex<()>,
        done: Chan,
        stop: Chan,
    }

    impl Controller {
        fn run(&self) {
            loop {
                select! {
                    recv(self.stop.r) -> _ => return,
                    recv(self.events.r) -> _ => self.process_config_event(),
                }
            }
        }

        fn process_config_event(&self) {
            let _lock = self.lock.lock();
            //@ run: chan send
            self.done.send(());
        }

        fn create(&self) {
            self.events.send(0);
        }
    }

    pub(super) fn run(fixed: bool) {
        let (lock, stop) = (Mutex::new(()), Chan::new());
        let controller = leak(Controller { events: Chan::new(), lock, done: Chan::new(), stop });
        go("run", || controller.run());
        go("test", move || {
            controller.create();
            settle("run");
            if !fixed {
                //@ test: sync.Mutex.Lock, held by run
                drop(controller.lock.lock());
            }
            controller.done.recv();
            controller.stop.close();
        });
    }
}

/// The agent ends when its context is cancelled, and the proxy sends its status to nobody.
mod istio17860 {
    use super::*;

    struct Agent {
        mu: Mutex<u32>,
        statuses: Chan<u32>,
        run_ended: Chan,
    }

    impl Agent {
        fn run(&self, context: &Context) {
            select! {
                recv(self.statuses.r) -> _ => {}
                recv(context.done()) -> _ => {}
            }
            self.run_ended.close();
        }

        fn restart(&'static self) {
            let mut epoch = self.mu.lock();
            *epoch += 1;
            let epoch = *epoch;
            go("run_wait", move || self.run_wait(epoch));
        }

        fn run_wait(&self, epoch: u32) {
            self.run_ended.recv();
            //@ run_wait: chan send
            self.statuses.send(epoch);
        }
    }

    pub(super) fn run(fixed: bool) {
        let statuses = Chan::with_buffer(usize::from(fixed));
        let agent = leak(Agent { mu: Mutex::new(0), statuses, run_ended: Chan::new() });
        let (context, cancel) = Context::background().with_cancel();
        go("run", move || agent.run(&context));
        agent.restart();
        cancel.cancel();
    }
}

/// A timer is stopped after it has fired, and its tick, which was taken already, is waited for.
mod istio18454 {
    use super::*;

    const EVENTS: usize = 4;

    struct Strategy {
        is_started: Mutex<bool>,
        reset: Chan,
        ticked: Chan,
        context: Context,
        cancel: Cancel,
    }

    impl Strategy {
        fn on_change(&'static self, fixed: bool) {
            let mut is_started = self.is_started.lock();
            if *is_started {
                drop(is_started);
                //@ process_event: chan send
                self.reset.send(());
                return;
            }
            *is_started = true;
            go("event_loop", move || self.event_loop(fixed));
            // The timer has fired when the next change comes.
            self.ticked.recv();
        }

        fn event_loop(&self, fixed: bool) {
            let timer = timer(Duration::from_nanos(1));
            timer.receiver().recv().expect("it fires");
            self.ticked.close();
            loop {
                select! {
                    recv(timer.receiver()) -> _ => {}
                    recv(self.reset.r) -> _ => {
                        if !timer.stop() && !fixed {
                            //@ event_loop: chan receive
                            timer.receiver().recv().expect("it fires");
                        }
                        timer.reset(Duration::from_nanos(1));
                    }
                    recv(self.context.done()) -> _ => return,
                }
            }
        }
    }

    pub(super) fn run(fixed: bool) {
        let (context, cancel) = Context::background().with_cancel();
        let (is_started, ticked) = (Mutex::new(false), Chan::new());
        let strategy = leak(Strategy { is_started, reset: Chan::with_buffer(1), ticked, context, cancel });
        go("process_event", move || {
            // The second one stops the loop, the third one fills the channel.
            for _ in 0..EVENTS {
                strategy.on_change(fixed);
                settle("event_loop");
            }
            strategy.cancel.cancel();
        });
    }
}
