//! Caches, pools and pipelines under a clock that the test moves. Every test here takes the clock, so they go one by one.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Rng, eventually, runtime, seed};
use pirn_channels::{bounded, unbounded};
use pirn_patterns::cache::{CacheMetrics, TtlCache};
use pirn_patterns::job::JobError;
use pirn_patterns::pipeline::pipeline;
use pirn_patterns::pool::WorkerPool;
use pirn_runtime::internal::SetClock;
use pirn_sync::context::ContextError;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_nanos(1);

fn adds_up(figures: CacheMetrics) -> bool {
    let gone = figures.replaced + figures.expired + figures.evicted + figures.invalidated;
    figures.inserted == figures.entries + gone
}

#[test]
fn an_entry_expires_at_its_time() {
    let clock = SetClock::take();
    let house = runtime(1);
    let cache = TtlCache::new(HOUR, 100);
    house.run(|| {
        cache.insert("a", 1);
        cache.insert_for("b", 2, HOUR / 2);
    });
    clock.advance(HOUR / 2 - MOMENT);
    assert_eq!((cache.get(&"a"), cache.get(&"b")), (Some(1), Some(2)));
    clock.advance(MOMENT);
    assert_eq!((cache.get(&"a"), cache.get(&"b")), (Some(1), None));
    // The timer takes them out, and nobody looks.
    eventually("b has gone", || cache.len() == 1);
    clock.advance(HOUR / 2);
    eventually("a has gone", || cache.is_empty());
    let figures = cache.metrics();
    assert_eq!((figures.expired, figures.entries), (2, 0));
    // A load after that is a new one, with its own time.
    assert_eq!(house.run(|| cache.get_or_insert_with("a", |_| 3)), 3);
    clock.advance(HOUR - MOMENT);
    assert_eq!(cache.get(&"a"), Some(3));
    clock.advance(MOMENT);
    assert_eq!(cache.get(&"a"), None);
    house.close();
}

#[test]
fn what_is_loaded_for_an_expired_entry_expires() {
    let clock = SetClock::take();
    // On no runtime, so that no timer takes the expired entry out before the load finds it.
    let cache = TtlCache::new(HOUR, 100);
    assert_eq!(cache.get_or_insert_with("a", |_| 1), 1);
    clock.advance(HOUR);
    assert_eq!((cache.len(), cache.get_or_insert_with("a", |_| 2)), (1, 2));
    clock.advance(HOUR - MOMENT);
    assert_eq!(cache.get_or_insert_with("a", |_| 3), 2);
    clock.advance(MOMENT);
    assert_eq!((cache.len(), cache.get_or_insert_with("a", |_| 4)), (1, 4));
    assert_eq!(cache.metrics().loads, 3);
    assert!(adds_up(cache.metrics()));
}

#[test]
fn the_timer_of_a_runtime_that_has_ended_is_replaced() {
    let clock = SetClock::take();
    let cache = TtlCache::new(HOUR, 100);
    let house = runtime(1);
    house.run(|| cache.insert(1, 1));
    house.close();
    clock.advance(HOUR);
    let house = runtime(1);
    // The next operation takes out what is due, and the next insertion sets a timer.
    assert_eq!(cache.get(&1), None);
    house.run(|| cache.insert(2, 2));
    clock.advance(HOUR);
    eventually("it has gone without a look", || cache.is_empty());
    house.close();
}

/// Random operations, one after the other, against a map with deadlines.
#[test]
fn it_is_a_map_with_deadlines() {
    let seed = seed("it_is_a_map_with_deadlines");
    let clock = SetClock::take();
    let house = runtime(1);
    for round in 0..20 {
        let mut rng = Rng::new(seed + round);
        let cache = TtlCache::new(HOUR, 1000);
        let mut model = HashMap::new();
        for _ in 0..500 {
            let key = rng.below(20);
            let is_live = |(_, deadline): &(usize, Instant)| *deadline > clock.now();
            match rng.below(5) {
                0 => {
                    let (value, ttl) = (rng.below(1000), Duration::from_secs(rng.below(100) as u64 + 1));
                    house.run(|| cache.insert_for(key, value, ttl));
                    model.insert(key, (value, clock.now() + ttl));
                }
                1 => {
                    let expected = model.remove(&key).filter(is_live).map(|(value, _)| value);
                    assert_eq!(cache.invalidate(&key), expected);
                }
                2 => clock.advance(Duration::from_secs(rng.below(30) as u64)),
                3 => {
                    let value = rng.below(1000);
                    let expected = model.get(&key).copied().filter(is_live).map(|(value, _)| value);
                    assert_eq!(house.run(|| cache.get_or_insert_with(key, move |_| value)), expected.unwrap_or(value));
                    if expected.is_none() {
                        model.insert(key, (value, clock.now() + HOUR));
                    }
                }
                _ => {
                    let expected = model.get(&key).copied().filter(is_live).map(|(value, _)| value);
                    assert_eq!(cache.get(&key), expected);
                }
            }
            assert!(adds_up(cache.metrics()));
        }
        let living = model.values().filter(|(_, deadline)| *deadline > clock.now()).count();
        eventually("what is due has gone", || cache.len() == living);
    }
    house.close();
}

#[test]
fn a_batch_waits_no_longer_than_its_patience() {
    let clock = SetClock::take();
    let house = runtime(1);
    let (items_in, items) = unbounded();
    let (batches_in, batches) = unbounded();
    let runs = house.go(move || {
        pipeline::<_, (), _>(|p| {
            p.source(items).batch(3, HOUR).for_each(|batch| {
                batches_in.send(batch).expect("it listens");
                Ok(())
            })
        })
    });
    (1..=4).for_each(|n| items_in.send(n).expect("it listens"));
    assert_eq!(batches.recv(), Ok(vec![1, 2, 3]));
    // The fourth waits for others. Time that passes before it has come to the stage does not count.
    eventually("all wait", || {
        let gs = house.goroutines();
        gs.len() == 3 && gs.iter().all(|g| g.state == pirn_runtime::State::Waiting)
    });
    clock.advance(HOUR - MOMENT);
    assert!(batches.is_empty());
    items_in.send(5).expect("it listens");
    eventually("the fifth has come to the stage", || items_in.is_empty());
    eventually("all wait", || house.goroutines().iter().all(|g| g.state == pirn_runtime::State::Waiting));
    clock.advance(MOMENT);
    assert_eq!(batches.recv(), Ok(vec![4, 5]));
    drop(items_in);
    assert_eq!(runs.join().expect("it ends"), Ok(()));
    assert!(batches.recv().is_err());
    house.close();
}

#[test]
fn a_job_has_its_deadline_from_when_it_is_handed_in() {
    let clock = SetClock::take();
    let house = runtime(1);
    let pool = house.run(|| WorkerPool::fixed(1).build());
    let (goes_on_in, goes_on) = bounded::<()>(0);
    let late = house.run(|| {
        let job = pool.job().name("late").deadline(HOUR);
        job.submit(move |context| {
            let error = context.wait();
            _ = goes_on.recv();
            error
        })
    });
    let late = late.expect("it is open");
    eventually("it runs", || late.is_running());
    clock.advance(HOUR / 2);
    let never = house.run(|| pool.job().deadline(HOUR / 4).submit(|_| ())).expect("it is open");
    clock.advance(HOUR / 2 - MOMENT);
    assert!(pool.stragglers().is_empty());
    clock.advance(HOUR);
    let stragglers = pool.stragglers();
    assert_eq!(stragglers.len(), 1);
    let straggler = &stragglers[0];
    assert_eq!(straggler.name.as_deref(), Some("late"));
    assert_eq!((straggler.running_for, straggler.overdue), (2 * HOUR - MOMENT, HOUR - MOMENT));
    eventually("it is known where it waits", || {
        pool.stragglers()[0].goroutine.as_ref().is_some_and(|g| g.waiting_for.is_some())
    });
    drop(goes_on_in);
    assert_eq!(late.result().expect("it returns"), ContextError::DeadlineExceeded);
    // The other one had no time left when the worker came to it.
    assert!(matches!(never.result(), Err(JobError::DeadlineExceeded)));
    pool.shutdown();
    let figures = pool.metrics();
    assert_eq!((figures.completed, figures.expired, figures.submitted), (1, 1, 2));
    house.close();
}

#[test]
fn workers_above_the_minimum_leave_when_they_were_idle_for_long() {
    let clock = SetClock::take();
    let house = runtime(1);
    let pool = house.run(|| WorkerPool::dynamic(1, 4).idle_time(HOUR).build());
    let (goes_on_in, goes_on) = bounded::<()>(0);
    for _ in 0..6 {
        let goes_on = goes_on.clone();
        pool.submit(move |_| _ = goes_on.recv()).expect("it is open");
    }
    eventually("there are as many as may be", || pool.metrics().running == 4);
    assert_eq!((pool.metrics().workers, pool.metrics().queued), (4, 2));
    drop(goes_on_in);
    eventually("all are idle", || pool.metrics().idle == 4);
    clock.advance(HOUR - MOMENT);
    assert_eq!(pool.metrics().workers, 4);
    clock.advance(MOMENT);
    eventually("three have left", || pool.metrics().workers == 1);
    // The last one stays, and works.
    clock.advance(2 * HOUR);
    assert_eq!(pool.submit(|_| 7).expect("it is open").result().expect("it returns"), 7);
    assert_eq!(pool.metrics().workers, 1);
    pool.shutdown();
    house.close();
}
