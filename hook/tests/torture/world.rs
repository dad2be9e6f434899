//! What Gs and threads share, and what has to be so in the end.

use crate::races::Races;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

/// The capacities of the channels.
const CAPACITIES: [usize; 3] = [0, 1, 8];
/// How many values the queue holds.
pub(crate) const QUEUE: usize = 4;

/// Says what is wrong, and ends the process: a panic of a G that was cancelled is not printed.
pub(crate) fn check(is_right: bool, what: &str) {
    if !is_right {
        eprintln!("WRONG: {what}\n{}", std::backtrace::Backtrace::force_capture());
        std::process::abort();
    }
}

/// A lock, of which a holder may have been cancelled.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    /// Workers end after their step.
    pub(crate) over: AtomicBool,
    /// The runtime shuts down: calls may fail.
    pub(crate) is_cancelled: AtomicBool,
    /// The runtime has ended: threads end too.
    pub(crate) ended: AtomicBool,
    pub(crate) steps: AtomicU64,
    pub(crate) migrations: AtomicU64,
    /// Both numbers are the same under the lock.
    pub(crate) pairs: [Mutex<(u64, u64)>; 4],
    /// All numbers are the same.
    pub(crate) many: RwLock<[u64; 16]>,
    pub(crate) queue: Queue,
    pub(crate) channels: Vec<Channel>,
    pub(crate) races: Races,
}

/// Who finds it full or empty waits for the condition variable.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) values: Mutex<VecDeque<u64>>,
    pub(crate) changed: Condvar,
    /// The sums of what came and went.
    pub(crate) pushed: AtomicU64,
    pub(crate) popped: AtomicU64,
}

pub(crate) struct Channel {
    pub(crate) sender: SyncSender<u64>,
    pub(crate) receiver: Mutex<Receiver<u64>>,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
}

impl World {
    pub(crate) fn new(address: SocketAddr) -> Arc<World> {
        let channel = |capacity| {
            let (sender, receiver) = sync_channel(capacity);
            Channel { sender, receiver: Mutex::new(receiver), sent: AtomicU64::new(0), received: AtomicU64::new(0) }
        };
        Arc::new(World {
            address,
            over: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            steps: AtomicU64::new(0),
            migrations: AtomicU64::new(0),
            pairs: Default::default(),
            many: RwLock::default(),
            queue: Queue::default(),
            channels: CAPACITIES.map(channel).into(),
            races: Races::new().expect("descriptors"),
        })
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// After all Gs and threads have ended.
    pub(crate) fn nothing_is_lost(&self) {
        for channel in &self.channels {
            let left: u64 = lock(&channel.receiver).try_iter().sum();
            let received = channel.received.load(Ordering::Relaxed) + left;
            check(received == channel.sent.load(Ordering::Relaxed), "what was sent was not received, or twice");
        }
        let left: u64 = lock(&self.queue.values).iter().sum();
        let popped = self.queue.popped.load(Ordering::Relaxed) + left;
        check(popped == self.queue.pushed.load(Ordering::Relaxed), "what was pushed was not popped, or twice");
        self.races.nothing_is_lost();
    }
}
