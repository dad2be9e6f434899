//! Who does the work in the tests of the channels: Gs, OS threads, async tasks; and what they hand to each other.
#![allow(dead_code, reason = "each test file uses its own part of this one")]

#[path = "../../../runtime/tests/common/mod.rs"]
pub(crate) mod common;

use common::{Census, Counted, runtime, thread_number, wait_until_asleep};
use pirn_channels::{Receiver, SendError, Sender};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Longer than anything waits that is about to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// So long nothing happens where nothing should.
pub(crate) const SHORT: Duration = Duration::from_millis(20);

/// What a worker is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A goroutine.
    G,
    /// An OS thread.
    Thread,
    /// An async task, with a thread to itself.
    Task,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::G, Kind::Thread, Kind::Task];

/// A worker that was started.
pub(crate) enum Worker<T> {
    G(pirn_runtime::JoinHandle<T>),
    Thread(std::thread::JoinHandle<T>),
}

impl<T> Worker<T> {
    #[track_caller]
    pub(crate) fn join(self) -> T {
        let result = match self {
            Worker::G(g) => g.join(),
            Worker::Thread(thread) => {
                // A G that blocks its thread would keep the P from those that the thread waits for.
                while !thread.is_finished() {
                    pirn_runtime::sleep(Duration::from_micros(200));
                }
                thread.join()
            }
        };
        result.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

impl Kind {
    /// Starts a worker; a G from a G, in its runtime.
    pub(crate) fn go<T, F>(self, f: F) -> Worker<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self {
            Kind::G => Worker::G(pirn_runtime::go(f)),
            Kind::Thread | Kind::Task => Worker::Thread(std::thread::spawn(f)),
        }
    }

    /// Starts a worker, and waits until it waits for something.
    pub(crate) fn go_and_wait<T, F>(self, f: F) -> Worker<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if self == Kind::G {
            let g = pirn_runtime::go(f);
            wait_until_parked(&pirn_runtime::Handle::current().expect("a G"), g.id());
            return Worker::G(g);
        }
        let (tell, told) = std::sync::mpsc::channel();
        let worker = self.go(move || {
            tell.send(thread_number()).expect("it listens");
            f()
        });
        let thread = told.recv().expect("it begins");
        wait_until_asleep(|| vec![thread], 3);
        worker
    }

    /// Sends in the way of its kind.
    pub(crate) fn send<T>(self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        match self {
            Kind::Task => pirn_runtime::block_on(sender.send_async(message)),
            _ => sender.send(message),
        }
    }

    /// Receives in the way of its kind.
    pub(crate) fn recv<T>(self, receiver: &Receiver<T>) -> Option<T> {
        match self {
            Kind::Task => pirn_runtime::block_on(receiver.recv_async()).ok(),
            _ => receiver.recv().ok(),
        }
    }
}

/// Runs a test with Gs, on one P and on more, from a G; and with threads, from a thread.
pub(crate) fn everywhere(test: fn(Kind)) {
    on_gs(|| test(Kind::G));
    test(Kind::Thread);
}

/// Runs a test as the main G of runtimes of one P and of more.
pub(crate) fn on_gs(test: impl Fn() + Sync) {
    for procs in [1, 2, 4] {
        let house = runtime(procs);
        house.run(&test);
        house.close();
    }
}

/// Runs a test that may never end.
#[track_caller]
pub(crate) fn in_time(test: impl FnOnce() + Send + 'static) {
    let (done_in, done) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(test));
        // Nobody listens any more if it took too long.
        _ = done_in.send(());
        if let Err(payload) = result {
            resume_unwind(payload);
        }
    });
    done.recv_timeout(PATIENCE).expect("it has ended");
    test.join().unwrap_or_else(|payload| resume_unwind(payload));
}

/// Waits until a G is seen to be parked, without holding up the P that it is about to run on.
pub(crate) fn wait_until_parked(handle: &pirn_runtime::Handle, id: pirn_runtime::Gid) {
    let began = std::time::Instant::now();
    let is_it = |g: &pirn_runtime::Goroutine| g.id == id && g.state == pirn_runtime::State::Waiting;
    while !handle.goroutines().iter().any(is_it) {
        assert!(began.elapsed() < PATIENCE, "the G is not parked");
        pirn_runtime::sleep(Duration::from_micros(200));
    }
}

/// A value that can be told from all others, and counts as long as it lives.
pub(crate) struct Item {
    pub(crate) id: usize,
    _counted: Counted,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "item {}", self.id)
    }
}

/// Makes items.
pub(crate) fn item(census: &Census, id: usize) -> Item {
    Item { id, _counted: census.count() }
}

/// Polls once, for nobody.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
