//! The stall report: in a process with other threads, which a test runner's is.

mod common;
#[path = "common/hearing.rs"]
mod hearing;

use common::talk::{Running, case_of, read_until, wait_for_parent};
use common::{builder, child_command, eventually, subprocess, threads_of, wait_until_asleep, wait_until_waiting};
use hearing::hear;
use pirn_runtime::internal::SetClock;
use pirn_runtime::time::Ticker;
use pirn_runtime::{GoBuilder, Unparker, go, park, park_timeout, sleep};
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

const SOON: Duration = Duration::from_millis(200);

#[inline(never)]
fn wait_until(told: &AtomicBool) {
    while !told.load(Ordering::Acquire) {
        park();
    }
}

#[inline(never)]
fn lock_deep(lock: &Mutex<()>) {
    drop(lock.lock().expect("no panic"));
}

/// The part that is about the G with that name.
#[track_caller]
fn about<'a>(said: &'a str, name: &str) -> &'a str {
    let part = said.split("\n\n").find(|part| part.starts_with("goroutine ") && part.contains(&format!("{name:?}")));
    part.unwrap_or_else(|| panic!("nothing about {name} in {said}"))
}

/// The deadlock report can not speak here: there is a test runner.
#[test]
fn gs_that_wait_for_each_other_are_reported_once() {
    const TEST: &str = "gs_that_wait_for_each_other_are_reported_once";
    if let Some(case) = case_of(TEST) {
        let builder = if case == "builder" { builder().stall_report(SOON) } else { builder() };
        let rt = builder.procs(2).name("stuck").build().expect("a runtime");
        let told = [AtomicBool::new(false), AtomicBool::new(false)];
        let culprit = Mutex::new(None);
        thread::scope(|s| {
            let rescuer = || {
                for told in &told {
                    wait_for_parent();
                    told.store(true, Ordering::Release);
                    let culprit: Unparker = culprit.lock().expect("no panic").clone().expect("it waits");
                    culprit.unpark();
                }
            };
            thread::Builder::new().name("rescuer".into()).spawn_scoped(s, rescuer).expect("a thread");
            rt.run(|| {
                pirn_runtime::scope(|s| {
                    let waits = || {
                        *culprit.lock().expect("no panic") = Some(Unparker::current());
                        told.iter().for_each(wait_until);
                    };
                    s.go_with(GoBuilder::new().name("culprit"), waits);
                });
            });
        });
        return;
    }
    for (case, debug) in [("builder", ""), ("environment", "stall=1")] {
        let mut child = Running::start(&mut child_command(TEST, case, &[("PIRN_DEBUG", debug)]));
        let (mut stderr, mut said) = (child.stderr(), String::new());
        let stalls = "pirn: the runtime \"stuck\" stalls: nothing has run for ";
        read_until(&mut stderr, &mut said, stalls, 1, "created by go from a thread\n");
        read_until(&mut stderr, &mut said, stalls, 1, "created by go in goroutine ");
        let what = ", and 2 goroutines wait for something other than the clock\npirn: no timer is pending; threads of others: ";
        assert!(said.contains(what), "{said}");
        let others = said.lines().find(|line| line.contains("threads of others: ")).expect("it is there");
        assert!(others.contains("\"rescuer\" (") && others.contains(", waits for goroutine "), "{others}");
        assert!(!others.contains("\"stuck-"), "{others}");
        let culprit = about(&said, "culprit");
        assert!(culprit.contains("[park, ") && culprit.contains("wait_until"), "{culprit}");
        assert!(about(&said, "main").contains("[scope, "), "{said}");
        // Something runs, and then it stalls once more.
        child.go_on();
        read_until(&mut stderr, &mut said, stalls, 2, "created by go in goroutine ");
        child.go_on();
        child.expect_success();
        stderr.read_to_string(&mut said).expect("UTF-8");
        assert_eq!(said.matches(stalls).count(), 2, "{said}");
    }
}

/// Two Gs of which each has what the other wants, one in a lock of std; and two that both are in one.
#[test]
fn gs_in_locks_of_std_are_reported() {
    const TEST: &str = "gs_in_locks_of_std_are_reported";
    if let Some(case) = case_of(TEST) {
        let rt = builder().procs(2).stall_report(SOON).build().expect("a runtime");
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().expect("no panic");
        let wanted = lock.clone();
        let locks = move || lock_deep(&wanted);
        let g = rt.handle().try_go_with(GoBuilder::new().name("locks"), locks).expect("it starts");
        if case == "both" {
            let joins = GoBuilder::new().name("joins");
            let joins = rt.handle().try_go_with(joins, move || g.join().expect("no panic")).expect("it starts");
            wait_for_parent();
            drop(held);
            return joins.join().expect("no panic");
        }
        wait_for_parent();
        drop(held);
        return g.join().expect("no panic");
    }
    for (case, what) in [
        ("both", "1 goroutine waits for something other than the clock, and 1 goroutine blocks its thread in a lock\n"),
        ("locked", "nothing has run for"),
    ] {
        let mut child = Running::start(&mut child_command(TEST, case, &[]));
        let (mut stderr, mut said) = (child.stderr(), String::new());
        read_until(&mut stderr, &mut said, " stalls: ", 1, "created by go from a thread\n");
        assert!(said.contains(what), "{said}");
        assert!(said.contains("1 goroutine blocks its thread in a lock\n"), "{said}");
        let locks = about(&said, "locks");
        // On a machine that is busy the thread may not answer in time.
        let is_shown = locks.contains("lock_deep") || locks.contains("(no stack: the thread does not answer)");
        assert!(locks.contains("[syscall, ") && is_shown, "{locks}");
        child.go_on();
        child.expect_success();
    }
}

/// So long nothing may run in the cases below.
const AFTER: Duration = Duration::from_millis(500);
/// So many steps are four times as long.
const STEPS: u32 = 40;
const STEP: Duration = Duration::from_millis(50);

/// Moves the clock by a step, and waits until sysmon has looked.
fn step(clock: &SetClock) {
    clock.advance(STEP);
    wait_until_asleep(|| threads_of("steps-sysmon"), 3);
}

/// All wait for the clock, longer than a stall is.
fn wait_for_the_clock() {
    let clock = SetClock::take();
    let rt = builder().procs(2).name("steps").stall_report(AFTER).build().expect("a runtime");
    let long = STEP * STEPS;
    let gs = [rt.go(move || sleep(long)), rt.go(move || park_timeout(long)), rt.go(move || Ticker::new(long).wait())];
    gs.iter().for_each(|g| wait_until_waiting(&rt.handle(), g.id()));
    (0..STEPS).for_each(|_| step(&clock));
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
}

/// One G waits for nothing that comes, and another runs at every step.
fn run_now_and_then() {
    let clock = SetClock::take();
    let rt = builder().procs(2).name("steps").stall_report(AFTER).build().expect("a runtime");
    let waits = rt.go(park);
    let steps = Arc::new(AtomicUsize::new(0));
    let counts = steps.clone();
    let ticks = rt.go(move || {
        (0..STEPS).for_each(|_| {
            sleep(STEP);
            counts.fetch_add(1, Ordering::Release);
        });
    });
    for nth in 1..=STEPS {
        wait_until_waiting(&rt.handle(), ticks.id());
        step(&clock);
        eventually("it has run", || steps.load(Ordering::Acquire) == nth as usize);
    }
    ticks.join().expect("no panic");
    drop(waits);
}

/// Who waits for the clock, and what runs now and then, is no stall.
#[test]
fn what_waits_for_the_clock_or_runs_is_not_reported() {
    const TEST: &str = "what_waits_for_the_clock_or_runs_is_not_reported";
    if let Some(case) = case_of(TEST) {
        match &*case {
            "clock" => return wait_for_the_clock(),
            "ticks" => return run_now_and_then(),
            _ => {}
        }
        let rt = builder().procs(2).stall_report(AFTER).build().expect("a runtime");
        let (began, mut last, mut gap) = (Instant::now(), Instant::now(), Duration::ZERO);
        rt.run(|| {
            let _waits = go(park);
            while began.elapsed() < AFTER * 4 {
                gap = gap.max(last.elapsed());
                last = Instant::now();
            }
        });
        // On a machine that gave it no CPU for so long, nothing has run indeed.
        if gap >= AFTER / 2 {
            eprintln!("did not run for {gap:?}");
        }
        return;
    }
    for case in ["clock", "ticks", "computes"] {
        let ended = subprocess(TEST, case, &[]);
        let said = &ended.expect_success().stderr;
        assert!(!said.contains("stalls") || said.contains("did not run for"), "{case}: {said}");
    }
}

/// A limit of time that is still to come does not silence it.
#[test]
fn a_timer_that_is_not_due_for_long_is_named() {
    const TEST: &str = "a_timer_that_is_not_due_for_long_is_named";
    if case_of(TEST).is_some() {
        let rt = builder().procs(2).stall_report(SOON).build().expect("a runtime");
        let limit = rt.go(|| sleep(Duration::from_secs(1000)));
        let waits = rt.handle().try_go_with(GoBuilder::new().name("waits"), park).expect("it starts");
        wait_for_parent();
        return drop((limit, waits));
    }
    let mut child = Running::start(&mut child_command(TEST, "", &[]));
    let (mut stderr, mut said) = (child.stderr(), String::new());
    read_until(&mut stderr, &mut said, " stalls: ", 1, "created by go from a thread\n");
    assert!(said.contains(", and 1 goroutine waits for something other than the clock\n"), "{said}");
    assert!(said.contains("pirn: the next timer is due in 99"), "{said}");
    child.go_on();
    child.expect_success();
}

struct Message(bool);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let said = format!("{value:?}");
        self.0 |=
            field.name() == "message" && said.starts_with("the runtime \"told\" stalls: ") && !said.contains('\n');
    }
}

/// Whether it is a warning that speaks of a stall.
fn is_stall(event: &Event<'_>) -> bool {
    let mut message = Message(false);
    event.record(&mut message);
    message.0 && *event.metadata().level() == Level::WARN
}

/// A subscriber that waits for its reader for ever held sysmon, and so did the drop of the runtime.
#[test]
fn a_subscriber_that_blocks_holds_nobody() {
    const TEST: &str = "a_subscriber_that_blocks_holds_nobody";
    if case_of(TEST).is_none() {
        return Running::start(&mut child_command(TEST, "", &[])).expect_success();
    }
    let (began, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(())));
    let _never = ends.lock().expect("no panic");
    let (heard, blocked) = (began.clone(), ends.clone());
    hear(move |event| {
        if is_stall(event) {
            heard.fetch_add(1, Ordering::AcqRel);
            drop(blocked.lock());
        }
    });
    let rt = builder().procs(1).name("told").stall_report(SOON).build().expect("a runtime");
    let waits = rt.go(park);
    common::eventually("it is reported", || began.load(Ordering::Acquire) == 1);
    // That the second G runs is for sysmon to see to: the first one blocks the only P.
    let (send, receive) = std::sync::mpsc::channel();
    let blocks = rt.go(move || receive.recv().expect("it is sent"));
    rt.go(move || send.send(()).expect("it is waited for")).join().expect("no panic");
    blocks.join().expect("no panic");
    drop((rt, waits));
}

#[test]
fn a_subscriber_hears_of_a_stall() {
    let heard = Arc::new(AtomicUsize::new(0));
    let told = heard.clone();
    hear(move |event| _ = told.fetch_add(usize::from(is_stall(event)), Ordering::AcqRel));
    let rt = builder().procs(1).name("told").stall_report(SOON).build().expect("a runtime");
    let waits = rt.go(park);
    common::eventually("it is reported", || heard.load(Ordering::Acquire) == 1);
    drop((rt, waits));
    assert_eq!(heard.load(Ordering::Acquire), 1);
}
