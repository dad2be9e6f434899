//! A join that ends with a context.

#![cfg(not(loom))]

use super::end::End;
use super::error::ContextError;
use super::handle::Context;
use crate::lot::Ends;
use pirn_runtime::internal::{Kind, Reason, park_on};
use pirn_runtime::{JoinHandle, Unparker};
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll, Waker};
use std::thread;

/// A [`Context::join`].
static CONTEXT_JOIN: Reason = Reason::new("context join", Kind::Event);

impl Context {
    /// Waits for the end of a G and returns its result, as [`JoinHandle::join`], or until the context ends: then the
    /// handle comes back. The G is not told: it may have the same context.
    ///
    /// # Errors
    /// The handle, if the context has ended: before, also if the G has ended, or meanwhile.
    ///
    /// ```
    /// use pirn::context::{Context, ContextError};
    ///
    /// pirn::run(|| {
    ///     let (context, cancel) = Context::background().with_cancel();
    ///     let own = context.clone();
    ///     let g = pirn::go(move || own.wait());
    ///     pirn::go(move || cancel.cancel());
    ///     let ended = match context.join(g) {
    ///         Ok(result) => result,
    ///         Err((g, ContextError::Cancelled)) => g.join(),
    ///         Err((_, error)) => panic!("{error}"),
    ///     };
    ///     assert_eq!(ended.unwrap(), ContextError::Cancelled);
    /// });
    /// ```
    pub fn join<T>(&self, handle: JoinHandle<T>) -> Result<thread::Result<T>, (JoinHandle<T>, ContextError)> {
        if let Some(error) = self.err() {
            return Err((handle, error));
        }
        let mut handle = handle;
        let end = self.branch.as_ref().map(End::of);
        let waker = Waker::from(Unparker::current());
        loop {
            if let Poll::Ready(result) = Pin::new(&mut handle).poll(&mut task::Context::from_waker(&waker)) {
                return Ok(result);
            }
            if let Some(error) = self.err() {
                return Err((handle, error));
            }
            match end.as_ref().filter(|end| !end.has_begun()) {
                // If it ends before that, there is no unpark, but the mark.
                Some(end) => end.begin(),
                None => park_on(&CONTEXT_JOIN, 0),
            }
        }
    }
}
