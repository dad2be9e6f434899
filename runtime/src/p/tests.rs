//! The owner's side of a P by itself.

use super::{OwnedP, P};
use crate::config::ARRIVALS_WORTH_WAKE_NS;
use crate::g::{Runnable, give_free, take_free};
use std::ptr;

/// A wake is worth 1 us of what waits.
#[test]
fn the_shorter_the_slices_the_longer_the_lane_that_is_worth_a_wake() {
    let p = P::new(0);
    // SAFETY: nobody else has it.
    let owned = unsafe { OwnedP::of(&p) };
    // Nothing is known of the slices yet.
    assert_eq!(p.local.worth_len.get(), 1);
    assert!(!owned.is_worth_wake(), "an empty lane");
    let mut now = 0;
    for (slice_ns, worth_len, is_coarse) in
        [(0, 1000, false), (50, 20, false), (300, 4, false), (999, 2, false), (2_999, 1, false), (3_000, 1, true)]
    {
        now += 61 * slice_ns;
        owned.judge_slices(61, now);
        assert_eq!((p.local.worth_len.get(), owned.is_coarse()), (worth_len, is_coarse), "{slice_ns} ns");
    }
    owned.judge_slices(61, now);
    owned.restart_clock(now);
    assert_eq!(p.local.worth_len.get(), 1);
}

#[test]
fn a_thief_sees_for_how_long_nothing_was_picked() {
    let p = P::new(0);
    // SAFETY: no other thread has it.
    let owned = unsafe { OwnedP::of(&p) };
    let _ = owned.count_pick();
    assert_eq!([10, 10, 15].map(|now_ns| p.note_thief(now_ns)), [None, Some(0), Some(5)]);
    let _ = owned.count_pick();
    assert_eq!([20, 50].map(|now_ns| p.note_thief(now_ns)), [None, Some(30)]);
}

#[test]
fn a_few_short_arrivals_are_not_worth_an_idle_p() {
    let p = P::new(0);
    // SAFETY: no other thread has it.
    let owned = unsafe { OwnedP::of(&p) };
    let mut now = 0;
    let mut worth = |slice_ns: u64| {
        now += 61 * slice_ns;
        owned.judge_slices(61, now);
        (1..100).find(|count| owned.worth_ns(*count) >= ARRIVALS_WORTH_WAKE_NS)
    };
    // A round is not enough: it may have been interrupted.
    assert_eq!(
        [worth(200_000), worth(100), worth(200_000), worth(200_000), worth(5_000)].map(Option::unwrap),
        [1, 8, 8, 1, 5]
    );
    owned.expect_long();
    assert_eq!([0, 1].map(|count| owned.worth_ns(count)), [0, u64::MAX]);
}

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

#[test]
fn the_last_of_the_lane_are_seen_in_their_order() {
    let p = P::new(0);
    // SAFETY: nobody else has it.
    let owned = unsafe { OwnedP::of(&p) };
    let gs: Vec<_> = (0..5).map(|_| take_free()).collect();
    for g in &gs {
        // SAFETY: the record is free, and this is its only Runnable.
        owned.push(unsafe { Runnable::own(g) }).expect("there is room");
    }
    for (count, from) in [(0, 5), (1, 4), (3, 2), (5, 0), (9, 0)] {
        let seen = std::cell::RefCell::new(Vec::new());
        owned.for_last(count, |g| seen.borrow_mut().push(ptr::from_ref(g)));
        assert_eq!(seen.into_inner(), gs[from..].iter().map(|g| ptr::from_ref(*g)).collect::<Vec<_>>(), "{count}");
    }
    while owned.pop().is_some() {}
    gs.into_iter().for_each(give_free);
}
