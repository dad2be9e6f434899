//! Timeouts and channels of the clock, under a clock that the test moves; and choices at random, of a seed. Every test here
//! takes the clock, so they go one by one.

mod crew;

use crew::common::{runtime, wait_until_waiting};
use pirn_channels::{Receiver, RecvTimeoutError, after, at, bounded, select, tick, unbounded};
use pirn_runtime::internal::{SetClock, has_come, now, set_seed};
use pirn_runtime::{Runtime, block_on};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_nanos(1);

/// Ways to wait for an hour by a channel.
const WAYS: [fn(); 6] = [
    || assert!(after(HOUR).recv().is_ok()),
    || assert!(tick(HOUR).recv().is_ok()),
    || {
        let (_s, r) = unbounded::<u32>();
        assert_eq!(r.recv_timeout(HOUR), Err(RecvTimeoutError::Timeout));
    },
    || {
        let (s, _r) = bounded::<u32>(0);
        assert!(s.send_deadline(1, now() + HOUR).is_err());
    },
    || {
        let (_s, r) = unbounded::<u32>();
        select! { recv(r) -> _ => panic!("nobody sends"), default(HOUR) => {} }
    },
    || {
        let (_s, r) = unbounded::<u32>();
        let timeout = after(HOUR);
        select! { recv(r) -> _ => panic!("nobody sends"), recv(timeout) -> moment => assert!(moment.is_ok()) }
    },
];

#[test]
fn all_waits_by_the_clock_end_when_it_has_moved_as_far() {
    for way in WAYS {
        let clock = SetClock::take();
        let rt = runtime(1);
        let (ended_in, ended) = std::sync::mpsc::channel();
        let waits = rt.go(move || {
            way();
            ended_in.send(()).expect("the test waits");
        });
        wait_until_waiting(&rt.handle(), waits.id());
        clock.advance(HOUR - MOMENT);
        rt.run(|| after(Duration::ZERO).recv()).expect("it comes at once");
        assert!(ended.try_recv().is_err());
        clock.advance(MOMENT);
        ended.recv().expect("the wait has ended");
        waits.join().expect("it waits and ends");
    }
}

/// On a G; elsewhere a task waits by a thread of another crate, in real time.
#[test]
fn tasks_on_gs_wait_by_the_same_clock() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let waits = rt.go(|| block_on(after(HOUR).recv_async()));
    wait_until_waiting(&rt.handle(), waits.id());
    clock.advance(HOUR - MOMENT);
    rt.run(|| after(Duration::ZERO).recv()).expect("it comes at once");
    assert!(!waits.is_finished());
    clock.advance(MOMENT);
    assert!(waits.join().expect("it waits and ends").is_ok());
}

#[test]
fn threads_wait_by_the_same_clock() {
    for way in WAYS {
        let clock = SetClock::take();
        let thread = std::thread::spawn(way);
        while !thread.is_finished() {
            clock.advance(HOUR / 2);
            std::thread::yield_now();
        }
        thread.join().expect("it waits and ends");
    }
}

#[test]
fn a_tick_says_when_it_was_due() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let began = clock.now();
    let ticks = rt.run(|| tick(HOUR));
    let next = || rt.run(|| ticks.recv()).expect("it ticks for ever");
    clock.advance(HOUR);
    assert_eq!(next(), began + HOUR);
    clock.advance(HOUR + MOMENT);
    // In time, by a nanosecond late: the next one does not drift.
    assert_eq!(next(), began + 2 * HOUR);
    clock.advance(HOUR * 10);
    assert_eq!(next(), began + 3 * HOUR);
    // That one put the others off.
    assert!(rt.run(|| ticks.try_recv()).is_err());
    clock.advance(HOUR);
    assert_eq!(next(), began + 13 * HOUR + MOMENT);
}

#[test]
fn moments_are_of_the_clock_that_is_set() {
    let clock = SetClock::take();
    let when = clock.now() + HOUR;
    let moment = at(when);
    assert!(!has_come(when) && moment.try_recv().is_err());
    clock.advance(HOUR);
    assert!(has_come(when));
    assert_eq!(moment.recv(), Ok(when));
}

/// Which of ten ready channels a select has chosen, a hundred times.
fn choices(rt: &Runtime) -> Vec<u32> {
    rt.run(|| {
        let receivers: Vec<Receiver<u32>> = (0..10)
            .map(|n| {
                let (s, r) = unbounded();
                (0..100).for_each(|_| s.send(n).expect("it is open"));
                r
            })
            .collect();
        let choose = |_| {
            let mut select = pirn_channels::Select::new();
            receivers.iter().for_each(|r| _ = select.recv(r));
            let chosen = select.select();
            let nth = chosen.index();
            chosen.recv(&receivers[nth]).expect("it is ready")
        };
        (0..100).map(choose).collect()
    })
}

#[test]
fn a_seed_makes_the_same_choices_again() {
    let _alone = SetClock::take();
    let [a, b, again] = [1, 2, 1].map(|seed| {
        set_seed(seed);
        choices(&runtime(1))
    });
    set_seed(0);
    assert_eq!(a, again);
    assert_ne!(a, b);
}
