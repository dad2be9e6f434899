//! Two runtimes in one process, whose Gs and handles meet.

mod common;

use common::{Countdown, Rng, runtime, scale, seed};
use pirn_runtime::{Handle, JoinHandle, ShutDown, Unparker, current, go, maxprocs, park, scope, sleep, yield_now};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn each_has_its_own_gs_and_procs() {
    let (one, other) = (runtime(1), runtime(3));
    let gs = |rt: &pirn_runtime::Runtime| {
        rt.run(|| {
            let g = go(|| {
                loop {
                    park();
                }
            });
            yield_now();
            (maxprocs(), g.id())
        })
    };
    let ((procs, id), (procs_other, id_other)) = (gs(&one), gs(&other));
    assert_eq!((procs, procs_other), (1, 3));
    let ids = |rt: &pirn_runtime::Runtime| rt.goroutines().iter().map(|g| g.id).collect::<Vec<_>>();
    common::eventually("main has ended", || ids(&one).len() == 1 && ids(&other).len() == 1);
    assert_eq!((ids(&one), ids(&other)), (vec![id], vec![id_other]));
}

#[test]
fn gs_join_gs_of_the_other() {
    let (one, other) = (runtime(2), runtime(2));
    let there = other.handle();
    let n = scale(3_000, 30_000);
    let sum = one.run(|| {
        let gs: Vec<_> = (0..n)
            .map(|i| {
                there.go(move || {
                    if i % 5 == 0 {
                        yield_now();
                    }
                    i
                })
            })
            .collect();
        gs.into_iter().map(|g| g.join().expect("no panic")).sum::<usize>()
    });
    assert_eq!(sum, n * (n - 1) / 2);
    // A handle that went to the other runtime, and a G there that waits for one here.
    let here = one.handle();
    let answer = other.run(|| {
        let inner = here.go(|| {
            sleep(Duration::from_millis(1));
            7
        });
        let outer: JoinHandle<i32> = go(move || inner.join().expect("no panic") + 1);
        outer.join().expect("no panic")
    });
    assert_eq!(answer, 8);
}

#[test]
fn gs_unpark_gs_of_the_other() {
    let (one, other) = (runtime(2), runtime(1));
    let rounds = scale(3_000, 20_000);
    let turn = Arc::new(AtomicUsize::new(0));
    let players: Arc<Mutex<[Option<Unparker>; 2]>> = Arc::default();
    let play = |me: usize| {
        let (turn, players) = (turn.clone(), players.clone());
        move || {
            players.lock().expect("nobody panics")[me] = Some(Unparker::current());
            let find = || players.lock().expect("nobody panics")[1 - me].clone();
            let opponent = loop {
                match find() {
                    Some(opponent) => break opponent,
                    None => sleep(Duration::from_micros(50)),
                }
            };
            for round in 0..rounds {
                while turn.load(Ordering::Acquire) != 2 * round + me {
                    park();
                }
                turn.store(2 * round + me + 1, Ordering::Release);
                opponent.unpark();
            }
        }
    };
    let gs = [one.go(play(0)), other.go(play(1))];
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
    assert_eq!(turn.load(Ordering::Relaxed), 2 * rounds);
}

#[test]
fn run_of_one_inside_a_g_of_the_other() {
    let (one, other) = (runtime(2), runtime(2));
    let mut borrowed = vec![1, 2, 3];
    let answer = one.run(|| {
        let me = current().expect("on a G").id();
        let mut inner = None;
        let sum = other.run(|| {
            inner = current();
            borrowed.push(4);
            let back = one.run(|| {
                assert_eq!(current().expect("on a G").name(), Some("main"));
                borrowed.push(5);
                maxprocs()
            });
            borrowed.iter().sum::<usize>() + back
        });
        assert_ne!(inner.expect("on a G").id(), me);
        assert_eq!(current().expect("on a G").id(), me);
        sum
    });
    assert_eq!(answer, 17);
    // While a G waits so, the others of its runtime go on, even with one P.
    let single = runtime(1);
    single.run(|| {
        let laps = Arc::new(AtomicUsize::new(0));
        let counted = laps.clone();
        go(move || {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now();
            }
        });
        other.run(|| {
            let seen = laps.load(Ordering::Relaxed);
            while laps.load(Ordering::Relaxed) < seen + 10 {
                sleep(Duration::from_micros(100));
            }
        });
    });
}

#[test]
fn run_of_the_own_runtime_inside_its_g() {
    let rt = runtime(1);
    let n = rt.run(|| rt.run(|| rt.run(|| 3) + 1) + 1);
    assert_eq!(n, 5);
}

#[test]
fn a_handle_in_many_threads() {
    let rt = runtime(2);
    let (threads, each) = (8, scale(2_000, 20_000));
    let ran = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|s| {
        for thread in 0..threads {
            let (handle, ran): (Handle, _) = (rt.handle(), ran.clone());
            s.spawn(move || {
                let gs: Vec<_> = (0..each)
                    .map(|i| {
                        let ran = ran.clone();
                        handle.go(move || {
                            ran.fetch_add(1, Ordering::Relaxed);
                            thread * each + i
                        })
                    })
                    .collect();
                for (i, g) in gs.into_iter().enumerate() {
                    assert_eq!(g.join().expect("no panic"), thread * each + i);
                }
            });
        }
    });
    assert_eq!(ran.load(Ordering::Relaxed), threads * each);
    rt.run(|| assert!(!Handle::current().expect("on a runtime").goroutines().is_empty()));
}

#[test]
fn a_scope_starts_its_gs_where_it_is() {
    let (one, other) = (runtime(1), runtime(2));
    one.run(|| {
        let mut procs = [0; 3];
        scope(|s| {
            for (i, slot) in procs.iter_mut().enumerate() {
                let other = &other;
                s.go(move || *slot = if i == 1 { other.run(maxprocs) } else { maxprocs() });
            }
        });
        assert_eq!(procs, [1, 2, 1]);
    });
}

#[test]
fn one_ends_while_gs_of_the_other_wait_for_it() {
    for _ in 0..scale(20, 100) {
        let (one, other) = (runtime(2), runtime(2));
        let there = other.handle();
        let waiting = Countdown::new(10);
        let joiners: Vec<_> = (0..10)
            .map(|_| {
                let (there, waiting) = (there.clone(), waiting.clone());
                one.go(move || {
                    let g: JoinHandle<()> = there.go(|| {
                        loop {
                            park();
                        }
                    });
                    waiting.done();
                    g.join().expect_err("its runtime ends").is::<ShutDown>()
                })
            })
            .collect();
        waiting.wait();
        other.close();
        assert!(joiners.into_iter().all(|g| g.join().expect("no panic")));
        assert_eq!(one.run(|| 1), 1);
    }
}

#[test]
fn gs_of_both_in_a_mix() {
    let seed = seed("two runtimes");
    let (one, other) = (runtime(2), runtime(2));
    let handles = [one.handle(), other.handle()];
    let ended = Arc::new(AtomicUsize::new(0));
    fn grow(depth: u32, mut rng: Rng, handles: &[Handle; 2], ended: &Arc<AtomicUsize>) -> usize {
        let mut size = 1;
        let mut children = Vec::new();
        for _ in 0..if depth == 0 { 0 } else { 3 } {
            let (all, ended, rng) = (handles.clone(), ended.clone(), Rng::new(rng.next()));
            let side = (rng.clone().next() % 2) as usize;
            children.push(handles[side].go(move || grow(depth - 1, rng, &all, &ended)));
            match side {
                0 => yield_now(),
                _ => sleep(Duration::from_micros(5)),
            }
        }
        for child in children {
            size += child.join().expect("no panic");
        }
        ended.fetch_add(1, Ordering::Relaxed);
        size
    }
    let depth = if cfg!(debug_assertions) { 7 } else { 8 };
    let size = one.run(|| grow(depth, Rng::new(seed), &handles, &ended));
    assert_eq!(size, (3usize.pow(depth + 1) - 1) / 2);
    assert_eq!(ended.load(Ordering::Relaxed), size);
}
