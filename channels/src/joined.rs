//! The end of a G as a channel: it gives the G's result, and has ended then.
//!
//! A handle is polled with a waker that is woken once the result is there. That may be before the handle is where the wake
//! looks for it: so whoever comes second, of the wake and the one that brings the handle, takes the result.
//! `joined_loom.rs` models this.

#[cfg(not(loom))]
use crate::channel::{Receiver, bounded};
use crate::loom::{Mutex, MutexGuard};
#[cfg(not(loom))]
use pirn_runtime::JoinHandle;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
#[cfg(not(loom))]
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
#[cfg(not(loom))]
pub fn joined<T: Send + 'static>(handle: JoinHandle<T>) -> Receiver<thread::Result<T>> {
    let (sender, receiver) = bounded(1);
    // There is room for it. If no receiver is left it is dropped, as it is without a handle.
    on_end(handle, move |result| _ = sender.try_send(result));
    receiver
}

/// Has `f` called with the result of a G, whose handle this is, where the G ends; at once if it has ended. A panic of `f`
/// ends there.
pub fn on_end<H, F>(mut handle: H, f: F)
where
    H: Future + Unpin + Send + 'static,
    F: FnOnce(H::Output) + Send + 'static,
{
    let end = Arc::new(End(Mutex::new(State::Asked)));
    match Pin::new(&mut handle).poll(&mut Context::from_waker(&Waker::from(end.clone()))) {
        Poll::Ready(result) => f(result),
        Poll::Pending => end.wait(handle, f),
    }
}

/// What the G wakes at its end.
struct End<H, F>(Mutex<State<H, F>>);

/// The wake may come before the handle is here. No lock is held over a poll.
enum State<H, F> {
    Asked,
    Waits(H, F),
    Ended,
}

impl<H: Future + Unpin, F: FnOnce(H::Output)> End<H, F> {
    fn lock(&self) -> MutexGuard<'_, State<H, F>> {
        // Nothing panics under it.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn wait(&self, handle: H, f: F) {
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

impl<H, F> Wake for End<H, F>
where
    H: Future + Unpin + Send + 'static,
    F: FnOnce(H::Output) + Send + 'static,
{
    fn wake(self: Arc<Self>) {
        let before = mem::replace(&mut *self.lock(), State::Ended);
        if let State::Waits(handle, f) = before {
            take(handle, f);
        }
    }
}

/// Takes the result, which is there.
fn take<H: Future + Unpin>(mut handle: H, f: impl FnOnce(H::Output)) {
    if let Poll::Ready(result) = Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())) {
        f(result);
    }
}

#[cfg(all(test, loom))]
#[path = "joined_loom.rs"]
mod models;
