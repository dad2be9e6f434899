//! Worker pools: figures, priorities, room, shutdowns. Deadlines and idle times are in `virtual_time.rs`.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Rng, eventually, on_gs, runtime, seed, stress_secs, wait_until_waiting};
use pirn_channels::{Sender, bounded, unbounded};
use pirn_patterns::job::{Job, JobError};
use pirn_patterns::pool::{PoolMetrics, Priority, Refusal, WorkerPool};
use pirn_runtime::{Handle, ShutDown, go, num_goroutines, yield_now};
use pirn_sync::context::{Context, ContextError, Key};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(2);

fn adds_up(figures: PoolMetrics) -> bool {
    let ended = figures.completed + figures.panicked + figures.cancelled + figures.expired;
    figures.submitted == figures.queued + figures.running + ended + figures.handed_back + figures.dropped
}

/// A job that waits until the sender is dropped.
fn waits(pool: &WorkerPool) -> (Job<()>, Sender<()>) {
    let (gate, opens) = bounded::<()>(0);
    (pool.submit(move |_| _ = opens.recv()).expect("it is open"), gate)
}

#[test]
fn a_fixed_pool_has_so_many_workers() {
    on_gs(|| {
        let pool = WorkerPool::fixed(3).build();
        assert_eq!(pool.metrics().workers, 3);
        let jobs: Vec<_> = (0..10).map(|_| waits(&pool)).collect();
        eventually("three run", || pool.metrics().running == 3);
        assert_eq!((pool.metrics().queued, pool.metrics().idle), (7, 0));
        for (job, gate) in jobs {
            drop(gate);
            job.result().expect("it returns");
        }
        eventually("all are idle", || pool.metrics().idle == 3);
        assert_eq!((pool.metrics().workers, pool.metrics().completed), (3, 10));
        pool.shutdown();
        assert_eq!(pool.metrics().workers, 0);
    });
}

#[test]
fn a_panic_ends_its_job_alone() {
    on_gs(|| {
        let pool = WorkerPool::fixed(1).build();
        let fails = pool.submit(|_| resume_unwind(Box::new("of a job"))).expect("it is open");
        let shuts_down = pool.submit(|_| {
            // It may have come from a runtime of others.
            let other = pirn_runtime::Builder::new().procs(1).build().expect("another runtime");
            let g = other.go(pirn_runtime::park);
            wait_until_waiting(&other.handle(), g.id());
            other.shutdown();
            resume_unwind(g.join().expect_err("it is unwound"))
        });
        let returns = pool.submit(|_| 7).expect("it is open");
        let Err(JobError::Panicked(payload)) = fails.result() else { panic!("it panics") };
        let () = fails_with(payload, "of a job");
        let Err(JobError::Panicked(payload)) = shuts_down.expect("it is open").result() else { panic!("it panics") };
        let (): () = assert!(payload.is::<ShutDown>());
        assert_eq!(returns.result().expect("it returns"), 7);
        pool.shutdown();
        assert_eq!((pool.metrics().panicked, pool.metrics().completed), (2, 1));
    });
}

fn fails_with(payload: Box<dyn std::any::Any + Send>, what: &str) {
    assert_eq!(payload.downcast_ref(), Some(&what));
}

#[test]
fn the_urgent_goes_first_and_the_others_do_not_starve() {
    on_gs(|| {
        let pool = WorkerPool::fixed(1).build();
        let (first, gate) = waits(&pool);
        eventually("it runs", || first.is_running());
        let (order_in, order) = unbounded();
        let tells = |priority, n| {
            let order_in = order_in.clone();
            let job = pool.job().priority(priority);
            job.submit(move |_| order_in.send((priority, n)).expect("it listens")).expect("it is open");
        };
        tells(Priority::Low, 0);
        tells(Priority::Normal, 0);
        (0..40).for_each(|n| tells(Priority::High, n));
        drop(gate);
        first.result().expect("it returns");
        pool.shutdown();
        let order: Vec<_> = order.try_iter().collect();
        let place = |of| order.iter().position(|job| *job == of).expect("it was run");
        assert_eq!(place((Priority::High, 0)), 0);
        assert!(place((Priority::Low, 0)) <= 17 && place((Priority::Normal, 0)) <= 17, "{order:?}");
        assert!(order.iter().filter(|(priority, _)| *priority == Priority::High).map(|(_, n)| *n).eq(0..40));
    });
}

#[test]
fn a_full_queue_refuses_or_has_one_wait() {
    on_gs(|| {
        let pool = Arc::new(WorkerPool::fixed(1).queue(2).build());
        let (first, gate) = waits(&pool);
        eventually("it runs", || first.is_running());
        let queued = [(); 2].map(|()| pool.job().try_submit(|_| ()).expect("there is room"));
        let refused = pool.job().try_submit(|_| 7).expect_err("it is full");
        assert_eq!((refused.why, (refused.f)(&Context::background())), (Refusal::Full, 7));
        let (context, _cancel) = Context::background().with_timeout(SOON);
        let refused = pool.job().submit_ctx(&context, |_| ()).expect_err("it is full");
        assert_eq!(refused.why, Refusal::Ended(ContextError::DeadlineExceeded));
        let waits_for_room = {
            let pool = pool.clone();
            go(move || pool.submit(|_| 8).expect("it is open").result().expect("it returns"))
        };
        wait_until_waiting(&Handle::current().expect("a G"), waits_for_room.id());
        drop(gate);
        assert_eq!(waits_for_room.join().expect("it returns"), 8);
        queued.into_iter().for_each(|job| job.result().expect("it returns"));
        pool.shutdown();
        let figures = pool.metrics();
        assert_eq!((figures.submitted, figures.refused), (4, 2));
    });
}

#[test]
fn without_a_queue_a_job_is_taken_only_if_a_worker_can_run_it() {
    on_gs(|| {
        for pool in [WorkerPool::fixed(2).queue(0).build(), WorkerPool::dynamic(0, 2).queue(0).build()] {
            eventually("it is ready", || pool.metrics().idle == pool.metrics().workers);
            let (first, first_gate) = waits(&pool);
            let (second, second_gate) = waits(&pool);
            assert_eq!(pool.job().try_submit(|_| ()).expect_err("none is idle").why, Refusal::Full);
            drop((first_gate, second_gate));
            first.result().expect("it returns");
            second.result().expect("it returns");
            // This one waits until a worker is idle again.
            pool.submit(|_| ()).expect("it is open").result().expect("it returns");
            pool.shutdown();
        }
    });
}

#[test]
fn who_waits_for_room_is_told_of_a_shutdown() {
    on_gs(|| {
        let pool = Arc::new(WorkerPool::fixed(1).queue(0).build());
        let (first, gate) = waits(&pool);
        eventually("it runs", || first.is_running());
        let waiting = [(); 3].map(|()| {
            let pool = pool.clone();
            let g = go(move || pool.submit(|_| ()).expect_err("it is shut down").why);
            wait_until_waiting(&Handle::current().expect("a G"), g.id());
            g
        });
        assert!(pool.shutdown_now().is_empty());
        waiting.into_iter().for_each(|g| assert_eq!(g.join().expect("it returns"), Refusal::Closed));
        drop(gate);
        pool.shutdown();
    });
}

#[test]
fn a_graceful_shutdown_runs_what_was_handed_in() {
    on_gs(|| {
        let pool = WorkerPool::fixed(2).build();
        let (first, gate) = waits(&pool);
        let jobs: Vec<_> = (0..20).map(|n| pool.submit(move |_| n).expect("it is open")).collect();
        let (context, _cancel) = Context::background().with_timeout(SOON);
        assert_eq!(pool.shutdown_ctx(&context), Err(ContextError::DeadlineExceeded));
        assert_eq!(pool.submit(|_| ()).expect_err("it is shut down").why, Refusal::Closed);
        drop(gate);
        pool.shutdown();
        assert!(first.is_done());
        assert!(jobs.into_iter().map(|job| job.result().expect("it returns")).eq(0..20));
        // Once more is no mistake.
        pool.shutdown();
        assert!(pool.shutdown_now().is_empty());
    });
}

#[test]
fn an_immediate_shutdown_hands_back_what_has_not_begun() {
    on_gs(|| {
        let pool = WorkerPool::fixed(1).build();
        let runs = pool.submit(|context| (context.wait(), context.cause().map(|cause| cause.to_string())));
        let runs = runs.expect("it is open");
        eventually("it runs", || runs.is_running());
        let named = |name, priority| {
            let job = pool.job().name(name).priority(priority);
            job.submit(move |context| (name, context.err())).expect("it is open")
        };
        let (a, b, c) = (named("a", Priority::Low), named("b", Priority::High), named("c", Priority::High));
        let mut left = pool.shutdown_now();
        let names: Vec<_> = left.iter().map(|job| (&**job.name().expect("it has one"), job.priority())).collect();
        assert_eq!(names, [("b", Priority::High), ("c", Priority::High), ("a", Priority::Low)]);
        // One is run all the same, one is cancelled first, and one is dropped.
        assert!(c.cancel());
        left.drain(..2).for_each(|job| job.run());
        drop(left);
        assert_eq!(b.result().expect("it was run"), ("b", None));
        assert!(matches!(c.result(), Err(JobError::Cancelled)));
        assert!(matches!(a.result(), Err(JobError::Dropped)));
        pool.shutdown();
        assert_eq!(runs.result().expect("it returns").1.as_deref(), Some("the pool is shut down"));
        let figures = pool.metrics();
        assert_eq!((figures.completed, figures.handed_back), (1, 3));
        assert!(adds_up(figures));
    });
}

#[test]
fn a_job_has_the_values_of_its_context() {
    static USER: Key<u32> = Key::new("user");
    on_gs(|| {
        let pool = WorkerPool::fixed(1).build();
        let context = Context::background().with_value(&USER, 7);
        let (context, cancel) = context.with_cancel();
        let job = pool.job().context(&context).submit(|context| context.value(&USER).copied());
        assert_eq!(job.expect("it is open").result().expect("it returns"), Some(7));
        // It has ended before the job begins.
        cancel.cancel();
        let job = pool.job().context(&context).submit(|_| ()).expect("it is open");
        assert!(matches!(job.result(), Err(JobError::Cancelled)));
    });
}

#[test]
fn the_end_of_the_runtime_ends_the_pool_and_tells_who_waits() {
    let mut house = runtime(2);
    let pool = house.run(|| WorkerPool::fixed(2).build());
    let jobs: Vec<_> = (0..10).map(|_| pool.submit(|context| context.wait()).expect("it is open")).collect();
    eventually("two run", || pool.metrics().running == 2);
    house.take().shutdown();
    for job in jobs {
        match job.result() {
            Err(JobError::Panicked(payload)) => assert!(payload.is::<ShutDown>()),
            Err(JobError::Dropped) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pool.submit(|_| ()).expect_err("it is shut down").why, Refusal::Closed);
    let figures = pool.metrics();
    assert_eq!((figures.workers, figures.running, figures.queued), (0, 0, 0));
    assert!(adds_up(figures), "{figures:?}");
    house.check_empty();
}

#[test]
fn threads_have_a_pool_of_threads() {
    let pool = WorkerPool::dynamic(0, 2).build();
    let jobs: Vec<_> =
        (0..10).map(|n| pool.submit(move |_| (n, thread::current().id())).expect("it is open")).collect();
    for (nth, job) in jobs.into_iter().enumerate() {
        let (n, thread) = job.result().expect("it returns");
        assert_eq!(n, nth);
        assert_ne!(thread, thread::current().id());
    }
    pool.shutdown();
    assert_eq!(pool.metrics().workers, 0);
}

#[test]
fn stress_of_all_that_can_happen_to_a_job() {
    let seed = seed("stress_of_all_that_can_happen_to_a_job");
    let house = runtime(2);
    house.run(|| {
        let mut rng = Rng::new(seed);
        let end = Instant::now() + Duration::from_secs(stress_secs());
        while Instant::now() < end {
            let (min, more) = (rng.below(3), rng.below(3) + 1);
            let pool = WorkerPool::dynamic(min, min + more).queue(rng.below(10)).idle_time(Duration::from_micros(100));
            let pool = Arc::new(pool.build());
            let gs: Vec<_> = (0..4)
                .map(|_| {
                    let pool = pool.clone();
                    let mut rng = Rng::new(rng.next());
                    go(move || (0..50).for_each(|_| one_job(&pool, &mut rng)))
                })
                .collect();
            if rng.below(3) == 0 {
                (0..rng.below(100)).for_each(|_| yield_now());
                pool.shutdown_now().into_iter().for_each(|job| {
                    if rng.below(2) == 0 {
                        job.run()
                    }
                });
            }
            gs.into_iter().for_each(|g| g.join().expect("it ends"));
            pool.shutdown();
            let figures = pool.metrics();
            assert!(adds_up(figures), "{figures:?}");
            assert_eq!((figures.workers, figures.idle, figures.queued, figures.running), (0, 0, 0, 0));
            assert_eq!(figures.submitted + figures.refused, 200);
        }
        eventually("no other G is left", || num_goroutines() == 1);
    });
    house.close();
}

fn one_job(pool: &WorkerPool, rng: &mut Rng) {
    let (what, pauses) = (rng.below(10), rng.below(3));
    let priority = [Priority::Low, Priority::Normal, Priority::High][rng.below(3)];
    let mut job = pool.job().priority(priority);
    if rng.below(4) == 0 {
        job = job.deadline(Duration::from_micros(rng.below(300) as u64));
    }
    let f = move |_: &Context| {
        (0..pauses).for_each(|_| yield_now());
        if what == 0 {
            resume_unwind(Box::new("of a job"));
        }
        what
    };
    let (context, _cancel) = Context::background().with_timeout(Duration::from_micros(200));
    let job = match rng.below(3) {
        0 => job.try_submit(f).ok(),
        1 => job.submit_ctx(&context, f).ok(),
        _ => job.submit(f).ok(),
    };
    let figures = pool.metrics();
    assert!(adds_up(figures), "{figures:?}");
    let Some(job) = job else { return };
    if rng.below(4) == 0 {
        job.cancel();
    }
    if rng.below(4) > 0 {
        match job.result() {
            Ok(value) => assert_eq!(value, what),
            Err(JobError::Panicked(_)) => assert_eq!(what, 0),
            Err(_) => {}
        }
    }
}
