//! The owner's side of a P by itself.

use super::{OwnedP, P};
use crate::g::{Runnable, give_free, take_free};
use std::ptr;

/// Two Gs that wake each other keep coming out of runnext; after 2^32 times the count is at its end.
#[test]
fn a_streak_does_not_overflow() {
    let p = P::new(0);
    // SAFETY: nobody else has it.
    let owned = unsafe { OwnedP::of(&p) };
    let g = take_free();
    p.local.streak.set(u32::MAX - 1);
    for _ in 0..3 {
        // SAFETY: the record is free, and this is its only Runnable: the one before has come out again.
        assert!(owned.put_next(unsafe { Runnable::own(g) }).is_none());
        assert!(owned.next().is_some_and(|next| ptr::eq(next.g(), g)));
    }
    assert_eq!(p.local.streak.get(), u32::MAX);
    give_free(g);
}
