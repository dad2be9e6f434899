//! Tests of others, written anew as semantics, each under its name.
//!
//! Go's `x/sync/errgroup` (errgroup_test.go): all five. Left out of `TestTryGo` is the limit of zero, which is an error
//! of the user's here; of `TestCancelCause` that the cause is the very error: it belongs to who waits, and the cause says
//! that a task has failed.
//!
//! tokio's `JoinSet` (tests/task_join_set.rs), by groups and `as_completed`. Left out: the modules `spawn_local` and
//! `spawn_local_on` (`panic_outside_any_runtime`, `panic_in_multi_thread_runtime`, `spawn_then_join_next`,
//! `spawn_then_shutdown`, `spawn_then_drop`), as no tasks here stay on a thread; `test_abort_on_drop`, `abort_tasks`
//! (nothing is aborted: a context is cancelled); `join_set_coop` (about tokio's budgets); `try_join_next_with_id` (handles
//! have ids); `extend` (an iterator's `for_each`); `replace_parent_waker_drops_outside_lock` (no nested wakers).
//!
//! tokio-util's `TaskTracker` (tests/task_tracker.rs), by `ErrGroup`. Left out: what opens, closes and reopens, as `wait`
//! waits for what runs, and no state is needed (`open_close`, `notify_immediately_on_reopen`, `notify_on_close`,
//! `notify_on_close_reopen`, `no_notify_on_respawn_if_open`, `close_during_exit`, and `spawn_then_close` of the module
//! `spawn`); the modules `spawn_local` and `spawn_local_on` (`panic_outside_any_runtime`, `panic_in_multi_thread_runtime`,
//! `spawn_then_close`, `spawn_after_close`, `spawn_then_drop`, `close_then_spawn`), as above.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{eventually, runtime};
use pirn_channels::{TryRecvError, bounded, unbounded};
use pirn_runtime::{JoinHandle, ShutDown, go, park, sleep, yield_now};
use pirn_sync::context::{Context, ContextError};
use pirn_sync::group::{ErrGroup, as_completed, gather, task_group};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

fn on_gs(test: fn()) {
    for procs in [1, 2] {
        let house = runtime(procs);
        house.run(test);
        eventually("no G is left", || house.goroutines().is_empty());
        house.close();
    }
}

// Go: TestZeroGroup
#[test]
fn zero_group() {
    on_gs(|| {
        for results in [vec![], vec![Ok(())], vec![Err(1)], vec![Err(1), Ok(())], vec![Err(1), Ok(()), Err(2)]] {
            let group = ErrGroup::new();
            for result in results {
                group.go(move || result);
                // Each wait gives the errors since the last one.
                assert_eq!(group.wait(), result);
            }
            assert_eq!(group.wait(), Ok(()));
        }
    });
}

// Go: TestWithContext, TestCancelCause
#[test]
fn with_context_and_cancel_cause() {
    on_gs(|| {
        let cases = [(vec![], Ok(())), (vec![Ok(())], Ok(())), (vec![Err(1)], Err(1)), (vec![Err(1), Ok(())], Err(1))];
        for (results, want) in cases {
            let (group, context) = ErrGroup::with_context(&Context::background());
            results.into_iter().for_each(|result| group.go(move || result));
            assert_eq!(group.wait(), want);
            assert_eq!(context.done().try_recv(), Err(TryRecvError::Disconnected));
            let cause = context.cause().expect("it has ended");
            assert_eq!(cause.is::<ContextError>(), want.is_ok());
        }
    });
}

// Go: TestTryGo
#[test]
fn try_go() {
    on_gs(|| {
        let n = 42;
        let group = ErrGroup::<()>::new().limit(n);
        let (s, r) = bounded(0);
        let f = || {
            let s = s.clone();
            move || s.send(()).map_err(drop)
        };
        assert!((0..n).all(|_| group.try_go(f())));
        assert!(!group.try_go(f()));
        let receiver = r.clone();
        let receives = go(move || (0..n).for_each(|_| receiver.recv().expect("they send")));
        assert_eq!(group.wait(), Ok(()));
        receives.join().expect("it receives");
        assert!(group.try_go(f()));
        r.recv().expect("it sends");
        assert_eq!(group.wait(), Ok(()));
        let group = group.limit(1);
        assert!(group.try_go(f()));
        assert!(!group.try_go(f()));
        r.recv().expect("it sends");
        assert_eq!(group.wait(), Ok(()));
    });
}

// Go: TestGoLimit
#[test]
fn go_limit() {
    on_gs(|| {
        const LIMIT: usize = 10;
        let group = ErrGroup::new().limit(LIMIT);
        let active = Arc::new(AtomicUsize::new(0));
        for _ in 0..=1024 {
            let active = active.clone();
            group.go(move || {
                let now = active.fetch_add(1, Ordering::Relaxed) + 1;
                if now > LIMIT {
                    return Err(now);
                }
                sleep(Duration::from_micros(1));
                active.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            });
        }
        assert_eq!(group.wait(), Ok(()));
    });
}

// tokio: test_with_sleep, join_all, try_join_next
#[test]
fn with_sleep() {
    on_gs(|| {
        for _ in 0..2 {
            let handles = (0..10).map(|n| {
                go(move || {
                    sleep(Duration::from_millis(n));
                    n
                })
            });
            let mut seen: Vec<_> =
                as_completed(handles).map(|(nth, result)| (nth, result.expect("it returns"))).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..10).map(|n| (n as usize, n)).collect::<Vec<_>>());
        }
        assert_eq!(gather((0..5).map(|_| || 1)), [1; 5]);
        assert!(as_completed(Vec::<JoinHandle<()>>::new()).next().is_none());
    });
}

// tokio: alternating; TaskTracker: token_len, notify_on_last_task, notify_on_last_task_respawn
#[test]
fn alternating() {
    on_gs(|| {
        let group = ErrGroup::<()>::new();
        let (s, r) = bounded(0);
        let start = || {
            let r = r.clone();
            group.go(move || r.recv().map_err(drop));
        };
        assert_eq!(group.running(), 0);
        start();
        start();
        for _ in 0..16 {
            assert_eq!(group.running(), 2);
            s.send(()).expect("they receive");
            eventually("one has ended", || (yield_now(), group.running() == 1).1);
            start();
        }
        assert!(group.wait_timeout(Duration::from_millis(1)).is_none());
        drop(s);
        assert_eq!(group.wait_all(), Err(vec![(), ()]));
        assert_eq!((group.running(), group.wait()), (0, Ok(())));
    });
}

// tokio: runtime_gone
#[test]
fn runtime_gone() {
    let house = runtime(1);
    let g = house.go(park);
    house.close();
    let (_, result) = as_completed([g]).next().expect("a result");
    assert!(result.expect_err("it was unwound").is::<ShutDown>());
}

// tokio: task_panics
#[test]
fn task_panics() {
    on_gs(|| {
        let (s, r) = unbounded();
        let result = catch_unwind(AssertUnwindSafe(|| {
            task_group(|tasks| {
                tasks.go(|context| {
                    context.sleep(Duration::from_secs(3600))?;
                    s.send(()).expect("the test listens");
                    Ok(())
                });
                tasks.go(|_| -> Result<(), ContextError> { resume_unwind(Box::new("a task")) });
                Ok(())
            })
        }));
        assert_eq!(result.expect_err("it panics").downcast_ref(), Some(&"a task"));
        assert!(r.try_recv().is_err());
    });
}

// tokio: abort_all
#[test]
fn abort_all() {
    on_gs(|| {
        let result = task_group(|tasks| {
            let waits: Vec<_> = (0..5).map(|_| tasks.go(|context| context.sleep(Duration::from_secs(3600)))).collect();
            let ends: Vec<_> = (0..5).map(|_| tasks.go(|_| Ok(()))).collect();
            assert!(ends.into_iter().all(|handle| handle.join().is_some()));
            tasks.cancel();
            Ok(waits.into_iter().filter_map(|handle| handle.join()).count())
        });
        assert_eq!(result, Ok(0));
    });
}

// TaskTracker: notify_immediately, notify_many
#[test]
fn notify_many() {
    on_gs(|| {
        let group = Arc::new(ErrGroup::<()>::new());
        assert_eq!(group.wait(), Ok(()));
        let (s, r) = bounded::<()>(0);
        group.go(move || r.recv().map_err(drop));
        let waits = |group: &Arc<ErrGroup<()>>| {
            let group = group.clone();
            move || group.wait_timeout(Duration::from_secs(30)).is_some()
        };
        let gs: Vec<_> = (0..10).map(|_| go(waits(&group))).collect();
        let thread = thread::spawn(waits(&group));
        sleep(Duration::from_millis(1));
        s.send(()).expect("it receives");
        assert!(gs.into_iter().all(|g| g.join().expect("it waits")));
        while !thread.is_finished() {
            sleep(Duration::from_micros(200));
        }
        assert!(thread.join().expect("it waits"));
    });
}
