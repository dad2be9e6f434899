//! How long sysmon pauses, with made-up times.

use super::*;

const MS: u64 = 1_000_000;

#[test]
fn it_looks_again_at_once_after_it_has_helped_or_suspects_somebody() {
    for looked in [Looked { helped: true, ..Looked::default() }, Looked { suspects: true, ..Looked::default() }] {
        for waits in [false, true] {
            assert_eq!(looked.pause_ns(MS, waits), SYSMON_MIN_NS, "{looked:?}");
        }
    }
}

#[test]
fn pauses_double_up_to_a_limit() {
    let quiet = Looked::default();
    let lively = Looked { is_lively: true, ..quiet };
    let after =
        |looked: Looked, waits, looks: usize| (0..looks).fold(SYSMON_MIN_NS, |ns, _| looked.pause_ns(ns, waits));
    assert_eq!(after(quiet, false, 3), 8 * SYSMON_MIN_NS);
    assert_eq!(after(quiet, false, 30), SYSMON_MAX_NS);
    assert_eq!(after(lively, false, 30), SYSMON_BUSY_NS);
    assert_eq!(after(quiet, true, 30), SYSMON_BUSY_NS);
}
