//! [`Flow`]: items on their way, and what can be done with them.

use super::run::{Pipeline, Stage};
use pirn_channels::{Receiver, RecvTimeoutError, Sender, bounded};
use pirn_runtime::internal::now;
use pirn_sync::context::Context;
use std::fmt;
use std::time::Duration;

/// The output of a stage. Dropping it ends the stages before it that nobody else takes from.
#[must_use = "the stages before it end when it is dropped"]
pub struct Flow<'scope, 'env: 'scope, T, E> {
    pipeline: Pipeline<'scope, 'env, E>,
    pub(super) items: Receiver<T>,
}

impl<'scope, 'env, T: Send + 'scope, E: Send + 'scope> Flow<'scope, 'env, T, E> {
    /// A new flow, and where it comes from.
    pub(super) fn new(pipeline: &Pipeline<'scope, 'env, E>) -> (Sender<T>, Flow<'scope, 'env, T, E>) {
        let (sender, items) = bounded(pipeline.capacity);
        (sender, Flow { pipeline: pipeline.clone(), items })
    }

    /// Starts a stage with the sender of a new flow.
    #[track_caller]
    pub(super) fn start<F>(pipeline: &Pipeline<'scope, 'env, E>, f: F) -> Flow<'scope, 'env, T, E>
    where
        F: FnOnce(&Stage<'_>, &Sender<T>) -> Result<(), E> + Send + 'scope,
    {
        let (sender, flow) = Flow::new(pipeline);
        pipeline.start(move |stage| f(stage, &sender));
        flow
    }

    /// A stage that calls `f` for each item, on one goroutine, in order. An error of `f` ends the pipeline.
    #[track_caller]
    pub fn stage<U, F>(self, f: F) -> Flow<'scope, 'env, U, E>
    where
        U: Send + 'scope,
        F: FnMut(&Context, T) -> Result<U, E> + Send + 'scope,
    {
        let (items, mut f) = (self.items, f);
        Flow::start(&self.pipeline, move |stage, sender| {
            while let Some(item) = stage.next(&items) {
                if sender.send(f(stage.context, item)?).is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// A stage of `n` goroutines, each of which calls `f` for the next item. The results come as they are finished.
    ///
    /// # Panics
    /// If `n` is zero.
    #[track_caller]
    pub fn fan_out<U, F>(self, n: usize, f: F) -> Flow<'scope, 'env, U, E>
    where
        U: Send + 'scope,
        F: Fn(&Context, T) -> Result<U, E> + Clone + Send + 'scope,
    {
        assert!(n > 0, "a stage of 0 goroutines: nothing would take the items");
        let (sender, results) = Flow::new(&self.pipeline);
        for _ in 0..n {
            let (items, sender, f) = (self.items.clone(), sender.clone(), f.clone());
            self.pipeline.start(move |stage| {
                while let Some(item) = stage.next(&items) {
                    if sender.send(f(stage.context, item)?).is_err() {
                        break;
                    }
                }
                Ok(())
            });
        }
        results
    }

    /// Two flows, each with all items, in order. An item goes to the first and then to the second, so both have to be taken
    /// from at the same time: to collect one and then the other is a deadlock. If one is dropped the other continues.
    #[track_caller]
    pub fn tee(self) -> (Flow<'scope, 'env, T, E>, Flow<'scope, 'env, T, E>)
    where
        T: Clone,
    {
        let (first_in, first) = Flow::new(&self.pipeline);
        let (second_in, second) = Flow::new(&self.pipeline);
        let items = self.items;
        self.pipeline.start(move |stage| {
            let mut outputs = [Some(first_in), Some(second_in)];
            while let Some(item) = stage.next(&items) {
                for output in &mut outputs {
                    if output.as_ref().is_some_and(|sender| sender.send(item.clone()).is_err()) {
                        *output = None;
                    }
                }
                if outputs.iter().all(Option::is_none) {
                    break;
                }
            }
            Ok(())
        });
        (first, second)
    }

    /// Groups of `size` items, in order; fewer when the flow ends, or when the first item of the group has waited for
    /// `patience`.
    ///
    /// # Panics
    /// If `size` is zero.
    ///
    /// ```
    /// use pirn::patterns::pipeline::pipeline;
    /// use std::time::Duration;
    ///
    /// pirn::run(|| {
    ///     let batches = pipeline::<_, (), _>(|p| Ok(p.source(1..=5).batch(2, Duration::from_secs(60)).collect()));
    ///     assert_eq!(batches.unwrap(), [vec![1, 2], vec![3, 4], vec![5]]);
    /// });
    /// ```
    #[track_caller]
    pub fn batch(self, size: usize, patience: Duration) -> Flow<'scope, 'env, Vec<T>, E> {
        assert!(size > 0, "groups of 0 items");
        let items = self.items;
        Flow::start(&self.pipeline, move |stage, sender| {
            while let Some(first) = stage.next(&items) {
                let (batch, has_ended) = gather(&items, first, size, patience);
                if sender.send(batch).is_err() || has_ended {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Takes all items.
    pub fn collect(self) -> Vec<T> {
        self.into_iter().collect()
    }

    /// Calls `f` for each item, on the caller, in order.
    ///
    /// # Errors
    /// The first error of `f`. Return it from the closure of the pipeline, so that it ends the other stages.
    pub fn for_each(self, mut f: impl FnMut(T) -> Result<(), E>) -> Result<(), E> {
        self.into_iter().try_for_each(&mut f)
    }
}

/// The group that begins with `first`. True: no more items come.
fn gather<T>(items: &Receiver<T>, first: T, size: usize, patience: Duration) -> (Vec<T>, bool) {
    // A deadline that an `Instant` cannot hold never comes.
    let deadline = now().checked_add(patience);
    let mut batch = vec![first];
    while batch.len() < size {
        let next = match deadline {
            Some(deadline) => items.recv_deadline(deadline),
            None => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(item) => batch.push(item),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return (batch, true),
        }
    }
    (batch, false)
}

impl<T, E> IntoIterator for Flow<'_, '_, T, E> {
    type Item = T;
    type IntoIter = FlowIter<T>;

    /// Iterates over the items, on the caller. The iterator ends when the flow does, also because of an error of a stage,
    /// which `pipeline` returns. Dropping it ends the stages before it.
    fn into_iter(self) -> FlowIter<T> {
        FlowIter(self.items)
    }
}

/// The items of a [`Flow`].
pub struct FlowIter<T>(Receiver<T>);

impl<T> Iterator for FlowIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T, E> fmt::Debug for Flow<'_, '_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flow { .. }")
    }
}

impl<T> fmt::Debug for FlowIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlowIter { .. }")
    }
}
