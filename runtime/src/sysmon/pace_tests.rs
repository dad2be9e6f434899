//! Each way from one state of sysmon's sleep to the next, and how long its pauses are, with made-up times.

use super::*;

const MS: u64 = 1_000_000;
const NOW: u64 = 1_000 * MS;

/// Every P is idle and nothing waits.
const QUIET: Scene = Scene {
    now_ns: NOW,
    is_busy: false,
    work_waits: false,
    has_come: false,
    hides: false,
    timer_ns: NEVER,
    due_ns: NEVER,
};
const BUSY: Scene = Scene { is_busy: true, ..QUIET };
const NOTHING: Looked = Looked {
    helped: false,
    suspects: false,
    work_stays: false,
    is_lively: false,
    picks_quickly: false,
    lingers: false,
};
const LIVELY: Looked = Looked { is_lively: true, ..NOTHING };
const SUSPECTS: Looked = Looked { suspects: true, ..NOTHING };

/// The states after looks at these scenes.
fn walk(from: Pace, scenes: &[Scene]) -> Vec<Pace> {
    let next = |pace: &mut Pace, scene: &Scene| {
        *pace = pace.next(scene, &NOTHING);
        Some(*pace)
    };
    scenes.iter().scan(from, next).collect()
}

fn watching(pause_ns: u64) -> Pace {
    Pace::Watching { pause_ns }
}

fn quiet(pause_ns: u64, looks: u32) -> Pace {
    Pace::Quiet { pause_ns, looks }
}

/// It fell asleep so long ago.
fn asleep(pause_ns: u64, ago_ns: u64) -> Pace {
    Pace::Asleep { pause_ns, since_ns: NOW - ago_ns }
}

#[test]
fn it_falls_asleep_at_the_third_look_at_which_all_is_quiet() {
    assert_eq!(walk(watching(MS), &[QUIET; 3]), [quiet(MS, 1), quiet(MS, 2), asleep(MS, 0)]);
}

#[test]
fn what_happens_while_all_is_quiet_has_it_watch_again_at_the_pause_that_it_was_at() {
    let waits = Scene { work_waits: true, ..QUIET };
    for happens in [BUSY, waits] {
        let states = walk(watching(MS / 10), &[QUIET, QUIET, happens, QUIET]);
        let pause_ns = MS / 5;
        assert_eq!(states[2..], [watching(pause_ns), quiet(pause_ns, 1)], "{happens:?}");
    }
}

#[test]
fn who_was_asleep_for_long_begins_anew() {
    let long = asleep(MS, SYSMON_NAP_NS);
    assert_eq!(long.next(&BUSY, &NOTHING), watching(2 * SYSMON_MIN_NS));
    let states = [quiet(SYSMON_MIN_NS, 1), quiet(SYSMON_MIN_NS, 2), asleep(SYSMON_MIN_NS, 0)];
    assert_eq!(walk(long, &[QUIET; 3]), states);
}

/// A server with one connection rests after each message. sysmon looked again after 20 us, each time.
#[test]
fn who_was_asleep_for_a_moment_goes_on_with_its_pause() {
    let nap = asleep(MS / 4, SYSMON_NAP_NS - 1);
    assert_eq!(nap.next(&BUSY, &LIVELY), watching(MS / 2));
    assert_eq!(walk(nap, &[QUIET; 3]), [quiet(MS / 4, 1), quiet(MS / 4, 2), asleep(MS / 4, 0)]);
    assert_eq!(nap.next(&BUSY, &SUSPECTS), Pace::fresh());
}

#[test]
fn a_timer_that_is_due_is_the_keepers_at_the_first_quiet_look_and_late_at_the_next() {
    let due = Scene { has_come: true, timer_ns: NOW, ..QUIET };
    assert_eq!(walk(watching(MS / 10), &[due; 2]), [quiet(MS / 10, 1), watching(MS / 5)]);
    assert_eq!(asleep(MS, 0).next(&due, &NOTHING), quiet(MS, 1));
    let to_come = Scene { timer_ns: NOW + 1, ..QUIET };
    assert_eq!(quiet(MS, 1).next(&to_come, &NOTHING), quiet(MS, 2));
}

#[test]
fn what_a_p_hides_keeps_pauses_short_but_nobody_awake() {
    let hides = Scene { hides: true, ..BUSY };
    assert_eq!(watching(MS).next(&hides, &NOTHING), watching(SYSMON_BUSY_NS));
    assert_eq!(watching(MS).next(&BUSY, &NOTHING), watching(2 * MS));
    assert_eq!(watching(MS).next(&Scene { hides: true, ..QUIET }, &NOTHING), quiet(MS, 1));
}

#[test]
fn it_looks_again_at_once_after_it_has_helped_or_suspects_somebody() {
    for looked in [Looked { helped: true, ..NOTHING }, SUSPECTS] {
        for scene in [BUSY, Scene { work_waits: true, ..BUSY }] {
            assert_eq!(watching(MS).next(&scene, &looked), Pace::fresh(), "{looked:?}");
        }
    }
}

#[test]
fn pauses_double_up_to_a_limit() {
    let after = |looked: Looked, scene: Scene, looks: usize| {
        (0..looks).fold(Pace::fresh(), |pace, _| pace.next(&scene, &looked)).until_ns(&scene) - NOW
    };
    assert_eq!(after(NOTHING, BUSY, 3), 8 * SYSMON_MIN_NS);
    assert_eq!(after(NOTHING, BUSY, 30), SYSMON_MAX_NS);
    assert_eq!(after(LIVELY, BUSY, 30), SYSMON_BUSY_NS);
    assert_eq!(after(NOTHING, Scene { work_waits: true, ..BUSY }, 30), SYSMON_BUSY_NS);
}

/// A server at work: what waits is picked soon, and sysmon has nothing to do.
#[test]
fn pauses_are_longer_while_all_ms_pick_many_gs() {
    let waits = Scene { work_waits: true, hides: true, ..BUSY };
    let quick = Looked { picks_quickly: true, ..LIVELY };
    assert_eq!(watching(MS).next(&waits, &quick), watching(2 * MS));
    assert_eq!(watching(SYSMON_STEADY_NS).next(&waits, &quick), watching(SYSMON_STEADY_NS));
    for (looked, pause_ns) in [
        (Looked { lingers: true, ..quick }, SYSMON_BUSY_NS),
        (Looked { suspects: true, ..quick }, SYSMON_MIN_NS),
        (Looked { helped: true, ..quick }, SYSMON_MIN_NS),
    ] {
        assert_eq!(watching(SYSMON_STEADY_NS).next(&waits, &looked), watching(pause_ns), "{looked:?}");
    }
}

#[test]
fn a_pause_ends_at_what_comes_first() {
    let until = |pace: Pace, timer_ns, due_ns| pace.until_ns(&Scene { timer_ns, due_ns, ..BUSY });
    assert_eq!(until(watching(MS), NEVER, NEVER), NOW + MS);
    assert_eq!(until(watching(MS), NEVER, NOW + 5), NOW + 5);
    assert_eq!(until(watching(MS), NOW + MS / 2, NEVER), NOW + MS / 2);
    assert_eq!(until(watching(MS), NOW + 1, NEVER), NOW + SYSMON_MIN_NS, "not at once");
    assert_eq!(until(watching(MS), NOW, NEVER), NOW + MS, "it was seen at this look");
    // The keeper sleeps for timers.
    assert_eq!(until(quiet(MS, 1), NOW + 5, NEVER), NOW + MS);
    assert_eq!(until(quiet(MS, 1), NEVER, NOW + 5), NOW + 5);
    assert_eq!(until(asleep(MS, 0), NOW + 5, NEVER), NEVER);
    assert_eq!(until(asleep(MS, 0), NEVER, NOW + 5), NOW + 5);
}

#[test]
fn it_may_be_poked_out_of_a_long_pause() {
    assert!(!is_long(NOW, NOW + SYSMON_DROWSY_NS));
    assert!(is_long(NOW, NOW + SYSMON_DROWSY_NS + 1));
}
