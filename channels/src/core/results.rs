//! What the verbs of a channel return.

use super::waiting::{Answer, Claimed, Token};
use pirn_runtime::internal::Told;

/// What came of a send.
#[must_use]
pub(crate) enum Given<T> {
    /// A receiver has the value, or the buffer.
    Done(Option<Told>),
    Full(T),
    Closed(T),
}

/// What came of a receive.
#[must_use]
pub(crate) enum Taken<T> {
    Value(T, Option<Told>),
    /// A select that wants to send has been claimed: the caller has to [`promise`](super::Locked::promise) its value to
    /// somebody, under the same lock.
    Claimed(Claimed),
    Empty,
    Closed,
}

/// What came of a select's wish to receive.
#[must_use]
pub(crate) enum Choice {
    Chosen(Token, Option<Told>),
    /// As for [`Taken`].
    Claimed(Claimed),
    NotReady,
}

/// What an operation finds when it leaves the line.
#[must_use]
pub(crate) enum Left<'a> {
    /// No other operation looks at it any more.
    Gone,
    /// It has been told.
    Answered(&'a Answer),
    /// A select is to give it a value. It is gone when it has struck itself off that promise
    /// ([`abandon`](super::Locked::abandon)).
    Promised,
}
