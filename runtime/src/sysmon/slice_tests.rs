//! Each rule by which a P is taken, with made-up times.

use super::*;

const MS: u64 = 1_000_000;
/// When the pick was first seen.
const T0: u64 = 1_000 * MS;

/// All the time.
const RUNS: Sight = Sight { is_asleep: false, rested: false, ran_ns: u64::MAX, naps: false };
const SLEEPS: Sight = Sight { is_asleep: true, rested: true, ran_ns: 0, naps: false };
/// It sleeps now, and has computed since the last look.
const NAPS: Sight = Sight { is_asleep: true, rested: false, ran_ns: MS, naps: false };
/// It waits for a CPU.
const QUEUES: Sight = Sight { is_asleep: false, rested: true, ran_ns: 0, naps: false };

const BUSY: Scene = Scene { others_wait: true, hides: false, slice_ns: SLICE_NS };
const QUIET: Scene = Scene { others_wait: false, hides: false, slice_ns: SLICE_NS };

/// The verdicts at those milliseconds after the pick was first seen, with what is seen then.
fn verdicts(scene: &Scene, looks: &[(u64, Sight)]) -> Vec<Verdict> {
    let mut slice = Slice::new(T0);
    looks.iter().map(|(ms, sight)| slice.judge(T0 + ms * MS, *sight, scene)).collect()
}

#[test]
fn who_computes_is_asked_after_a_slice_and_loses_its_p_at_the_next_look() {
    use Verdict::*;
    let looks = [(0, RUNS), (5, RUNS), (9, RUNS), (10, RUNS), (11, RUNS), (12, RUNS)];
    assert_eq!(verdicts(&BUSY, &looks), [Leave, Leave, Leave, Ask, TakeFromOverdue, TakeFromOverdue]);
}

#[test]
fn a_slice_is_exactly_as_long_as_it_says() {
    for (ns, expected) in [(SLICE_NS - 1, Verdict::Leave), (SLICE_NS, Verdict::Ask)] {
        assert_eq!(Slice::new(T0).judge(T0 + ns, RUNS, &BUSY), expected, "{ns}");
    }
    let longer = Scene { slice_ns: 3 * SLICE_NS, ..BUSY };
    for (ns, expected) in [(3 * SLICE_NS - 1, Verdict::Leave), (3 * SLICE_NS, Verdict::Ask)] {
        assert_eq!(Slice::new(T0).judge(T0 + ns, RUNS, &longer), expected, "{ns}");
    }
}

#[test]
fn who_computes_keeps_its_p_while_nobody_waits() {
    let looks = [(0, RUNS), (10, RUNS), (50, RUNS), (1000, RUNS)];
    assert_eq!(verdicts(&QUIET, &looks), [Verdict::Leave; 4]);
}

/// It was asked, then nothing waited any more: if something waits later, it is asked again.
#[test]
fn who_was_asked_in_vain_is_asked_anew() {
    let mut slice = Slice::new(T0);
    assert_eq!(slice.judge(T0 + 10 * MS, RUNS, &BUSY), Verdict::Ask);
    assert!(slice.asked);
    assert_eq!(slice.judge(T0 + 11 * MS, RUNS, &QUIET), Verdict::Leave);
    assert!(!slice.asked);
    assert_eq!(slice.judge(T0 + 12 * MS, RUNS, &BUSY), Verdict::Ask);
    assert_eq!(slice.judge(T0 + 13 * MS, RUNS, &BUSY), Verdict::TakeFromOverdue);
}

#[test]
fn a_late_watchman_does_not_ask_first() {
    let late = SLICE_NS + SLICE_NS / 2;
    assert_eq!(Slice::new(T0).judge(T0 + late - 1, RUNS, &BUSY), Verdict::Ask);
    assert_eq!(Slice::new(T0).judge(T0 + late, RUNS, &BUSY), Verdict::TakeFromOverdue);
    assert_eq!(Slice::new(T0).judge(T0 + late, RUNS, &QUIET), Verdict::Leave);
}

#[test]
fn who_is_blocked_loses_its_p_whether_others_wait_or_not() {
    use Verdict::*;
    for scene in [BUSY, QUIET] {
        assert_eq!(verdicts(&scene, &[(0, SLEEPS), (1, SLEEPS)]), [Leave, TakeFromSleeper]);
        assert_eq!(verdicts(&scene, &[(0, NAPS), (1, SLEEPS)]), [Leave, TakeFromSleeper]);
        // Not at the first look, nor if it has computed in between, nor if it did not sleep at the last look.
        assert_eq!(verdicts(&scene, &[(0, SLEEPS), (1, NAPS), (2, NAPS)]), [Leave; 3]);
        assert_eq!(verdicts(&scene, &[(0, SLEEPS), (1, RUNS), (2, SLEEPS)]), [Leave; 3]);
        // One that was put on no CPU is not asleep.
        assert_eq!(verdicts(&scene, &[(0, QUEUES), (1, QUEUES), (2, QUEUES)]), [Leave; 3]);
    }
}

/// On a busy machine a thread waits for a CPU, and another one with its P would wait just so.
#[test]
fn who_waits_for_a_cpu_keeps_its_p_until_it_has_run_for_a_slice() {
    use Verdict::*;
    let runs = |ms| Sight { ran_ns: ms * MS, ..RUNS };
    let looks = [(0, QUEUES), (9, QUEUES), (10, QUEUES), (30, runs(5)), (40, QUEUES), (50, runs(4)), (60, runs(1))];
    assert_eq!(verdicts(&BUSY, &looks), [Leave, Leave, Ask, Ask, Ask, Ask, TakeFromOverdue]);
    // What it ran before this pick does not count.
    assert_eq!(verdicts(&BUSY, &[(1, runs(50)), (20, runs(8)), (21, runs(1))]), [Leave, Ask, TakeFromOverdue]);
    // One that was late does not ask first, if it knows.
    assert_eq!(verdicts(&BUSY, &[(5, runs(5)), (20, runs(5))]), [Leave, TakeFromOverdue]);
    assert_eq!(verdicts(&BUSY, &[(5, runs(5)), (20, runs(4))]), [Leave, Ask]);
}

/// On a busy machine it is hardly ever seen asleep: it waits for a CPU after each nap.
#[test]
fn who_naps_between_the_looks_loses_its_p_after_a_slice() {
    use Verdict::*;
    let naps = Sight { ran_ns: MS / 5, naps: true, ..RUNS };
    assert_eq!(
        verdicts(&BUSY, &[(0, QUEUES), (9, naps), (10, naps), (11, naps)]),
        [Leave, Leave, Ask, TakeFromOverdue]
    );
    assert_eq!(verdicts(&BUSY, &[(0, QUEUES), (15, naps)]), [Leave, TakeFromOverdue]);
    assert_eq!(verdicts(&QUIET, &[(0, QUEUES), (15, naps)]), [Leave; 2]);
}

/// It is not blocked for ever behind one that gets no CPU, or that sleeps whenever nobody looks.
#[test]
fn who_has_its_p_for_very_long_loses_it_in_any_case() {
    use Verdict::*;
    let wakes = Sight { rested: false, ..QUEUES };
    let looks = [(0, wakes), (9, QUEUES), (10, wakes), (99, QUEUES), (100, wakes)];
    assert_eq!(verdicts(&BUSY, &looks), [Leave, Leave, Ask, Ask, TakeFromOverdue]);
    // One that naps loses it when it is seen to do so after its slice, and when it turns out to be blocked.
    assert_eq!(verdicts(&BUSY, &[(0, NAPS), (9, NAPS), (10, NAPS)]), [Leave, Leave, TakeFromSleeper]);
    assert_eq!(verdicts(&QUIET, &[(0, NAPS), (9, NAPS), (10, NAPS)]), [Leave; 3]);
    assert_eq!(verdicts(&BUSY, &[(0, wakes), (8, NAPS), (9, SLEEPS)]), [Leave, Leave, TakeFromSleeper]);
}

#[test]
fn hidden_gs_are_shown_where_a_p_is_idle() {
    let idle = Scene { hides: true, ..QUIET };
    assert_eq!(verdicts(&idle, &[(0, RUNS), (0, RUNS), (9, RUNS)]), [Verdict::LookAgain, Verdict::Show, Verdict::Show]);
    // The P was taken before this look, with this pick.
    assert_eq!(verdicts(&idle, &[(1, RUNS)]), [Verdict::Show]);
    // One that is blocked loses its P, with all that it hides.
    assert_eq!(verdicts(&idle, &[(0, SLEEPS), (1, SLEEPS)]), [Verdict::LookAgain, Verdict::TakeFromSleeper]);
}

#[test]
fn slices_grow_with_those_that_compute_without_a_p() {
    assert_eq!(slice_ns(0, 1), SLICE_NS);
    assert_eq!(slice_ns(ADRIFT_PER_P, 1), 2 * SLICE_NS);
    assert_eq!(slice_ns(ADRIFT_PER_P, 2), SLICE_NS + SLICE_NS / 2);
    assert_eq!(slice_ns(4 * ADRIFT_PER_P, 4), 2 * SLICE_NS);
}

#[test]
fn only_long_stretches_are_computing() {
    assert!(!computes(0, 0), "it has not run");
    assert!(computes(MS, 0), "it was never taken off its CPU");
    assert!(computes(3 * MS, 2), "it was taken off twice");
    assert!(!computes(MS, 100), "it answers small requests");
    assert!(computes(10 * STRETCH_NS, 10));
    assert!(!computes(10 * STRETCH_NS - 1, 10));
}

#[test]
fn a_slice_is_lively_while_it_may_turn_out_to_be_blocked_or_too_long() {
    let mut slice = Slice::new(T0);
    assert!(slice.is_lively(T0 + SLICE_NS - 1));
    assert!(!slice.is_lively(T0 + SLICE_NS));
    let _ = slice.judge(T0 + SLICE_NS, SLEEPS, &QUIET);
    assert!(slice.is_lively(T0 + SLICE_NS), "one more look says whether it is blocked");
}
