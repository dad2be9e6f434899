//! What depends on time, under a clock that the test moves. Every test here takes the clock, so they go one by one.

mod common;

use common::{Census, Countdown, builder, eventually, house, runtime, threads, wait_until_waiting};
use pirn_runtime::internal::{Direction, SetClock, Source, random_below, set_seed};
use pirn_runtime::time::{Ticker, Timer, after_func, sleep_until};
use pirn_runtime::{Runtime, Unparker, go, park_timeout, sleep, yield_now};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);

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
    clock.advance(HOUR - MOMENT);
    do_what_is_due(&rt);
    assert!(!ended.load(Ordering::Acquire));
    clock.advance(MOMENT);
    sleeper.join().expect("it sleeps and ends");
}

/// The keeper waits for events too, where a move of the clock does not reach it.
#[test]
fn a_keeper_that_polls_sees_the_clock_move() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let (other, _other_writer) = std::io::pipe().expect("a pipe");
    let reads = |deadline: Option<Instant>, reader: std::io::PipeReader| {
        move || {
            let source = Source::new("pipe");
            let seen = source.begin(Direction::Read).expect("it is open");
            source.wait(reader.as_fd(), seen, deadline).map_err(|error| error.kind())
        }
    };
    let read = rt.go(reads(None, reader));
    let late = rt.go(reads(Some(clock.now() + SECOND), other));
    eventually("they wait", || rt.metrics().io_waiters == 2);
    let sleeper = rt.go(|| sleep(HOUR));
    wait_until_waiting(&rt.handle(), sleeper.id());
    clock.advance(SECOND);
    clock.advance(HOUR);
    sleeper.join().expect("it sleeps and ends");
    assert_eq!(late.join().expect("no panic"), Err(std::io::ErrorKind::TimedOut));
    std::io::Write::write_all(&mut writer, b"x").expect("there is room");
    read.join().expect("no panic").expect("it was written");
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

/// On one P: lets what is due be done, which is done in the order of its moments; and the Gs that it starts or wakes have
/// their turns, on whichever queue they are.
fn let_it_come() {
    Timer::new(Duration::ZERO).wait();
    (0..100).for_each(|_| yield_now());
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn timers_fire_in_the_order_of_their_deadlines() {
    let clock = SetClock::take();
    let rt = runtime(1);
    rt.run(|| {
        let n = 100;
        let order = Arc::new(Mutex::new(Vec::new()));
        let all = Countdown::new(n);
        for i in (0..n).map(|i| i * 37 % n) {
            let (order, all) = (order.clone(), all.clone());
            after_func(ms(1 + i as u64), move || {
                order.lock().expect("nobody panics").push(i);
                all.done();
            });
        }
        // One after the other, and then all the others at once.
        for due in 0..n / 2 {
            assert_eq!(all.left(), n - due);
            clock.advance(ms(1));
            let_it_come();
        }
        clock.advance(ms(n as u64));
        all.wait();
        assert!(order.lock().expect("nobody panics").is_sorted(), "{order:?}");
    });
}

#[test]
fn what_a_timer_answers() {
    let clock = SetClock::take();
    let rt = runtime(1);
    rt.run(|| {
        let timer = Timer::new(HOUR);
        assert!(!timer.try_wait());
        assert!(timer.reset(HOUR) && timer.stop());
        assert!(!timer.stop() && !timer.try_wait());
        // Stopped: a reset finds nothing pending, and starts it.
        assert!(!timer.reset(ms(1)));
        clock.advance(ms(1));
        timer.wait();
        assert!(!timer.try_wait(), "a firing is taken once");
        assert!(!timer.stop());
        // Fired, not taken: forgotten by reset and by stop.
        timer.reset(ms(1));
        clock.advance(ms(1));
        let_it_come();
        assert!(!timer.reset(HOUR), "it has fired");
        assert!(!timer.try_wait());
        timer.reset(Duration::ZERO);
        let_it_come();
        assert!(!timer.stop() && !timer.try_wait());
        timer.reset(ms(1));
        clock.advance(ms(1) - MOMENT);
        let_it_come();
        assert!(!timer.try_wait());
        clock.advance(MOMENT);
        let_it_come();
        assert!(timer.try_wait());
    });
}

#[test]
fn of_several_waiters_one_takes_a_firing() {
    let clock = SetClock::take();
    let rt = runtime(1);
    rt.run(|| {
        let timer = Arc::new(Timer::new(HOUR));
        let n = 8;
        let all = Countdown::new(n);
        for _ in 0..n {
            let (timer, all) = (timer.clone(), all.clone());
            go(move || {
                timer.wait();
                all.done();
            });
        }
        for taken in 1..=n {
            timer.reset(ms(1));
            clock.advance(ms(1));
            // All that wait are woken, and all but one go on waiting.
            let_it_come();
            assert_eq!(all.left(), n - taken);
        }
        all.wait();
    });
}

#[test]
fn a_ticker_leaves_out_what_nobody_takes() {
    let clock = SetClock::take();
    let rt = runtime(1);
    rt.run(|| {
        let ticker = Ticker::new(ms(2));
        for _ in 0..5 {
            let_it_come();
            assert!(!ticker.try_wait());
            clock.advance(ms(2));
            ticker.wait();
        }
        // Of many at once one is kept, and the next one comes in time.
        clock.advance(ms(51));
        let_it_come();
        assert!(ticker.try_wait() && !ticker.try_wait());
        clock.advance(ms(1) - MOMENT);
        let_it_come();
        assert!(!ticker.try_wait());
        clock.advance(MOMENT);
        ticker.wait();
        clock.advance(ms(2));
        let_it_come();
        ticker.stop();
        clock.advance(ms(10));
        let_it_come();
        assert!(!ticker.try_wait(), "one that nobody took is forgotten, and no more come");
        ticker.reset(ms(1));
        for _ in 0..3 {
            assert!(!ticker.try_wait());
            clock.advance(ms(1));
            ticker.wait();
        }
        let zero = catch_unwind(AssertUnwindSafe(|| Ticker::new(Duration::ZERO)));
        zero.expect_err("no period");
        catch_unwind(AssertUnwindSafe(|| ticker.reset(Duration::ZERO))).expect_err("no period");
    });
}

#[test]
fn functions_after_some_time() {
    let clock = SetClock::take();
    let rt = runtime(1);
    rt.run(|| {
        let census = Census::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let make = |after| {
            let (calls, counted) = (calls.clone(), census.count());
            after_func(after, move || {
                let _counted = counted;
                assert!(pirn_runtime::current().is_some(), "it is a G");
                calls.fetch_add(1, Ordering::AcqRel);
            })
        };
        let off = make(HOUR);
        assert!(off.stop() && !off.stop() && !off.reset(ms(1)));
        let sooner = make(HOUR);
        assert!(sooner.reset(ms(1)));
        drop(make(ms(1)));
        clock.advance(ms(1) - MOMENT);
        let_it_come();
        assert_eq!(calls.load(Ordering::Acquire), 0);
        clock.advance(MOMENT);
        let_it_come();
        assert_eq!(calls.load(Ordering::Acquire), 2);
        assert!(!sooner.reset(ms(1)) && !sooner.stop());
        drop(off);
        assert_eq!(census.living(), 0);
        clock.advance(2 * HOUR);
        let_it_come();
        assert_eq!(calls.load(Ordering::Acquire), 2);
    });
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
    let draw = || (0..100).map(|_| random_below(usize::MAX)).collect::<Vec<_>>();
    let [a, b, again] = [1, 2, 1].map(|seed| {
        set_seed(seed);
        [draw(), runtime(1).run(draw)]
    });
    set_seed(0);
    assert_eq!(a, again);
    assert!(a[0] != a[1] && a[0] != b[0] && a[1] != b[1]);
}
