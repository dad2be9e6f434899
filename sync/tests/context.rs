//! Contexts: what ends when, what is told, what is left.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Census, child_case, eventually, runtime, subprocess};
use pirn_channels::{Receiver, TryRecvError, select, unbounded};
use pirn_runtime::block_on;
use pirn_sync::context::{Context, ContextError, Key};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(5);
const LATE: Duration = Duration::from_secs(3600);

/// Runs a test on a thread that is on no runtime, and on Gs of one P and of two.
fn everywhere(test: fn()) {
    test();
    for procs in [1, 2] {
        let house = runtime(procs);
        house.run(test);
        house.close();
    }
}

fn is_open(done: &Receiver<Infallible>) -> bool {
    matches!(done.try_recv(), Err(TryRecvError::Empty))
}

#[test]
fn a_background_never_ends() {
    everywhere(|| {
        let context = Context::background();
        assert_eq!((context.err(), context.deadline()), (None, None));
        assert!(context.cause().is_none() && is_open(context.done()));
        assert_eq!(context.sleep(Duration::from_millis(1)), Ok(()));
        assert!(!context.after_func(|| unreachable!("it never ends")).stop());
        assert_eq!(context.to_string(), "context without end");
    });
}

#[test]
fn a_cancel_ends_all_below_and_nothing_else() {
    everywhere(|| {
        let (root, cancel_root) = Context::background().with_cancel();
        let (a, cancel_a) = root.with_cancel();
        let (b, _) = root.with_cancel();
        let (below_a, _) = a.with_timeout(LATE);
        let dones = [&a, &b, &below_a].map(|context| context.done().clone());
        cancel_a.cancel();
        assert_eq!(below_a.err(), Some(ContextError::Cancelled));
        assert_eq!([is_open(&dones[0]), is_open(&dones[1]), is_open(&dones[2])], [false, true, false]);
        assert_eq!((root.err(), b.err()), (None, None));
        // A child of an ended context has ended.
        let (born_late, _) = below_a.with_cancel();
        assert_eq!(born_late.err(), Some(ContextError::Cancelled));
        assert!(!is_open(born_late.done()));
        cancel_root.cancel();
        assert_eq!(b.wait(), ContextError::Cancelled);
    });
}

#[test]
fn the_first_cause_counts_and_children_have_it() {
    everywhere(|| {
        let (context, cancel) = Context::background().with_cancel();
        let (child, cancel_child) = context.with_cancel();
        cancel_child.cancel_with("the child's");
        cancel.cancel_with("the parent's");
        cancel.cancel_with("too late");
        let cause = |context: &Context| context.cause().expect("it has ended").to_string();
        assert_eq!([cause(&context), cause(&child)], ["the parent's", "the child's"]);
        assert_eq!(cause(&context.with_cancel().0), "the parent's");
        let (without, cancel) = Context::background().with_cancel();
        cancel.cancel();
        let cause = without.cause().expect("it has ended");
        assert_eq!(cause.downcast_ref(), Some(&ContextError::Cancelled));
        let (late, _cancel) = Context::background().with_deadline_cause(Instant::now(), "slow");
        assert_eq!(late.cause().expect("it has ended").to_string(), "slow");
        assert_eq!(late.to_string(), "ended context: slow");
    });
}

#[test]
fn deadlines_end_it_and_the_earliest_counts() {
    everywhere(|| {
        let began = Instant::now();
        let (outer, _cancel) = Context::background().with_timeout(SOON);
        let (inner, _cancel) = outer.with_timeout(LATE);
        assert_eq!(inner.deadline(), outer.deadline());
        assert_eq!(inner.err(), None);
        assert_eq!(inner.wait(), ContextError::DeadlineExceeded);
        assert!(began.elapsed() >= SOON);
        let (past, _cancel) = Context::background().with_deadline(began);
        assert_eq!(past.err(), Some(ContextError::DeadlineExceeded));
        let (far, _cancel) = Context::background().with_timeout(Duration::MAX);
        assert_eq!((far.deadline(), far.err()), (None, None));
        let (shorter, _cancel) = far.with_timeout(SOON);
        assert_eq!(shorter.sleep(LATE), Err(ContextError::DeadlineExceeded));
        assert_eq!(far.sleep(Duration::ZERO), Ok(()));
    });
}

#[test]
fn a_deadline_outlives_the_runtime_that_it_was_made_on() {
    let house = runtime(1);
    let (context, _cancel) = house.run(|| Context::background().with_timeout(Duration::from_millis(100)));
    house.close();
    assert_eq!(context.wait(), ContextError::DeadlineExceeded);
    assert!(context.deadline().is_some_and(|deadline| deadline <= Instant::now()));
}

#[test]
fn timers_go_with_their_contexts() {
    let house = runtime(1);
    house.run(|| {
        let (context, cancel) = Context::background().with_timeout(LATE);
        let (other, _) = Context::background().with_timeout(LATE);
        // This one's deadline is not earlier, so it needs no timer.
        let (child, _) = context.with_timeout(2 * LATE);
        assert_eq!(pirn_runtime::Handle::current().expect("a G").metrics().timers, 2);
        cancel.cancel();
        drop(other);
        assert_eq!(pirn_runtime::Handle::current().expect("a G").metrics().timers, 0);
        drop(child);
    });
    house.close();
}

#[test]
fn values_are_found_by_key() {
    static A: Key<u32> = Key::new("a");
    static B: Key<u32> = Key::new("a");
    static TEXT: Key<String> = Key::new("text");
    let one = Context::background().with_value(&A, 1);
    let two = one.with_value(&TEXT, "two".to_owned());
    let (three, cancel) = two.with_value(&A, 3).with_cancel();
    assert_eq!([one.value(&A), two.value(&A), three.value(&A)], [Some(&1), Some(&1), Some(&3)]);
    assert_eq!((one.value(&B), one.value(&TEXT)), (None, None));
    assert_eq!(three.value(&TEXT).map(String::as_str), Some("two"));
    assert_eq!(format!("{three:?}"), "Context(open context, with a, text, a)");
    cancel.cancel();
    let free = three.without_cancel();
    assert_eq!((free.value(&A), free.err(), free.deadline()), (Some(&3), None, None));
}

#[test]
fn the_wait_is_told() {
    everywhere(|| {
        for _ in 0..20 {
            let (context, cancel) = Context::background().with_cancel();
            let waits = context.clone();
            let thread = thread::spawn(move || waits.wait());
            let canceller = thread::spawn(move || cancel.cancel());
            select! { recv(context.done()) -> never => assert!(never.is_err()) }
            assert_eq!(block_on(context.wait_async()), ContextError::Cancelled);
            while !thread.is_finished() || !canceller.is_finished() {
                pirn_runtime::sleep(Duration::from_micros(100));
            }
            assert_eq!(thread.join().expect("it waits"), ContextError::Cancelled);
        }
    });
}

#[test]
fn a_guard_cancels_unless_it_is_disarmed() {
    let (context, cancel) = Context::background().with_cancel();
    let cancel = cancel.guard().disarm();
    assert_eq!(context.err(), None);
    drop(cancel.guard());
    assert_eq!(context.err(), Some(ContextError::Cancelled));
}

#[test]
fn calls_come_once_on_gs_of_their_own() {
    let house = runtime(2);
    house.run(|| {
        let (context, cancel) = Context::background().with_cancel();
        let (told_in, told) = unbounded();
        let call = |n: u32| {
            let told_in = told_in.clone();
            move || told_in.send((n, pirn_runtime::current_gid())).expect("it listens")
        };
        let first = context.after_func(call(1));
        let second = context.after_func(call(2));
        assert!(second.stop());
        assert!(!second.stop());
        cancel.cancel();
        assert!(!first.stop());
        let (n, gid) = told.recv().expect("it comes");
        assert!(n == 1 && gid.is_some() && gid != pirn_runtime::current_gid());
        // It has ended: at once.
        assert!(!context.after_func(call(3)).stop());
        assert_eq!(told.recv().expect("it comes").0, 3);
        drop((context, first));
        assert!(told.try_recv().is_err());
    });
    house.close();
}

#[test]
fn calls_from_threads_come_on_threads() {
    let (context, cancel) = Context::background().with_cancel();
    let (told_in, told) = unbounded();
    let stop = context.after_func(move || told_in.send(pirn_runtime::current_gid()).expect("it listens"));
    cancel.cancel();
    assert_eq!(told.recv(), Ok(None));
    assert!(!stop.stop());
}

#[test]
fn a_call_that_never_comes_is_dropped_with_the_last_handle() {
    everywhere(|| {
        let (root, _keeps) = Context::background().with_cancel();
        let census = Census::default();
        let (context, cancel) = root.with_cancel();
        let counted = census.count();
        let stop = context.after_func(move || drop(counted));
        drop((context, cancel));
        assert_eq!(census.living(), 1);
        drop(stop);
        assert_eq!(census.living(), 0);
    });
}

/// A waker and a call use the context again, and panic.
#[test]
fn what_is_told_may_use_the_context_and_panic() {
    struct Uses(Context, AtomicUsize);
    impl Wake for Uses {
        fn wake(self: Arc<Self>) {
            assert!(self.0.err().is_some());
            drop(self.0.with_cancel());
            self.1.fetch_add(1, Ordering::Relaxed);
            panic!("a waker that panics, on purpose");
        }
    }
    let house = runtime(1);
    house.run(|| {
        let (context, cancel) = Context::background().with_cancel();
        let uses = Arc::new(Uses(context.clone(), AtomicUsize::new(0)));
        let waker = Waker::from(uses.clone());
        let mut future = Box::pin(context.wait_async());
        assert!(future.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
        let inside = context.clone();
        let stop = context.after_func(move || {
            drop(inside.with_cancel());
            panic!("a call that panics, on purpose");
        });
        cancel.cancel();
        assert_eq!(uses.1.load(Ordering::Relaxed), 1);
        assert!(matches!(future.as_mut().poll(&mut Task::from_waker(&waker)), Poll::Ready(ContextError::Cancelled)));
        assert!(!stop.stop());
    });
    eventually("no G is left", || house.goroutines().is_empty());
    house.close();
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// In a process of its own, as it looks at the memory of the whole process.
#[test]
fn a_million_children_that_nobody_cancels_leave_nothing() {
    const NAME: &str = "a_million_children_that_nobody_cancels_leave_nothing";
    if child_case(NAME).is_none() {
        subprocess(NAME, "alone", &[]).expect_success();
        return;
    }
    let (root, cancel) = Context::background().with_cancel();
    let children = |n: usize| {
        for _ in 0..n {
            let (child, _forgotten) = root.with_timeout(LATE);
            drop(child.with_cancel());
        }
    };
    let house = runtime(1);
    house.run(|| {
        children(10_000);
        let before = resident_kib();
        children(common::scale(200_000, 1_000_000));
        let grown = resident_kib().saturating_sub(before);
        assert!(grown < 4 << 10, "{grown} KiB more");
        assert_eq!(pirn_runtime::Handle::current().expect("a G").metrics().timers, 0);
    });
    house.close();
    cancel.cancel();
}

#[test]
fn deep_chains_are_cancelled_and_dropped() {
    static DEPTH: Key<usize> = Key::new("depth");
    everywhere(|| {
        let chain = || {
            let (root, cancel) = Context::background().with_cancel();
            let mut last = root;
            for depth in 0..100_000 {
                last = last.with_cancel().0.with_value(&DEPTH, depth);
            }
            (last, cancel)
        };
        let (last, cancel) = chain();
        cancel.cancel();
        assert_eq!((last.err(), last.value(&DEPTH)), (Some(ContextError::Cancelled), Some(&99_999)));
        drop((last, cancel));
        drop(chain());
    });
}

#[test]
fn many_children_end_in_one_call() {
    let (root, cancel) = Context::background().with_cancel();
    let children: Vec<_> = (0..100_000).map(|_| root.with_cancel().0).collect();
    let began = Instant::now();
    cancel.cancel();
    eprintln!("100,000 children: {:?}", began.elapsed());
    assert!(children.iter().all(|child| child.err().is_some()));
}

/// All of them wait for one context, of each kind.
#[test]
fn all_kinds_wait_for_one_context() {
    let house = runtime(2);
    let (context, cancel) = Context::background().with_cancel();
    let ended = Arc::new(AtomicUsize::new(0));
    let worker = |wait: fn(&Context) -> ContextError| {
        let (context, ended) = (context.clone(), ended.clone());
        move || {
            assert_eq!(wait(&context), ContextError::Cancelled);
            ended.fetch_add(1, Ordering::Relaxed);
        }
    };
    for _ in 0..10 {
        drop(house.go(worker(Context::wait)));
        drop(house.go(worker(|context| block_on(context.wait_async()))));
        drop(house.go(worker(|context| context.sleep(LATE).expect_err("it ends"))));
        thread::spawn(worker(Context::wait));
    }
    thread::sleep(SOON);
    cancel.cancel();
    eventually("all have heard of it", || ended.load(Ordering::Relaxed) == 40);
    eventually("no G is left", || house.goroutines().is_empty());
    house.close();
}

#[test]
fn dumps_say_what_is_waited_for() {
    let house = runtime(1);
    let (context, cancel) = Context::background().with_cancel();
    let worker = |wait: fn(&Context)| {
        let context = context.clone();
        move || wait(&context)
    };
    let gs = [
        house.go(worker(|context| assert_eq!(context.wait(), ContextError::Cancelled))),
        house.go(worker(|context| assert!(context.sleep(LATE).is_err()))),
        house.go(worker(|context| {
            let group = pirn_sync::group::ErrGroup::<()>::new();
            let context = context.clone();
            group.go(move || Err(_ = context.wait()));
            assert_eq!(group.wait(), Err(()));
        })),
    ];
    let reasons = || {
        let mut reasons: Vec<_> = house.goroutines().iter().filter_map(|g| g.wait_reason).collect();
        reasons.sort_unstable();
        reasons
    };
    let all = ["context sleep", "context wait", "context wait", "group wait"];
    eventually("they wait", || reasons() == all);
    cancel.cancel();
    gs.into_iter().for_each(|g| g.join().expect("no worker fails"));
    house.close();
}

/// Thousands wait in all ways while their runtime ends: all are unwound, and the context lives on without them.
#[test]
fn a_shutdown_while_thousands_wait() {
    let mut house = runtime(2);
    let (context, cancel) = Context::background().with_cancel();
    let waits: [fn(&Context); 4] = [
        |context| _ = context.wait(),
        |context| _ = context.sleep(LATE),
        |context| _ = block_on(context.wait_async()),
        |context| select! { recv(context.done()) -> _ => {} },
    ];
    let gs: Vec<_> = (0..2000)
        .map(|nth| {
            let (child, wait) = (context.with_timeout(LATE).0, waits[nth % 4]);
            house.go(move || wait(&child))
        })
        .collect();
    eventually("they wait", || house.goroutines().iter().filter(|g| g.wait_reason.is_some()).count() == 2000);
    assert!(house.take().shutdown_timeout(Duration::from_secs(30)));
    house.check_empty();
    for g in gs {
        assert!(g.join().expect_err("it was unwound").is::<pirn_runtime::ShutDown>());
    }
    assert_eq!(context.err(), None);
    cancel.cancel();
    assert_eq!(context.with_timeout(LATE).0.err(), Some(ContextError::Cancelled));
}
