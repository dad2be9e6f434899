//! Sleeping, timers and tickers in real time: never early, not very late, called off in time. What needs no real time is in
//! `clock.rs`.

mod common;

use common::{
    Census, Countdown, Rng, child_case, eventually, runtime, scale, seed, subprocess, threads_of, wait_until_asleep,
    wait_until_waiting,
};
use pirn_runtime::time::{Ticker, Timer, after_func, sleep_until};
use pirn_runtime::{ShutDown, Unparker, go, park, sleep, yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
/// Later than this is a fault even on a machine that is very busy with other things.
const LATE: Duration = Duration::from_secs(10);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn sleeps_are_never_early_and_not_very_late() {
    let seed = seed("sleeps");
    for procs in [1, 2, 4] {
        let rt = runtime(procs);
        rt.run(|| {
            let mut rng = Rng::new(seed);
            let gs: Vec<_> = (0..scale(1000, 10_000))
                .map(|_| {
                    let (first, second) = (rng.below(50_000) as u64, rng.below(2_000) as u64);
                    go(move || {
                        [first, second].map(|us| {
                            let (began, wanted) = (Instant::now(), Duration::from_micros(us));
                            sleep(wanted);
                            let slept = began.elapsed();
                            assert!(slept >= wanted, "{slept:?} instead of {wanted:?}");
                            slept - wanted
                        })
                    })
                })
                .collect();
            let late = gs.into_iter().flat_map(|g| g.join().expect("no panic")).max();
            assert!(late < Some(LATE), "{late:?} late");
        });
    }
}

#[test]
fn one_after_the_other_on_an_idle_runtime() {
    let rt = runtime(2);
    rt.run(|| {
        for i in 0..200 {
            let (began, wanted) = (Instant::now(), Duration::from_micros(i * 20));
            sleep(wanted);
            assert!(began.elapsed() >= wanted && began.elapsed() < wanted + LATE);
        }
        let until = Instant::now() + ms(5);
        sleep_until(until);
        assert!(Instant::now() >= until);
        sleep_until(until);
        sleep(Duration::ZERO);
    });
}

#[test]
fn a_thread_can_sleep_too() {
    let began = Instant::now();
    sleep(ms(3));
    sleep_until(began + ms(6));
    assert!(began.elapsed() >= ms(6));
    let refused = catch_unwind(|| Timer::new(ms(1))).expect_err("a timer needs a runtime");
    let text = refused.downcast_ref::<&str>().map_or("", |text| text);
    assert!(text.contains("needs a runtime"), "{text}");
    catch_unwind(|| Ticker::new(ms(1))).expect_err("a ticker does too");
    catch_unwind(|| after_func(ms(1), || ())).expect_err("and a function");
}

/// The G that has waited longest takes a firing.
#[test]
fn firings_are_taken_in_turn() {
    let rt = runtime(2);
    let timer = Arc::new(rt.run(|| Timer::new(HOUR)));
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..4)
        .map(|i| {
            let (timer, order) = (timer.clone(), order.clone());
            let waiter = rt.go(move || {
                timer.wait();
                order.lock().unwrap().push(i);
            });
            wait_until_waiting(&rt.handle(), waiter.id());
            waiter
        })
        .collect();
    for waiter in waiting {
        timer.reset(ms(1));
        waiter.join().unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
}

/// A G that waits for another runtime's timer is unwound at about the moment of the firing. It has taken the firing, or it
/// leaves it to the next who waits.
#[test]
fn a_waiter_that_is_unwound_leaves_its_firing_to_others() {
    let rt = runtime(1);
    let timer = Arc::new(rt.run(|| Timer::new(HOUR)));
    let mut rng = Rng::new(seed("a_waiter_that_is_unwound_leaves_its_firing_to_others"));
    for _ in 0..scale(50, 200) {
        let taken = Arc::new(AtomicBool::new(false));
        let other = runtime(1);
        let waiter = {
            let (timer, taken) = (timer.clone(), taken.clone());
            other.go(move || {
                timer.wait();
                taken.store(true, Ordering::Release);
            })
        };
        wait_until_waiting(&other.handle(), waiter.id());
        timer.reset(Duration::from_micros(rng.below(400) as u64));
        std::thread::sleep(Duration::from_micros(rng.below(400) as u64));
        other.close();
        drop(waiter);
        if !taken.load(Ordering::Acquire) {
            timer.wait();
        }
        assert!(!timer.try_wait() && !timer.stop(), "a firing is taken once");
    }
}

fn eventually_on_g(mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < LATE * 3, "it never comes true");
        sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_thread_waits_for_a_timer_of_a_runtime() {
    let rt = runtime(1);
    let timer = rt.run(|| Timer::new(ms(2)));
    timer.wait();
    let began = Instant::now();
    assert!(!timer.reset(ms(2)));
    timer.wait();
    assert!(began.elapsed() >= ms(2) && began.elapsed() < LATE);
}

/// Stopping at about the moment of the firing: each is one of the two, and nobody waits for ever.
#[test]
fn stops_race_with_firings() {
    let seed = seed("stop races");
    for procs in [1, 4] {
        let rt = runtime(procs);
        let n = scale(3_000, 20_000);
        let fired = Arc::new(AtomicUsize::new(0));
        let stopped = rt.run(|| {
            let stopped = AtomicUsize::new(0);
            let mut rng = Rng::new(seed);
            for _ in 0..n {
                let counted = fired.clone();
                let after = Duration::from_nanos(rng.below(20_000) as u64);
                let call = after_func(after, move || {
                    counted.fetch_add(1, Ordering::AcqRel);
                });
                match rng.below(4) {
                    0 => yield_now(),
                    1 => sleep(after),
                    _ => (0..rng.below(4000)).for_each(|_| std::hint::spin_loop()),
                }
                if call.stop() {
                    stopped.fetch_add(1, Ordering::Relaxed);
                }
                assert!(!call.stop() && !call.reset(ms(1)));
            }
            let stopped = stopped.load(Ordering::Relaxed);
            eventually_on_g(|| fired.load(Ordering::Acquire) >= n - stopped);
            stopped
        });
        // Nothing comes late, and nothing comes twice.
        rt.close();
        assert_eq!(fired.load(Ordering::Acquire) + stopped, n);
    }
}

#[test]
fn resets_race_with_firings() {
    let rt = runtime(4);
    rt.run(|| {
        let timer = Arc::new(Timer::new(Duration::from_micros(10)));
        let over = Arc::new(AtomicBool::new(false));
        let (other, end) = (timer.clone(), over.clone());
        let resetter = go(move || {
            let mut rng = Rng::new(1);
            for _ in 0..scale(3_000, 20_000) {
                other.reset(Duration::from_nanos(rng.below(30_000) as u64));
                if rng.below(4) == 0 {
                    sleep(Duration::from_nanos(rng.below(30_000) as u64));
                }
            }
            end.store(true, Ordering::Release);
            other.reset(Duration::ZERO);
        });
        // Whatever the resets forget, the last one comes.
        let mut waits = 0;
        while !over.load(Ordering::Acquire) {
            timer.wait();
            waits += 1;
            timer.reset(ms(1));
        }
        resetter.join().expect("no panic");
        assert!(waits > 0);
    });
}

#[test]
fn timers_fire_while_all_ps_are_busy() {
    for procs in [1, 2, 4] {
        let rt = runtime(procs);
        let over = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..3 * procs)
            .map(|_| {
                let over = over.clone();
                rt.go(move || {
                    let mut laps = 0u64;
                    while !over.load(Ordering::Acquire) {
                        laps += 1;
                        yield_now();
                    }
                    laps
                })
            })
            .collect();
        rt.run(|| {
            for _ in 0..20 {
                let began = Instant::now();
                sleep(ms(1));
                assert!(began.elapsed() < LATE, "{:?}", began.elapsed());
            }
            let ticker = Ticker::new(ms(1));
            let began = Instant::now();
            (0..10).for_each(|_| ticker.wait());
            assert!(began.elapsed() < LATE);
        });
        over.store(true, Ordering::Release);
        for g in busy {
            assert!(g.join().expect("no panic") > 0);
        }
    }
}

/// Timers that threads start wake a runtime that sleeps without a limit, or until a later deadline.
#[test]
fn timers_from_outside_wake_an_idle_runtime() {
    let rt = runtime(2);
    let (timer, late) = rt.run(|| (Timer::new(HOUR), Timer::new(HOUR)));
    for i in 0..scale(50, 200) {
        // Let everybody go to sleep now and then.
        if i % 8 == 0 {
            wait_until_asleep(|| threads_of(&rt.thread_prefix()), 2);
        }
        late.reset(if i % 2 == 0 { ms(200) } else { HOUR });
        let began = Instant::now();
        timer.reset(Duration::from_micros(i as u64 * 13 % 1500));
        timer.wait();
        assert!(began.elapsed() < LATE, "{:?}", began.elapsed());
    }
}

#[test]
fn the_longest_sleeps_do_not_overflow() {
    let rt = runtime(2);
    let gs: Vec<_> = [Duration::MAX, Duration::from_nanos(u64::MAX), Duration::from_secs(u64::MAX / 2)]
        .into_iter()
        .flat_map(|long| {
            let timer = rt.run(|| Timer::new(long));
            [
                rt.go(move || sleep(long)),
                rt.go(move || timer.wait()),
                rt.go(move || {
                    pirn_runtime::park_timeout(long);
                    loop {
                        park();
                    }
                }),
                rt.go(move || Ticker::new(long).wait()),
            ]
        })
        .collect();
    eventually("all wait", || {
        let seen = rt.goroutines();
        seen.len() == gs.len() && seen.iter().all(|g| g.state == pirn_runtime::State::Waiting)
    });
    // They do not fire, and others do.
    rt.run(|| sleep(ms(2)));
    assert!(gs.iter().all(|g| !g.is_finished()));
    rt.close();
    for g in gs {
        assert!(g.join().expect_err("unwound").is::<ShutDown>());
    }
}

#[test]
fn a_million_timers_called_off_leave_nothing() {
    const TEST: &str = "a_million_timers_called_off_leave_nothing";
    if child_case(TEST).is_none() {
        subprocess(TEST, "", &[]).expect_success();
        return;
    }
    let rt = runtime(2);
    rt.run(|| {
        let mut before = 0;
        for i in 0..1_000_000u64 {
            let timer = Timer::new(HOUR + Duration::from_secs(i * 7919 % 1000));
            assert!(timer.stop());
            if i == 50_000 {
                before = common::rss_bytes();
            }
        }
        let grown = common::rss_bytes().saturating_sub(before);
        assert!(grown < 4 << 20, "{grown} bytes more: stopped timers stay");
        // Many at once, half of them stopped, the rest dropped.
        let many: Vec<_> = (0..100_000).map(|_| Timer::new(HOUR)).collect();
        assert!(many.iter().step_by(2).all(Timer::stop));
        drop(many);
        let me = Unparker::current();
        for _ in 0..scale(20_000, 200_000) {
            me.unpark();
            pirn_runtime::park_timeout(HOUR);
        }
        let grown = common::rss_bytes().saturating_sub(before);
        assert!(grown < 64 << 20, "{grown} bytes more");
    });
}

#[test]
fn a_call_that_is_called_off_lets_go_of_what_it_captured() {
    let rt = runtime(2);
    rt.run(|| {
        let census = Census::default();
        let counted = census.count();
        let call = after_func(HOUR, move || drop(counted));
        assert_eq!(census.living(), 1);
        assert!(call.stop());
        assert_eq!(census.living(), 0);
        assert!(!call.stop() && !call.reset(Duration::ZERO));
        // A destructor that panics does so in who called it off, and the handle is as before.
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                std::panic::resume_unwind(Box::new(3_u8));
            }
        }
        let bad = Bad;
        let call = after_func(HOUR, move || drop(bad));
        let payload = catch_unwind(AssertUnwindSafe(|| call.stop())).expect_err("its destructor panics");
        assert!(payload.is::<u8>());
        assert!(!call.stop());
    });
}

/// A timer that is armed from outside may start a thread, and the user's callback that names it may use the same timer.
#[test]
fn callbacks_run_under_no_lock_of_a_timer() {
    const TEST: &str = "callbacks_run_under_no_lock_of_a_timer";
    if child_case(TEST).is_some() {
        let timer: Arc<Mutex<Option<Arc<Timer>>>> = Arc::default();
        let used = Arc::new(AtomicUsize::new(0));
        let (of_callback, count) = (timer.clone(), used.clone());
        let rt = common::house(common::builder().procs(2).thread_name(move |n| {
            let timer = of_callback.lock().expect("no panic").clone();
            if let Some(timer) = timer {
                timer.try_wait();
                timer.reset(HOUR);
                count.fetch_add(1, Ordering::Relaxed);
            }
            format!("w{n}")
        }));
        let made = Arc::new(rt.run(|| Timer::new(HOUR)));
        *timer.lock().expect("no panic") = Some(made.clone());
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let mut gs = Vec::new();
        // Gs block all the threads that there are, until a timer finds an idle P and nobody to tell of it.
        while used.load(Ordering::Relaxed) == 0 {
            let (ready, held) = (Countdown::new(1), held.clone());
            let begun = ready.clone();
            gs.push(rt.go(move || {
                pirn_runtime::blocking(|| {
                    begun.done();
                    // Each but the first waits for the lock, until the sender has gone.
                    held.lock().expect("no panic").recv().expect_err("nobody sends");
                });
            }));
            ready.wait();
            assert!(made.reset(HOUR));
        }
        drop(hold);
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
        return;
    }
    subprocess(TEST, "", &[]).expect_success();
}
