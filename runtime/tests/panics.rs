//! Panics on Gs: who hears of them, and what Gs may do while they unwind.

mod common;

use common::{Census, Countdown, child_case, runtime, scale, shares_thread_locals, subprocess, thread_number};
use pirn_runtime::{GoBuilder, Unparker, go, park, park_timeout, scope, sleep, yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::panicking;
use std::time::Duration;

/// Panics without the hook's message, which would fill the screen.
fn fail<T: Send + 'static>(payload: T) -> ! {
    resume_unwind(Box::new(payload))
}

/// Runs its closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn destructors_of_all_frames_run_in_order() {
    #[inline(never)]
    fn frame(depth: usize, log: &Mutex<Vec<usize>>, census: &Census) {
        let _counted = census.count();
        let _log = OnDrop(|| log.lock().expect("nobody panics under it").push(depth));
        if depth == 0 {
            yield_now();
            fail("deep");
        }
        frame(depth - 1, log, census);
    }
    let rt = runtime(2);
    let (log, census) = (Arc::new(Mutex::new(Vec::new())), Census::default());
    let (written, counted) = (log.clone(), census.clone());
    let payload = rt.go(move || frame(100, &written, &counted)).join().expect_err("it panics");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"deep"));
    let log = log.lock().expect("nobody panicked under it");
    assert_eq!((log.len(), census.living()), (101, 0));
    assert!(log.iter().copied().eq(0..=100));
}

#[test]
fn a_panic_poisons_the_lock_that_was_held() {
    let rt = runtime(2);
    let lock = Arc::new(Mutex::new(1));
    let held = lock.clone();
    let g = rt.go(move || {
        let mut value = held.lock().expect("nobody has panicked yet");
        *value = 2;
        fail(());
    });
    g.join().expect_err("it panics");
    assert_eq!(*lock.lock().expect_err("it is poisoned").into_inner(), 2);
    // A lock that a G takes and leaves in good order while others panic is not.
    let good = Arc::new(Mutex::new(0));
    for i in 0..100 {
        let good = good.clone();
        let ended = rt.go(move || {
            *good.lock().expect("not poisoned") += 1;
            if i % 2 == 0 {
                fail(i);
            }
        });
        assert_eq!(ended.join().is_err(), i % 2 == 0);
    }
    assert_eq!(*good.lock().expect("not poisoned"), 100);
}

#[test]
fn payloads_of_all_types() {
    #[derive(Debug, PartialEq)]
    struct Own([u64; 40]);
    let rt = runtime(1);
    rt.run(|| {
        let own = go(|| fail(Own([7; 40]))).join().expect_err("it panics");
        assert_eq!(own.downcast_ref::<Own>(), Some(&Own([7; 40])));
        let nothing = go(|| fail(())).join().expect_err("it panics");
        assert!(nothing.is::<()>());
        // A payload with a destructor is dropped once, with the handle or without.
        let census = Census::default();
        let (kept, left) = (census.count(), census.count());
        let payload = go(move || fail(kept)).join().expect_err("it panics");
        assert_eq!(census.living(), 2);
        drop(payload);
        drop(go(move || fail(left)));
        while census.living() != 0 {
            yield_now();
        }
    });
}

#[test]
fn a_panic_that_is_caught_on_the_g_stays_there() {
    let rt = runtime(4);
    rt.run(|| {
        let gs: Vec<_> = (0..scale(200, 2000))
            .map(|i| {
                go(move || {
                    for round in 0..5 {
                        let caught = catch_unwind(AssertUnwindSafe(|| {
                            yield_now();
                            fail(i + round);
                        }));
                        let payload = caught.expect_err("it panicked");
                        assert!(!panicking());
                        yield_now();
                        // Held over a suspension, on another thread perhaps.
                        assert_eq!(payload.downcast_ref::<usize>(), Some(&(i + round)));
                    }
                    i
                })
            })
            .collect();
        for (i, g) in gs.into_iter().enumerate() {
            assert_eq!(g.join().expect("caught"), i);
        }
    });
}

#[test]
fn run_panics_as_its_closure_does() {
    let rt = runtime(1);
    let payload = catch_unwind(AssertUnwindSafe(|| rt.run(|| fail(5u8)))).expect_err("it panics");
    assert_eq!(payload.downcast_ref::<u8>(), Some(&5));
    assert_eq!(rt.run(|| 1), 1);
}

#[test]
fn scoped_panics() {
    let rt = runtime(2);
    rt.run(|| {
        // Joined: the handle has it, and the scope goes on.
        let joined = scope(|s| s.go(|| fail(1u8)).join().expect_err("it panics").is::<u8>());
        assert!(joined);
        // Not joined, in both orders of end and drop of the handle: the scope panics when all have ended.
        for finished in [false, true] {
            let ended = AtomicUsize::new(0);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| {
                    let failing = s.go(|| fail(2u8));
                    while finished && !failing.is_finished() {
                        yield_now();
                    }
                    drop(failing);
                    s.go(|| {
                        sleep(Duration::from_millis(2));
                        ended.fetch_add(1, Ordering::Relaxed);
                    });
                });
            }));
            let payload = outcome.expect_err("a G panicked");
            let text = payload.downcast_ref::<&str>().map_or("", |text| text);
            assert!(text.contains("a scoped goroutine panicked"), "{text}");
            assert_eq!(ended.load(Ordering::Relaxed), 1);
        }
        // The handle leaks: nobody has heard of the panic.
        let outcome = catch_unwind(AssertUnwindSafe(|| scope(|s| std::mem::forget(s.go(|| fail(4u8))))));
        assert!(outcome.is_err());
        // The scope's own closure panics: its Gs are waited for, and its own payload comes out.
        let ended = AtomicUsize::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                s.go(|| {
                    sleep(Duration::from_millis(2));
                    ended.fetch_add(1, Ordering::Relaxed);
                });
                fail(3u8)
            })
        }));
        assert!(outcome.expect_err("it panics").is::<u8>());
        assert_eq!(ended.load(Ordering::Relaxed), 1);
    });
}

/// Everything that parks, done while the G unwinds.
fn wait_in_all_ways(unparker: &Mutex<Option<Unparker>>, go_on: &AtomicBool) {
    let thread = thread_number();
    // Where Gs own their thread-locals, the count of panics goes along, and they may move.
    let stays = shares_thread_locals();
    let same = || {
        let moved = thread_number() != thread;
        assert!(!moved || !stays, "a G that unwinds changed threads");
        assert!(panicking(), "it has left its panic behind");
    };
    sleep(Duration::from_micros(300));
    same();
    yield_now();
    same();
    *unparker.lock().expect("nobody panics under it") = Some(Unparker::current());
    while !go_on.load(Ordering::Acquire) {
        park();
        same();
    }
    park_timeout(Duration::from_micros(50));
    same();
    assert_eq!(go(|| 3).join().expect("no panic"), 3);
    same();
    let mut n = 0;
    scope(|s| {
        s.go(|| n += 1);
    });
    assert_eq!(n, 1);
    same();
    assert!(panicking());
}

#[test]
fn gs_wait_while_they_unwind_and_others_go_on() {
    let rt = runtime(4);
    let n: usize = 30;
    let stop = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicUsize::new(0));
    let others: Vec<_> = (0..20)
        .map(|_| {
            let (stop, turns) = (stop.clone(), turns.clone());
            rt.go(move || {
                while !stop.load(Ordering::Acquire) {
                    assert!(!panicking(), "it sees another G's panic");
                    turns.fetch_add(1, Ordering::Relaxed);
                    yield_now();
                    if turns.load(Ordering::Relaxed) % 64 == 0 {
                        sleep(Duration::from_micros(50));
                    }
                }
            })
        })
        .collect();
    let (unparkers, go_on) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let failing: Vec<_> = (0..n)
        .map(|i| {
            let (mine, go_on) = (Arc::new(Mutex::new(None)), go_on.clone());
            unparkers.lock().expect("nobody panics").push(mine.clone());
            rt.go(move || {
                let _waits = OnDrop(|| wait_in_all_ways(&mine, &go_on));
                fail(i);
            })
        })
        .collect();
    // All of them hang in their destructors, each on a thread of its own, and the others still run.
    let all = || unparkers.lock().expect("nobody panics").clone();
    common::eventually("all unwind", || all().iter().all(|u| u.lock().expect("nobody panics").is_some()));
    let seen = turns.load(Ordering::Relaxed);
    common::eventually("the others go on", || turns.load(Ordering::Relaxed) > seen + 1000);
    go_on.store(true, Ordering::Release);
    for unparker in all() {
        unparker.lock().expect("nobody panics").as_ref().expect("it was there").unpark();
    }
    for (i, g) in failing.into_iter().enumerate() {
        let payload = g.join().expect_err("it panicked");
        assert_eq!(payload.downcast_ref::<usize>(), Some(&i));
    }
    stop.store(true, Ordering::Release);
    others.into_iter().for_each(|g| g.join().expect("no panic"));
    nobody_panics(&rt);
}

/// Looks on all threads: so many Gs that yield are spread over all of them.
fn nobody_panics(rt: &pirn_runtime::Runtime) {
    rt.run(|| {
        let all = Countdown::new(500);
        for _ in 0..500 {
            let all = all.clone();
            go(move || {
                let clean = !panicking();
                sleep(Duration::from_micros(10));
                assert!(clean && !panicking(), "a thread is left panicking");
                all.done();
            });
        }
        all.wait();
    });
}

/// A new M that was woken to search and found its G at once kept counting as searching; then nobody was woken any more.
#[test]
fn nested_panics_caught_in_a_destructor_that_waits() {
    let rt = runtime(2);
    for _ in 0..20 {
        let g = rt.go(|| {
            let _outer = OnDrop(|| {
                sleep(Duration::from_micros(20));
                let inner = catch_unwind(AssertUnwindSafe(|| {
                    let _deeper = OnDrop(|| sleep(Duration::from_micros(20)));
                    fail("inner");
                }));
                assert!(inner.is_err() && panicking());
                park_timeout(Duration::from_micros(20));
            });
            fail("outer");
        });
        let payload = g.join().expect_err("it panics");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"outer"));
    }
    nobody_panics(&rt);
}

#[test]
fn many_gs_panic_at_once() {
    let rt = runtime(4);
    let census = Census::default();
    rt.run(|| {
        let gs: Vec<_> = (0..scale(2000, 20_000))
            .map(|i| {
                let counted = census.count();
                go(move || {
                    let _counted = counted;
                    if i % 16 == 0 {
                        yield_now();
                    }
                    fail(i);
                })
            })
            .collect();
        for (i, g) in gs.into_iter().enumerate() {
            let payload = g.join().expect_err("all panic");
            assert_eq!(payload.downcast_ref::<usize>(), Some(&i));
        }
    });
    nobody_panics(&rt);
    rt.close();
    assert_eq!(census.living(), 0);
}

#[test]
fn the_message_of_a_panic_names_the_g() {
    const TEST: &str = "the_message_of_a_panic_names_the_g";
    if child_case(TEST).is_some() {
        let rt = runtime(1);
        let id = rt.run(|| {
            let g = GoBuilder::new().name("the culprit").go(|| panic!("it was me"));
            let id = g.id();
            g.join().expect_err("it panics");
            go(|| panic!("nameless")).join().expect_err("it panics");
            id
        });
        eprintln!("it was {id}");
        let thread = std::thread::spawn(|| panic!("no G"));
        thread.join().expect_err("it panics");
        return;
    }
    let ended = subprocess(TEST, "", &[]);
    ended.expect_success();
    let lines: Vec<_> = ended.stderr.lines().collect();
    let at = |what: &str| {
        lines.iter().position(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what:?} in {ended:#?}"))
    };
    let id = lines[at("it was G")].trim_start_matches("it was G");
    let first = lines[at("it was me") - 1];
    assert!(first.starts_with(&format!("thread 'the culprit' (goroutine {id}, started at {}:", file!())), "{ended:#?}");
    assert!(first.contains(&format!(") panicked at {}:", file!())), "{ended:#?}");
    assert!(lines[at("nameless") - 1].starts_with("thread '<unnamed>' (goroutine "), "{ended:#?}");
    let named = lines.iter().filter(|line| line.contains("(goroutine ")).count();
    assert_eq!(named, 2, "one for each G and none for the thread: {ended:#?}");
    assert_eq!(lines.iter().filter(|line| line.contains("RUST_BACKTRACE=1")).count(), 2, "once for Gs: {ended:#?}");
}

#[test]
fn messages_of_gs_that_panic_at_once_are_not_mixed() {
    const TEST: &str = "messages_of_gs_that_panic_at_once_are_not_mixed";
    const GS: usize = 4;
    if child_case(TEST).is_some() {
        let rt = runtime(GS);
        rt.run(|| {
            for round in 0..scale(50, 200) {
                let begun = Arc::new(AtomicUsize::new(0));
                let start = |i| {
                    let begun = begun.clone();
                    GoBuilder::new().name(format!("r{round}n{i}")).go(move || {
                        begun.fetch_add(1, Ordering::AcqRel);
                        while begun.load(Ordering::Acquire) < GS {
                            yield_now();
                        }
                        panic!("message of r{round}n{i}");
                    })
                };
                let gs: Vec<pirn_runtime::JoinHandle<()>> = (0..GS).map(start).collect();
                gs.into_iter().for_each(|g| drop(g.join().expect_err("it panics")));
            }
        });
        return;
    }
    for backtraces in ["0", "1"] {
        let ended = subprocess(TEST, "", &[("RUST_BACKTRACE", backtraces)]);
        ended.expect_success();
        let lines: Vec<_> = ended.stderr.lines().collect();
        let mut messages = 0;
        for pair in lines.windows(2) {
            let Some((name, _)) = pair[0].strip_prefix("thread 'r").and_then(|rest| rest.split_once('\'')) else {
                continue;
            };
            assert_eq!(pair[1], format!("message of r{name}"), "{ended:#?}");
            messages += 1;
        }
        assert_eq!(messages, GS * scale(50, 200), "{ended:#?}");
    }
}

#[test]
fn a_hook_of_the_program_is_heard_alone() {
    const TEST: &str = "a_hook_of_the_program_is_heard_alone";
    let silence = || std::panic::set_hook(Box::new(|_| ()));
    match child_case(TEST).as_deref() {
        Some("before") => {
            silence();
            let rt = runtime(1);
            rt.run(|| go(|| panic!("the message")).join().expect_err("it panics"));
        }
        Some("after") => {
            let rt = runtime(1);
            silence();
            rt.run(|| go(|| panic!("the message")).join().expect_err("it panics"));
        }
        Some("asks") => {
            std::panic::set_hook(Box::new(|_| {
                let who = pirn_runtime::current().and_then(|g| g.name().map(str::to_owned));
                eprintln!("panic of {who:?}");
            }));
            let rt = runtime(1);
            rt.run(|| GoBuilder::new().name("asked").go(|| panic!("the message")).join().expect_err("it panics"));
        }
        _ => {
            for case in ["before", "after", "asks"] {
                let ended = subprocess(TEST, case, &[]);
                ended.expect_success();
                for not_said in ["the message", "goroutine", "panicked"] {
                    assert!(!ended.stderr.contains(not_said), "{case}: {ended:#?}");
                }
            }
            subprocess(TEST, "asks", &[]).expect_says("panic of Some(\"asked\")");
        }
    }
}

#[test]
fn backtraces_of_panics_end_where_the_function_of_the_g_begins() {
    const TEST: &str = "backtraces_of_panics_end_where_the_function_of_the_g_begins";
    #[inline(never)]
    fn culprit() {
        panic!("the message");
    }
    if child_case(TEST).is_some() {
        let rt = runtime(1);
        rt.run(|| go(culprit).join().expect_err("it panics"));
        return;
    }
    let shown = |backtraces| {
        let ended = subprocess(TEST, "", &[("RUST_BACKTRACE", backtraces)]);
        ended.expect_success().expect_says("culprit");
        ended.stderr
    };
    let short = shown("1");
    for hidden in ["pirn_runtime::", "_short_backtrace", "corosensei", "panic_with_hook"] {
        assert!(!short.contains(hidden), "{hidden}: {short}");
    }
    assert!(short.contains("\n   0: ") && short.contains("RUST_BACKTRACE=full"), "{short}");
    assert!(shown("full").contains("pirn_runtime::"));
}
