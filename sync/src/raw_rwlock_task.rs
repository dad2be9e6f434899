//! How async tasks wait for a [`RawRwLock`].

use crate::lot::Place;
use crate::raw_rwlock::{READ, READS, RawRwLock, TASK_WRITES, WRITE};
use crate::rwlock_word::{WAITERS, is_free, may_read};
use std::pin::Pin;
use std::task::{Context, Poll};

impl RawRwLock {
    /// As `read`, for a task: `place` is its future's.
    pub(crate) fn poll_read(&self, place: Pin<&mut Place>, context: &mut Context<'_>) -> Poll<()> {
        let is_taken = || self.try_take_read(may_read);
        place
            .poll_taking(context, self.key(), READS, &READ, is_taken, |turn| self.will_wait(turn, WAITERS, 0, may_read))
    }

    /// As `write`, for a task.
    pub(crate) fn poll_write(&self, place: Pin<&mut Place>, context: &mut Context<'_>) -> Poll<()> {
        let is_taken = || self.try_take_write(0);
        place.poll_taking(context, self.key(), TASK_WRITES, &WRITE, is_taken, |turn| {
            self.will_wait(turn, WAITERS, 0, is_free)
        })
    }

    /// The future of `poll_read` is dropped.
    pub(crate) fn forget_reader(&self, place: Pin<&mut Place>) {
        place.withdraw(|turn| self.left(turn), |_| self.unlock_read());
    }

    /// The future of `poll_write` is dropped.
    pub(crate) fn forget_writer(&self, place: Pin<&mut Place>) {
        place.withdraw(|turn| self.left(turn), |answer| self.undo_write(answer));
    }
}
