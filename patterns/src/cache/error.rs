//! Why a cache has no value to give.

use pirn_sync::context::ContextError;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why [`TtlCache::get_or_try_insert_ctx`](super::TtlCache::get_or_try_insert_ctx) has no value.
#[derive(Debug)]
pub enum LoadError<E> {
    /// The load failed. All that waited for it get this error.
    Failed(Arc<E>),
    /// The caller's context has ended.
    Ended(ContextError),
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> LoadError<E> {
        match self {
            LoadError::Failed(error) => LoadError::Failed(error.clone()),
            LoadError::Ended(error) => LoadError::Ended(*error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Failed(error) => error.fmt(f),
            LoadError::Ended(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for LoadError<E> {}
