//! Futures on Gs.

#![cfg(not(loom))]

use crate::park::{Unparker, park_on};
use crate::reason::{Kind, Reason};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A [`block_on`] whose future is pending.
static BLOCK_ON: Reason = Reason::new("block on", Kind::Event);

/// Drives a future to its end on the caller: a G parks while it is pending, an OS thread sleeps.
///
/// ```
/// let n = pirn::block_on(async { 1 + 2 });
/// assert_eq!(n, 3);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let wakes = Arc::new(Wakes { waiter: Unparker::current(), has_woken: AtomicBool::new(false) });
    let waker = Waker::from(wakes.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // The poll itself may have waited for something else, and that wait has perhaps consumed what the wake left.
        // Acquire: what the one that wakes has done before (partner: `wake_by_ref`).
        while !wakes.has_woken.swap(false, Ordering::Acquire) {
            park_on(&BLOCK_ON, 0);
        }
    }
}

/// Wakes a [`block_on`].
struct Wakes {
    waiter: Unparker,
    has_woken: AtomicBool,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_woken.store(true, Ordering::Release);
        self.waiter.unpark();
    }
}
