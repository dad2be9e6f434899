//! Timers that stand in a select: what is received is of the last time that they were set to.

mod crew;

use crew::common::{Rng, eventually, runtime, seed, stress_secs};
use pirn_channels::{RecvError, Select, Timer, TryRecvError, joined, select, timer};
use pirn_runtime::{block_on, go, sleep, yield_now};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(2);
const LATE: Duration = Duration::from_secs(3600);

fn everywhere(test: fn()) {
    test();
    for procs in [1, 2] {
        let house = runtime(procs);
        house.run(test);
        assert_eq!(house.metrics().timers, 0);
        house.close();
    }
}

#[test]
fn it_fires_once_when_it_is_due() {
    everywhere(|| {
        let began = Instant::now();
        let timer = timer(SOON);
        let due = timer.receiver().recv().expect("it fires");
        assert!(due >= began + SOON && Instant::now() >= due);
        assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
        assert!(!timer.stop() && !timer.reset(LATE) && timer.reset(SOON));
        select! { recv(timer.receiver()) -> due => assert!(due.is_ok()) }
        assert!(!timer.reset(SOON));
        assert!(block_on(timer.as_ref().recv_async()).is_ok());
    });
}

#[test]
fn what_has_fired_and_was_not_received_is_forgotten() {
    everywhere(|| {
        let timer = timer(Duration::ZERO);
        let wait_until_fired = |timer: &Timer| {
            while timer.receiver().is_empty() {
                sleep(Duration::from_micros(100));
            }
        };
        wait_until_fired(&timer);
        assert!(!timer.stop());
        assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
        timer.reset(Duration::ZERO);
        wait_until_fired(&timer);
        let again = Instant::now();
        assert!(!timer.reset(SOON));
        assert!(timer.receiver().recv().expect("it fires") >= again + SOON);
    });
}

#[test]
fn who_waits_already_gets_the_new_time() {
    let house = runtime(2);
    house.run(|| {
        let timer = timer(LATE);
        let receiver = timer.receiver().clone();
        let waits = go(move || receiver.recv());
        sleep(SOON);
        let again = Instant::now();
        assert!(timer.reset(SOON));
        assert!(waits.join().expect("it waits").expect("it fires") >= again + SOON);
        // A watcher hears of it too.
        timer.reset(SOON);
        let mut select = Select::new();
        select.recv(timer.receiver());
        assert_eq!(select.ready(), 0);
        let receiver = timer.receiver().clone();
        drop(timer);
        assert_eq!(receiver.recv(), Err(RecvError));
    });
    house.close();
}

#[test]
fn it_outlives_the_runtime_that_it_was_made_on() {
    let house = runtime(1);
    let timer = house.run(|| timer(Duration::from_millis(100)));
    house.close();
    assert!(timer.receiver().recv().expect("it fires") <= Instant::now());
    assert!(!timer.reset(Duration::MAX) && !timer.stop());
}

/// Resets and stops while it fires: nothing older is received.
fn resets(mut rng: Rng, until: Instant) {
    let timer = timer(LATE);
    let micros = |rng: &mut Rng| Duration::from_micros(rng.below(60) as u64);
    while Instant::now() < until {
        let after = micros(&mut rng);
        let set = Instant::now();
        timer.reset(after);
        match rng.below(4) {
            0 => assert!(timer.receiver().recv().expect("it fires") >= set + after),
            1 => select! {
                recv(timer.receiver()) -> due => assert!(due.expect("it fires") >= set + after),
                default(micros(&mut rng)) => {}
            },
            2 => {
                sleep(micros(&mut rng));
                timer.stop();
                assert!(timer.receiver().is_empty());
                if rng.below(4) == 0 {
                    sleep(micros(&mut rng));
                }
                assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
            }
            _ => yield_now(),
        }
    }
}

#[test]
fn nothing_stale_under_stress() {
    let mut rng = Rng::new(seed("nothing_stale_under_stress"));
    let until = Instant::now() + Duration::from_secs(stress_secs());
    let house = runtime(2);
    let gs: Vec<_> = (0..6)
        .map(|_| (Rng::new(rng.next()), until))
        .map(|(rng, until)| house.go(move || resets(rng, until)))
        .collect();
    let other = Rng::new(rng.next());
    let thread = thread::spawn(move || resets(other, until));
    gs.into_iter().for_each(|g| g.join().expect("nothing is stale"));
    thread.join().expect("nothing is stale");
    house.close();
}

#[test]
fn the_end_of_a_g_is_a_channel() {
    let house = runtime(2);
    house.run(|| {
        let fast = joined(go(|| 1));
        assert_eq!(fast.recv().expect("it ends").expect("it returns"), 1);
        assert!(fast.recv().is_err());
        let (s, r) = pirn_channels::bounded::<u32>(0);
        let slow = joined(go(move || r.recv().expect("it comes")));
        select! { recv(slow) -> _ => unreachable!("it waits"), default => {} }
        s.send(2).expect("it listens");
        select! { recv(slow) -> result => assert_eq!(result.expect("it ends").expect("it returns"), 2) }
        let fails = joined(go(|| -> u32 { std::panic::resume_unwind(Box::new("no")) }));
        let payload = fails.recv().expect("it ends").expect_err("it panics");
        assert_eq!(payload.downcast_ref(), Some(&"no"));
        // Detached: what it returns is dropped where it ends.
        let census = crew::common::Census::default();
        let counted = census.count();
        let (s, r) = pirn_channels::bounded::<u32>(0);
        drop(joined(go(move || (r.recv(), counted))));
        s.send(3).expect("it listens");
        eventually("the result is dropped", || census.living() == 0);
        for _ in 0..2000 {
            assert!(joined(go(yield_now)).recv().is_ok());
        }
    });
    house.close();
}
