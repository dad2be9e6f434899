//! Groups: who is waited for, what is returned, what is cancelled, what is left.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Census, Rng, child_case, eventually, on_gs, runtime, seed, stress_secs, subprocess};
use pirn_channels::bounded;
use pirn_runtime::{GoBuilder, ShutDown, current, current_gid, go, park, sleep, yield_now};
use pirn_sync::context::{Context, ContextError};
use pirn_sync::group::{ErrGroup, TaskGroup, as_completed, gather, race, task_group, task_group_with, try_gather};
use std::cell::RefCell;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(2);
const LATE: Duration = Duration::from_secs(3600);

/// The payload of the panic of `f`.
fn payload_of<T>(f: impl FnOnce() -> T) -> &'static str {
    let payload = catch_unwind(AssertUnwindSafe(|| _ = f())).expect_err("it panics");
    payload.downcast_ref::<&str>().expect("a text")
}

fn panics<T>(what: &'static str) -> T {
    resume_unwind(Box::new(what))
}

/// A dump and a panic name the line of the user's that has started a G, and no line of ours.
#[test]
fn closures_are_born_where_the_group_is_called() {
    on_gs(|| {
        let place = || current().expect("a G").birthplace();
        let here = |line| move |place: &Location<'_>| (place.file(), place.line()) == (file!(), line);
        assert!(gather([place, place]).into_iter().all(here(line!())));
        assert!(try_gather([|_: &Context| Ok::<_, ()>(place())]).expect("no error").into_iter().all(here(line!())));
        assert!(race([|_: &Context| place()]).into_iter().all(here(line!())));
    });
}

#[test]
fn the_first_error_cancels_and_is_returned() {
    on_gs(|| {
        let (group, context) = ErrGroup::with_context(&Context::background());
        let ended = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let (context, ended) = (context.clone(), ended.clone());
            group.go(move || {
                let error = context.wait();
                ended.fetch_add(1, Ordering::Relaxed);
                Err(format!("{error}: {}", context.cause().expect("it has ended")))
            });
        }
        group.go(|| Err("first".to_owned()));
        assert_eq!(group.wait(), Err("first".to_owned()));
        assert_eq!((ended.load(Ordering::Relaxed), group.running()), (10, 0));
        assert_eq!(context.cause().expect("it has ended").to_string(), "a task of the group has failed");
        // It was given.
        assert_eq!(group.wait(), Ok(()));
    });
}

#[test]
fn a_panic_cancels_at_once_and_is_resumed_by_the_wait() {
    on_gs(|| {
        let (group, context) = ErrGroup::<()>::with_context(&Context::background());
        group.go(|| panics("of a task"));
        // Before anybody waits for the group.
        assert_eq!(context.wait(), ContextError::Cancelled);
        group.go(|| panics("of another"));
        assert_eq!(payload_of(|| group.wait()), "of a task");
        assert_eq!(group.wait(), Ok(()));
    });
}

/// By the panic hook, where it happens, with the G; and not again where it is resumed.
#[test]
fn a_panic_of_a_task_is_printed_once() {
    const NAME: &str = "a_panic_of_a_task_is_printed_once";
    if child_case(NAME).is_some() {
        let house = runtime(1);
        house.run(|| {
            let group = ErrGroup::<()>::new();
            group.go(|| panic!("of an ErrGroup"));
            assert_eq!(payload_of(|| group.wait()), "of an ErrGroup");
            let tasks =
                || task_group(|tasks| (drop(tasks.go(|_| -> Result<(), ()> { panic!("of a task_group") })), Ok(())).1);
            assert_eq!(payload_of(tasks), "of a task_group");
        });
        house.close();
        return;
    }
    let ended = subprocess(NAME, "prints", &[]);
    ended.expect_success();
    for what in ["of an ErrGroup", "of a task_group"] {
        assert_eq!(ended.stderr.matches(what).count(), 1, "{ended:#?}");
    }
    assert_eq!(ended.stderr.matches("(goroutine ").count(), 2, "{ended:#?}");
}

/// Thread-locals of a task have been destroyed when it counts no longer.
#[test]
fn a_task_has_ended_whole() {
    thread_local!(static KEPT: RefCell<Option<common::Counted>> = const { RefCell::new(None) });
    if common::shares_thread_locals() {
        return;
    }
    on_gs(|| {
        let census = Census::default();
        let group = ErrGroup::<()>::new();
        for _ in 0..20 {
            let counted = census.count();
            group.go(move || {
                KEPT.with(|kept| *kept.borrow_mut() = Some(counted));
                Ok(())
            });
        }
        group.wait().expect("no task fails");
        assert_eq!(census.living(), 0);
    });
}

/// From its first moment, on whatever P that is.
#[test]
fn a_task_that_looks_at_its_own_group_finds_that_it_runs() {
    on_gs(|| {
        for _ in 0..1000 {
            let group = Arc::new(ErrGroup::new());
            let inner = group.clone();
            group.go(move || {
                let counts = inner.running() == 1 && inner.wait_timeout(Duration::ZERO).is_none();
                if counts { Ok(()) } else { Err("it runs, and does not count") }
            });
            assert_eq!(group.wait(), Ok(()));
        }
    });
}

#[test]
fn a_limit_holds_and_a_permit_comes_back_from_all_ends() {
    on_gs(|| {
        let group = ErrGroup::<u32>::new().limit(3);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for n in 0..60 {
            let (now, most) = (now.clone(), most.clone());
            group.go(move || {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                yield_now();
                now.fetch_sub(1, Ordering::Relaxed);
                match n % 3 {
                    0 => Ok(()),
                    1 => Err(n),
                    _ => panics("on purpose"),
                }
            });
        }
        assert_eq!(payload_of(|| group.wait()), "on purpose");
        assert!(most.load(Ordering::Relaxed) <= 3);
        let (s, r) = bounded::<()>(0);
        for _ in 0..3 {
            let r = r.clone();
            assert!(group.try_go(move || r.recv().map_err(|_| 0)));
        }
        assert!(!group.try_go(|| Ok(())));
        assert_eq!(
            payload_of_message(|| drop(ErrGroup::<()>::new().limit(0))),
            "a limit of 0 tasks: no task could run"
        );
        drop(s);
        assert_eq!(group.wait_all(), Err(vec![0; 3]));
    });
}

/// The message of a panic with a text of its own.
fn payload_of_message(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    payload.downcast_ref::<&str>().map(|text| (*text).to_owned()).expect("a text")
}

#[test]
fn who_does_not_end_is_named() {
    on_gs(|| {
        let group = ErrGroup::<()>::new();
        let (s, r) = bounded::<()>(0);
        let line = line!() + 1;
        group.go_with(GoBuilder::new().name("straggler"), move || r.recv().map_err(drop));
        group.go(|| Ok(()));
        assert!(group.wait_timeout(SOON).is_none());
        let [straggler] = &group.stragglers()[..] else { panic!("one straggler") };
        assert_eq!(straggler.name.as_deref(), Some("straggler"));
        assert_eq!(straggler.birthplace.map(|place| place.line()), Some(line));
        assert_eq!(straggler.wait_reason, Some("chan receive"));
        s.send(()).expect("it listens");
        assert_eq!(group.wait_timeout(LATE), Some(Ok(())));
        assert!(group.stragglers().is_empty());
    });
}

#[test]
fn a_group_that_is_dropped_waits_for_nothing() {
    on_gs(|| {
        let (s, r) = bounded::<()>(0);
        let group = ErrGroup::<()>::new();
        group.go(move || r.recv().map_err(drop));
        drop(group);
        s.send(()).expect("the task lives");
    });
}

#[test]
fn tasks_borrow_and_the_group_waits() {
    on_gs(|| {
        let numbers = [1, 2, 3];
        let mut sum = 0;
        let product = task_group(|tasks| {
            let handle = tasks.go(|_| Ok::<i32, Infallible>(numbers.iter().product()));
            tasks.go(|_| {
                sum = numbers.iter().sum();
                Ok(())
            });
            Ok(handle.join())
        });
        assert_eq!((product, sum), (Ok(Some(6)), 6));
    });
}

/// Ends with the context of its group, and returns an error then.
fn gives_up(context: &Context) -> Result<(), String> {
    Err(context.wait().to_string())
}

#[test]
fn the_first_error_of_a_task_or_of_the_closure_ends_the_group() {
    on_gs(|| {
        let of_task = task_group(|tasks| {
            (0..5).for_each(|_| drop(tasks.go(gives_up)));
            let fails = tasks.go(|_| Err::<(), _>("task".to_owned()));
            assert_eq!(fails.join(), None);
            Ok(())
        });
        assert_eq!(of_task, Err("task".to_owned()));
        let of_closure = task_group(|tasks| {
            tasks.go(gives_up);
            Err::<(), _>("closure".to_owned())
        });
        assert_eq!(of_closure, Err("closure".to_owned()));
    });
}

#[test]
fn panics_end_the_group_and_are_resumed() {
    on_gs(|| {
        let of_task = || {
            task_group(|tasks| {
                tasks.go(gives_up);
                tasks.go(|_| -> Result<(), String> { panics("of a task") });
                Ok(())
            })
        };
        assert_eq!(payload_of(of_task), "of a task");
        let of_closure = || {
            task_group(|tasks| -> Result<(), String> {
                tasks.go(gives_up);
                panics("of the closure")
            })
        };
        assert_eq!(payload_of(of_closure), "of the closure");
    });
}

#[test]
fn a_cancel_is_no_error() {
    on_gs(|| {
        let result = task_group(|tasks| {
            (0..5).for_each(|_| drop(tasks.go(gives_up)));
            let inner = tasks.clone();
            tasks.go(move |_| {
                inner.cancel();
                Ok(())
            });
            Ok(tasks.context().wait())
        });
        assert_eq!(result, Ok(ContextError::Cancelled));
        let own = task_group(|tasks: &TaskGroup<'_, '_, &str>| {
            tasks.cancel();
            Err::<(), _>("the closure's own")
        });
        assert_eq!(own, Err("the closure's own"));
    });
}

#[test]
fn groups_in_groups_and_a_timeout() {
    on_gs(|| {
        let (context, _cancel) = Context::background().with_timeout(SOON);
        let result = task_group_with(&context, |outer| {
            outer.go(|context| {
                task_group_with(context, |inner| {
                    inner.go(|context| context.sleep(LATE));
                    Ok(())
                })
            });
            Ok(())
        });
        assert_eq!(result, Err(ContextError::DeadlineExceeded));
        // A cancel of the inner group is the inner group's.
        let outer = task_group(|outer| {
            let inner = outer.go(|context| {
                task_group_with(context, |inner| {
                    inner.go(gives_up);
                    inner.cancel();
                    Ok("inner")
                })
            });
            assert_eq!(inner.join(), Some("inner"));
            Ok(outer.context().err())
        });
        assert_eq!(outer, Ok(None));
    });
}

#[test]
fn tasks_start_tasks_and_stragglers_are_named() {
    on_gs(|| {
        let ended = AtomicUsize::new(0);
        let (s, r) = bounded::<()>(0);
        let result = task_group(|tasks| {
            let (again, ended) = (tasks.clone(), &ended);
            tasks.go(move |_| {
                for _ in 0..5 {
                    again.go(move |_| Ok(ended.fetch_add(1, Ordering::Relaxed)));
                }
                Ok(())
            });
            tasks.go_with(GoBuilder::new().name("ignores it"), |_| r.recv().map_err(|_| ()));
            tasks.cancel();
            eventually("the others have ended", || {
                yield_now();
                tasks.stragglers().len() == 1
            });
            assert_eq!(tasks.stragglers()[0].name.as_deref(), Some("ignores it"));
            s.send(()).expect("it listens");
            Ok(())
        });
        assert_eq!((result, ended.into_inner()), (Ok(()), 5));
    });
}

#[test]
fn results_in_order() {
    on_gs(|| {
        let names = ["a".to_owned(), "b".to_owned()];
        let lengths = gather(names.iter().map(|name| {
            move || {
                yield_now();
                name.len()
            }
        }));
        assert_eq!(lengths, [1, 1]);
        assert!(gather(Vec::<fn() -> u32>::new()).is_empty());
        let all = try_gather((0..5).map(|n| move |_: &Context| Ok::<_, ()>(n)));
        assert_eq!(all, Ok(vec![0, 1, 2, 3, 4]));
        let failed = try_gather((0..5).map(|n| {
            move |context: &Context| {
                if n == 3 {
                    Err(n)
                } else {
                    context.wait();
                    Ok(n)
                }
            }
        }));
        assert_eq!(failed, Err(3));
        let closures: [fn() -> u32; 2] = [|| panics("in a gather"), || 1];
        assert_eq!(payload_of(|| gather(closures)), "in a gather");
    });
}

#[test]
fn results_as_they_come() {
    on_gs(|| {
        let (s, r) = bounded::<u32>(0);
        let last = go(move || r.recv().expect("it comes"));
        let fails = go(|| -> u32 { panics("on purpose") });
        let ended = go(|| 1);
        while !ended.is_finished() {
            yield_now();
        }
        let mut results = as_completed([last, ended, fails]);
        let mut first_two = [results.next().expect("a result"), results.next().expect("a result")].map(|(nth, _)| nth);
        first_two.sort_unstable();
        assert_eq!(first_two, [1, 2]);
        s.send(7).expect("it listens");
        assert!(matches!(results.next(), Some((0, Ok(7)))));
        assert!(results.next().is_none());
        assert!(as_completed(Vec::<pirn_runtime::JoinHandle<()>>::new()).next().is_none());
    });
}

#[test]
fn the_first_wins_and_all_have_ended() {
    on_gs(|| {
        let ended = AtomicUsize::new(0);
        let winner = race((0..5).map(|n| {
            let ended = &ended;
            move |context: &Context| {
                if n != 3 {
                    context.wait();
                }
                ended.fetch_add(1, Ordering::Relaxed);
                n
            }
        }));
        assert_eq!((winner, ended.into_inner()), (Some(3), 5));
        assert_eq!(race(Vec::<fn(&Context) -> u32>::new()), None);
        let closures: [fn(&Context) -> u32; 2] = [|_| panics("in a race"), |context| (context.wait(), 1).1];
        assert_eq!(payload_of(|| race(closures)), "in a race");
    });
}

fn parks() -> Result<(), ()> {
    park();
    Ok(())
}

#[test]
fn groups_at_a_shutdown() {
    let mut house = runtime(1);
    let g = house.go(|| {
        task_group(|tasks| {
            (0..3).for_each(|_| drop(tasks.go(|_| parks())));
            parks()
        })
    });
    let errs = house.go(|| {
        let group = ErrGroup::<()>::new().limit(1);
        group.go(parks);
        group.go(parks);
        group.wait()
    });
    eventually("they wait", || house.goroutines().iter().filter(|g| g.wait_reason == Some("park")).count() == 5);
    assert!(house.take().shutdown_timeout(Duration::from_secs(30)));
    house.check_empty();
    assert!(g.join().expect_err("it was unwound").is::<ShutDown>());
    assert!(errs.join().expect_err("it was unwound").is::<ShutDown>());
}

/// A thread waits for the tasks of a runtime.
#[test]
fn a_thread_may_wait() {
    let house = runtime(1);
    let group = Arc::new(ErrGroup::<&str>::new());
    let inner = group.clone();
    house.run(move || inner.go(|| (sleep(SOON), Err("late")).1));
    let waits = thread::spawn(move || group.wait());
    assert_eq!(waits.join().expect("it waits"), Err("late"));
    eventually("no G is left", || house.goroutines().is_empty());
    house.close();
}

/// A tree of groups, in which some tasks fail, panic or cancel. Returns how many tasks have begun.
fn tree(context: &Context, rng: &mut Rng, depth: usize, begun: &AtomicUsize, census: &Census) -> Result<(), u32> {
    task_group_with(context, |tasks| {
        for _ in 0..rng.below(4) {
            let (mut rng, counted) = (Rng::new(rng.next()), census.count());
            tasks.go(move |context| {
                begun.fetch_add(1, Ordering::Relaxed);
                let _counted = counted;
                match rng.below(10) {
                    0 => Err(1),
                    1 => panics("in a tree"),
                    2 => context.sleep(Duration::from_micros(rng.below(300) as u64)).map_err(|_| 2),
                    3 => (yield_now(), Ok(())).1,
                    _ if depth > 0 => tree(context, &mut rng, depth - 1, begun, census),
                    _ => Ok(()),
                }
            });
        }
        if rng.below(8) == 0 {
            tasks.cancel();
        }
        Ok(())
    })
}

#[test]
fn trees_of_groups_at_random() {
    let mut rng = Rng::new(seed("trees_of_groups_at_random"));
    let until = Instant::now() + Duration::from_secs(stress_secs());
    let house = runtime(2);
    let (begun, census) = (Arc::new(AtomicUsize::new(0)), Census::default());
    while Instant::now() < until {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let (mut rng, begun, census) = (Rng::new(rng.next()), begun.clone(), census.clone());
                house.go(move || {
                    for _ in 0..50 {
                        let one = || tree(&Context::background(), &mut rng, 3, &begun, &census);
                        if let Err(payload) = catch_unwind(AssertUnwindSafe(one)) {
                            assert_eq!(payload.downcast_ref(), Some(&"in a tree"));
                        }
                    }
                    current_gid()
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| assert!(worker.join().expect("no worker fails").is_some()));
        assert_eq!(census.living(), 0);
    }
    assert!(begun.load(Ordering::Relaxed) > 0);
    eventually("no G is left", || house.goroutines().is_empty());
    house.close();
}

/// One ErrGroup after the other, by Gs and by tasks of the groups themselves.
fn err_groups(mut rng: Rng, until: Instant, census: &Census) {
    while Instant::now() < until {
        let (group, context) = ErrGroup::with_context(&Context::background());
        let group = Arc::new(if rng.below(2) == 0 { group } else { group.limit(1 + rng.below(4)) });
        let (errors, panics_too) = (Arc::new(AtomicUsize::new(0)), rng.below(4) == 0);
        for _ in 0..rng.below(12) {
            let (mut dice, context, errors, counted) =
                (Rng::new(rng.next()), context.clone(), errors.clone(), census.count());
            let task = move || {
                let _counted = counted;
                match dice.below(5) {
                    0 => context.sleep(Duration::from_micros(dice.below(200) as u64)).map_err(|_| 0)?,
                    1 => yield_now(),
                    2 => {
                        errors.fetch_add(1, Ordering::Relaxed);
                        return Err(1);
                    }
                    3 if panics_too => panics("in an ErrGroup"),
                    _ => {}
                }
                Ok(())
            };
            match rng.below(3) {
                0 => _ = group.try_go(task),
                _ => group.go(task),
            }
        }
        let waits =
            AssertUnwindSafe(|| if rng.below(2) == 0 { group.wait_all() } else { group.wait().map_err(|e| vec![e]) });
        match catch_unwind(waits) {
            Ok(Ok(())) => assert_eq!(errors.load(Ordering::Relaxed), 0),
            Ok(Err(some)) => assert!(!some.is_empty()),
            Err(payload) => assert_eq!(payload.downcast_ref(), Some(&"in an ErrGroup")),
        }
        assert_eq!((group.running(), context.err()), (0, Some(ContextError::Cancelled)));
        assert!(group.try_go(|| Ok(())), "all permits are back");
        assert_eq!(group.wait_all().map_err(|_| ()), Ok(()));
    }
}

#[test]
fn err_groups_at_random() {
    let mut rng = Rng::new(seed("err_groups_at_random"));
    let until = Instant::now() + Duration::from_secs(stress_secs());
    let (house, census) = (runtime(2), Census::default());
    let workers: Vec<_> = (0..6)
        .map(|_| {
            let (rng, census) = (Rng::new(rng.next()), census.clone());
            house.go(move || err_groups(rng, until, &census))
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("no worker fails"));
    assert_eq!(census.living(), 0);
    eventually("no G is left", || house.goroutines().is_empty());
    house.close();
}

/// As the next one, of the other kind of groups.
#[test]
fn a_task_of_an_err_group_that_has_just_begun_is_a_straggler() {
    let house = runtime(4);
    house.run(|| {
        let group = Arc::new(ErrGroup::<&str>::new());
        for _ in 0..2_000 {
            let own = group.clone();
            group.go(move || {
                let me = current_gid().expect("a G");
                let all = own.stragglers();
                if all.iter().any(|g| g.id == me) { Ok(()) } else { Err("it runs, and is no straggler") }
            });
            yield_now();
        }
        assert_eq!(group.wait(), Ok(()));
        assert!(group.stragglers().is_empty());
    });
    house.close();
}

/// Of two groups, each names its own.
#[test]
fn stragglers_are_of_their_group() {
    on_gs(|| {
        let (groups, (s, r)) = ([(); 2].map(|()| ErrGroup::<()>::new().limit(3)), bounded::<()>(0));
        for (group, name) in groups.iter().zip(["one", "two"]) {
            for _ in 0..3 {
                let r = r.clone();
                group.go_with(GoBuilder::new().name(name), move || r.recv().map_err(drop));
            }
        }
        for (group, name) in groups.iter().zip(["one", "two"]) {
            let names: Vec<_> = group.stragglers().into_iter().map(|g| g.name).collect();
            assert_eq!(names, vec![Some(name.to_owned()); 3]);
        }
        drop(s);
        groups.iter().for_each(|group| assert_eq!(group.wait(), Err(())));
    });
}

/// What a destructor of an error does, where nobody waits: it uses a thread-local, and panics.
struct Thorny(Arc<AtomicUsize>);

impl Drop for Thorny {
    fn drop(&mut self) {
        thread_local!(static TEXT: RefCell<String> = RefCell::new("drops ".repeat(100)));
        self.0.fetch_add(TEXT.with(|text| text.borrow().len()) / 600, Ordering::Relaxed);
        if !thread::panicking() {
            resume_unwind(Box::new("of an error"));
        }
    }
}

#[test]
fn what_a_group_leaves_that_nobody_waits_for_is_dropped_by_the_last_task() {
    on_gs(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let group = ErrGroup::<Thorny>::new();
        let (s, r) = bounded::<()>(0);
        for _ in 0..3 {
            let (drops, r) = (drops.clone(), r.clone());
            group.go(move || {
                _ = r.recv();
                Err(Thorny(drops))
            });
        }
        drop(group);
        drop(s);
        eventually("all errors are dropped", || drops.load(Ordering::Relaxed) == 3);
        eventually("nobody has the counter", || Arc::strong_count(&drops) == 1);
    });
}

/// A task is among the stragglers from its first step on, whether or not the one who has started it has gone on.
#[test]
fn a_task_that_has_just_begun_is_a_straggler() {
    let house = runtime(4);
    house.run(|| {
        let result = task_group::<_, (), _>(|tasks| {
            for _ in 0..2_000 {
                let group = tasks.clone();
                tasks.go(move |_| {
                    let me = pirn_runtime::current_gid().expect("a G");
                    assert!(group.stragglers().iter().any(|g| g.id == me));
                    Ok(())
                });
                pirn_runtime::yield_now();
            }
            Ok(())
        });
        assert_eq!(result, Ok(()));
    });
    house.close();
}
