//! What the verbs of a channel return.

use super::waiting::{Answer, Claimed, Reservation};
use pirn_runtime::internal::Told;

/// The result of a send.
#[must_use]
pub(crate) enum Given<T> {
    /// A receiver or the buffer has the value.
    Done(Option<Told>),
    Full(T),
    Closed(T),
}

/// The result of a receive.
#[must_use]
pub(crate) enum Taken<T> {
    Value(T, Option<Told>),
    /// A select that wants to send has been claimed: the caller has to [`promise`](super::Locked::promise) its value to
    /// a receiver, in the same turn of the lock.
    Claimed(Claimed),
    Empty,
    Closed,
}

/// The result of a select that wants to receive.
#[must_use]
pub(crate) enum Choice {
    Chosen(Reservation, Option<Told>),
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
    /// A select has promised it a value. It can go after it has left that promise
    /// ([`abandon`](super::Locked::abandon)).
    Promised,
}
