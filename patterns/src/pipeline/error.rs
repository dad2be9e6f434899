//! Why a pipeline with a context has no result.

use pirn_sync::context::ContextError;
use std::error::Error;
use std::fmt;

/// Why [`pipeline_ctx`](super::pipeline_ctx) has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineError<E> {
    /// A stage has failed, or the closure that builds the pipeline.
    Failed(E),
    /// The context has ended, and a stage has left items behind.
    Ended(ContextError),
}

impl<E: fmt::Display> fmt::Display for PipelineError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PipelineError::Failed(error) => error.fmt(f),
            PipelineError::Ended(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for PipelineError<E> {}
