//! Gs that wait at one channel each, and those that look at them from outside meanwhile: dumps, unparks, a shutdown.

mod crew;

use crew::PATIENCE;
use crew::common::{runtime, scale};
use pirn_channels::{Receiver, Sender, bounded};
use pirn_runtime::{JoinHandle, Runtime, Unparker};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const GS: usize = 4;

/// A ring of Gs, each of which passes on what it receives: the first one `rounds` times, and then all end. What is
/// returned wakes them, as it were, and has their sums.
fn ring(house: &Runtime, rounds: u64) -> (Receiver<Unparker>, Vec<JoinHandle<u64>>) {
    let (say, unparkers) = bounded(GS);
    let (first, mut receiver) = bounded::<u64>(0);
    let mut ends: Vec<(Receiver<u64>, Sender<u64>)> = Vec::new();
    for _ in 1..GS {
        let (sender, next) = bounded(0);
        ends.push((std::mem::replace(&mut receiver, next), sender));
    }
    ends.push((receiver, first.clone()));
    let gs = ends.into_iter().map(|(from, to)| {
        let say = say.clone();
        house.go(move || {
            say.send(Unparker::current()).expect("there is room");
            let mut sum = 0;
            for value in from {
                sum += value;
                // The last one finds nobody.
                if value == rounds || to.send(value + 1).is_err() {
                    break;
                }
            }
            sum
        })
    });
    let gs = gs.collect();
    house.go(move || first.send(1)).join().expect("it is not unwound").expect("the first G receives it");
    (unparkers, gs)
}

fn looked_at_from_outside(procs: usize, look: impl Fn(&Runtime, &[Unparker])) {
    // Long enough for a dump in between.
    let rounds = scale(20_000, 2_000_000) as u64;
    let house = runtime(procs);
    let (unparkers, gs) = ring(&house, rounds);
    let unparkers: Vec<Unparker> = (0..GS).map(|_| unparkers.recv_timeout(PATIENCE).expect("it begins")).collect();
    while !gs.iter().any(JoinHandle::is_finished) {
        look(&house, &unparkers);
    }
    let sum: u64 = gs.into_iter().map(|g| g.join().expect("it is not unwound")).sum();
    assert_eq!(sum, rounds * (rounds + 1) / 2);
}

#[test]
fn dumps_do_not_disturb_those_that_wait() {
    for procs in [1, 2] {
        let is_traced = AtomicBool::new(false);
        looked_at_from_outside(procs, |house, _| {
            let dump = house.dump();
            // Under its head each that waits has its functions.
            let mut lines = dump.lines();
            while let Some(line) = lines.next() {
                if line.contains("[chan receive") {
                    is_traced.fetch_or(lines.next().is_some_and(|line| line.contains("(...)")), Ordering::Relaxed);
                }
            }
        });
        assert!(is_traced.into_inner());
    }
}

/// An unpark that was for an earlier wait, or for none, leaves a token.
#[test]
fn a_dump_traces_one_that_waits_with_a_token() {
    let house = runtime(1);
    let (sender, receiver) = bounded::<()>(0);
    let g = house.go(move || {
        Unparker::current().unpark();
        receiver.recv()
    });
    let began = Instant::now();
    while house.goroutines()[0].wait_reason != Some("chan receive") {
        assert!(began.elapsed() < PATIENCE, "it does not wait");
        std::thread::yield_now();
    }
    let dump = house.dump();
    assert!(dump.lines().nth(1).is_some_and(|line| line.contains("(...)")), "{dump}");
    drop(sender);
    g.join().expect("it is not unwound").expect_err("there is no sender");
}

#[test]
fn unparks_do_not_disturb_those_that_wait() {
    for procs in [1, 2] {
        looked_at_from_outside(procs, |_, unparkers| unparkers.iter().for_each(Unparker::unpark));
    }
}

#[test]
fn unparks_and_dumps_together() {
    looked_at_from_outside(2, |house, unparkers| {
        unparkers.iter().for_each(Unparker::unpark);
        house.dump();
    });
}

#[test]
fn a_shutdown_ends_those_that_wait_and_those_that_go_on() {
    for procs in [1, 2] {
        for _ in 0..20 {
            let mut house = runtime(procs);
            let (unparkers, gs) = ring(&house, u64::MAX);
            for _ in 0..GS {
                unparkers.recv_timeout(PATIENCE).expect("it begins");
            }
            // One that nobody sends to.
            let (kept, nothing) = bounded::<u8>(0);
            let waits = house.go(move || nothing.recv());
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(300) {
                std::hint::spin_loop();
            }
            assert!(house.take().shutdown_timeout(PATIENCE));
            assert!(gs.into_iter().all(|g| g.is_finished()));
            assert!(waits.is_finished());
            drop(kept);
        }
    }
}
