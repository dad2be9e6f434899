//! Every G is in exactly one place, whatever it does and whoever looks.

mod common;

use common::{Countdown, Rng, check_unique, runtime, scale, seed};
use pirn_runtime::{GoBuilder, State, Unparker, go, park, sleep, yield_now};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const REASONS: [&str; 5] = ["park", "sleep", "join", "scope", "block on"];

/// What the Gs of one run share.
struct Town {
    /// How many steps each G has made; a G that were in two places would make too many, or two at once.
    steps: Vec<AtomicU32>,
    /// Whether it is making one just now.
    busy: Vec<AtomicBool>,
    /// How often it was unparked by a neighbour; each time it may go on once.
    turns: Vec<AtomicU32>,
    unparkers: Vec<Mutex<Option<Unparker>>>,
    children: AtomicUsize,
    children_ended: AtomicUsize,
}

impl Town {
    fn new(n: usize) -> Arc<Town> {
        Arc::new(Town {
            steps: (0..n).map(|_| AtomicU32::new(0)).collect(),
            busy: (0..n).map(|_| AtomicBool::new(false)).collect(),
            turns: (0..n).map(|_| AtomicU32::new(0)).collect(),
            unparkers: (0..n).map(|_| Mutex::new(None)).collect(),
            children: AtomicUsize::new(0),
            children_ended: AtomicUsize::new(0),
        })
    }

    /// Tells the neighbour that it may go on once more.
    fn pass_on(&self, me: usize) {
        let next = (me ^ 1) % self.turns.len();
        self.turns[next].fetch_add(1, Ordering::AcqRel);
        if let Some(unparker) = &*self.unparkers[next].lock().expect("nobody panics") {
            unparker.unpark();
        }
    }

    fn step(&self, me: usize) {
        assert!(!self.busy[me].swap(true, Ordering::AcqRel), "G {me} runs twice");
        self.steps[me].fetch_add(1, Ordering::Relaxed);
        assert!(self.busy[me].swap(false, Ordering::AcqRel));
    }
}

fn live(town: &Arc<Town>, me: usize, steps: u32, mut rng: Rng) {
    *town.unparkers[me].lock().expect("nobody panics") = Some(Unparker::current());
    for step in 0..steps {
        town.step(me);
        town.pass_on(me);
        match rng.below(16) {
            0..8 => yield_now(),
            8 => sleep(Duration::from_micros(rng.below(300) as u64)),
            9 => {
                town.children.fetch_add(1, Ordering::Relaxed);
                let town = town.clone();
                go(move || {
                    yield_now();
                    town.children_ended.fetch_add(1, Ordering::Release);
                });
            }
            10 => assert_eq!(go(move || step).join().expect("no panic"), step),
            _ => {
                // The neighbour makes as many steps, so the turn comes.
                while town.turns[me].load(Ordering::Acquire) <= step {
                    park();
                }
            }
        }
    }
}

fn check_places(seen: &[pirn_runtime::Goroutine]) {
    check_unique(seen);
    for g in seen {
        match g.state {
            State::Waiting => {
                let reason = g.wait_reason.expect("who waits says why");
                assert!(REASONS.contains(&reason), "{g}");
                assert!(g.waiting_for.expect("who waits says how long") < Duration::from_secs(600), "{g}");
            }
            _ => assert!(g.wait_reason.is_none() && g.waiting_for.is_none(), "{g}"),
        }
        assert!(g.birthplace.is_some_and(|at| at.file() == file!()), "{g}");
    }
}

fn all_in_one_place(procs: usize, n: usize, steps: u32, seed: u64) {
    let rt = runtime(procs);
    let town = Town::new(n);
    let over = AtomicBool::new(false);
    let looks = AtomicUsize::new(0);
    let handle = rt.handle();
    std::thread::scope(|s| {
        s.spawn(|| {
            while !over.load(Ordering::Acquire) {
                let seen = handle.goroutines();
                check_places(&seen);
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        rt.run(|| {
            let all = Countdown::new(n);
            for me in 0..n {
                let (town, all, rng) = (town.clone(), all.clone(), Rng::new(seed ^ me as u64));
                GoBuilder::new().name(format!("n{me}")).go(move || {
                    live(&town, me, steps, rng);
                    all.done();
                });
            }
            all.wait();
            let ended = || town.children_ended.load(Ordering::Acquire);
            while ended() != town.children.load(Ordering::Relaxed) {
                sleep(Duration::from_micros(100));
            }
        });
        over.store(true, Ordering::Release);
    });
    let wrong: Vec<_> = (0..n).filter(|me| town.steps[*me].load(Ordering::Relaxed) != steps).collect();
    assert!(wrong.is_empty(), "wrong numbers of steps: {wrong:?}");
    assert!(looks.load(Ordering::Relaxed) > 0);
}

#[test]
fn ten_thousand_gs_in_one_place_each() {
    let seed = seed("places");
    let steps = scale(10, 60) as u32;
    for procs in [1, 2, 4] {
        all_in_one_place(procs, 10_000, steps, seed);
    }
}

#[test]
fn while_all_are_parked_all_are_seen() {
    let n = 10_000;
    let rt = runtime(2);
    rt.run(|| {
        let ready = Countdown::new(n);
        for _ in 0..n {
            let ready = ready.clone();
            go(move || {
                ready.done();
                loop {
                    park();
                }
            });
        }
        ready.wait();
    });
    common::eventually("each is parked", || {
        let seen = rt.goroutines();
        check_unique(&seen);
        assert!(seen.len() <= n + 1);
        seen.len() == n && seen.iter().all(|g| g.state == State::Waiting)
    });
}
