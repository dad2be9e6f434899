//! Starting Gs: results, panics, handles, destructors, names, numbers.

mod common;

use common::{Census, Countdown, Counted, runtime, scale};
use pirn_runtime::{GoBuilder, Handle, JoinHandle, current, go, maxprocs, num_goroutines, park, try_go, yield_now};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

const MANY: usize = 1_000_000;

#[test]
fn a_million_gs_counted_down() {
    for procs in [1, 4] {
        let rt = runtime(procs);
        let sum = Arc::new(AtomicUsize::new(0));
        let added = sum.clone();
        rt.run(move || {
            let all = Countdown::new(MANY);
            for i in 0..MANY {
                let (all, added) = (all.clone(), added.clone());
                go(move || {
                    added.fetch_add(i, Ordering::Relaxed);
                    all.done();
                });
            }
            all.wait();
        });
        assert_eq!(sum.load(Ordering::Relaxed), MANY * (MANY - 1) / 2);
    }
}

#[test]
fn a_million_gs_joined_in_batches() {
    const BATCH: usize = 1000;
    let rt = runtime(2);
    let sum = rt.run(|| {
        let mut sum = 0;
        for batch in 0..MANY / BATCH {
            let handles: Vec<_> = (0..BATCH).map(|i| go(move || batch * BATCH + i)).collect();
            for (i, handle) in handles.into_iter().enumerate() {
                let n = handle.join().expect("it did not panic");
                assert_eq!(n, batch * BATCH + i);
                sum += n;
            }
        }
        sum
    });
    assert_eq!(sum, MANY * (MANY - 1) / 2);
}

#[test]
fn gs_from_a_thread() {
    let rt = runtime(2);
    let n = scale(20_000, 100_000);
    let handles: Vec<_> = (0..n).map(|i| rt.go(move || i)).collect();
    for (i, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join().expect("it did not panic"), i);
    }
}

#[test]
fn results_of_all_sizes_come_back() {
    #[derive(Debug, PartialEq)]
    #[repr(align(128))]
    struct Aligned(u8);

    let rt = runtime(2);
    rt.run(|| {
        go(|| ()).join().expect("no panic");
        assert_eq!(go(|| 7u8).join().expect("no panic"), 7);
        assert_eq!(go(|| [3u64; 8]).join().expect("no panic"), [3; 8]);
        assert_eq!(go(|| [4u64; 9]).join().expect("no panic"), [4; 9]);
        assert_eq!(go(|| [5u8; 5000]).join().expect("no panic"), [5; 5000]);
        assert_eq!(go(|| "text".to_owned()).join().expect("no panic"), "text");
        let given = Aligned(9);
        let got = go(move || {
            assert_eq!((&raw const given).addr() % 128, 0);
            given
        });
        let got = got.join().expect("no panic");
        assert_eq!(((&raw const got).addr() % 128, got), (0, Aligned(9)));
        let large = [6u64; 1000];
        let sum = go(move || large.iter().sum::<u64>()).join().expect("no panic");
        assert_eq!(sum, 6000);
    });
}

#[test]
fn panics_come_back() {
    let rt = runtime(2);
    rt.run(|| {
        let text = go(|| panic!("a {:?}", [1, 2])).join().expect_err("it panicked");
        assert_eq!(text.downcast_ref::<String>().map(String::as_str), Some("a [1, 2]"));
        let number = go(|| std::panic::resume_unwind(Box::new(17u32))).join().expect_err("it panicked");
        assert_eq!(number.downcast_ref::<u32>(), Some(&17));
        // A G that has panicked leaves a record and a stack that others use again.
        for i in 0..100 {
            assert_eq!(go(move || i).join().expect("no panic"), i);
        }
    });
}

#[test]
fn nested_gs() {
    fn tree(depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let left = go(move || tree(depth - 1));
        let right = go(move || tree(depth - 1));
        left.join().expect("no panic") + right.join().expect("no panic")
    }
    for procs in [1, 2, 4] {
        assert_eq!(runtime(procs).run(|| tree(12)), 1 << 12);
    }
}

#[test]
fn is_finished_tells_the_truth() {
    let rt = runtime(2);
    rt.run(|| {
        let (tell, told) = mpsc::channel::<()>();
        let g = go(move || {
            while told.try_recv().is_err() {
                yield_now();
            }
            5
        });
        yield_now();
        assert!(!g.is_finished());
        tell.send(()).expect("the G listens");
        while !g.is_finished() {
            yield_now();
        }
        assert_eq!(g.join().expect("no panic"), 5);
    });
}

#[test]
fn join_of_oneself_panics() {
    let rt = runtime(2);
    rt.run(|| {
        let (give, given) = mpsc::channel::<JoinHandle<()>>();
        let (say, said) = mpsc::channel::<String>();
        let me = go(move || {
            let myself = loop {
                match given.try_recv() {
                    Ok(handle) => break handle,
                    Err(_) => yield_now(),
                }
            };
            let payload = catch_unwind(AssertUnwindSafe(|| myself.join())).expect_err("it must panic");
            let text = payload.downcast_ref::<&str>().map_or("", |text| text);
            say.send(text.to_owned()).expect("somebody listens");
        });
        give.send(me).expect("it listens");
        let text = loop {
            match said.try_recv() {
                Ok(text) => break text,
                Err(_) => yield_now(),
            }
        };
        assert!(text.contains("own end"), "{text}");
    });
}

#[test]
fn a_handle_dropped_before_the_end_or_after_it() {
    let census = Census::default();
    let rt = runtime(2);
    rt.run(|| {
        for late in [false, true] {
            for i in 0..scale(2000, 20_000) {
                let (mine, result) = (census.count(), census.count());
                let g = go(move || {
                    if i % 3 == 0 {
                        yield_now();
                    }
                    drop(mine);
                    result
                });
                if late {
                    while !g.is_finished() {
                        yield_now();
                    }
                }
                drop(g);
            }
        }
    });
    rt.close();
    assert_eq!(census.living(), 0);
}

/// A value with padding that makes it boxed or not, and a destructor that counts.
struct Cargo<const N: usize> {
    load: [u8; N],
    _counted: Counted,
}

#[repr(align(256))]
struct Aligned<const N: usize>(Cargo<N>);

fn cargo<const N: usize>(census: &Census) -> Cargo<N> {
    Cargo { load: [0xa5; N], _counted: census.count() }
}

/// Every way for a closure of that size and its result to end, all destructors counted.
fn every_end<const N: usize>() {
    let census = Census::default();
    let rt = runtime(2);
    rt.run(|| {
        for _ in 0..100 {
            let joined = cargo::<N>(&census);
            let back = go(move || joined).join().expect("no panic");
            assert!(back.load.iter().all(|byte| *byte == 0xa5));
            let alone = Census::default();
            let left_by_handle = Aligned(cargo::<N>(&alone));
            let handle = go(move || left_by_handle);
            while !handle.is_finished() {
                yield_now();
            }
            assert_eq!(alone.living(), 1);
            drop(handle);
            assert_eq!(alone.living(), 0, "dropped with the handle, not later");
            let detached = Aligned(cargo::<N>(&census));
            go(move || {
                yield_now();
                detached
            });
            let aligned = Aligned(cargo::<N>(&census));
            let moved = go(move || ((&raw const aligned).addr() % 256, aligned));
            let (off, back) = moved.join().expect("no panic");
            assert_eq!((off, (&raw const back).addr() % 256), (0, 0));
            assert!(back.0.load.iter().all(|byte| *byte == 0xa5));
            let lost = cargo::<N>(&census);
            let failed = go(move || {
                let _lost = lost;
                std::panic::resume_unwind(Box::new("lost"));
            });
            failed.join().expect_err("it panicked");
        }
    });
    rt.close();
    assert_eq!(census.living(), 0, "{N} bytes");
}

#[test]
fn destructors_run_once_small_large_and_aligned() {
    every_end::<0>();
    every_end::<40>();
    every_end::<65>();
    every_end::<1100>();
    every_end::<20_000>();
}

#[test]
fn a_closure_that_never_runs_is_dropped_once() {
    let census = Census::default();
    // The only P is with a thread that does not begin until the shutdown has, so none of the Gs ever begins.
    let (stop, stopped) = mpsc::channel::<()>();
    let stopped = Mutex::new(stopped);
    let waits = move || assert!(stopped.lock().expect("no panic").recv().is_err(), "nothing is sent");
    let mut house = common::house(common::builder().procs(1).on_thread_start(waits));
    let rt = house.take();
    let ran = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..1000)
        .map(|i| {
            let (counted, ran, large) = (census.count(), ran.clone(), [i; 300]);
            rt.go(move || {
                let _counted = counted;
                ran.fetch_add(large[0].max(1), Ordering::Relaxed);
            })
        })
        .collect();
    let handle = rt.handle();
    let stopping = std::thread::spawn(move || rt.shutdown());
    common::eventually("the shutdown has begun", || handle.try_go_with(GoBuilder::new(), || ()).is_err());
    drop(stop);
    stopping.join().expect("the shutdown did not panic");
    for handle in handles {
        let payload = handle.join().expect_err("it never began");
        assert!(payload.is::<pirn_runtime::ShutDown>());
    }
    assert_eq!((census.living(), ran.load(Ordering::Relaxed)), (0, 0));
    house.check_empty();
}

#[test]
fn go_outside_of_a_runtime() {
    let error = try_go(|| ()).expect_err("there is no runtime");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let payload = catch_unwind(|| go(|| ())).expect_err("there is no runtime");
    let text = payload.downcast_ref::<String>().expect("a formatted message");
    assert!(text.contains("not on a runtime") && text.contains("Runtime::run"), "{text}");
    assert_eq!(num_goroutines(), 0);
    assert!(Handle::current().is_none() && current().is_none());
}

#[test]
fn try_go_says_why_not() {
    let rt = runtime(1);
    let handle = rt.handle();
    let census = Census::default();
    for bytes in [0, 1, 65_535, (1 << 30) + 1, usize::MAX] {
        let counted = census.count();
        let refused = handle.try_go_with(GoBuilder::new().stack_size(bytes), move || drop(counted));
        let error = refused.expect_err("out of range");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("64 KiB to 1 GiB"), "{error}");
        let inside = rt.run(|| GoBuilder::new().stack_size(bytes).try_go(|| ()).map(drop));
        assert_eq!(inside.expect_err("out of range").kind(), ErrorKind::InvalidInput);
    }
    rt.close();
    let counted = census.count();
    let error = handle.try_go_with(GoBuilder::new(), move || drop(counted)).expect_err("it is shut down");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(census.living(), 0);
}

fn who_am_i() -> pirn_runtime::Current {
    current().expect("on a G")
}

#[test]
fn names_numbers_and_birthplaces() {
    let rt = runtime(2);
    rt.run(|| {
        let builder = GoBuilder::new().name("the name");
        let (line, named) = (line!(), builder.go(who_am_i));
        let id = named.id();
        let me = named.join().expect("no panic");
        assert_eq!((me.id(), me.name()), (id, Some("the name")));
        assert_eq!((me.birthplace().file(), me.birthplace().line()), (file!(), line));
        let (line, plain) = (line!(), go(who_am_i));
        let plain = plain.join().expect("no panic");
        assert_eq!((plain.name(), plain.birthplace().line()), (None, line));
        assert_eq!(id.to_string(), format!("G{}", id.as_u64()));
        let handle = Handle::current().expect("on a runtime");
        let (line, by_handle) = (line!(), handle.go(who_am_i));
        let by_handle = by_handle.join().expect("no panic");
        assert_eq!(by_handle.birthplace().line(), line);
        assert_eq!(who_am_i().name(), Some("main"));
    });
}

#[test]
fn numbers_are_unique_in_the_process() {
    let n = scale(5_000, 50_000);
    let (one, other) = (runtime(2), runtime(1));
    let ids = |rt: &pirn_runtime::Runtime| -> Vec<_> {
        rt.run(|| {
            let handles: Vec<_> = (0..n).map(|_| go(|| current().expect("on a G").id())).collect();
            let seen: Vec<_> = handles.iter().map(JoinHandle::id).collect();
            let told: Vec<_> = handles.into_iter().map(|g| g.join().expect("no panic")).collect();
            assert_eq!(seen, told);
            told
        })
    };
    let all: Vec<_> = std::thread::scope(|s| {
        let threads = [s.spawn(|| ids(&one)), s.spawn(|| ids(&other)), s.spawn(|| ids(&one))];
        threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect()
    });
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 3 * n);
}

#[test]
fn how_many_gs_and_procs() {
    for procs in [1, 3] {
        let rt = runtime(procs);
        rt.run(|| {
            assert_eq!((maxprocs(), num_goroutines()), (procs, 1));
            let ready = Countdown::new(10);
            let gs: Vec<_> = (0..10)
                .map(|_| {
                    let (ready, stop) = (ready.clone(), Arc::new(AtomicUsize::new(0)));
                    let told = stop.clone();
                    let g = go(move || {
                        let me = pirn_runtime::Unparker::current();
                        ready.done();
                        while told.load(Ordering::Acquire) == 0 {
                            park();
                        }
                        drop(me);
                    });
                    (g, stop)
                })
                .collect();
            ready.wait();
            assert_eq!(num_goroutines(), 11);
            let handle = Handle::current().expect("on a runtime");
            assert_eq!(handle.goroutines().len(), 11);
            drop(gs);
        });
    }
}
