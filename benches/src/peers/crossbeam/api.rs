//! What the workloads over channels are written with.

use std::time::Duration;

/// A peer whose channels have the API of crossbeam-channel. Everything is inlined: no call of ours stands between an
/// operation and what it costs.
pub(crate) trait Api: 'static {
    /// Waits for a task.
    type Handle<T: Send + 'static>;
    /// Sends into a channel.
    type Sender<T: Send + 'static>: Clone + Send + 'static;
    /// Receives from a channel.
    type Receiver<T: Send + 'static>: Clone + Send + 'static;

    /// Starts a task.
    fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T>;
    /// Waits for the end of one. No task panics.
    fn joined<T: Send + 'static>(handle: Self::Handle<T>) -> T;
    /// Lets others run.
    fn yield_now();
    /// A channel that holds so many values.
    fn bounded<T: Send + 'static>(cap: usize) -> (Self::Sender<T>, Self::Receiver<T>);
    /// A receiver that is never ready.
    fn never<T: Send + 'static>() -> Self::Receiver<T>;
    /// Sends; none if there are no receivers any more.
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T) -> Option<()>;
    /// Receives; none if there are no senders any more.
    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T>;
    /// What comes first, and from which.
    fn select4(receivers: &[Self::Receiver<u64>; 4]) -> (usize, Option<u64>);
    /// Whether there is anything, without waiting.
    fn select_one(receiver: &Self::Receiver<u64>) -> bool;
    /// The same for two.
    fn select_two(first: &Self::Receiver<u64>, second: &Self::Receiver<u64>) -> bool;
    /// Receives with a limit that never comes, by `default(limit)`.
    fn recv_or_default(receiver: &Self::Receiver<u64>, limit: Duration) -> u64;
    /// The same, by a channel of the clock each time.
    fn recv_or_after(receiver: &Self::Receiver<u64>, limit: Duration) -> u64;
}

/// Implements [`Api`] for `$peer` over the channels of `$channel` and the tasks of `$tasks`: what both name alike, but that
/// a task is started by `$go`.
macro_rules! api {
    ($peer:ty, $channel:path, $tasks:path, $go:ident) => {
        const _: () = {
            use std::time::Duration;
            use $channel as channel;
            use $tasks as tasks;

            impl $crate::peers::crossbeam::Api for $peer {
                type Handle<T: Send + 'static> = tasks::JoinHandle<T>;
                type Sender<T: Send + 'static> = channel::Sender<T>;
                type Receiver<T: Send + 'static> = channel::Receiver<T>;

                #[inline(always)]
                fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
                    tasks::$go(work)
                }

                #[inline(always)]
                fn joined<T: Send + 'static>(handle: Self::Handle<T>) -> T {
                    handle.join().expect("no task panics")
                }

                #[inline(always)]
                fn yield_now() {
                    tasks::yield_now();
                }

                #[inline(always)]
                fn bounded<T: Send + 'static>(cap: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
                    channel::bounded(cap)
                }

                #[inline(always)]
                fn never<T: Send + 'static>() -> Self::Receiver<T> {
                    channel::never()
                }

                #[inline(always)]
                fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T) -> Option<()> {
                    sender.send(value).ok()
                }

                #[inline(always)]
                fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T> {
                    receiver.recv().ok()
                }

                #[inline(always)]
                fn select4(receivers: &[Self::Receiver<u64>; 4]) -> (usize, Option<u64>) {
                    channel::select! {
                        recv(receivers[0]) -> message => (0, message.ok()),
                        recv(receivers[1]) -> message => (1, message.ok()),
                        recv(receivers[2]) -> message => (2, message.ok()),
                        recv(receivers[3]) -> message => (3, message.ok()),
                    }
                }

                #[inline(always)]
                fn select_one(receiver: &Self::Receiver<u64>) -> bool {
                    channel::select! {
                        recv(receiver) -> _ => true,
                        default => false,
                    }
                }

                #[inline(always)]
                fn select_two(first: &Self::Receiver<u64>, second: &Self::Receiver<u64>) -> bool {
                    channel::select! {
                        recv(first) -> _ => true,
                        recv(second) -> _ => true,
                        default => false,
                    }
                }

                #[inline(always)]
                fn recv_or_default(receiver: &Self::Receiver<u64>, limit: Duration) -> u64 {
                    channel::select! {
                        recv(receiver) -> value => value.expect("it is sent"),
                        default(limit) => panic!("fired"),
                    }
                }

                #[inline(always)]
                fn recv_or_after(receiver: &Self::Receiver<u64>, limit: Duration) -> u64 {
                    channel::select! {
                        recv(receiver) -> value => value.expect("it is sent"),
                        recv(channel::after(limit)) -> _ => panic!("fired"),
                    }
                }
            }
        };
    };
}

pub(crate) use api;
