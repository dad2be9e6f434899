//! Partial deadlocks: some wait for each other for ever, while others run.

mod common;
#[path = "common/fake_lock.rs"]
mod fake_lock;
#[path = "common/hearing.rs"]
mod hearing;

use common::talk::{Running, case_of, read_until, wait_for_parent};
use common::{builder, child_command, eventually, naps, seed, stress_secs, subprocess, threads_of};
use fake_lock::{LOCK, lock, lock_until, unlock};
use pirn_runtime::internal::report_self_wait;
use pirn_runtime::{Builder, GoBuilder, JoinHandle, Runtime, go, sleep};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Until both have one lock.
const MOMENT: Duration = Duration::from_millis(50);
/// Two looks of sysmon, and some more.
const LOOKS: Duration = Duration::from_millis(4_500);

fn named(rt: &Runtime, name: &str, f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    rt.handle().try_go_with(GoBuilder::new().name(name), f).expect("it starts")
}

#[inline(never)]
fn lock_both(mine: usize, wanted: usize) {
    lock(mine);
    sleep(MOMENT);
    lock(wanted);
    std::hint::black_box(());
}

fn two_locks(rt: &Runtime) -> Vec<JoinHandle<()>> {
    vec![named(rt, "a", || lock_both(0xa0, 0xb0)), named(rt, "b", || lock_both(0xb0, 0xa0))]
}

/// Another G runs all the time.
fn beside_a_ticker(rt: &Runtime) -> Vec<JoinHandle<()>> {
    let mut gs = two_locks(rt);
    gs.push(rt.go(|| {
        loop {
            sleep(Duration::from_millis(1));
        }
    }));
    gs
}

/// Others wait for a member, and are none. The cycle goes on when it has been found.
fn beside_waiters(rt: &Runtime) -> Vec<JoinHandle<()>> {
    let mut gs = two_locks(rt);
    gs.extend((0..100).map(|_| rt.go(|| lock(0xa0))));
    gs
}

fn lock_and_join(rt: &Runtime) -> Vec<JoinHandle<()>> {
    vec![named(rt, "a", || {
        lock(0xa0);
        let b = GoBuilder::new().name("b").go(|| lock(0xa0));
        b.join().expect("never");
    })]
}

fn g_and_thread(rt: &Runtime) -> Vec<JoinHandle<()>> {
    let thread = || {
        lock(0xb0);
        thread::sleep(MOMENT);
        lock(0xa0);
    };
    thread::Builder::new().name("other".to_owned()).spawn(thread).expect("a thread");
    vec![named(rt, "a", || lock_both(0xa0, 0xb0))]
}

/// The other one belongs to another runtime, which is never closed.
fn two_runtimes(rt: &Runtime) -> Vec<JoinHandle<()>> {
    let other = build(builder().name("other").partial_deadlock_report(false));
    let gs = vec![named(rt, "a", || lock_both(0xa0, 0xb0)), named(&other, "b", || lock_both(0xb0, 0xa0))];
    std::mem::forget(other);
    gs
}

/// It has not said so itself.
fn one_lock(rt: &Runtime) -> Vec<JoinHandle<()>> {
    vec![named(rt, "a", || {
        lock(0xa0);
        lock(0xa0);
    })]
}

const A_AND_B: &[&str] = &[
    "pirn: partial deadlock: goroutine ",
    " \"a\" waits for mutex 0xb0 held by goroutine ",
    " \"b\" (lock of a test), which waits for mutex 0xa0 held by goroutine ",
    " (lock of a test)\n\ngoroutine ",
    " [lock of a test, \"a\", on mutex 0xb0, held by goroutine ",
    " \"b\" since ",
    "lock_both",
    "created by go from a thread\n",
    " [lock of a test, \"b\", on mutex 0xa0, held by goroutine ",
    "lock_both",
    "created by go from a thread\n",
];

type Acts = fn(&Runtime) -> Vec<JoinHandle<()>>;

/// What happens, and what is said of it, in this order; between the parts are numbers.
const CASES: &[(&str, Acts, &[&str])] = &[
    ("two locks", two_locks, A_AND_B),
    ("beside a ticker", beside_a_ticker, A_AND_B),
    ("beside waiters", beside_waiters, A_AND_B),
    (
        "a lock and a join",
        lock_and_join,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"a\" waits for the end of goroutine ",
            " \"b\" (join), which waits for mutex 0xa0 held by goroutine ",
            " (lock of a test)\n\ngoroutine ",
            " [join, \"a\", on goroutine ",
            " [lock of a test, \"b\", on mutex 0xa0, held by goroutine ",
            "created by go in goroutine ",
        ],
    ),
    (
        "a G and a thread",
        g_and_thread,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"a\" waits for mutex 0xb0 held by thread ",
            " \"other\" (lock of a test), which waits for mutex 0xa0 held by goroutine ",
            " (lock of a test)\n\ngoroutine ",
            "created by go from a thread\n",
            "\n\nthread ",
            " \"other\" [lock of a test, on mutex 0xa0, held by goroutine ",
            " \"a\"]:\n(no stack: it runs no goroutine)\n",
        ],
    ),
    (
        "two runtimes",
        two_runtimes,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"a\" waits for mutex 0xb0 held by goroutine ",
            " \"b\" (lock of a test), which waits for mutex 0xa0 held by goroutine ",
            " (lock of a test)\n\ngoroutine ",
            "lock_both",
            "created by go from a thread\n",
            " \"b\" [lock of a test, on mutex 0xa0, held by goroutine ",
            " \"a\"]:\n(no stack: it is on another runtime)\n\n",
        ],
    ),
    (
        "one lock",
        one_lock,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"a\" waits for mutex 0xa0, which it has locked itself (lock of a test), for ever unless it has given the guard away\n\n\
             goroutine ",
            "created by go from a thread\n",
        ],
    ),
];

/// Builds the runtime of a child; others of its threads may be anywhere, so there is no deadlock report.
fn build(builder: Builder) -> Runtime {
    fake_lock::register();
    builder.procs(2).build().expect("a runtime")
}

#[test]
fn a_cycle_is_reported_once_with_its_members() {
    const TEST: &str = "a_cycle_is_reported_once_with_its_members";
    if let Some(case) = case_of(TEST) {
        let (_, acts, _) = CASES.iter().find(|(name, ..)| *name == case).expect("a case");
        let rt = build(builder());
        let gs = acts(&rt);
        wait_for_parent();
        thread::sleep(LOOKS);
        drop((gs, rt));
        return;
    }
    thread::scope(|s| {
        for (case, _, parts) in CASES {
            s.spawn(move || {
                let mut child = Running::start(&mut child_command(TEST, case, &[]));
                let (mut stderr, mut said) = (child.stderr(), String::new());
                let (first, last) = (parts[0], parts[parts.len() - 1]);
                read_until(&mut stderr, &mut said, first, 1, last);
                child.go_on();
                child.expect_success();
                stderr.read_to_string(&mut said).expect("UTF-8");
                let rest = parts.iter().try_fold(&*said, |rest, part| Some(rest.split_once(part)?.1));
                assert!(rest.is_some(), "{case}: {said}");
                assert_eq!(said.matches("partial deadlock").count(), 1, "{case}: {said}");
            });
        }
    });
}

/// Both wait, but one of them not for ever.
fn with_a_timeout(rt: &Runtime) -> Vec<JoinHandle<()>> {
    let patient = || {
        lock(0xb0);
        sleep(MOMENT);
        assert!(!lock_until(0xa0, Some(Instant::now() + LOOKS * 2)));
    };
    vec![named(rt, "a", || lock_both(0xa0, 0xb0)), named(rt, "b", patient)]
}

fn thread_with_a_timeout(rt: &Runtime) -> Vec<JoinHandle<()>> {
    thread::spawn(|| {
        lock(0xb0);
        thread::sleep(MOMENT);
        assert!(!lock_until(0xa0, Some(Instant::now() + LOOKS * 2)));
    });
    vec![named(rt, "a", || lock_both(0xa0, 0xb0))]
}

/// The one that has the lock does something else for long.
fn slow_holder(rt: &Runtime) -> Vec<JoinHandle<()>> {
    let holder = || {
        lock(0xa0);
        sleep(LOOKS);
        unlock(0xa0);
    };
    let mut gs = vec![rt.go(holder)];
    gs.extend((0..10).map(|_| {
        rt.go(|| {
            sleep(MOMENT);
            lock(0xa0);
            unlock(0xa0);
        })
    }));
    gs
}

#[test]
fn what_ends_by_itself_or_is_off_is_not_reported() {
    const TEST: &str = "what_ends_by_itself_or_is_off_is_not_reported";
    const CASES: &[(&str, Acts, &str)] = &[
        ("timeout", with_a_timeout, ""),
        ("timeout of a thread", thread_with_a_timeout, ""),
        ("slow", slow_holder, ""),
        ("environment", two_locks, "partialdeadlock=0"),
        ("builder", two_locks, ""),
    ];
    if let Some(case) = case_of(TEST) {
        let (_, acts, _) = CASES.iter().find(|(name, ..)| *name == case).expect("a case");
        let rt = build(if case == "builder" { builder().partial_deadlock_report(false) } else { builder() });
        let gs = acts(&rt);
        thread::sleep(LOOKS);
        drop((gs, rt));
        return;
    }
    thread::scope(|s| {
        for (case, _, debug) in CASES {
            s.spawn(move || {
                let ended = subprocess(TEST, case, &[("PIRN_DEBUG", debug)]);
                let said = &ended.expect_success().stderr;
                assert!(!said.contains("partial deadlock"), "{case}: {said}");
            });
        }
    });
}

/// It names cycles too, and what it has said is not said again.
#[test]
fn the_stall_report_names_cycles() {
    const TEST: &str = "the_stall_report_names_cycles";
    if case_of(TEST).is_some() {
        let rt = build(builder().stall_report(MOMENT * 10));
        let gs = g_and_thread(&rt);
        wait_for_parent();
        thread::sleep(LOOKS);
        drop((gs, rt));
        return;
    }
    let mut child = Running::start(&mut child_command(TEST, "", &[]));
    let (mut stderr, mut said) = (child.stderr(), String::new());
    read_until(&mut stderr, &mut said, " stalls: ", 1, "created by go from a thread\n");
    child.go_on();
    child.expect_success();
    stderr.read_to_string(&mut said).expect("UTF-8");
    let parts = [
        "threads of others: ",
        "\"other\" (",
        ", waits in lock of a test)",
        "\n\ncycle: goroutine ",
        " \"a\" waits for mutex 0xb0 held by thread ",
        " \"other\" (lock of a test), which waits for mutex 0xa0 held by goroutine ",
        " (lock of a test)\n\ngoroutine ",
    ];
    let rest = parts.iter().try_fold(&*said, |rest, part| Some(rest.split_once(part)?.1));
    assert!(rest.is_some(), "{said}");
    assert!(!said.contains("partial deadlock"), "{said}");
}

#[inline(never)]
fn lock_again() {
    lock(0xa0);
    report_self_wait(&LOCK, 0xa0);
    report_self_wait(&LOCK, 0xa0);
    std::hint::black_box(());
}

/// A crate above that sees it says so at once.
#[test]
fn a_lock_that_its_holder_takes_again_is_reported_at_once() {
    const TEST: &str = "a_lock_that_its_holder_takes_again_is_reported_at_once";
    if let Some(case) = case_of(TEST) {
        let rt = build(if case == "off" { builder().partial_deadlock_report(false) } else { builder() });
        if case == "thread" {
            let thread = thread::Builder::new().name("again".to_owned()).spawn(lock_again).expect("a thread");
            return thread.join().expect("no panic");
        }
        let again = || {
            lock_again();
            lock(0xa0);
        };
        let g = named(&rt, "again", again);
        thread::sleep(if case == "g" { LOOKS } else { MOMENT * 4 });
        drop((g, rt));
        return;
    }
    let text = " \"again\" waits for mutex 0xa0, which it has locked itself (lock of a test), for ever unless";
    for (case, who) in [("g", "goroutine "), ("thread", "thread ")] {
        let ended = subprocess(TEST, case, &[]);
        let said = &ended.expect_success().stderr;
        let parts = ["pirn: partial deadlock: ", who, text, who, ":\n", "lock_again", file!()];
        let rest = parts.iter().try_fold(&**said, |rest, part| Some(rest.split_once(part)?.1));
        assert!(rest.is_some(), "{case}: {said}");
        // What it sees later is the same.
        assert_eq!(said.matches("partial deadlock").count(), 1, "{case}: {said}");
    }
    let ended = subprocess(TEST, "off", &[]);
    assert!(!ended.expect_success().stderr.contains("partial deadlock"));
}

/// While nobody waits for a lock, an idle process sleeps.
#[test]
fn sysmon_sleeps_while_nobody_waits() {
    const TEST: &str = "sysmon_sleeps_while_nobody_waits";
    if case_of(TEST).is_none() {
        subprocess(TEST, "", &[]).expect_success();
        return;
    }
    let rt = build(builder().name("idle"));
    // Whoever has waited has gone.
    let gs = slow_holder(&rt);
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
    // It gives memory back for some time, and then has nothing to do any more.
    let (mut before, mut since) = (None, Instant::now());
    eventually("it sleeps for longer than looks are apart", || {
        thread::sleep(MOMENT);
        let now = naps(&threads_of("idle-sysmon"));
        if now.is_none() || now != before {
            (before, since) = (now, Instant::now());
        }
        since.elapsed() >= LOOKS
    });
}

/// While a runtime closes there is no look, and sysmon looked again at once.
#[test]
fn sysmon_rests_while_the_runtime_closes() {
    const TEST: &str = "sysmon_rests_while_the_runtime_closes";
    if case_of(TEST).is_none() {
        subprocess(TEST, "", &[]).expect_success();
        return;
    }
    let rt = build(builder().name("closes"));
    lock(0xa0);
    let waits = thread::spawn(|| lock(0xa0));
    let blocks = rt.go(|| pirn_runtime::blocking(|| thread::sleep(LOOKS * 2)));
    thread::sleep(Duration::from_millis(1_500));
    let sysmon = threads_of("closes-sysmon")[0];
    let computed = || {
        let text = std::fs::read_to_string(format!("/proc/self/task/{sysmon}/schedstat")).expect("Linux");
        let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("a number");
        Duration::from_nanos(ns)
    };
    thread::scope(|s| {
        s.spawn(|| rt.shutdown_timeout(LOOKS * 3));
        thread::sleep(MOMENT * 4);
        let before = computed();
        thread::sleep(LOOKS);
        let computed = computed() - before;
        assert!(computed < LOOKS / 20, "{computed:?}");
    });
    blocks.join().expect("no panic");
    unlock(0xa0);
    waits.join().expect("no panic");
}

#[test]
fn a_subscriber_hears_of_it() {
    const TEST: &str = "a_subscriber_hears_of_it";
    if case_of(TEST).is_none() {
        subprocess(TEST, "", &[]).expect_success();
        return;
    }
    struct Message(bool);
    impl tracing::field::Visit for Message {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            let said = format!("{value:?}");
            self.0 |=
                field.name() == "message" && said.starts_with("partial deadlock: goroutine ") && !said.contains('\n');
        }
    }
    let heard = Arc::new(AtomicUsize::new(0));
    let hears = heard.clone();
    hearing::hear(move |event| {
        let mut message = Message(false);
        event.record(&mut message);
        let is_it = message.0 && *event.metadata().level() == tracing::Level::WARN;
        hears.fetch_add(usize::from(is_it), Ordering::AcqRel);
    });
    let rt = build(builder());
    let gs = two_locks(&rt);
    eventually("it is reported", || heard.load(Ordering::Acquire) == 1);
    drop((gs, rt));
}

/// Gs and threads that lock in one order, some of them for long: there is no cycle, whatever sysmon sees of it.
#[test]
fn locks_in_one_order_are_never_reported() {
    const TEST: &str = "locks_in_one_order_are_never_reported";
    const LOCKS: usize = 6;
    if case_of(TEST).is_none() {
        let ended = subprocess(TEST, "", &[]);
        let said = &ended.expect_success().stderr;
        assert!(!said.contains("partial deadlock"), "{said}");
        return;
    }
    let ends = Instant::now() + Duration::from_secs(stress_secs().max(5));
    let seed = seed(TEST);
    let work = move |nth: u64, pause: fn(Duration)| {
        let mut rng = common::Rng::new(seed ^ nth);
        while Instant::now() < ends {
            let first = rng.below(LOCKS);
            let last = first + rng.below(LOCKS - first);
            (first..=last).for_each(|nth| lock(0xa0 + nth));
            if rng.below(50) == 0 {
                pause(Duration::from_millis(rng.below(1_500) as u64));
            }
            (first..=last).rev().for_each(|nth| unlock(0xa0 + nth));
        }
    };
    let rt = build(builder());
    thread::scope(|s| {
        (0..2).for_each(|nth| _ = s.spawn(move || work(nth, thread::sleep)));
        rt.run(|| {
            let gs: Vec<_> = (2..22).map(|nth| go(move || work(nth, sleep))).collect();
            gs.into_iter().for_each(|g| g.join().expect("no panic"));
        });
    });
}
