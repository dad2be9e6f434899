//! Futures on Gs.

#![cfg(not(loom))]

use crate::park::{Unparker, park_on};
use crate::reason::{Kind, Reason};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

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
    let waker = Waker::from(Unparker::current());
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => park_on(&BLOCK_ON, 0),
        }
    }
}
