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
                self.crowd.sample(self.now_ns, others, 2);
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
            crowd.sample(at, others[at as usize % others.len()], cpus);
        }
        crowd.width(&Scene { now_ns: 0, picks: 0, procs });
        crowd.is_crowded
    };
    assert!(crowded(&[1], 2, 2) && crowded(&[1, 1, 0], 2, 2) && crowded(&[7], 2, 8) && crowded(&[0], 4, 2));
    assert!(!crowded(&[1, 0, 0], 2, 2) && !crowded(&[5], 2, 8) && !crowded(&[9], 1, 2));
}

#[test]
fn the_width_is_what_the_others_leave() {
    let left = |others, cpus| {
        let mut crowd = Crowd::default();
        (0..200).for_each(|at| crowd.sample(at, others, cpus));
        crowd.cpus_left()
    };
    assert_eq!([left(1, 2), left(3, 8), left(9, 8), left(0, 2)], [1, 5, 0, 2]);
}
