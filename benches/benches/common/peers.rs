//! The peers: pirn in both thread-local modes, OS threads, may, and tokio. Each runtime is built once, when it is first
//! used, with two Ps (workers); pirn and tokio also with one.

use may::coroutine;
use may::sync::{mpmc, mpsc};
use pirn::{Builder, Runtime, channel};
use std::sync::{Once, OnceLock};
use std::thread;
use std::time::Duration;

/// The stacks of may's coroutines: as large as those of Gs by default.
const MAY_STACK_BYTES: usize = if cfg!(debug_assertions) { 1 << 20 } else { 256 << 10 };

/// One that has stacks: its tasks call functions that wait.
pub(crate) trait Peer: 'static {
    /// What its figures are called.
    const NAME: &'static str;
    /// Waits for a task.
    type Handle<T: Send + 'static>: Send + 'static;
    /// Sends into a channel.
    type Sender<T: Send + 'static>: Clone + Send + 'static;
    /// Receives from a channel.
    type Receiver<T: Send + 'static>: Send + 'static;

    /// Calls `work` in a task of this peer, and waits for it on the calling thread.
    fn run<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R;
    /// Starts a task from a task.
    fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T>;
    /// Waits for the end of one. No task panics.
    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> T;
    /// Lets others run.
    fn yield_now();
    /// Waits for so long.
    fn sleep(time: Duration);
    /// A channel that holds so many values, or any number, and so many receivers for it.
    fn channel<T: Send + 'static>(cap: Option<usize>, receivers: usize) -> (Self::Sender<T>, Vec<Self::Receiver<T>>);
    /// Sends, and waits for room. There is a receiver.
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T);
    /// Waits for a value; none if there are no senders any more.
    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T>;
}

/// A channel with one receiver.
pub(crate) fn pair<P: Peer, T: Send + 'static>(cap: Option<usize>) -> (P::Sender<T>, P::Receiver<T>) {
    let (sender, mut receivers) = P::channel(cap, 1);
    (sender, receivers.pop().expect("one was asked for"))
}

/// pirn with so many Ps.
pub(crate) struct Pirn<const ISOLATED: bool, const PROCS: usize>;

pub(crate) type Shared = Pirn<false, 2>;
pub(crate) type Isolated = Pirn<true, 2>;
pub(crate) type Shared1 = Pirn<false, 1>;
pub(crate) type Isolated1 = Pirn<true, 1>;

/// The runtimes that have been built.
static RUNTIMES: [OnceLock<Runtime>; 4] = [const { OnceLock::new() }; 4];

impl<const ISOLATED: bool, const PROCS: usize> Pirn<ISOLATED, PROCS> {
    fn runtime() -> &'static Runtime {
        let place = usize::from(ISOLATED) * 2 + usize::from(PROCS == 1);
        RUNTIMES[place].get_or_init(|| {
            let builder = Builder::new().procs(PROCS);
            let builder = if ISOLATED {
                builder
            } else {
                // SAFETY: no bench has a thread-local's address or value over a call that may park.
                unsafe { builder.shared_thread_locals() }
            };
            builder.build().expect("a runtime")
        })
    }
}

/// Shows all Gs, of whom one probably waits for ever.
pub(crate) fn dump() {
    for runtime in RUNTIMES.iter().filter_map(OnceLock::get) {
        eprintln!("{}", runtime.dump());
    }
}

impl<const ISOLATED: bool, const PROCS: usize> Peer for Pirn<ISOLATED, PROCS> {
    const NAME: &'static str = match (ISOLATED, PROCS) {
        (true, 1) => "pirn_1p",
        (true, _) => "pirn",
        (false, 1) => "pirn_shared_1p",
        (false, _) => "pirn_shared",
    };
    type Handle<T: Send + 'static> = pirn::JoinHandle<T>;
    type Sender<T: Send + 'static> = channel::Sender<T>;
    type Receiver<T: Send + 'static> = channel::Receiver<T>;

    fn run<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
        Self::runtime().run(work)
    }

    fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        pirn::go(work)
    }

    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> T {
        handle.join().expect("no G panics")
    }

    fn yield_now() {
        pirn::yield_now();
    }

    fn sleep(time: Duration) {
        pirn::sleep(time);
    }

    fn channel<T: Send + 'static>(cap: Option<usize>, receivers: usize) -> (Self::Sender<T>, Vec<Self::Receiver<T>>) {
        let (sender, receiver) = cap.map_or_else(channel::unbounded, channel::bounded);
        (sender, vec![receiver; receivers])
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T) {
        assert!(sender.send(value).is_ok(), "there is a receiver");
    }

    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }
}

/// OS threads, and the channels of crossbeam-channel.
pub(crate) struct Threads;

impl Peer for Threads {
    const NAME: &'static str = "threads";
    type Handle<T: Send + 'static> = thread::JoinHandle<T>;
    type Sender<T: Send + 'static> = crossbeam_channel::Sender<T>;
    type Receiver<T: Send + 'static> = crossbeam_channel::Receiver<T>;

    fn run<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
        Self::join(Self::go(work))
    }

    fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        thread::spawn(work)
    }

    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> T {
        handle.join().expect("no thread panics")
    }

    fn yield_now() {
        thread::yield_now();
    }

    fn sleep(time: Duration) {
        thread::sleep(time);
    }

    fn channel<T: Send + 'static>(cap: Option<usize>, receivers: usize) -> (Self::Sender<T>, Vec<Self::Receiver<T>>) {
        let (sender, receiver) = cap.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
        (sender, vec![receiver; receivers])
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T) {
        assert!(sender.send(value).is_ok(), "there is a receiver");
    }

    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }
}

/// may, with two workers. Its channels have no bound, so a capacity is not heeded; for one receiver it has a faster kind.
pub(crate) struct May;

/// See [`May`].
pub(crate) enum MaySender<T> {
    ToOne(mpsc::Sender<T>),
    ToMany(mpmc::Sender<T>),
}

impl<T> Clone for MaySender<T> {
    fn clone(&self) -> Self {
        match self {
            MaySender::ToOne(sender) => MaySender::ToOne(sender.clone()),
            MaySender::ToMany(sender) => MaySender::ToMany(sender.clone()),
        }
    }
}

/// See [`May`].
pub(crate) enum MayReceiver<T> {
    One(mpsc::Receiver<T>),
    OfMany(mpmc::Receiver<T>),
}

impl Peer for May {
    const NAME: &'static str = "may";
    type Handle<T: Send + 'static> = coroutine::JoinHandle<T>;
    type Sender<T: Send + 'static> = MaySender<T>;
    type Receiver<T: Send + 'static> = MayReceiver<T>;

    fn run<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
        static CONFIGURED: Once = Once::new();
        CONFIGURED.call_once(|| _ = may::config().set_workers(2).set_stack_size(MAY_STACK_BYTES / size_of::<usize>()));
        Self::join(Self::go(work))
    }

    fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        // SAFETY: no bench has a thread-local over a call that may suspend, and its stack is large enough for all.
        unsafe { coroutine::spawn(work) }
    }

    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> T {
        handle.join().expect("no coroutine panics")
    }

    fn yield_now() {
        coroutine::yield_now();
    }

    fn sleep(time: Duration) {
        coroutine::sleep(time);
    }

    fn channel<T: Send + 'static>(_cap: Option<usize>, receivers: usize) -> (Self::Sender<T>, Vec<Self::Receiver<T>>) {
        if receivers == 1 {
            let (sender, receiver) = mpsc::channel();
            (MaySender::ToOne(sender), vec![MayReceiver::One(receiver)])
        } else {
            let (sender, receiver) = mpmc::channel();
            let receivers = (0..receivers).map(|_| MayReceiver::OfMany(receiver.clone())).collect();
            (MaySender::ToMany(sender), receivers)
        }
    }

    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T) {
        let sent = match sender {
            MaySender::ToOne(sender) => sender.send(value).is_ok(),
            MaySender::ToMany(sender) => sender.send(value).is_ok(),
        };
        assert!(sent, "there is a receiver");
    }

    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T> {
        match receiver {
            MayReceiver::One(receiver) => receiver.recv().ok(),
            MayReceiver::OfMany(receiver) => receiver.recv().ok(),
        }
    }
}

/// tokio's runtime of several threads, with so many of them. Its tasks have no stacks.
pub(crate) struct Tokio<const WORKERS: usize>;

impl<const WORKERS: usize> Tokio<WORKERS> {
    /// What its figures are called.
    pub(crate) const NAME: &'static str = if WORKERS == 1 { "tokio_1p" } else { "tokio" };

    /// Runs `work` as a task, on a worker, and waits for it on the calling thread.
    pub(crate) fn run<R: Send + 'static>(work: impl Future<Output = R> + Send + 'static) -> R {
        static RUNTIMES: [OnceLock<tokio::runtime::Runtime>; 2] = [const { OnceLock::new() }; 2];
        let runtime = RUNTIMES[usize::from(WORKERS == 1)].get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .enable_time()
                .build()
                .expect("a runtime")
        });
        runtime.block_on(runtime.spawn(work)).expect("no task panics")
    }
}
