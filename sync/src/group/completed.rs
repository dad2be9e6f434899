//! Results of Gs in the order in which they end.

#![cfg(not(loom))]

use pirn_channels::internal::on_end;
use pirn_channels::{IntoIter, unbounded};
use pirn_runtime::JoinHandle;
use std::fmt;
use std::thread;

/// Gives the results of Gs as they end, each with the place of its handle in `handles`: Python's `as_completed`.
///
/// Each step waits for the next result. Dropping the iterator detaches the Gs that have not ended.
///
/// ```
/// use pirn::group::as_completed;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let handles = [40, 1].map(|ms| {
///         pirn::go(move || {
///             pirn::sleep(Duration::from_millis(ms));
///             ms
///         })
///     });
///     let first = as_completed(handles).next().unwrap();
///     assert!(matches!(first, (1, Ok(1))));
/// });
/// ```
pub fn as_completed<T: Send + 'static>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> AsCompleted<T> {
    let (sender, receiver) = unbounded();
    for (nth, handle) in handles.into_iter().enumerate() {
        let sender = sender.clone();
        // Nobody may be interested any more.
        on_end(handle, move |result| _ = sender.send((nth, result)));
    }
    AsCompleted(receiver.into_iter())
}

/// What [`as_completed`] returns.
pub struct AsCompleted<T>(IntoIter<(usize, thread::Result<T>)>);

impl<T> Iterator for AsCompleted<T> {
    type Item = (usize, thread::Result<T>);

    fn next(&mut self) -> Option<(usize, thread::Result<T>)> {
        self.0.next()
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsCompleted { .. }")
    }
}
