//! What the width becomes, by what others do: with made-up machines of two CPUs, which pick Gs at rates that the tests say.

use super::*;

const MS: u64 = 1_000_000;
const PROCS: usize = 2;

/// A machine that sysmon looks at each millisecond.
struct Machine {
    crowd: Crowd,
    now_ns: u64,
    picks: u32,
}

impl Machine {
    fn new() -> Machine {
        // The count is about to wrap.
        Machine { crowd: Crowd::default(), now_ns: 1_000 * MS, picks: u32::MAX - 1_000 }
    }

    /// So many milliseconds with so many others and so many picks in each millisecond by the width. Returns for how many
    /// of them it was narrow.
    fn run(&mut self, ms: u64, others: usize, picks: impl Fn(usize) -> u32) -> u64 {
        let mut narrow = 0;
        let mut width = PROCS;
        for _ in 0..ms {
            self.now_ns += MS;
            self.picks = self.picks.wrapping_add(picks(width));
            if self.crowd.wants_sample(self.now_ns) {
                self.crowd.sample(self.now_ns, others, || 2);
            }
            width = self.crowd.width(&Scene { now_ns: self.now_ns, picks: self.picks, procs: PROCS });
            narrow += u64::from(width == 1);
        }
        narrow
    }
}

/// Who calls shares the machine, and is late if it gets no CPU.
fn calls(width: usize) -> u32 {
    if width == 1 { 170 } else { 140 }
}

/// The others have nothing to do with it.
fn competes(width: usize) -> u32 {
    if width == 1 { 100 } else { 133 }
}

#[test]
fn where_there_is_a_cpu_for_each_p_nothing_is_tried() {
    assert_eq!(Machine::new().run(10_000, 0, calls), 0);
}

#[test]
fn fewer_ps_are_kept_where_they_pick_more_or_where_it_makes_no_difference() {
    for picks in [calls, |_| 140, |_| 0] {
        let mut machine = Machine::new();
        machine.run(500, 1, picks);
        assert!(machine.run(10_000, 1, picks) > 9_500);
    }
}

#[test]
fn all_ps_are_kept_where_they_pick_more() {
    let mut machine = Machine::new();
    machine.run(500, 1, competes);
    assert!(machine.run(10_000, 1, competes) < 500);
}

/// What was found once does not hold for ever.
#[test]
fn it_is_tried_again() {
    let mut machine = Machine::new();
    machine.run(10_000, 1, calls);
    machine.run(3 * KEPT_NS / MS, 1, competes);
    assert!(machine.run(10_000, 1, competes) < 500);
    machine.run(3 * KEPT_NS / MS, 1, calls);
    assert!(machine.run(10_000, 1, calls) > 9_500);
}

#[test]
fn all_ps_may_be_woken_soon_after_the_others_have_left() {
    let mut machine = Machine::new();
    machine.run(1_000, 1, calls);
    assert!(machine.run(1_000, 0, calls) < 50);
}

/// Others that want a CPU now and then are not a crowd, and the threads of a machine with many CPUs are not either.
#[test]
fn what_is_crowded() {
    let crowded = |others: &[usize], procs, cpus| {
        let mut crowd = Crowd::default();
        for at in 0..200 {
            crowd.sample(at, others[at as usize % others.len()], || cpus);
        }
        crowd.width(&Scene { now_ns: 0, picks: 0, procs });
        crowd.is_crowded
    };
    assert!(crowded(&[1], 2, 2) && crowded(&[1, 1, 0], 2, 2) && crowded(&[7], 2, 8) && crowded(&[0], 4, 2));
    assert!(!crowded(&[1, 0, 0], 2, 2) && !crowded(&[5], 2, 8) && !crowded(&[9], 1, 2));
}

#[test]
fn the_narrow_width_is_what_the_others_leave() {
    let least = |others, cpus, procs| {
        let mut crowd = Crowd::default();
        (0..200).for_each(|at| crowd.sample(at, others, || cpus));
        crowd.width(&Scene { now_ns: 0, picks: 0, procs });
        crowd.least
    };
    assert_eq!([least(1, 2, 2), least(3, 8, 8), least(9, 8, 8), least(0, 2, 4), least(0, 8, 9)], [1, 5, 1, 2, 8]);
}

/// A crowd that is gone before it has been tried is none.
#[test]
fn nothing_is_narrow_before_it_was_tried() {
    let mut machine = Machine::new();
    for _ in 0..50 {
        assert_eq!(machine.run(150, 1, calls), 0);
        assert_eq!(machine.run(150, 0, calls), 0);
    }
}

/// With other others, what was found says nothing.
#[test]
fn another_number_of_others_is_tried_anew() {
    let (mut crowd, mut picks, mut last) = (Crowd::default(), 0, 8);
    let mut width = |from_ms: u64, ms: u64, others| {
        for now_ns in (from_ms..from_ms + ms).map(|ms| ms * MS) {
            crowd.sample(now_ns, others, || 8);
            picks += if last == 8 { 100 } else { 170 };
            last = crowd.width(&Scene { now_ns, picks, procs: 8 });
        }
        last
    };
    assert_eq!(width(1_000, 1_000, 1), 7);
    assert_eq!(width(2_000, 100, 5), 8, "it is not known yet");
    assert!(width(2_100, 1_000, 5) < 5);
}

/// Each of many short bursts began a trial, which none of them ended: they all were narrow.
#[test]
fn bursts_that_are_too_short_to_be_tried_have_all_ps() {
    let mut machine = Machine::new();
    for _ in 0..100 {
        assert_eq!(machine.run(40, 1, calls), 0);
        machine.now_ns += 30 * MS;
    }
}

/// Nothing came for a minute in the middle of a window, and the others have gone.
#[test]
fn a_lull_counts_for_no_width() {
    let mut machine = Machine::new();
    machine.run(300, 1, competes);
    machine.now_ns += 60_000 * MS;
    assert!(machine.run(20, 0, competes) <= 1);
    machine.run(600, 1, competes);
    assert!(machine.run(3_000, 1, competes) < 500);
}
