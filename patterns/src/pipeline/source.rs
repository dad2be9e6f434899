//! What begins a flow.

use super::flow::Flow;
use super::run::{Pipeline, Stage};
use pirn_channels::Sender;
use pirn_sync::context::Context;
use std::fmt;

impl<'scope, 'env, E: Send + 'scope> Pipeline<'scope, 'env, E> {
    /// A flow of the items of an iterator, which is advanced on a goroutine, one item ahead of what the buffer holds.
    #[track_caller]
    pub fn source<I>(&self, items: I) -> Flow<'scope, 'env, I::Item, E>
    where
        I: IntoIterator<Item: Send + 'scope> + Send + 'scope,
    {
        Flow::start(self, move |stage, sender| {
            for item in items {
                if stage.end().is_some() || sender.send(item).is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// A flow of what `f` sends, on a goroutine. Its error is the pipeline's.
    ///
    /// ```
    /// use pirn::patterns::pipeline::pipeline;
    ///
    /// pirn::run(|| {
    ///     let lines = pipeline(|p| {
    ///         let lines = p.produce(|_context, out| {
    ///             out.send("one");
    ///             Err("the connection was closed")
    ///         });
    ///         Ok(lines.collect())
    ///     });
    ///     assert_eq!(lines, Err("the connection was closed"));
    /// });
    /// ```
    #[track_caller]
    pub fn produce<T, F>(&self, f: F) -> Flow<'scope, 'env, T, E>
    where
        T: Send + 'scope,
        F: FnOnce(&Context, &Outlet<'_, T>) -> Result<(), E> + Send + 'scope,
    {
        Flow::start(self, move |stage, sender| f(stage.context, &Outlet { stage, sender }))
    }

    /// All items of several flows, of each in its order. Of no flow it is a flow that has ended.
    ///
    /// ```
    /// use pirn::patterns::pipeline::pipeline;
    ///
    /// pirn::run(|| {
    ///     let sum = pipeline::<_, (), _>(|p| {
    ///         let flows: Vec<_> = (0..3).map(|n| p.source(n * 10..n * 10 + 2)).collect();
    ///         Ok(p.merge(flows).into_iter().sum::<i32>())
    ///     });
    ///     assert_eq!(sum, Ok(63));
    /// });
    /// ```
    #[track_caller]
    pub fn merge<T>(&self, flows: impl IntoIterator<Item = Flow<'scope, 'env, T, E>>) -> Flow<'scope, 'env, T, E>
    where
        T: Send + 'scope,
    {
        let (sender, merged) = Flow::new(self);
        for flow in flows {
            let sender = sender.clone();
            self.start(move |stage| {
                while let Some(item) = stage.next(&flow.items) {
                    if sender.send(item).is_err() {
                        break;
                    }
                }
                Ok(())
            });
        }
        merged
    }
}

/// Where the closure of [`Pipeline::produce`] sends items to.
pub struct Outlet<'a, T> {
    stage: &'a Stage<'a>,
    sender: &'a Sender<T>,
}

impl<T> Outlet<'_, T> {
    /// Sends an item; waits until there is room. False: the pipeline has ended, so there is nothing more to do.
    pub fn send(&self, item: T) -> bool {
        self.stage.end().is_none() && self.sender.send(item).is_ok()
    }
}

impl<T> fmt::Debug for Outlet<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outlet { .. }")
    }
}
