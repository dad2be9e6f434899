//! Single flights. Go's tests (`golang.org/x/sync/singleflight`, BSD licence) by name, as they are here:
//!
//! | Go | here |
//! | --- | --- |
//! | TestPanicErrorUnwrap | `go_panic_payloads`: text is cloned, another payload becomes text |
//! | TestDo, TestDoErr | `go_do`, `go_do_err` |
//! | TestDoDupSuppress | `go_do_dup_suppress` |
//! | TestForget | `go_forget` |
//! | TestDoChan | `go_do_chan`: a call on a goroutine, whose result is received |
//! | TestPanicDo | `go_panic_do` |
//! | TestGoexitDo | `a_flight_that_is_unwound_by_a_shutdown`: what ends a goroutine from outside here |
//! | TestPanicDoChan, TestPanicDoSharedByDoChan | none: there is no second way to wait, and a panic ends no process |
//!
//! After them, what other implementations got wrong.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Rng, eventually, on_gs, runtime, seed, stress_secs};
use pirn_channels::{bounded, unbounded};
use pirn_patterns::flight::{FlightMetrics, SingleFlight};
use pirn_runtime::{JoinHandle, ShutDown, current_gid, go, num_goroutines, sleep, yield_now};
use pirn_sync::Event;
use pirn_sync::context::{Context, ContextError, Key};
use std::collections::HashMap;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn adds_up(metrics: FlightMetrics) -> bool {
    metrics.calls == metrics.answered + metrics.gave_up + metrics.panicked && in_flights(metrics) <= metrics.calls
}

/// So many calls for one key, which all wait for the same flight: it ends when `gate` is set.
fn crowd<V: Clone + Send + Sync + 'static>(
    flights: &SingleFlight<&'static str, V>,
    n: usize,
    gate: &Arc<Event>,
    f: fn() -> V,
) -> Vec<JoinHandle<(V, bool)>> {
    let before = in_flights(flights.metrics());
    let calls: Vec<_> = (0..n)
        .map(|_| {
            let (flights, gate) = (flights.clone(), gate.clone());
            go(move || {
                flights.run("key", move |_| {
                    gate.wait();
                    f()
                })
            })
        })
        .collect();
    eventually("all are in flights", || in_flights(flights.metrics()) == before + n as u64);
    calls
}

/// How many calls have started a flight or joined one.
fn in_flights(metrics: FlightMetrics) -> u64 {
    metrics.started + metrics.joined
}

#[test]
fn go_do() {
    on_gs(|| assert_eq!(SingleFlight::new().run("key", |_| "bar"), ("bar", false)));
}

#[test]
fn go_do_err() {
    on_gs(|| {
        let flights = SingleFlight::<_, Result<(), &str>>::new();
        assert_eq!(flights.run("key", |_| Err("some error")), (Err("some error"), false));
    });
}

#[test]
fn go_do_dup_suppress() {
    on_gs(|| {
        let (flights, gate, calls) = (SingleFlight::new(), Arc::new(Event::new()), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..10)
            .map(|_| {
                let (flights, gate, calls) = (flights.clone(), gate.clone(), calls.clone());
                go(move || {
                    flights.run("key", move |_| {
                        calls.fetch_add(1, Ordering::Relaxed);
                        gate.wait();
                        sleep(Duration::from_millis(2));
                        "bar"
                    })
                })
            })
            .collect();
        eventually("one flies", || calls.load(Ordering::Relaxed) > 0);
        gate.set();
        callers.into_iter().for_each(|caller| assert_eq!(caller.join().expect("it returns").0, "bar"));
        let calls = calls.load(Ordering::Relaxed);
        assert!((1..10).contains(&calls), "{calls} calls");
        assert_eq!(flights.metrics().started, calls as u64);
    });
}

#[test]
fn go_forget() {
    on_gs(|| {
        let flights = SingleFlight::new();
        let (first_gate, second_gate) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let first = crowd(&flights, 1, &first_gate, || 1);
        assert!(flights.forget(&"key"));
        assert!(!flights.forget(&"key"));
        let second = crowd(&flights, 1, &second_gate, || 2);
        first_gate.set();
        for first in first {
            assert_eq!(first.join().expect("it returns"), (1, false));
        }
        // The end of the first flight has not made the table forget the second.
        let third = crowd(&flights, 1, &second_gate, || 3);
        second_gate.set();
        for call in second.into_iter().chain(third) {
            assert_eq!(call.join().expect("it returns"), (2, true));
        }
        assert_eq!(flights.in_flight(), 0);
    });
}

#[test]
fn go_do_chan() {
    on_gs(|| {
        let (result_in, result) = bounded(1);
        let flights = SingleFlight::new();
        go(move || result_in.send(flights.run("key", |_| "bar")));
        assert_eq!(result.recv(), Ok(("bar", false)));
    });
}

#[test]
fn go_panic_do() {
    on_gs(|| {
        let (flights, gate) = (SingleFlight::<_, ()>::new(), Arc::new(Event::new()));
        let calls = crowd(&flights, 5, &gate, || resume_unwind(Box::new("it breaks")));
        gate.set();
        for call in calls {
            let payload = call.join().expect_err("it panics");
            assert_eq!(payload.downcast_ref(), Some(&"it breaks"));
        }
        assert_eq!((flights.in_flight(), flights.metrics().panicked), (0, 5));
        assert!(adds_up(flights.metrics()));
    });
}

#[test]
fn go_panic_payloads() {
    on_gs(|| {
        let flights = SingleFlight::<_, ()>::new();
        let payload =
            |f: fn()| catch_unwind(AssertUnwindSafe(|| flights.run("key", move |_| f()))).expect_err("it panics");
        assert_eq!(payload(|| panic!("text")).downcast_ref(), Some(&"text"));
        assert_eq!(payload(|| panic!("number {}", black_box(7))).downcast_ref(), Some(&"number 7".to_owned()));
        let other = payload(|| panic_any(7));
        assert_eq!(other.downcast_ref(), Some(&"a flight panicked with a payload that is no text"));
    });
}

#[test]
fn a_flight_that_is_unwound_by_a_shutdown() {
    // The callers are threads, which no shutdown ends.
    let flights = SingleFlight::<_, ()>::new();
    let mut house = runtime(1);
    let flies = Arc::new(Event::new());
    let first = house.go({
        let (flights, flies) = (flights.clone(), flies.clone());
        move || {
            flights.run("key", move |_| {
                flies.set();
                Event::new().wait();
            })
        }
    });
    flies.wait();
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let flights = flights.clone();
            thread::spawn(move || flights.run("key", |_| unreachable!("another one flies")))
        })
        .collect();
    eventually("all are in flights", || in_flights(flights.metrics()) == 4);
    house.take().shutdown();
    assert!(first.join().expect_err("it is unwound").is::<ShutDown>());
    for call in calls {
        assert!(call.join().expect_err("it learns of it").is::<ShutDown>());
    }
    assert_eq!(flights.in_flight(), 0);
    house.check_empty();
}

#[test]
fn the_end_of_the_first_callers_context_fails_nobody_else() {
    on_gs(|| {
        let (flights, gate) = (SingleFlight::new(), Arc::new(Event::new()));
        let (context, cancel) = Context::background().with_cancel();
        let first = {
            let (flights, gate) = (flights.clone(), gate.clone());
            go(move || {
                flights.run_ctx(&context, "key", move |context| {
                    gate.wait();
                    context.err()
                })
            })
        };
        eventually("it flies", || flights.in_flight() == 1);
        let second = crowd(&flights, 1, &gate, || unreachable!("another one flies"));
        cancel.cancel();
        assert_eq!(first.join().expect("it returns"), Err(ContextError::Cancelled));
        gate.set();
        // The context of the flight has not ended.
        for second in second {
            assert_eq!(second.join().expect("it returns"), (None, false));
        }
        let metrics = flights.metrics();
        assert_eq!((metrics.started, metrics.answered, metrics.gave_up), (1, 1, 1));
    });
}

#[test]
fn a_flight_that_nobody_waits_for_is_cancelled_and_the_next_call_starts_another() {
    on_gs(|| {
        let flights = SingleFlight::new();
        let (told_in, told) = unbounded();
        let (goes_on, gate) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (context, cancel) = Context::background().with_cancel();
        let first = {
            let (flights, gate) = (flights.clone(), gate.clone());
            go(move || {
                flights.run_ctx(&context, "key", move |context| {
                    context.wait();
                    told_in.send(context.cause().expect("it has ended").to_string()).expect("it listens");
                    gate.wait();
                    1
                })
            })
        };
        eventually("it flies", || flights.in_flight() == 1);
        cancel.cancel();
        assert_eq!(first.join().expect("it returns"), Err(ContextError::Cancelled));
        assert_eq!(told.recv().expect("it is told"), "nobody waits for this flight any more");
        // The old flight still runs. Its value is for nobody.
        let second = crowd(&flights, 2, &goes_on, || 2);
        gate.set();
        goes_on.set();
        for second in second {
            assert_eq!(second.join().expect("it returns"), (2, true));
        }
        assert_eq!(flights.metrics().started, 2);
    });
}

#[test]
fn a_caller_that_cannot_give_up_makes_the_call_itself() {
    on_gs(|| {
        let flights = SingleFlight::new();
        assert_eq!(flights.run("key", |_| current_gid()), (current_gid(), false));
        // This one could give up.
        let (other, _) = flights.run_ctx(&Context::background(), "key", |_| current_gid()).expect("it does not end");
        assert_ne!(other, current_gid());
    });
    // No thread is started for a flight of a thread.
    let flights = SingleFlight::new();
    assert_eq!(flights.run("key", |_| thread::current().id()).0, thread::current().id());
    let (other, _) =
        flights.run_ctx(&Context::background(), "key", |_| thread::current().id()).expect("it does not end");
    assert_ne!(other, thread::current().id());
}

#[test]
fn a_context_that_has_ended_starts_nothing() {
    on_gs(|| {
        let (context, cancel) = Context::background().with_cancel();
        cancel.cancel();
        let flights = SingleFlight::<_, ()>::new();
        assert_eq!(flights.run_ctx(&context, "key", |_| unreachable!()), Err(ContextError::Cancelled));
        assert_eq!((flights.metrics().started, flights.metrics().gave_up), (0, 1));
    });
}

#[test]
fn a_flight_has_the_values_of_the_first_callers_context_and_not_its_deadline() {
    static USER: Key<u32> = Key::new("user");
    on_gs(|| {
        let (context, _cancel) = Context::background().with_value(&USER, 7).with_timeout(Duration::from_secs(3600));
        let flights = SingleFlight::new();
        let seen = flights.run_ctx(&context, "key", |context| (context.value(&USER).copied(), context.deadline()));
        assert_eq!(seen, Ok(((Some(7), None), false)));
    });
}

#[test]
fn whoever_waits_alone_when_it_lands_shares_with_nobody() {
    on_gs(|| {
        let (flights, gate) = (SingleFlight::new(), Arc::new(Event::new()));
        let stays = crowd(&flights, 1, &gate, || 7).remove(0);
        let (hasty, _cancel) = Context::background().with_timeout(Duration::from_millis(2));
        assert_eq!(flights.run_ctx(&hasty, "key", |_| unreachable!("it joins")), Err(ContextError::DeadlineExceeded));
        assert_eq!(flights.metrics().joined, 1);
        gate.set();
        assert_eq!(stays.join().expect("it returns"), (7, false));
    });
}

/// Callers come while flights land. Each flight has a number, which says who was on it.
#[test]
fn all_callers_of_a_flight_are_told_the_same() {
    let seed = seed("all_callers_of_a_flight_are_told_the_same");
    let house = runtime(2);
    house.run(|| {
        let (flights, numbers) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        let end = Instant::now() + Duration::from_secs(stress_secs());
        let callers: Vec<_> = (0..8)
            .map(|nth| {
                let (flights, numbers) = (flights.clone(), numbers.clone());
                let mut rng = Rng::new(seed + nth);
                go(move || {
                    let mut told = Vec::new();
                    while Instant::now() < end {
                        let (numbers, pauses) = (numbers.clone(), rng.below(3));
                        told.push(flights.run("key", move |_| {
                            (0..pauses).for_each(|_| yield_now());
                            numbers.fetch_add(1, Ordering::Relaxed)
                        }));
                        (0..rng.below(3)).for_each(|_| yield_now());
                    }
                    told
                })
            })
            .collect();
        let mut on_flights: HashMap<usize, Vec<bool>> = HashMap::new();
        for caller in callers {
            for (number, is_shared) in caller.join().expect("it ends") {
                on_flights.entry(number).or_default().push(is_shared);
            }
        }
        assert_eq!(on_flights.len(), numbers.load(Ordering::Relaxed));
        for (number, told) in on_flights {
            assert!(told.iter().all(|is_shared| *is_shared == (told.len() > 1)), "flight {number}: {told:?}");
        }
    });
    house.close();
}

#[test]
fn threads_without_a_runtime_fly_too() {
    let flights = SingleFlight::new();
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let flights = flights.clone();
            thread::spawn(move || flights.run("key", |_| 7).0)
        })
        .collect();
    calls.into_iter().for_each(|call| assert_eq!(call.join().expect("it returns"), 7));
    assert!(adds_up(flights.metrics()));
}

#[test]
fn stress_of_callers_that_give_up_and_forget() {
    let seed = seed("stress_of_callers_that_give_up_and_forget");
    let house = runtime(2);
    house.run(|| {
        let flights = SingleFlight::<usize, usize>::new();
        let end = Instant::now() + Duration::from_secs(stress_secs());
        let callers: Vec<_> = (0..16)
            .map(|nth| {
                let flights = flights.clone();
                let mut rng = Rng::new(seed + nth);
                go(move || {
                    while Instant::now() < end {
                        let key = rng.below(3);
                        let (context, cancel) = Context::background().with_cancel();
                        let gives_up = rng.below(3) == 0;
                        if gives_up {
                            go(move || {
                                yield_now();
                                cancel.cancel();
                            });
                        }
                        let pauses = rng.below(4);
                        let result = flights.run_ctx(&context, key, move |_| {
                            (0..pauses).for_each(|_| yield_now());
                            key
                        });
                        match result {
                            Ok((value, _)) => assert_eq!(value, key),
                            Err(error) => assert!(gives_up, "{error}"),
                        }
                        if rng.below(8) == 0 {
                            flights.forget(&key);
                        }
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().expect("it ends"));
        eventually("no other G is left", || num_goroutines() == 1);
        assert_eq!(flights.in_flight(), 0);
        assert!(adds_up(flights.metrics()), "{:?}", flights.metrics());
    });
    house.close();
}
