//! The buffer of a channel, and its two counts.

use super::channel::{KEPT_MAX, Locked};
use std::collections::VecDeque;

impl<T> Locked<'_, T> {
    /// Whether a send only has to [`put`](Self::put) its value into the buffer.
    #[inline]
    pub(crate) fn can_put(&self) -> bool {
        self.room.get() > 0 && self.receivers.is_empty() && !self.is_closed.get()
    }

    /// Whether a receive only has to [`pull`](Self::pull) a value out of the buffer.
    #[inline]
    pub(crate) fn can_pull(&self) -> bool {
        self.values.get() > 0 && self.senders.is_empty()
    }

    /// Puts a value into the buffer.
    #[inline]
    pub(crate) fn put(&self, value: T) {
        // This comes first, because it may panic: then nothing has changed.
        self.with_buffer(|buffer| buffer.push_back(value));
        self.values.add(1);
        self.room.add(-1);
    }

    /// Takes a value out of the buffer.
    #[inline]
    pub(crate) fn pull(&self) -> T {
        self.values.add(-1);
        self.pull_chosen()
    }

    /// Takes out a value that a select has chosen before.
    #[inline]
    pub(super) fn pull_chosen(&self) -> T {
        self.room.add(1);
        self.with_buffer(|buffer| {
            let value = buffer.pop_front();
            if self.capacity.is_none() && buffer.is_empty() && buffer.capacity() > KEPT_MAX {
                *buffer = VecDeque::new();
            }
            value.expect("values are counted")
        })
    }
}
