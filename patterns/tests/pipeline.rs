//! Pipelines: how they end, from both sides, and how far they run ahead.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Rng, eventually, on_gs, runtime, seed, stress_secs, wait_until_waiting};
use pirn_channels::bounded;
use pirn_patterns::pipeline::{PipelineError, pipeline, pipeline_ctx};
use pirn_runtime::{Handle, current_gid, go, num_goroutines, yield_now};
use pirn_sync::context::{Context, ContextError};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LATE: Duration = Duration::from_secs(3600);

#[test]
fn stages_keep_the_order() {
    on_gs(|| {
        let text = ["1", "2", "3"].map(str::to_owned);
        // The stages borrow from the stack.
        let numbers = pipeline(|p| {
            let numbers = p.source(&text).stage(|_, word| word.parse::<u32>());
            Ok(numbers.stage(|_, n| Ok(n * 10)).collect())
        });
        assert_eq!(numbers, Ok(vec![10, 20, 30]));
    });
}

#[test]
fn several_goroutines_take_each_item_once() {
    on_gs(|| {
        let who = Mutex::new(BTreeSet::new());
        let results = pipeline::<_, (), _>(|p| {
            let results = p.source(0..1000).fan_out(5, |_, n| {
                who.lock().expect("nobody panics").insert(current_gid().map(|g| g.as_u64()));
                if n % 10 == 0 {
                    yield_now();
                }
                Ok(n)
            });
            Ok(results.into_iter().collect::<BTreeSet<_>>())
        });
        assert_eq!(results, Ok((0..1000).collect()));
        assert!(who.lock().expect("nobody panics").len() <= 5);
    });
}

#[test]
fn any_number_of_flows_is_merged() {
    on_gs(|| {
        for n in [0, 1, 2, 50] {
            let results = pipeline::<_, (), _>(|p| {
                let flows: Vec<_> = (0..n).map(|nth| p.source(nth * 100..nth * 100 + 10)).collect();
                Ok(p.merge(flows).collect())
            });
            let mut results = results.expect("nothing fails");
            for nth in 0..n {
                // Each flow keeps its order.
                let own = results.iter().copied().filter(|item| item / 100 == nth);
                assert!(own.eq(nth * 100..nth * 100 + 10));
            }
            results.sort_unstable();
            assert_eq!(results.len(), 10 * n as usize);
        }
    });
}

#[test]
fn both_sides_of_a_tee_get_all() {
    on_gs(|| {
        let (sum, all) = pipeline::<_, (), _>(|p| {
            let (left, right) = p.source(1..=100).tee();
            let sum = Arc::new(AtomicUsize::new(0));
            let adds = {
                let sum = sum.clone();
                left.stage(move |_, n| {
                    sum.fetch_add(n, Ordering::Relaxed);
                    Ok(())
                })
            };
            let done = p.merge([adds, right.stage(|_, _| Ok(()))]).into_iter().count();
            Ok((sum.load(Ordering::Relaxed), done))
        })
        .expect("nothing fails");
        assert_eq!((sum, all), (5050, 200));
        // One of them is enough.
        let right = pipeline::<_, (), _>(|p| {
            let (left, right) = p.source(1..=100).tee();
            drop(left);
            Ok(right.into_iter().sum::<i32>())
        });
        assert_eq!(right, Ok(5050));
    });
}

#[test]
fn batches_have_all_items_in_order() {
    on_gs(|| {
        for (n, size) in [(0, 3), (1, 3), (3, 3), (10, 3), (10, 1)] {
            let batches = pipeline::<_, (), _>(|p| Ok(p.source(0..n).batch(size, Duration::MAX).collect()));
            let batches = batches.expect("nothing fails");
            assert!(batches.iter().all(|batch| (1..=size).contains(&batch.len())));
            assert_eq!(batches.len(), (n as usize).div_ceil(size));
            assert!(batches.into_iter().flatten().eq(0..n));
        }
    });
}

/// What is on its way is bounded: one item in the hands of each goroutine, and what the channels hold.
#[test]
fn nothing_runs_ahead_of_who_takes() {
    on_gs(|| {
        for (capacity, workers) in [(0, 1), (0, 4), (3, 2)] {
            let (sent, taken, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            let result = pipeline::<_, (), _>(|p| {
                let p = p.buffered(capacity);
                let items = (0..300).inspect(|_| {
                    let ahead = sent.fetch_add(1, Ordering::Relaxed) + 1 - taken.load(Ordering::Relaxed);
                    most.fetch_max(ahead, Ordering::Relaxed);
                });
                let last = p.source(items).stage(|_, n| Ok(n)).fan_out(workers, |_, n| Ok(n));
                for _ in last {
                    taken.fetch_add(1, Ordering::Relaxed);
                    (0..3).for_each(|_| yield_now());
                }
                Ok(())
            });
            assert_eq!(result, Ok(()));
            // The source, the stage, the workers, three channels; and the consumer, which counts late.
            let bound = 1 + 1 + workers + 3 * capacity + 1;
            let most = most.load(Ordering::Relaxed);
            assert!(most <= bound, "{most} ahead, of {bound}");
        }
    });
}

#[test]
fn nothing_runs_ahead_of_one_who_takes_nothing() {
    on_gs(|| {
        let sent = AtomicUsize::new(0);
        let result = pipeline::<_, (), _>(|p| {
            let p = p.buffered(2);
            let flow = p.source((0..).inspect(|_| _ = sent.fetch_add(1, Ordering::Relaxed))).stage(|_, n: u32| Ok(n));
            // Two in each channel, one in each hand.
            eventually("it is full", || sent.load(Ordering::Relaxed) == 6);
            (0..100).for_each(|_| yield_now());
            drop(flow);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        assert_eq!(sent.load(Ordering::Relaxed), 6);
    });
}

#[test]
fn the_first_error_ends_all_wherever_it_comes() {
    on_gs(|| {
        for fails in 0..5 {
            let at = move |stage: u32, n: u32| if stage == fails && n == 20 { Err(stage) } else { Ok(n) };
            let result = pipeline(|p| {
                let source = p.produce(|_, out| {
                    for n in 0.. {
                        if !out.send(at(0, n)?) {
                            break;
                        }
                    }
                    Ok(())
                });
                let (left, right) = source.stage(move |_, n| at(1, n)).tee();
                let left = left.fan_out(3, move |_, n| at(2, n));
                let right = right.batch(4, LATE).stage(move |_, batch| {
                    batch.into_iter().try_for_each(|n| at(3, n).map(|_| ()))?;
                    Ok(0)
                });
                p.merge([left, right]).for_each(|n| at(4, n).map(|_| ()))
            });
            assert_eq!(result, Err(fails));
        }
    });
}

#[test]
fn a_stage_that_waits_is_told_of_an_error() {
    on_gs(|| {
        let result = pipeline(|p| {
            let waits = p.source(0..10).stage(|context, n| match context.sleep(LATE) {
                Ok(()) => Ok(n),
                Err(_) => Err("told"),
            });
            let fails = p.produce(|_, _| Err("first"));
            Ok(p.merge([waits, fails]).collect())
        });
        assert_eq!(result, Err("first"));
    });
}

#[test]
fn who_takes_no_more_ends_the_stages_before() {
    on_gs(|| {
        let first = pipeline::<_, (), _>(|p| {
            let endless = p.source(0..).stage(|_, n: u64| Ok(n)).fan_out(3, |_, n| Ok(n));
            let merged = p.merge([endless, p.source(0..)]);
            Ok(merged.into_iter().take(10).count())
        });
        assert_eq!(first, Ok(10));
        // Nothing at all is taken.
        let nothing = pipeline::<_, (), _>(|p| {
            drop(p.source(0..).batch(3, LATE));
            Ok(())
        });
        assert_eq!(nothing, Ok(()));
    });
}

#[test]
fn an_error_of_the_closure_ends_the_stages() {
    on_gs(|| {
        let result = pipeline(|p| {
            p.source(0..).stage(|_, n: u32| Ok(n)).for_each(|n| if n == 5 { Err("enough") } else { Ok(()) })
        });
        assert_eq!(result, Err("enough"));
    });
}

#[test]
fn a_panic_of_a_stage_is_resumed_when_all_have_ended() {
    on_gs(|| {
        let run = || {
            pipeline::<_, (), _>(|p| {
                let breaks = |_: &Context, n| if n == 7 { resume_unwind(Box::new("of a stage")) } else { Ok(n) };
                Ok(p.source(0..).fan_out(3, breaks).collect())
            })
        };
        let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
        assert_eq!(payload.downcast_ref(), Some(&"of a stage"));
    });
}

#[test]
fn the_end_of_the_context_ends_a_pipeline_and_is_its_error() {
    on_gs(|| {
        let (context, cancel) = Context::background().with_cancel();
        let result = pipeline_ctx::<_, (), _>(&context, |p| {
            let count = p.source(0..).stage(|_, n: u32| Ok(n)).into_iter().inspect(|n| {
                if *n == 100 {
                    cancel.cancel();
                }
            });
            Ok(count.count())
        });
        assert_eq!(result, Err(PipelineError::Ended(ContextError::Cancelled)));
        // What is whole is whole.
        let (context, cancel) = Context::background().with_cancel();
        let result = pipeline_ctx::<_, (), _>(&context, |p| {
            let all = p.source(0..10).collect();
            cancel.cancel();
            Ok(all)
        });
        assert_eq!(result, Ok((0..10).collect::<Vec<_>>()));
    });
}

#[test]
fn a_shutdown_unwinds_a_pipeline() {
    let mut house = runtime(1);
    let (s, r) = bounded::<()>(0);
    let waits = house.go(move || pipeline::<_, (), _>(|p| Ok(p.source(r).fan_out(3, |_, ()| Ok(())).collect())));
    wait_until_waiting(&house.handle(), waits.id());
    house.take().shutdown();
    assert!(waits.join().is_err());
    drop(s);
    house.check_empty();
}

#[test]
fn stress_of_random_pipelines() {
    let seed = seed("stress_of_random_pipelines");
    let house = runtime(2);
    house.run(|| {
        let mut rng = Rng::new(seed);
        let end = Instant::now() + Duration::from_secs(stress_secs());
        while Instant::now() < end {
            let (n, fails_at, takes) = (rng.below(200), rng.below(400), rng.below(400));
            let shape: Vec<_> = (0..rng.below(5)).map(|_| (rng.below(4), rng.below(4) + 1)).collect();
            let capacity = rng.below(4);
            let result = pipeline(|p| {
                let p = p.buffered(capacity);
                let mut flow = p.source(0..n);
                for (kind, width) in &shape {
                    flow = match kind {
                        0 => flow.stage(move |_, item| if item == fails_at { Err(item) } else { Ok(item) }),
                        1 => flow.fan_out(*width, move |_, item| {
                            yield_now();
                            if item == fails_at { Err(item) } else { Ok(item) }
                        }),
                        2 => {
                            let (left, right) = flow.tee();
                            p.merge([left.stage(|_, item| Ok(item)), right.fan_out(*width, |_, item| Ok(item))])
                        }
                        _ => {
                            let batches = flow.batch(*width, Duration::from_micros(100));
                            let flat = batches.stage(|_, batch| Ok(batch));
                            p.produce(move |_, out| {
                                flat.into_iter().flatten().all(|item| out.send(item));
                                Ok(())
                            })
                        }
                    };
                }
                Ok(flow.into_iter().take(takes).count())
            });
            let copies = 1 << shape.iter().filter(|(kind, _)| *kind == 2).count();
            match result {
                Ok(count) => assert_eq!(count, takes.min(n * copies), "{n} times {copies}, {takes} taken"),
                Err(item) => assert_eq!(item, fails_at),
            }
        }
        eventually("no other G is left", || num_goroutines() == 1);
    });
    house.close();
}

#[test]
fn it_may_be_run_from_a_goroutine_among_others() {
    on_gs(|| {
        let gs = [1, 2, 3].map(|n| go(move || pipeline::<_, (), _>(|p| Ok(p.source(0..n).collect()))));
        for (n, g) in gs.into_iter().enumerate() {
            assert_eq!(g.join().expect("it returns").expect("nothing fails").len(), n + 1);
        }
        assert!(Handle::current().is_some());
    });
}
