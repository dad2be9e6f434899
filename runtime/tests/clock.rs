//! What depends on time, under a clock that the test moves. Every test here takes the clock, so they go one by one.

mod common;

use common::{Countdown, builder, eventually, house, runtime, threads, wait_until_waiting};
use pirn_runtime::internal::{SetClock, random, set_seed};
use pirn_runtime::time::{Ticker, Timer, after_func, sleep_until};
use pirn_runtime::{Runtime, Unparker, park_timeout, sleep};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// Returns when what is due has been done: one more call is due last.
fn do_what_is_due(rt: &Runtime) {
    let (tell, told) = mpsc::channel();
    rt.run(|| after_func(Duration::ZERO, move || tell.send(()).expect("the test waits")));
    told.recv().expect("it is called");
}

#[test]
fn a_sleep_ends_when_the_clock_has_moved_as_far_and_not_before() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let ended = Arc::new(AtomicBool::new(false));
    let flag = ended.clone();
    let sleeper = rt.go(move || {
        sleep(HOUR);
        flag.store(true, Ordering::Release);
    });
    wait_until_waiting(&rt.handle(), sleeper.id());
    clock.advance(HOUR - Duration::from_nanos(1));
    do_what_is_due(&rt);
    assert!(!ended.load(Ordering::Acquire));
    clock.advance(Duration::from_nanos(1));
    sleeper.join().expect("it sleeps and ends");
}

#[test]
fn sleeps_end_in_the_order_of_their_moments() {
    let clock = SetClock::take();
    let rt = runtime(2);
    let order = Arc::new(Mutex::new(Vec::new()));
    let sleepers: Vec<_> = [3_u32, 1, 2]
        .into_iter()
        .map(|secs| {
            let order = order.clone();
            rt.go(move || {
                sleep(SECOND * secs);
                order.lock().expect("no panic").push(secs);
            })
        })
        .collect();
    sleepers.iter().for_each(|sleeper| wait_until_waiting(&rt.handle(), sleeper.id()));
    for passed in 1..=3 {
        clock.advance(SECOND);
        eventually("the next one has woken", || order.lock().expect("no panic").len() == passed);
    }
    sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it sleeps and ends"));
    assert_eq!(*order.lock().expect("no panic"), [1, 2, 3]);
}

#[test]
fn instants_and_durations_are_of_the_same_clock() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let until = clock.now() + HOUR;
    let sleeper = rt.go(move || sleep_until(until));
    wait_until_waiting(&rt.handle(), sleeper.id());
    clock.advance(HOUR);
    sleeper.join().expect("it sleeps and ends");
    assert_eq!(clock.now(), until);
    // It has passed: nobody waits.
    rt.run(move || sleep_until(until));
}

#[test]
fn timers_tickers_and_calls_go_by_the_clock() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let (timer, ticker) = rt.run(|| (Timer::new(SECOND), Ticker::new(SECOND)));
    let called = Arc::new(AtomicUsize::new(0));
    let count = called.clone();
    rt.run(|| after_func(SECOND * 2, move || _ = count.fetch_add(1, Ordering::Release)));
    assert!(!timer.try_wait() && !ticker.try_wait());
    clock.advance(SECOND);
    rt.run(|| timer.wait());
    rt.run(|| ticker.wait());
    assert!(!ticker.try_wait());
    assert_eq!(called.load(Ordering::Acquire), 0);
    // Of several ticks at once one is left.
    clock.advance(SECOND * 5);
    eventually("the call has been made", || called.load(Ordering::Acquire) == 1);
    rt.run(|| ticker.wait());
    assert!(!ticker.try_wait());
    clock.advance(SECOND - Duration::from_nanos(1));
    do_what_is_due(&rt);
    assert!(!ticker.try_wait());
    clock.advance(Duration::from_nanos(1));
    rt.run(|| ticker.wait());
}

#[test]
fn threads_sleep_and_park_by_the_clock() {
    let clock = SetClock::take();
    let (tell, told) = mpsc::channel();
    let sleeper = std::thread::spawn({
        let tell = tell.clone();
        move || {
            // An unpark does not end it.
            std::thread::current().unpark();
            tell.send(()).expect("the test waits");
            sleep(HOUR);
        }
    });
    let parker = std::thread::spawn({
        let until = clock.now() + HOUR;
        move || {
            tell.send(()).expect("the test waits");
            while !pirn_runtime::internal::has_come(until) {
                park_timeout(HOUR);
            }
        }
    });
    told.recv().expect("they begin");
    told.recv().expect("they begin");
    assert!(!sleeper.is_finished() && !parker.is_finished());
    eventually("both have slept for an hour", || {
        clock.advance(HOUR);
        sleeper.is_finished() && parker.is_finished()
    });
    sleeper.join().expect("it sleeps and ends");
    parker.join().expect("it parks and ends");
}

#[test]
fn a_park_with_a_timeout_still_hears_an_unpark() {
    let clock = SetClock::take();
    let rt = runtime(2);
    let (tell, told) = mpsc::channel();
    let parker = rt.go(move || {
        tell.send(Unparker::current()).expect("the test waits");
        park_timeout(HOUR);
    });
    told.recv().expect("it begins").unpark();
    parker.join().expect("it parks and ends");
    drop(rt);
    drop(clock);
}

/// sysmon goes on in real time: it takes the P of a G that blocks its thread, though the clock stands still.
#[test]
fn who_blocks_a_thread_holds_up_nobody_though_the_clock_stands_still() {
    let _clock = SetClock::take();
    let rt = runtime(1);
    let (tell, told) = mpsc::channel::<()>();
    let blocker = rt.go(move || told.recv().expect("it is told"));
    rt.go(|| {}).join().expect("it ends");
    tell.send(()).expect("it waits");
    blocker.join().expect("it blocks and ends");
}

/// A search for work, which is ended by the clock, ends though that stands still.
#[test]
fn nobody_searches_for_ever() {
    let clock = SetClock::take();
    let rt = runtime(4);
    let countdown = Countdown::new(8);
    for _ in 0..8 {
        let countdown = countdown.clone();
        rt.go(move || {
            sleep(SECOND);
            countdown.done();
        });
    }
    let waiting = || rt.goroutines().iter().filter(|g| g.state == pirn_runtime::State::Waiting).count();
    eventually("all sleep", || waiting() == 8);
    eventually("every P is idle", || rt.metrics().idle_procs == 4);
    clock.advance(SECOND);
    countdown.wait();
}

#[test]
fn threads_that_are_not_needed_end_two_seconds_later() {
    let clock = SetClock::take();
    let rt = house(builder().procs(1));
    let (tell, told) = mpsc::channel::<()>();
    let told = Arc::new(Mutex::new(told));
    // Each blocks a thread.
    let blockers: Vec<_> = (0..6)
        .map(|_| {
            let told = told.clone();
            rt.go(move || told.lock().expect("no panic").recv().expect("it is told"))
        })
        .collect();
    let prefix = rt.thread_prefix() + "m";
    eventually("each has a thread", || threads(&prefix) >= 6);
    (0..6).for_each(|_| tell.send(()).expect("they wait"));
    blockers.into_iter().for_each(|blocker| blocker.join().expect("it blocks and ends"));
    let many = threads(&prefix);
    assert!(many >= 6, "{many}");
    eventually("those that are not needed have ended", || {
        clock.advance(SECOND);
        threads(&prefix) <= 3
    });
}

#[test]
fn the_clock_runs_again_when_it_is_given_back() {
    let clock = SetClock::take();
    let stood = clock.now();
    clock.advance(HOUR);
    assert_eq!(clock.now(), stood + HOUR);
    drop(clock);
    let real = Instant::now();
    let taken_again = SetClock::take().now();
    assert!(taken_again >= real && taken_again < stood + HOUR);
}

#[test]
fn a_seed_gives_the_same_random_numbers_again() {
    let _alone = SetClock::take();
    let draw = || (0..100).map(|_| random()).collect::<Vec<_>>();
    let [a, b, again] = [1, 2, 1].map(|seed| {
        set_seed(seed);
        [draw(), runtime(1).run(draw)]
    });
    set_seed(0);
    assert_eq!(a, again);
    assert!(a[0] != a[1] && a[0] != b[0] && a[1] != b[1]);
}
