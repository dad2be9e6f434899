//! The end of a G as a channel: it gives the G's result, and has ended then.

#![cfg(not(loom))]

use crate::channel::{Receiver, bounded};
use pirn_runtime::JoinHandle;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// Makes a channel that gives the result of a G when it has ended: a `join` that can stand in a
/// [`select!`](crate::select!). After the result the channel is disconnected.
///
/// Dropping the receiver detaches the G, as dropping the handle would: its result is dropped where it ends.
///
/// ```
/// use pirn::channel::{joined, never};
/// use pirn::select;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let sum = joined(pirn::go(|| (1..=10).sum::<u32>()));
///     let other = joined(pirn::go(|| never::<u32>().recv().unwrap()));
///     let first = select! {
///         recv(sum) -> result => result.unwrap(),
///         recv(other) -> result => result.unwrap(),
///         default(Duration::from_secs(60)) => unreachable!(),
///     };
///     assert_eq!(first.unwrap(), 55);
/// });
/// ```
pub fn joined<T: Send + 'static>(handle: JoinHandle<T>) -> Receiver<thread::Result<T>> {
    let (sender, receiver) = bounded(1);
    // There is room for it. If no receiver is left it is dropped, as it is without a handle.
    on_end(handle, move |result| _ = sender.try_send(result));
    receiver
}

/// Has `f` called with the result of a G, where the G ends; at once if it has ended. A panic of `f` ends there.
pub fn on_end<T, F>(mut handle: JoinHandle<T>, f: F)
where
    T: Send + 'static,
    F: FnOnce(thread::Result<T>) + Send + 'static,
{
    let end = Arc::new(End(Mutex::new(State::Asked)));
    match Pin::new(&mut handle).poll(&mut Context::from_waker(&Waker::from(end.clone()))) {
        Poll::Ready(result) => f(result),
        Poll::Pending => end.wait(handle, f),
    }
}

/// What the G wakes at its end.
struct End<T, F>(Mutex<State<T, F>>);

/// The wake may come before the handle is here. No lock is held over a poll.
enum State<T, F> {
    Asked,
    Waits(JoinHandle<T>, F),
    Ended,
}

impl<T, F: FnOnce(thread::Result<T>)> End<T, F> {
    fn lock(&self) -> MutexGuard<'_, State<T, F>> {
        // Nothing panics under it.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn wait(&self, handle: JoinHandle<T>, f: F) {
        {
            let mut state = self.lock();
            if matches!(*state, State::Asked) {
                *state = State::Waits(handle, f);
                return;
            }
        }
        take(handle, f);
    }
}

impl<T, F> Wake for End<T, F>
where
    T: Send + 'static,
    F: FnOnce(thread::Result<T>) + Send + 'static,
{
    fn wake(self: Arc<Self>) {
        let before = mem::replace(&mut *self.lock(), State::Ended);
        if let State::Waits(handle, f) = before {
            take(handle, f);
        }
    }
}

/// Takes the result, which is there.
fn take<T>(mut handle: JoinHandle<T>, f: impl FnOnce(thread::Result<T>)) {
    if let Poll::Ready(result) = Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())) {
        f(result);
    }
}
