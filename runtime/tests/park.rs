//! Parking and unparking: Gs, OS threads and async tasks in every pair.

mod common;

use common::{Countdown, eventually, runtime, scale, wait_until_waiting};
use pirn_runtime::{Unparker, block_on, current, go, park, park_timeout, yield_now};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

#[test]
fn an_unpark_before_the_park_counts_and_several_count_as_one() {
    let rt = runtime(1);
    rt.run(|| {
        let me = Unparker::current();
        for _ in 0..1000 {
            me.unpark();
            me.unpark();
            me.clone().unpark();
            park();
        }
        // No token is left: the next park waits for its time.
        let began = Instant::now();
        park_timeout(Duration::from_millis(20));
        assert!(began.elapsed() >= Duration::from_millis(20));
    });
}

/// Two parties pass a turn to and fro; each waits for its own.
struct Turn {
    whose: AtomicUsize,
    players: Mutex<[Option<Unparker>; 2]>,
}

impl Turn {
    fn play(&self, me: usize, rounds: usize) {
        self.players.lock().expect("nobody panics")[me] = Some(Unparker::current());
        let other = loop {
            if let Some(other) = &self.players.lock().expect("nobody panics")[1 - me] {
                break other.clone();
            }
            yield_now();
        };
        for round in 0..rounds {
            while self.whose.load(Ordering::Acquire) != 2 * round + me {
                park();
            }
            self.whose.store(2 * round + me + 1, Ordering::Release);
            other.unpark();
        }
    }
}

fn turn() -> Arc<Turn> {
    Arc::new(Turn { whose: AtomicUsize::new(0), players: Mutex::new([None, None]) })
}

#[test]
fn g_to_g() {
    for procs in [1, 2, 4] {
        let rt = runtime(procs);
        let rounds = scale(20_000, 200_000);
        let turn = turn();
        let gs = [0, 1].map(|me| {
            let turn = turn.clone();
            rt.go(move || turn.play(me, rounds))
        });
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
        assert_eq!(turn.whose.load(Ordering::Relaxed), 2 * rounds);
    }
}

#[test]
fn g_to_thread_and_thread_to_g() {
    for procs in [1, 2] {
        let rt = runtime(procs);
        let rounds = scale(2000, 10_000);
        let turn = turn();
        let other = turn.clone();
        let g = rt.go(move || other.play(0, rounds));
        turn.play(1, rounds);
        g.join().expect("no panic");
        assert_eq!(turn.whose.load(Ordering::Relaxed), 2 * rounds);
    }
}

/// Ready once the flag is up; wakes whoever polled last when it goes up.
#[derive(Clone, Default)]
struct Flag(Arc<(AtomicBool, Mutex<Option<Waker>>, AtomicUsize)>);

impl Flag {
    fn raise(&self) {
        self.0.0.store(true, Ordering::Release);
        let waker = self.0.1.lock().expect("nobody panics").take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Flag {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        let polls = self.0.2.fetch_add(1, Ordering::Relaxed) + 1;
        *self.0.1.lock().expect("nobody panics") = Some(context.waker().clone());
        if self.0.0.load(Ordering::Acquire) { Poll::Ready(polls) } else { Poll::Pending }
    }
}

#[test]
fn block_on_is_woken_from_anywhere() {
    let rt = runtime(2);
    for _ in 0..100 {
        let flag = Flag::default();
        let waited = flag.clone();
        let g = rt.go(move || block_on(waited));
        let raiser = std::thread::spawn(move || flag.raise());
        assert!(g.join().expect("no panic") >= 1);
        raiser.join().expect("no panic");

        let flag = Flag::default();
        let raised = flag.clone();
        let g = rt.go(move || raised.raise());
        assert!(block_on(flag) >= 1);
        g.join().expect("no panic");
    }
}

#[test]
fn block_on_polls_again_only_when_it_was_woken() {
    let rt = runtime(1);
    let flag = Flag::default();
    let waited = flag.clone();
    let g = rt.go(move || block_on(waited));
    wait_until_waiting(&rt.handle(), g.id());
    assert_eq!(flag.0.2.load(Ordering::Relaxed), 1);
    let seen = rt.goroutines();
    assert_eq!(seen[0].wait_reason, Some("block on"));
    flag.raise();
    assert_eq!(g.join().expect("no panic"), 2);
}

/// A poll that waits itself, as for a lock of std that is hooked, consumes what a wake of the future has left.
#[test]
fn a_poll_that_waits_takes_no_wake_from_block_on() {
    let waits_after_its_wake = || {
        let mut was_polled = false;
        block_on(std::future::poll_fn(move |context| {
            if was_polled {
                return Poll::Ready(());
            }
            was_polled = true;
            context.waker().wake_by_ref();
            park();
            Poll::Pending
        }));
    };
    let rt = runtime(1);
    rt.run(waits_after_its_wake);
    std::thread::spawn(waits_after_its_wake).join().expect("no panic");
}

#[test]
fn wakers_and_unparkers_turn_into_each_other() {
    let rt = runtime(2);
    rt.run(|| {
        // The waker of a G unparks it.
        let waker = Waker::from(Unparker::current());
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        std::thread::spawn(move || {
            flag.store(true, Ordering::Release);
            waker.wake_by_ref();
        });
        while !done.load(Ordering::Acquire) {
            park();
        }
    });
    // The unparker of a task wakes it: `std`'s own waker of a thread stands for the task.
    struct ThreadWaker(std::thread::Thread, AtomicUsize);
    impl std::task::Wake for ThreadWaker {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::Release);
            self.0.unpark();
        }
    }
    let task = Arc::new(ThreadWaker(std::thread::current(), AtomicUsize::new(0)));
    let unparker = Unparker::from(Waker::from(task.clone()));
    assert!(unparker.will_unpark(&unparker.clone()));
    assert!(Waker::from(unparker.clone()).will_wake(&Waker::from(unparker.clone())));
    let g = rt.go(move || unparker.unpark());
    while task.1.load(Ordering::Acquire) == 0 {
        std::thread::park();
    }
    g.join().expect("no panic");
    assert_eq!(task.1.load(Ordering::Relaxed), 1);
}

#[test]
fn which_unparkers_are_the_same() {
    let rt = runtime(1);
    let mine = Unparker::current();
    assert!(mine.will_unpark(&Unparker::current()));
    let theirs = rt.run(Unparker::current);
    let others = rt.run(|| {
        let me = Unparker::current();
        assert!(me.will_unpark(&me.clone()) && !me.will_unpark(&mine));
        me
    });
    assert!(!theirs.will_unpark(&others), "two Gs, even on one record");
}

#[test]
fn a_park_with_a_timeout_ends_at_either() {
    let rt = runtime(2);
    let body = || {
        let began = Instant::now();
        park_timeout(Duration::from_millis(10));
        assert!(began.elapsed() >= Duration::from_millis(10));
        park_timeout(Duration::ZERO);
        let me = Unparker::current();
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        let helper = std::thread::spawn(move || {
            flag.store(true, Ordering::Release);
            me.unpark();
        });
        let began = Instant::now();
        while !done.load(Ordering::Acquire) {
            park_timeout(Duration::from_secs(3600));
        }
        assert!(began.elapsed() < Duration::from_secs(60));
        park_timeout(Duration::MAX.min(Duration::from_nanos(1)));
        helper.join().expect("no panic");
    };
    rt.run(body);
    body();
}

#[test]
fn a_timeout_leaves_no_timer_that_wakes_a_later_park() {
    let rt = runtime(1);
    rt.run(|| {
        let me = Unparker::current();
        for _ in 0..1000 {
            me.unpark();
            park_timeout(Duration::from_millis(5));
        }
        // Every one of those timers was cancelled, so none ends this park early.
        let began = Instant::now();
        park_timeout(Duration::from_millis(50));
        assert!(began.elapsed() >= Duration::from_millis(50));
    });
}

#[test]
fn unparkers_of_dead_gs_do_nothing_to_later_ones() {
    let rt = runtime(1);
    rt.run(|| {
        let n = 100;
        let dead: Vec<Unparker> = (0..n).map(|_| go(Unparker::current).join().expect("no panic")).collect();
        // These use the same records.
        let (ready, released) = (Countdown::new(n), Arc::new(AtomicUsize::new(0)));
        let early = Arc::new(AtomicUsize::new(0));
        let gs: Vec<_> = (0..n)
            .map(|_| {
                let (ready, released, early) = (ready.clone(), released.clone(), early.clone());
                go(move || {
                    ready.done();
                    while released.load(Ordering::Acquire) == 0 {
                        park();
                        if released.load(Ordering::Acquire) == 0 {
                            early.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    Unparker::current()
                })
            })
            .collect();
        ready.wait();
        for _ in 0..3 {
            dead.iter().for_each(Unparker::unpark);
            yield_now();
        }
        assert_eq!(early.load(Ordering::Relaxed), 0);
        // Shutting down ends them.
        drop(gs);
    });
}

#[test]
fn an_unparker_outlives_its_runtime() {
    let rt = runtime(2);
    let (of_dead, of_parked) = rt.run(|| {
        let (send, sent) = mpsc::channel();
        go(move || {
            send.send(Unparker::current()).expect("somebody listens");
            loop {
                park();
            }
        });
        let parked = loop {
            match sent.try_recv() {
                Ok(unparker) => break unparker,
                Err(_) => yield_now(),
            }
        };
        (Unparker::current(), parked)
    });
    rt.close();
    for _ in 0..100 {
        of_dead.unpark();
        of_parked.unpark();
    }
}

#[test]
fn many_unparks_of_one_g_make_it_ready_once() {
    let rt = runtime(4);
    let wanted = Arc::new(AtomicUsize::new(0));
    let seen = wanted.clone();
    let (send, sent) = mpsc::channel();
    let rounds = scale(3_000, 20_000);
    let running = Arc::new(AtomicUsize::new(0));
    let g = rt.go(move || {
        send.send(Unparker::current()).expect("the test listens");
        while seen.load(Ordering::Acquire) < 3 * rounds {
            park();
            // Made ready twice, it would run on two Ms at once.
            assert_eq!(running.fetch_add(1, Ordering::AcqRel), 0);
            running.fetch_sub(1, Ordering::AcqRel);
        }
    });
    let unparker = sent.recv().expect("it sends");
    std::thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                for _ in 0..rounds {
                    wanted.fetch_add(1, Ordering::AcqRel);
                    unparker.unpark();
                }
            });
        }
    });
    g.join().expect("no panic");
}

/// So many Gs parked at once, and how many mappings that takes.
#[test]
fn a_million_gs_parked_at_once() {
    let n = scale(100_000, 1_000_000);
    let rt = runtime(2);
    rt.run(|| {
        let (parked, gone) = (Countdown::new(n), Countdown::new(n));
        let stop = Arc::new(AtomicBool::new(false));
        let unparkers = Arc::new(Mutex::new(Vec::with_capacity(n)));
        for _ in 0..n {
            let (parked, gone, stop, unparkers) = (parked.clone(), gone.clone(), stop.clone(), unparkers.clone());
            go(move || {
                unparkers.lock().expect("nobody panics").push(Unparker::current());
                parked.done();
                while !stop.load(Ordering::Acquire) {
                    park();
                }
                gone.done();
            });
        }
        parked.wait();
        let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux").lines().count();
        // Where a thread loses its CPU while its G holds the lock, others block and threads are started for them. Each has
        // a stack, a signal stack and perhaps a heap of the allocator's.
        let threads = std::fs::read_dir("/proc/self/task").expect("Linux").count();
        assert!(maps < 200 + 8 * threads, "{maps} mappings with {threads} threads");
        assert_eq!(pirn_runtime::num_goroutines(), n + 1);
        stop.store(true, Ordering::Release);
        let unparkers = std::mem::take(&mut *unparkers.lock().expect("nobody panics"));
        assert_eq!(unparkers.len(), n);
        unparkers.iter().for_each(Unparker::unpark);
        gone.wait();
        assert!(current().is_some());
    });
    eventually("all have ended", || rt.goroutines().is_empty());
}
