//! What the kernels are built from: Go's channels and `Once`, goroutines with names, and the order of their steps.

use pirn_channels::{Receiver, Sender, bounded};
use pirn_runtime::{GoBuilder, Handle, JoinHandle, State, sleep};
use pirn_sync::Mutex;
use std::time::Duration;

/// A kernel: its number at its project, and what it does. True is with the fix.
pub(crate) type Kernel = (&'static str, fn(bool));

/// A child runs one kernel, so what it makes may live for ever, as what is stuck does in Go.
pub(crate) fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub(crate) fn go(name: &'static str, f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    GoBuilder::new().name(name).go(f)
}

/// Waits until the goroutine of this name waits, or has ended. Where Go's kernel needs luck, this gives the order.
pub(crate) fn settle(name: &str) {
    let is_on_its_way = || {
        let all = Handle::current().expect("a goroutine").goroutines();
        all.iter().any(|g| g.name.as_deref() == Some(name) && g.state != State::Waiting)
    };
    while is_on_its_way() {
        sleep(Duration::from_micros(200));
    }
}

/// A channel of Go: both ends in one, so that it is closed only by `close`.
#[derive(Clone)]
pub(crate) struct Chan<T = ()> {
    pub(crate) s: Sender<T>,
    pub(crate) r: Receiver<T>,
}

impl<T> Chan<T> {
    pub(crate) fn new() -> Chan<T> {
        Chan::with_buffer(0)
    }

    pub(crate) fn with_buffer(n: usize) -> Chan<T> {
        let (s, r) = bounded(n);
        Chan { s, r }
    }

    pub(crate) fn send(&self, value: T) {
        assert!(self.s.send(value).is_ok(), "send on closed channel");
    }

    /// Nothing if it is closed and empty.
    pub(crate) fn recv(&self) -> Option<T> {
        self.r.recv().ok()
    }

    pub(crate) fn close(&self) {
        assert!(self.s.close(), "close of closed channel");
    }
}

/// `sync.Once` as Go has it: who comes second waits for a mutex until the first one is ready.
pub(crate) struct Once(Mutex<bool>);

impl Once {
    pub(crate) const fn new() -> Once {
        Once(Mutex::new(false))
    }

    pub(crate) fn call(&self, f: impl FnOnce()) {
        let mut is_done = self.0.lock();
        if !*is_done {
            f();
            *is_done = true;
        }
    }
}
