//! The end of a runtime: what becomes of Gs in every state, and what is left of it.

mod common;

use common::{Census, Countdown, House, child_case, eventually, runtime, scale, subprocess};
use pirn_runtime::{
    GoBuilder, Handle, JoinHandle, ShutDown, Unparker, go, park, scope, sleep, time, try_go, yield_now,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

fn was_shut_down<T>(result: std::thread::Result<T>) -> bool {
    result.is_err_and(|payload| payload.is::<ShutDown>())
}

/// Shuts down without the guard's help; the guard still looks for what is left.
fn shut_down(house: &mut House, timeout: Duration) -> bool {
    house.take().shutdown_timeout(timeout)
}

#[test]
fn gs_in_every_state_are_unwound() {
    for procs in [1, 2, 4] {
        let census = Census::default();
        let mut house = runtime(procs);
        let n = 50;
        let ready = Countdown::new(5 * n);
        let mut handles: Vec<JoinHandle<()>> = Vec::new();
        for i in 0..n {
            let start = |body: fn(usize, &dyn Fn())| {
                let (ready, counted) = (ready.clone(), census.count());
                house.go(move || {
                    let _counted = counted;
                    body(i, &|| ready.done());
                    panic!("a G that waits for ever has gone on");
                })
            };
            handles.push(start(|_, ready| {
                ready();
                loop {
                    park();
                }
            }));
            handles.push(start(|_, ready| {
                ready();
                sleep(HOUR);
            }));
            handles.push(start(|_, ready| {
                ready();
                loop {
                    yield_now();
                }
            }));
            handles.push(start(|_, ready| {
                let waits = go(|| sleep(HOUR));
                ready();
                assert!(was_shut_down(waits.join()), "the joiner is unwound too, or hears of it");
                loop {
                    park();
                }
            }));
            handles.push(start(|i, ready| {
                let borrowed = [i; 10];
                scope(|s| {
                    for _ in 0..3 {
                        s.go(|| {
                            let _ = borrowed[0];
                            sleep(HOUR);
                        });
                    }
                    ready();
                });
                loop {
                    park();
                }
            }));
        }
        ready.wait();
        assert!(shut_down(&mut house, Duration::from_secs(30)));
        for handle in handles {
            assert!(was_shut_down(handle.join()));
        }
        assert_eq!(census.living(), 0);
        house.check_empty();
    }
}

#[test]
fn a_g_that_catches_its_end_and_parks_again() {
    let mut house = runtime(2);
    let caught = Arc::new(AtomicUsize::new(0));
    let counted = caught.clone();
    let ready = Countdown::new(1);
    let began = ready.clone();
    let g = house.go(move || {
        began.done();
        for _ in 0..100 {
            let payload = catch_unwind(AssertUnwindSafe(|| {
                loop {
                    park();
                }
            }));
            assert!(payload.expect_err("it can only unwind").is::<ShutDown>());
            counted.fetch_add(1, Ordering::Relaxed);
        }
        7
    });
    ready.wait();
    assert!(shut_down(&mut house, Duration::from_secs(30)));
    assert_eq!((g.join().expect("it ended by itself"), caught.load(Ordering::Relaxed)), (7, 100));
    house.check_empty();
}

/// Runs its closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs `in_drop` in a destructor of a G that the shutdown unwinds, and says whether it has come to its end. Were there a
/// panic in it, the process would end.
fn while_unwound(in_drop: impl Fn(&Handle) + Send + 'static) -> bool {
    let mut house = runtime(2);
    let (handle, ready, came) = (house.handle(), Countdown::new(1), Arc::new(AtomicBool::new(false)));
    let (begun, done) = (ready.clone(), came.clone());
    let g: JoinHandle<()> = house.go(move || {
        let _last = OnDrop(|| {
            in_drop(&handle);
            done.store(true, Ordering::Release);
        });
        begun.done();
        loop {
            park();
        }
    });
    ready.wait();
    assert!(shut_down(&mut house, Duration::from_secs(30)));
    assert!(was_shut_down(g.join()));
    house.check_empty();
    came.load(Ordering::Acquire)
}

#[test]
fn gs_started_in_a_destructor_are_dropped_and_their_handles_say_so() {
    /// Its closure's destructor panics too, which is the G's end and nobody else's.
    fn fails() -> impl FnOnce() + Send {
        let bad = OnDrop(|| std::panic::resume_unwind(Box::new(7_u8)));
        move || drop(bad)
    }
    let census = Census::default();
    let counted = census.clone();
    assert!(while_unwound(move |handle| {
        let held = || {
            let counted = counted.count();
            move || drop(counted)
        };
        drop(go(held()));
        for g in [go(held()), handle.go(held()), GoBuilder::new().name("late").stack_size(1 << 20).go(held())] {
            assert!(g.is_finished());
            assert!(was_shut_down(g.join()));
        }
        assert!(go(fails()).join().expect_err("it panicked").is::<u8>());
        drop(go(fails()));
        let large = [1_u64; 100];
        assert!(was_shut_down(go(move || large).join()));
        for started in [try_go(held()), handle.try_go_with(GoBuilder::new(), held())] {
            assert_eq!(started.expect_err("no new Gs").kind(), std::io::ErrorKind::BrokenPipe);
        }
    }));
    assert_eq!(census.living(), 0);
}

#[test]
fn a_destructor_of_a_thread_local_starts_gs_and_waits_at_shutdown() {
    struct Last(Arc<AtomicBool>);
    impl Drop for Last {
        fn drop(&mut self) {
            assert!(was_shut_down(go(|| ()).join()));
            let mut done = false;
            scope(|s| drop(s.go(|| done = true)));
            time::Timer::new(Duration::from_millis(1)).wait();
            self.0.store(!done, Ordering::Release);
        }
    }
    std::thread_local! {
        static LAST: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) };
    }
    // In shared mode it is the thread's, and no G runs it.
    let house = common::isolated(2);
    let (came, ready) = (Arc::new(AtomicBool::new(false)), Countdown::new(1));
    let (mine, begun) = (came.clone(), ready.clone());
    let g: JoinHandle<()> = house.go(move || {
        LAST.set(Some(Last(mine)));
        begun.done();
        loop {
            park();
        }
    });
    ready.wait();
    house.close();
    assert!(was_shut_down(g.join()) && came.load(Ordering::Acquire));
}

#[test]
fn a_scope_in_a_destructor_returns_and_its_handles_say_what_was_not_done() {
    assert!(while_unwound(|_| {
        let mut done = false;
        let joined = scope(|s| was_shut_down(s.go(|| done = true).join()));
        assert!(joined && !done);
        // Nobody asks.
        scope(|s| drop(s.go(|| done = true)));
        assert!(!done);
    }));
}

#[test]
fn a_destructor_that_waits_for_the_clock_goes_on() {
    let moment = Duration::from_millis(1);
    assert!(while_unwound(move |_| {
        time::Timer::new(moment).wait();
        let ticker = time::Ticker::new(moment);
        (0..3).for_each(|_| ticker.wait());
        let timer = time::Timer::new(HOUR);
        assert!(timer.reset(moment));
        timer.wait();
        sleep(moment);
        let until = Instant::now() + moment;
        pirn_runtime::park_timeout(moment);
        time::sleep_until(until);
        assert!(time::after_func(HOUR, || ()).stop());
        time::after_func(moment, || ());
    }));
}

#[test]
fn timers_of_a_runtime_that_has_ended_hold_nothing() {
    let census = Census::default();
    let house = runtime(2);
    let (timer, ticker, call) = house.run(|| {
        let counted = census.count();
        let call = time::after_func(HOUR, move || drop(counted));
        (time::Timer::new(HOUR), time::Ticker::new(HOUR), call)
    });
    house.close();
    timer.reset(Duration::ZERO);
    ticker.reset(Duration::from_millis(1));
    call.reset(Duration::ZERO);
    assert!(!timer.try_wait() && !ticker.try_wait());
    assert!(!timer.stop() && !call.stop());
    assert_eq!(census.living(), 0);
}

/// Runs a scope with one G in a G that is shut down; `join` says whether the scope joins it. Returns what the scope's own
/// G ended with, and whether the scope has returned.
fn scope_at_shutdown(join: bool) -> (std::thread::Result<()>, bool) {
    let mut house = runtime(2);
    let (ready, returned) = (Countdown::new(1), Arc::new(AtomicBool::new(false)));
    let (begun, has_returned) = (ready.clone(), returned.clone());
    let g = house.go(move || {
        scope(|s| {
            let waits = s.go(|| {
                begun.done();
                sleep(HOUR);
            });
            if join {
                // It is unwound itself here, or hears of the other's end.
                assert!(was_shut_down(waits.join()));
            }
        });
        has_returned.store(true, Ordering::Release);
    });
    ready.wait();
    assert!(shut_down(&mut house, Duration::from_secs(30)));
    house.check_empty();
    (g.join(), returned.load(Ordering::Acquire))
}

#[test]
fn a_scope_does_not_return_if_the_shutdown_has_unwound_its_gs() {
    for _ in 0..scale(20, 100) {
        let (result, returned) = scope_at_shutdown(false);
        assert!(!returned && was_shut_down(result));
        // Who joins is told before: a scope that returns then says nothing wrong.
        let (result, returned) = scope_at_shutdown(true);
        assert!(returned || was_shut_down(result));
    }
}

#[test]
fn a_scope_panics_if_the_end_of_another_runtime_has_unwound_its_g() {
    let (house, other) = (runtime(2), runtime(1));
    let ready = Countdown::new(1);
    let (begun, there) = (ready.clone(), other.handle());
    let g = house.go(move || {
        let mut done = false;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                s.go(|| {
                    let waits: JoinHandle<()> = there.go(|| {
                        loop {
                            park();
                        }
                    });
                    begun.done();
                    // Passes the panic on, as one does.
                    waits.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
                    done = true;
                });
            });
        }));
        assert!(!done);
        let payload = outcome.expect_err("the scope's G did not come to its end");
        assert!(!payload.is::<ShutDown>(), "this runtime goes on");
        // With a join the scope knows.
        scope(|s| was_shut_down::<()>(s.go(|| std::panic::resume_unwind(Box::new(payload))).join()))
    });
    ready.wait();
    other.close();
    assert!(!g.join().expect("it caught what there was"));
}

/// Waits in its destructor, in several ways.
struct WaitsInDrop {
    census: Census,
    _counted: common::Counted,
}

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        sleep(Duration::from_millis(1));
        yield_now();
        assert!(try_go(|| ()).is_err(), "no new Gs");
        pirn_runtime::park_timeout(Duration::from_millis(1));
        assert!(self.census.living() > 0);
    }
}

#[test]
fn gs_that_wait_in_destructors() {
    for procs in [1, 2] {
        let census = Census::default();
        let mut house = runtime(procs);
        let n = 20;
        let ready = Countdown::new(n);
        let handles: Vec<_> = (0..n)
            .map(|_| {
                let (waits, ready) = (WaitsInDrop { census: census.clone(), _counted: census.count() }, ready.clone());
                house.go(move || {
                    let _waits = waits;
                    ready.done();
                    sleep(HOUR);
                })
            })
            .collect();
        ready.wait();
        assert!(shut_down(&mut house, Duration::from_secs(30)));
        assert!(handles.into_iter().all(|g| was_shut_down(g.join())));
        assert_eq!(census.living(), 0);
        house.check_empty();
    }
}

#[test]
fn results_of_gs_that_a_burst_has_started_are_dropped() {
    // The shutdown comes while Gs start very many others, so that some are unwound inside of `go`.
    let mut starts = 0;
    for round in 0..scale(20, 50) {
        let census = Census::default();
        let mut house = runtime(1 + round % 2);
        let began = Countdown::new(1);
        let (first, counted) = (began.clone(), census.clone());
        let started = Arc::new(AtomicUsize::new(0));
        let count = started.clone();
        drop(house.go(move || {
            first.done();
            loop {
                let result = counted.count();
                match try_go(move || result) {
                    Ok(handle) => drop(handle),
                    Err(_) => return,
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        began.wait();
        while started.load(Ordering::Relaxed) < 2000 {
            std::hint::spin_loop();
        }
        assert!(shut_down(&mut house, Duration::from_secs(30)));
        house.check_empty();
        assert_eq!(census.living(), 0, "round {round}: results that nobody dropped");
        starts += started.load(Ordering::Relaxed);
    }
    assert!(starts > 0);
}

#[test]
fn a_g_that_never_ends_is_left_whole() {
    const TEST: &str = "a_g_that_never_ends_is_left_whole";
    if child_case(TEST).is_some() {
        let mut house = runtime(2);
        let rt = house.take();
        let (stop, stopped, laps) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (told, say, count) = (stop.clone(), stopped.clone(), laps.clone());
        let begun = Countdown::new(1);
        let began = begun.clone();
        let g = rt.go(move || {
            began.done();
            while !told.load(Ordering::Acquire) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            say.store(true, Ordering::Release);
            3
        });
        begun.wait();
        let before = Instant::now();
        assert!(!rt.shutdown_timeout(Duration::from_millis(100)));
        assert!((Duration::from_millis(100)..Duration::from_secs(60)).contains(&before.elapsed()));
        let seen = laps.load(Ordering::Relaxed);
        eventually("it still runs", || laps.load(Ordering::Relaxed) > seen);
        // The process goes on: another runtime works.
        assert_eq!(runtime(2).run(|| 5), 5);
        stop.store(true, Ordering::Release);
        assert_eq!(g.join().expect("it ended by itself after all"), 3);
        assert!(stopped.load(Ordering::Acquire));
        // Its M has still to put its record away when the result is there already.
        house.wait_empty();
        return;
    }
    subprocess(TEST, "", &[]).expect_success();
}

#[test]
fn handles_after_the_end() {
    let (house, census) = (runtime(2), Census::default());
    let done: Vec<_> = (0..100).map(|i| house.go(move || i)).collect();
    eventually("all have ended", || done.iter().all(JoinHandle::is_finished));
    let killed: Vec<JoinHandle<u8>> = (0..100)
        .map(|_| {
            house.go(|| {
                loop {
                    park();
                }
            })
        })
        .collect();
    let handle = house.handle();
    house.close();
    for (i, g) in done.into_iter().enumerate() {
        assert_eq!(g.join().expect("it ended before"), i);
    }
    // One by one from other threads, and some that nobody asks.
    let (asked, dropped): (Vec<_>, Vec<_>) = killed.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let thread = std::thread::spawn(|| asked.into_iter().all(|(_, g)| g.is_finished() && was_shut_down(g.join())));
    assert!(thread.join().expect("no panic"));
    drop(dropped);
    assert!(handle.goroutines().is_empty());
    let error = handle.try_go_with(GoBuilder::new(), || ()).expect_err("it is over");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    // `go` has only its handle to say it with.
    let counted = census.count();
    let g = handle.go(move || drop(counted));
    assert!(g.is_finished() && census.living() == 0);
    assert!(was_shut_down(g.join()));
    drop(handle.go(|| ()));
}

#[test]
fn a_thread_that_joins_hears_of_the_end() {
    let house = runtime(2);
    let joiners: Vec<_> = (0..8)
        .map(|_| {
            let g: JoinHandle<()> = house.go(|| {
                loop {
                    sleep(HOUR);
                }
            });
            std::thread::spawn(move || was_shut_down(g.join()))
        })
        .collect();
    house.close();
    assert!(joiners.into_iter().all(|joiner| joiner.join().expect("no panic")));
}

#[test]
fn a_runtime_that_is_dropped_by_its_own_g() {
    let census = Census::default();
    let mut house = runtime(2);
    let rt = house.take();
    let (give, given) = mpsc::channel();
    let counted = census.count();
    drop(rt.go(move || {
        let _counted = counted;
        park();
        sleep(HOUR);
    }));
    let counted = census.count();
    let g = rt.go(move || {
        let _counted = counted;
        let rt: pirn_runtime::Runtime = given.recv().expect("it is sent");
        let refused = catch_unwind(AssertUnwindSafe(|| {
            // It can not wait for its own end; the drop that follows the panic ends it all the same.
            rt.shutdown();
        }));
        let payload = refused.expect_err("it can not wait for itself");
        assert!(!payload.is::<ShutDown>());
        assert!(try_go(|| ()).is_err());
        loop {
            park();
        }
    });
    give.send(rt).map_err(drop).expect("it waits");
    assert!(was_shut_down::<()>(g.join()));
    eventually("all have been unwound", || census.living() == 0);
    house.wait_empty();
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

#[test]
fn two_hundred_runtimes_leave_nothing() {
    const TEST: &str = "two_hundred_runtimes_leave_nothing";
    if child_case(TEST).is_some() {
        let once = |i: usize| {
            let house = runtime(1 + i % 4);
            house.run(|| {
                (0..20).for_each(|_| drop(go(park)));
                drop(go(|| sleep(HOUR)));
                time::after_func(HOUR, || ());
            });
            house.close();
        };
        (0..20).for_each(once);
        let (files, threads, rss) = (open_files(), common::threads(""), common::rss_bytes());
        (0..200).for_each(once);
        assert_eq!((open_files(), common::threads("")), (files, threads));
        let grown = common::rss_bytes().saturating_sub(rss);
        assert!(grown < 4 << 20, "{grown} bytes more");
        return;
    }
    subprocess(TEST, "", &[]).expect_success();
}

#[test]
fn timers_that_are_pending_are_dropped() {
    let census = Census::default();
    let house = runtime(2);
    let kept = house.run(|| {
        let kept: Vec<_> = (0..1000)
            .map(|i| {
                let counted = census.count();
                time::after_func(HOUR + Duration::from_secs(i), move || drop(counted))
            })
            .collect();
        for _ in 0..1000 {
            let counted = census.count();
            time::after_func(HOUR, move || drop(counted));
        }
        let timer = time::Timer::new(HOUR);
        let ticker = time::Ticker::new(Duration::from_micros(100));
        ticker.wait();
        drop(go(move || timer.wait()));
        drop(go(move || {
            loop {
                ticker.wait();
            }
        }));
        kept
    });
    house.close();
    assert_eq!(census.living(), 0, "also of those whose handles are there still");
    drop(kept);
}

#[test]
fn pending_timers_whose_closures_panic_when_they_are_dropped() {
    const TEST: &str = "pending_timers_whose_closures_panic_when_they_are_dropped";
    if child_case(TEST).is_some() {
        let house = runtime(1);
        house.run(|| {
            for i in 0..3 {
                let bad = OnDrop(move || panic!("destructor {i}"));
                time::after_func(HOUR, move || drop(bad));
            }
        });
        house.close();
        return;
    }
    let ended = subprocess(TEST, "", &[]);
    ended.expect_success();
    for i in 0..3 {
        ended.expect_says(&format!("destructor {i}"));
    }
}

/// Threads start Gs while the runtime ends: each start fails, or its G runs or is unwound; none is lost.
#[test]
fn gs_that_threads_start_during_the_end_are_not_lost() {
    let rounds = scale(100, 300);
    for round in 0..rounds {
        let census = Census::default();
        let mut house = runtime(1 + round % 3);
        let begin = Arc::new(std::sync::Barrier::new(4));
        let starters: Vec<_> = (0..3)
            .map(|_| {
                let (handle, census, begin): (Handle, _, _) = (house.handle(), census.clone(), begin.clone());
                std::thread::spawn(move || {
                    begin.wait();
                    let mut started = Vec::new();
                    loop {
                        let counted = census.count();
                        match handle.try_go_with(GoBuilder::new(), move || drop(counted)) {
                            Ok(g) => started.push(g),
                            Err(_) => return started,
                        }
                    }
                })
            })
            .collect();
        begin.wait();
        assert!(shut_down(&mut house, Duration::from_secs(30)));
        let started: Vec<_> = starters.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
        eventually("each G that was started has a result", || started.iter().all(JoinHandle::is_finished));
        for g in started {
            let result = g.join();
            assert!(result.is_ok() || was_shut_down(result));
        }
        assert_eq!(census.living(), 0, "round {round}");
        house.check_empty();
    }
}

#[test]
fn shutdown_while_threads_unpark() {
    for _ in 0..scale(30, 100) {
        let house = runtime(2);
        let (send, sent) = mpsc::channel();
        for _ in 0..20 {
            let send = send.clone();
            drop(house.go(move || {
                send.send(Unparker::current()).expect("the test listens");
                loop {
                    park();
                }
            }));
        }
        let unparkers: Vec<_> = (0..20).map(|_| sent.recv().expect("all send")).collect();
        let over = AtomicBool::new(false);
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        unparkers.iter().for_each(Unparker::unpark);
                    }
                });
            }
            house.close();
            over.store(true, Ordering::Relaxed);
        });
    }
}

/// What waits when it is dropped, and notes that it has done so to the end.
struct SleepsWhenDropped(Arc<AtomicBool>);

impl Drop for SleepsWhenDropped {
    fn drop(&mut self) {
        sleep(Duration::from_millis(1));
        self.0.store(true, Ordering::Release);
    }
}

/// The closure of a G that is refused, as the runtime closes, is dropped in the middle of another's code.
#[test]
fn destructors_of_a_closure_that_is_never_begun_are_not_unwound() {
    let house = common::runtime(2);
    let (came, ready) = (Arc::new(AtomicBool::new(false)), Countdown::new(1));
    let (mine, begun) = (came.clone(), ready.clone());
    let g = house.go(move || {
        begun.done();
        while pirn_runtime::try_go(|| ()).is_ok() {}
        let sleeps = SleepsWhenDropped(mine);
        was_shut_down(go(move || drop(sleeps)).join())
    });
    ready.wait();
    house.close();
    let said = g.join();
    assert!(came.load(Ordering::Acquire), "{said:?}");
}

/// A timer may fire and start a G while the shutdown thinks that all have ended. Then they have not.
#[test]
fn a_shutdown_that_says_all_have_ended_leaves_none() {
    struct WaitsForOther(Arc<AtomicBool>);
    impl Drop for WaitsForOther {
        fn drop(&mut self) {
            // A timer that has not fired is dropped by who shuts down.
            while pirn_runtime::current().is_some() && !self.0.load(Ordering::Acquire) {
                park();
            }
        }
    }
    let free = Arc::new(AtomicBool::new(false));
    for round in 0..300_u64 {
        let rt = common::builder().procs(2).name("short").build().expect("a runtime");
        let handle = rt.handle();
        let waits = WaitsForOther(free.clone());
        rt.run(|| drop(time::after_func(Duration::from_micros(round % 100 * 3), move || drop(waits))));
        let all = rt.shutdown_timeout(Duration::from_millis(1));
        assert!(!all || handle.goroutines().is_empty(), "{round}: {:?}", handle.goroutines());
        std::mem::forget(handle);
    }
    free.store(true, Ordering::Release);
}
