//! The buffer, and its books.

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

    /// A value comes into the buffer.
    #[inline]
    pub(crate) fn put(&self, value: T) {
        // First, for it may panic, and then nothing has happened.
        self.with_buffer(|buffer| buffer.push_back(value));
        self.values.add(1);
        self.room.add(-1);
    }

    /// A value leaves the buffer.
    #[inline]
    pub(crate) fn pull(&self) -> T {
        self.values.add(-1);
        self.pull_chosen()
    }

    /// The same for one that a select has chosen before.
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
