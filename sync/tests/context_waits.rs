//! Waits of locks and the like that end with a context.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::talk::case_of;
use crew::common::{Rng, builder, child_command, eventually, runtime, seed, stress_secs, wait_until_waiting};
use crew::{Kind, everywhere};
use pirn_runtime::{block_on, go, yield_now};
use pirn_sync::context::{AcquireCtxError, Cancel, Context, ContextError};
use pirn_sync::group::ErrGroup;
use pirn_sync::{Barrier, Condvar, Event, Mutex, Notify, RwLock, Semaphore, WaitGroup, poison};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CANCELLED: ContextError = ContextError::Cancelled;

fn ended() -> Context {
    let (context, cancel) = Context::background().with_cancel();
    cancel.cancel();
    context
}

/// All that can be waited for, held or not.
#[derive(Default)]
struct All {
    mutex: Mutex<u32>,
    lock: RwLock<u32>,
    condvar: Condvar,
    event: Event,
    notify: Notify,
    group: WaitGroup,
    poison: poison::Mutex<u32>,
    poison_lock: poison::RwLock<u32>,
    poison_condvar: poison::Condvar,
}

type Wait = fn(&All, &Semaphore, &Barrier, &Context) -> Option<ContextError>;

/// Each wait, by its name; what it says of a context that has ended.
const WAITS: &[(&str, Wait)] = &[
    ("lock", |all, _, _, context| all.mutex.lock_ctx(context).err()),
    ("read", |all, _, _, context| all.lock.read_ctx(context).err()),
    ("write", |all, _, _, context| all.lock.write_ctx(context).err()),
    ("acquire", |_, semaphore, _, context| match semaphore.acquire_ctx(context, 2) {
        Err(AcquireCtxError::Ended(error)) => Some(error),
        result => result.map(|_| None).expect("it is open"),
    }),
    ("condvar", |all, _, _, context| {
        let alone = Mutex::new(());
        all.condvar.wait_ctx(context, &mut alone.lock()).err()
    }),
    ("condvar, while", |all, _, _, context| {
        let alone = Mutex::new(true);
        all.condvar.wait_while_ctx(context, &mut alone.lock(), |is_true| *is_true).err()
    }),
    ("event", |all, _, _, context| all.event.wait_ctx(context).err()),
    ("notify", |all, _, _, context| all.notify.wait_ctx(context).err()),
    ("group", |all, _, _, context| all.group.wait_ctx(context).err()),
    ("barrier", |_, _, barrier, context| barrier.wait_ctx(context).err()),
    ("poison lock", |all, _, _, context| all.poison.lock_ctx(context).err()),
    ("poison read", |all, _, _, context| all.poison_lock.read_ctx(context).err()),
    ("poison write", |all, _, _, context| all.poison_lock.write_ctx(context).err()),
    ("condvar of poison", |all, _, _, context| {
        let alone = poison::Mutex::new(());
        let (_guard, result) =
            all.poison_condvar.wait_ctx(context, alone.lock().expect("it is new")).expect("nobody panics");
        result.err()
    }),
    ("condvar of poison, while", |all, _, _, context| {
        let alone = poison::Mutex::new(true);
        let guard = alone.lock().expect("it is new");
        let (_guard, result) =
            all.poison_condvar.wait_while_ctx(context, guard, |is_true| *is_true).expect("nobody panics");
        result.err()
    }),
];

#[test]
fn a_context_that_has_ended_is_an_error_also_if_there_is_nothing_to_wait_for() {
    everywhere(|_| {
        let (all, semaphore, barrier) = (All::default(), Semaphore::new(2), Barrier::new(1));
        all.event.set();
        all.notify.notify_one();
        for (name, wait) in WAITS {
            assert_eq!(wait(&all, &semaphore, &barrier, &ended()), Some(CANCELLED), "{name}");
        }
        assert!(all.mutex.try_lock().is_some() && all.lock.try_write().is_some());
        assert_eq!(semaphore.available(), 2);
        assert_eq!(all.notify.wait_ctx(&Context::background()), Ok(()), "the permit is there");
    });
}

#[test]
fn what_is_there_needs_no_wait() {
    everywhere(|_| {
        let (all, semaphore, barrier) = (All::default(), Semaphore::new(2), Barrier::new(1));
        all.event.set();
        let (context, _cancel) = Context::background().with_cancel();
        for context in [context, Context::background()] {
            all.notify.notify_one();
            let free = WAITS.iter().filter(|(name, _)| !name.starts_with("condvar"));
            for (name, wait) in free {
                assert_eq!(wait(&all, &semaphore, &barrier, &context), None, "{name}");
            }
        }
    });
}

#[test]
fn the_end_of_the_context_ends_each_wait() {
    everywhere(|kind| {
        for (name, wait) in WAITS {
            let all = Arc::new((All::default(), Semaphore::new(1), Barrier::new(2)));
            let token = all.0.group.token();
            let (mutex, lock) = (all.0.mutex.lock(), all.0.lock.write());
            let (poison, poison_lock) = (all.0.poison.lock(), all.0.poison_lock.write());
            let (context, cancel) = Context::background().with_cancel();
            let waits = {
                let all = all.clone();
                kind.go_and_wait(move || wait(&all.0, &all.1, &all.2, &context))
            };
            cancel.cancel();
            assert_eq!(waits.join(), Some(CANCELLED), "{name}");
            drop((mutex, lock, token, poison, poison_lock));
            // Nothing is left of it.
            assert!(all.0.mutex.try_lock().is_some() && all.0.lock.try_write().is_some(), "{name}");
            assert!(all.0.poison.try_lock().is_ok() && all.0.poison_lock.try_write().is_ok(), "{name}");
            assert!(all.1.try_acquire(1).is_ok(), "{name}");
            assert!(all.2.wait_timeout(Duration::from_millis(1)).is_none(), "{name}");
            all.0.notify.notify_one();
            assert!(all.0.notify.wait_timeout(Duration::ZERO), "{name}: the permit is for the next");
        }
    });
}

/// Poison is told beside the end of the context.
#[test]
fn poison_is_told_with_a_context() {
    let (mutex, lock, condvar) = (poison::Mutex::new(0), poison::RwLock::new(0), poison::Condvar::new());
    let poisons = || {
        let _guards = (mutex.lock(), lock.write());
        panic!("with locks, on purpose");
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(poisons)).is_err());
    let context = Context::background();
    assert!(mutex.lock_ctx(&context).expect("it has not ended").is_err());
    assert!(lock.read_ctx(&context).expect("it has not ended").is_err());
    assert!(lock.write_ctx(&context).expect("it has not ended").is_err());
    let guard = mutex.lock().unwrap_or_else(|e| e.into_inner());
    let (guard, result) = condvar.wait_ctx(&ended(), guard).expect_err("it is poisoned").into_inner();
    assert_eq!((*guard, result), (0, Err(CANCELLED)));
    let (_, result) = condvar.wait_while_ctx(&context, guard, |_| false).expect_err("it is poisoned").into_inner();
    assert_eq!(result, Ok(()));
}

#[test]
fn a_join_ends_with_the_context() {
    everywhere(|kind| {
        let house = runtime(1);
        let (go_on, goes_on) = std::sync::mpsc::channel();
        let g = house.go(move || goes_on.recv().map_or(0, |n: u32| n));
        let (g, error) = ended().join(g).expect_err("it runs");
        assert_eq!(error, CANCELLED);
        let (context, cancel) = Context::background().with_cancel();
        let waits = kind.go_and_wait(move || context.join(g));
        cancel.cancel();
        let (g, error) = waits.join().expect_err("it runs");
        assert_eq!(error, CANCELLED);
        let (context, _cancel) = Context::background().with_cancel();
        let waits = kind.go_and_wait(move || (context.join(g).map_err(|(_, error)| error), context));
        go_on.send(5).expect("it waits");
        let (result, context) = waits.join();
        assert_eq!(result.expect("it has ended").expect("no panic"), 5);
        let g = house.go(|| 6);
        eventually("it has ended", || g.is_finished());
        assert_eq!(context.join(g).expect("it has ended").expect("no panic"), 6);
        let g = house.go(|| 7);
        assert_eq!(Context::background().join(g).expect("it ends").expect("no panic"), 7);
        house.close();
    });
}

#[test]
fn a_wait_for_a_group_ends_with_the_context() {
    everywhere(|kind| {
        let house = runtime(1);
        let group = Arc::new(ErrGroup::<u32>::new());
        let (go_on, goes_on) = std::sync::mpsc::channel();
        let starts = group.clone();
        house.run(move || starts.go(move || goes_on.recv().map_or(Ok(()), Err)));
        assert_eq!(group.wait_ctx(&ended()), Err(CANCELLED));
        let (context, cancel) = Context::background().with_cancel();
        let waits = {
            let group = group.clone();
            kind.go_and_wait(move || group.wait_ctx(&context))
        };
        cancel.cancel();
        assert_eq!((waits.join(), group.running()), (Err(CANCELLED), 1));
        let (context, _cancel) = Context::background().with_cancel();
        let waits = {
            let group = group.clone();
            kind.go_and_wait(move || group.wait_ctx(&context))
        };
        go_on.send(3).expect("it waits");
        assert_eq!(waits.join(), Ok(Err(3)));
        assert_eq!(group.wait_ctx(&Context::background()), Ok(Ok(())));
        house.close();
    });
}

#[test]
fn a_deadline_ends_a_wait_and_an_ancestor_too() {
    everywhere(|kind| {
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock();
        let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
        assert_eq!(mutex.lock_ctx(&context).err(), Some(ContextError::DeadlineExceeded));
        let (parent, cancel) = Context::background().with_cancel();
        let (child, _keep) = parent.with_cancel();
        let waits = {
            let mutex = mutex.clone();
            kind.go_and_wait(move || mutex.lock_ctx(&child).err())
        };
        cancel.cancel();
        assert_eq!(waits.join(), Some(CANCELLED));
        drop(guard);
    });
}

#[test]
fn one_that_is_told_in_time_has_it() {
    everywhere(|kind| {
        let all = Arc::new((All::default(), Semaphore::new(0)));
        let (context, cancel) = Context::background().with_cancel();
        let start = |wait: fn(&All, &Semaphore, &Context) -> bool| {
            let (all, context) = (all.clone(), context.clone());
            kind.go_and_wait(move || wait(&all.0, &all.1, &context))
        };
        let guard = all.0.mutex.lock();
        let waiters = [
            start(|all, _, context| all.mutex.lock_ctx(context).map(|mut n| *n += 1).is_ok()),
            start(|_, semaphore, context| semaphore.acquire_ctx(context, 3).is_ok_and(|permit| permit.count() == 3)),
            start(|all, _, context| all.event.wait_ctx(context).is_ok()),
            start(|all, _, context| all.notify.wait_ctx(context).is_ok()),
        ];
        drop(guard);
        all.1.add_permits(3);
        all.0.event.set();
        all.0.notify.notify_one();
        assert_eq!(waiters.map(crew::Worker::join), [true; 4]);
        assert_eq!((*all.0.mutex.lock(), all.1.available()), (1, 3));
        drop(cancel);
    });
}

/// Go's TestAllocCancelDoesntStarve.
#[test]
fn small_ones_behind_a_large_one_that_gives_up_go_on() {
    everywhere(|kind| {
        let semaphore = Arc::new(Semaphore::new(10));
        let permit = semaphore.acquire(1).expect("open");
        let (context, cancel) = Context::background().with_cancel();
        let acquire = |context: Context, n| {
            let semaphore = semaphore.clone();
            kind.go_and_wait(move || semaphore.acquire_ctx(&context, n).map(|permit| permit.count()))
        };
        let large = acquire(context, 10);
        let small = acquire(Context::background(), 1);
        cancel.cancel();
        assert_eq!(large.join(), Err(AcquireCtxError::Ended(CANCELLED)));
        assert_eq!(small.join(), Ok(1));
        drop(permit);
        assert_eq!(semaphore.available(), 10);
    });
}

/// Go's TestWeightedAcquireCanceled: who cancels, and then releases, has not let it in.
#[test]
fn what_comes_after_the_end_is_given_back() {
    everywhere(|kind| {
        let semaphore = Arc::new(Semaphore::new(0));
        let mutex = Arc::new(Mutex::new(()));
        for _ in 0..50 {
            let (context, cancel) = Context::background().with_cancel();
            let waits = {
                let (context, semaphore) = (context.clone(), semaphore.clone());
                kind.go_and_wait(move || semaphore.acquire_ctx(&context, 1).err())
            };
            let guard = mutex.lock();
            let locks = {
                let mutex = mutex.clone();
                kind.go_and_wait(move || mutex.lock_ctx(&context).err())
            };
            cancel.cancel();
            semaphore.add_permits(1);
            drop(guard);
            assert_eq!(waits.join(), Some(AcquireCtxError::Ended(CANCELLED)));
            assert_eq!(locks.join(), Some(CANCELLED));
            assert_eq!(semaphore.forget_permits(9), 1);
        }
    });
}

#[test]
fn a_semaphore_that_is_closed_says_so() {
    everywhere(|kind| {
        let semaphore = Arc::new(Semaphore::new(0));
        let (context, _cancel) = Context::background().with_cancel();
        let waits = {
            let semaphore = semaphore.clone();
            kind.go_and_wait(move || semaphore.acquire_ctx(&context, 1).err())
        };
        semaphore.close();
        assert_eq!(waits.join(), Some(AcquireCtxError::Closed));
    });
}

#[test]
fn a_condvar_has_its_mutex_again_and_a_condition_that_has_come_counts() {
    everywhere(|kind| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let (context, cancel) = Context::background().with_cancel();
        let waits = {
            let pair = pair.clone();
            kind.go_and_wait(move || {
                let mut guard = pair.0.lock();
                let result = pair.1.wait_while_ctx(&context, &mut guard, |n| *n == 0);
                *guard += 1;
                (result, pair.0.is_locked())
            })
        };
        {
            let mut guard = pair.0.lock();
            cancel.cancel();
            *guard = 1;
        }
        assert_eq!(waits.join(), (Ok(()), true));
        assert_eq!(*pair.0.lock(), 2);
    });
}

/// The entry that wakes it goes with the wait, whatever ends that; a later end of the context disturbs nobody.
#[test]
fn a_wait_that_is_over_has_nothing_to_do_with_the_context() {
    everywhere(|_| {
        let (context, cancel) = Context::background().with_cancel();
        let semaphore = Arc::new(Semaphore::new(0));
        for _ in 0..100 {
            let gives = semaphore.clone();
            let giver = thread::spawn(move || gives.add_permits(1));
            semaphore.acquire_ctx(&context, 1).expect("it is given").forget();
            eventually("it has ended", || giver.is_finished());
        }
        cancel.cancel();
        let began = Instant::now();
        pirn_runtime::park_timeout(Duration::from_millis(20));
        assert!(began.elapsed() >= Duration::from_millis(20), "a token of a wait that is over");
    });
}

/// It is no deadlock with itself: it ends.
#[test]
fn one_that_waits_for_its_own_lock_is_not_reported() {
    const TEST: &str = "one_that_waits_for_its_own_lock_is_not_reported";
    if case_of(TEST).is_some() {
        let rt = builder().procs(2).build().expect("a runtime");
        rt.run(|| {
            let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(2500));
            let mutex = Mutex::new(());
            let _guard = mutex.lock();
            assert_eq!(mutex.lock_ctx(&context).err(), Some(ContextError::DeadlineExceeded));
        });
        return;
    }
    let ended = child_command(TEST, "it", &[]).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && !stderr.contains("deadlock"), "{stderr}");
}

#[test]
fn a_dump_names_the_lock() {
    let house = runtime(1);
    let mutex: &'static Mutex<()> = Box::leak(Box::new(Mutex::new(())));
    let guard = mutex.lock();
    let (context, cancel) = Context::background().with_cancel();
    let waits = house.go(move || mutex.lock_ctx(&context).err());
    wait_until_waiting(&house.handle(), waits.id());
    let dump = house.dump();
    assert!(dump.contains("[sync.Mutex.Lock") && dump.contains("held by thread"), "{dump}");
    cancel.cancel();
    assert_eq!(waits.join().expect("no panic"), Some(CANCELLED));
    drop(guard);
    house.close();
}

#[test]
fn a_shutdown_unwinds_it() {
    let rt = builder().procs(2).build().expect("a runtime");
    let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
    let (context, cancel) = Context::background().with_cancel();
    let waits = rt.go(move || semaphore.acquire_ctx(&context, 1).is_ok());
    wait_until_waiting(&rt.handle(), waits.id());
    assert!(rt.shutdown_timeout(Duration::from_secs(30)));
    assert!(waits.join().is_err());
    cancel.cancel();
    semaphore.add_permits(1);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_future_runs_until_the_end() {
    let (context, cancel) = Context::background().with_cancel();
    assert_eq!(block_on(context.run_until_end(async { 5 })), Ok(5));
    let event = Event::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(10));
            cancel.cancel();
        });
        assert_eq!(block_on(context.run_until_end(event.wait_async())), Err(CANCELLED));
    });
    // It is not even polled.
    let polled = async { unreachable!("the context has ended") };
    assert_eq!(block_on(context.run_until_end(polled)), Err::<(), _>(CANCELLED));
    assert_eq!(block_on(Context::background().run_until_end(async { 6 })), Ok(6));
}

/// Gs and threads lock with contexts that end at any moment: the lock stays one, and nobody is left.
#[test]
fn stress() {
    let mut rng = Rng::new(seed("context_waits"));
    let seeds: Vec<u64> = (0..8).map(|_| rng.next()).collect();
    let began = Instant::now();
    let limit = Duration::from_secs(stress_secs()).min(Duration::from_secs(2));
    let is_over = move || began.elapsed() > limit;
    let state = Arc::new((Mutex::new(0_u64), AtomicBool::new(false), AtomicUsize::new(0), Semaphore::new(3)));
    let latest: Arc<Mutex<Option<Cancel>>> = Arc::default();
    let house = runtime(2);
    let act = {
        let (state, latest) = (state.clone(), latest.clone());
        move |seed: u64| {
            let mut rng = Rng::new(seed);
            while !is_over() {
                let (context, cancel) = Context::background().with_cancel();
                drop(latest.lock().replace(cancel));
                if let Ok(mut guard) = state.0.lock_ctx(&context) {
                    assert!(!state.1.swap(true, Ordering::Relaxed));
                    *guard += 1;
                    if rng.below(4) == 0 {
                        yield_now();
                    }
                    state.1.store(false, Ordering::Relaxed);
                }
                let n = 1 + rng.below(3);
                if let Ok(permit) = state.3.acquire_ctx(&context, n) {
                    assert!(state.2.fetch_add(n, Ordering::Relaxed) + n <= 3);
                    yield_now();
                    state.2.fetch_sub(n, Ordering::Relaxed);
                    drop(permit);
                }
                let cancel = latest.lock().take();
                if let Some(cancel) = cancel {
                    cancel.cancel();
                }
            }
        }
    };
    let threads: Vec<_> = seeds[..3]
        .iter()
        .map(|&seed| {
            let act = act.clone();
            thread::spawn(move || act(seed))
        })
        .collect();
    house.run(|| {
        let gs = seeds[3..].iter().map(|&seed| {
            let act = act.clone();
            go(move || act(seed))
        });
        gs.collect::<Vec<_>>().into_iter().for_each(|g| g.join().expect("no panic"));
    });
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert!(state.0.try_lock().is_some());
    assert_eq!(state.3.available(), 3);
    house.close();
}

/// The kinds are all that wait here: tasks run futures until the end.
#[test]
fn tasks_give_their_places_up() {
    let (context, cancel) = Context::background().with_cancel();
    let mutex = Arc::new(Mutex::new(()));
    let guard = mutex.lock();
    let task = {
        let mutex = mutex.clone();
        Kind::Task.go_and_wait(move || block_on(context.run_until_end(mutex.lock_async())).err())
    };
    cancel.cancel();
    assert_eq!(task.join(), Some(CANCELLED));
    drop(guard);
    assert!(mutex.try_lock().is_some());
}
