//! A G goes on on other threads, with all that is on its stack.

mod common;

use common::{runtime, scale, thread_number};
use pirn_runtime::{Unparker, current, go, park, park_timeout, sleep, yield_now};
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// After this time few moves are enough: a busy machine runs the Ms one after another, and then Gs seldom move.
const BOX: Duration = Duration::from_secs(5);
const FEW: usize = 20;

/// Whether the moves are enough. That there are some is waited for, for as long as the watchdog of the tests does.
fn are_enough(moves: usize, wanted: usize, began: Instant) -> bool {
    moves >= wanted || (moves >= FEW && began.elapsed() > BOX)
}

/// What a G saw: which threads, and how often it found itself on another one.
#[derive(Default)]
struct Journey {
    threads: HashSet<i32>,
    moves: usize,
}

impl Journey {
    fn look(&mut self, last: &mut i32) {
        let now = thread_number();
        self.threads.insert(now);
        self.moves += usize::from(now != *last && *last != 0);
        *last = now;
    }
}

/// Computes a little, so that the other Ps find something to steal.
fn compute(seed: u64, rounds: usize) -> u64 {
    (0..rounds as u64).fold(seed, |x, i| black_box(x.rotate_left(7) ^ (x >> 3) ^ i))
}

/// Goes about until enough moves have been made by all, with values at several depths of its stack.
fn wander(depth: usize, id: u64, how: fn(), enough: &dyn Fn(usize) -> bool) -> Journey {
    let here = [id.wrapping_mul(depth as u64 + 1); 16];
    let text = format!("{id}-{depth}");
    let floats = [id as f64 * 0.5, depth as f64 * 0.25];
    if depth > 0 {
        let journey = wander(depth - 1, id, how, enough);
        check(&here, &text, floats, depth, id);
        return journey;
    }
    let mut journey = Journey::default();
    let mut last = 0;
    let mut counted = 0;
    loop {
        let before = compute(id, 200);
        how();
        assert_eq!(compute(id, 200), before);
        journey.look(&mut last);
        check(&here, &text, floats, depth, id);
        assert_eq!(current().map(|me| me.id().as_u64()), Some(id), "it is still itself");
        let new = journey.moves - counted;
        counted = journey.moves;
        if enough(new) {
            return journey;
        }
    }
}

fn check(here: &[u64; 16], text: &str, floats: [f64; 2], depth: usize, id: u64) {
    assert!(here.iter().all(|n| *n == id.wrapping_mul(depth as u64 + 1)));
    assert_eq!(text, format!("{id}-{depth}"));
    assert_eq!(floats, [id as f64 * 0.5, depth as f64 * 0.25]);
}

fn travel(gs: usize, wanted: usize, how: fn()) {
    let rt = runtime(4);
    let moves = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let handles: Vec<_> = (0..gs)
        .map(|_| {
            let moves = moves.clone();
            rt.go(move || {
                let id = current().expect("on a G").id().as_u64();
                let enough = |new: usize| are_enough(moves.fetch_add(new, Ordering::Relaxed) + new, wanted, began);
                wander(10, id, how, &enough)
            })
        })
        .collect();
    let mut threads = HashSet::new();
    let mut most = 0;
    for handle in handles {
        let journey = handle.join().expect("no panic");
        most = most.max(journey.threads.len());
        threads.extend(journey.threads);
    }
    assert!(most > 1, "one G has seen {most} threads");
    // An M may be started for a P while another is on its way to sleep, or blocked for a moment, in a lock of malloc's for
    // one, and Ms end and others start: there can be more than Ps, and over the time more than Gs.
    assert!((2..=4 * gs).contains(&threads.len()), "{threads:?}");
}

#[test]
fn gs_that_sleep_move() {
    travel(64, 1_000, || sleep(Duration::from_micros(20)));
}

#[test]
fn gs_that_start_others_move() {
    // Few, so that there are idle Ps that steal the children; who waits goes on where the last child ended.
    travel(3, 200, || {
        let gs: Vec<_> = (0..4).map(|i| go(move || compute(i, 2_000))).collect();
        for (i, g) in gs.into_iter().enumerate() {
            assert_eq!(g.join().expect("no panic"), compute(i as u64, 2_000));
        }
    });
}

#[test]
fn gs_that_wake_each_other_move() {
    // Each unparks whoever asked before it, and asks.
    static ASKED: Mutex<Vec<Unparker>> = Mutex::new(Vec::new());
    travel(64, 1_000, || {
        let before = ASKED.lock().expect("nobody panics").pop();
        ASKED.lock().expect("nobody panics").push(Unparker::current());
        match before {
            Some(before) => {
                before.unpark();
                park_timeout(Duration::from_micros(50));
            }
            None => yield_now(),
        }
    });
}

#[test]
fn gs_that_are_woken_by_threads_move() {
    static ASKED: Mutex<Vec<Unparker>> = Mutex::new(Vec::new());
    let stop = AtomicUsize::new(0);
    std::thread::scope(|s| {
        s.spawn(|| {
            while stop.load(Ordering::Relaxed) == 0 {
                let all = std::mem::take(&mut *ASKED.lock().expect("nobody panics"));
                all.iter().for_each(Unparker::unpark);
                std::thread::yield_now();
            }
        });
        travel(64, 1_000, || {
            for _ in 0..5 {
                yield_now();
            }
            ASKED.lock().expect("nobody panics").push(Unparker::current());
            park_timeout(Duration::from_millis(1));
        });
        stop.store(1, Ordering::Relaxed);
    });
}

/// Two Gs that never let go of their threads for long wake a third in turns, which goes to and fro between them.
#[test]
fn a_g_between_two_live_threads() {
    let rt = runtime(2);
    let wanted = scale(500, 2_000);
    let turn = Arc::new(AtomicUsize::new(0));
    // Apart from the turn, which a waker adds to after it has looked.
    let over = Arc::new(AtomicBool::new(false));
    let traveller: Arc<OnceLock<Unparker>> = Arc::default();
    let began = Instant::now();
    let wakers = [0, 1].map(|side| {
        let (turn, traveller, over) = (turn.clone(), traveller.clone(), over.clone());
        rt.go(move || {
            let mut threads = HashSet::new();
            while !over.load(Ordering::Relaxed) {
                if turn.load(Ordering::Acquire) % 4 == 2 * side
                    && let Some(traveller) = traveller.get()
                {
                    turn.fetch_add(1, Ordering::AcqRel);
                    traveller.unpark();
                }
                threads.insert(thread_number());
                compute(1, 20);
                yield_now();
            }
            threads
        })
    });
    let journey = rt.run(|| {
        let (mut journey, mut last) = (Journey::default(), 0);
        traveller.set(Unparker::current()).expect("set once");
        while !are_enough(journey.moves, wanted, began) {
            while turn.load(Ordering::Acquire).is_multiple_of(2) {
                park();
            }
            journey.look(&mut last);
            turn.fetch_add(1, Ordering::AcqRel);
        }
        over.store(true, Ordering::Relaxed);
        journey
    });
    let seen = wakers.map(|g| g.join().expect("no panic"));
    // More if a thread has been without a CPU for so long that sysmon has taken its P.
    assert!(journey.threads.len() >= 2, "{seen:?}");
}
