//! What a runtime keeps and what it gives back: stacks, records, processor time.

mod common;

use common::{
    Countdown, builder, child_case, house, rss_bytes, runtime, scale, subprocess, threads_of, wait_until_asleep,
};
use pirn_runtime::time::Timer;
use pirn_runtime::{Unparker, go, park, sleep, stack_use};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const KIB: usize = 1 << 10;
/// How long memory may take to be given back, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each of these measures the whole process, so it has one of its own.
fn in_a_child(test: &str, body: fn()) {
    match child_case(test) {
        Some(_) => body(),
        None => drop(subprocess(test, "", &[]).expect_success()),
    }
}

/// Goes down to a stack pointer, touching all of it, and does something there.
#[inline(never)]
fn at_depth(pointer: usize, there: &dyn Fn()) -> usize {
    let frame = black_box([1u8; 256]);
    if (&raw const frame).addr() <= pointer {
        there();
        return usize::from(frame[7]);
    }
    at_depth(pointer, there) + usize::from(black_box(&frame)[9])
}

/// All are deep at the same time; then all end.
fn deep_gs(n: usize) -> usize {
    let (deep, ended) = (Countdown::new(n), Countdown::new(n));
    let go_up = Arc::new(AtomicBool::new(false));
    let unparkers: Vec<_> = (0..n)
        .map(|_| {
            let (deep, ended, go_up) = (deep.clone(), ended.clone(), go_up.clone());
            let (send, sent) = std::sync::mpsc::channel();
            go(move || {
                let here = stack_use().expect("on a G").pointer;
                send.send(pirn_runtime::Unparker::current()).expect("it is kept");
                at_depth(here - 64 * KIB, &|| {
                    deep.done();
                    while !go_up.load(Ordering::Acquire) {
                        park();
                    }
                });
                ended.done();
            });
            sent
        })
        .collect();
    deep.wait();
    let rss = rss_bytes();
    go_up.store(true, Ordering::Release);
    for sent in unparkers {
        sent.recv().expect("it has been sent").unpark();
    }
    ended.wait();
    rss
}

#[test]
fn deep_stacks_give_their_memory_back() {
    in_a_child("deep_stacks_give_their_memory_back", || {
        const N: usize = 1000;
        let rt = house(builder().procs(2).stack_size(256 * KIB));
        rt.run(|| park_many(10));
        let before = rss_bytes();
        let deep = rt.run(|| deep_gs(N));
        assert!(deep - before >= N * 64 * KIB, "they were deep: {} bytes", deep - before);
        let began = Instant::now();
        loop {
            let per_g = rss_bytes().saturating_sub(before) / N;
            if per_g < 4 * KIB {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{per_g} bytes per G are kept");
            std::thread::sleep(Duration::from_millis(50));
        }
        // And they can be had again.
        rt.run(|| deep_gs(N));
    });
}

#[test]
fn a_burst_of_many_gs_gives_its_memory_back() {
    in_a_child("a_burst_of_many_gs_gives_its_memory_back", || {
        const N: usize = 40_000;
        let rt = runtime(2);
        rt.run(|| park_many(10));
        let before = rss_bytes();
        let parked = rt.run(|| {
            let (begun, ended, over) = (Countdown::new(N), Countdown::new(N), Arc::new(AtomicBool::new(false)));
            let unparkers = Arc::new(Mutex::new(Vec::with_capacity(N)));
            for _ in 0..N {
                let (begun, ended, over) = (begun.clone(), ended.clone(), over.clone());
                let unparkers = unparkers.clone();
                go(move || {
                    unparkers.lock().expect("no panic").push(Unparker::current());
                    begun.done();
                    while !over.load(Ordering::Acquire) {
                        park();
                    }
                    ended.done();
                });
            }
            begun.wait();
            let parked = rss_bytes();
            over.store(true, Ordering::Release);
            unparkers.lock().expect("no panic").iter().for_each(Unparker::unpark);
            ended.wait();
            parked
        });
        let grown = parked - before;
        assert!(grown >= N * 4 * KIB, "they had stacks: {grown} bytes");
        // One page for frames and thread-locals, with a record and what malloc has for each: without debug's large frames.
        assert!(cfg!(debug_assertions) || grown < N * 6 * KIB, "more than a page each: {grown} bytes");
        let kept = N * KIB;
        let began = Instant::now();
        while rss_bytes().saturating_sub(before) > kept {
            let left = rss_bytes() - before;
            assert!(began.elapsed() < PATIENCE, "{left} of {grown} bytes are kept");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

/// Gs that take and free memory, park, and end: those of one wave live at the same time.
fn wave_that_allocates(n: usize) {
    let (begun, ended, over) = (Countdown::new(n), Countdown::new(n), Arc::new(AtomicBool::new(false)));
    let unparkers = Arc::new(Mutex::new(Vec::with_capacity(n)));
    for i in 0..n {
        let (begun, ended, over, unparkers) = (begun.clone(), ended.clone(), over.clone(), unparkers.clone());
        go(move || {
            let pieces: Vec<Vec<u8>> = (1..20).map(|k| black_box(vec![1; k * (1 + i % 50)])).collect();
            drop(black_box(pieces));
            unparkers.lock().expect("no panic").push(Unparker::current());
            begun.done();
            while !over.load(Ordering::Acquire) {
                park();
            }
            ended.done();
        });
    }
    begun.wait();
    over.store(true, Ordering::Release);
    unparkers.lock().expect("no panic").iter().for_each(Unparker::unpark);
    ended.wait();
}

#[test]
fn waves_between_which_memory_is_given_back_leak_nothing() {
    in_a_child("waves_between_which_memory_is_given_back_leak_nothing", || {
        const N: usize = 2000;
        let rt = runtime(2);
        let waves = |waves: usize| {
            for _ in 0..waves {
                rt.run(|| wave_that_allocates(N));
                // Longer than the scavenger rests: it has given back what it can.
                wait_until_asleep(|| threads_of(&(rt.thread_prefix() + "sysmon")), 700);
            }
            allocated_bytes()
        };
        let before = waves(2);
        let grown = waves(2).saturating_sub(before);
        // The least that a block has of its own are 300 bytes, and 650 more if it has a cache.
        assert!(grown < N * 256, "{grown} bytes more after two waves of {N}");
    });
}

/// What malloc has given and not got back, what is in the caches of threads included.
fn allocated_bytes() -> usize {
    // SAFETY: no preconditions.
    unsafe { libc::mallinfo2() }.uordblks
}

/// So many Gs that park once and end.
fn park_many(n: usize) {
    let all = Countdown::new(n);
    for _ in 0..n {
        let all = all.clone();
        go(move || {
            sleep(Duration::from_micros(1));
            all.done();
        });
    }
    all.wait();
}

#[test]
fn many_gs_leak_nothing() {
    in_a_child("many_gs_leak_nothing", || {
        let rt = runtime(2);
        let some = |n: usize| {
            rt.run(|| {
                for i in 0..n / 100 {
                    let gs: Vec<_> = (0..100).map(|k| go(move || vec![i; k])).collect();
                    for (k, g) in gs.into_iter().enumerate() {
                        assert_eq!(g.join().expect("no panic").len(), k);
                    }
                }
            });
        };
        some(100_000);
        let before = rss_bytes();
        let n = scale(300_000, 1_000_000);
        some(n);
        let grown = rss_bytes().saturating_sub(before);
        assert!(grown < 4 << 20, "{grown} bytes more after {n} Gs");
    });
}

#[test]
fn panics_and_names_leak_nothing() {
    in_a_child("panics_and_names_leak_nothing", || {
        let rt = runtime(2);
        let some = |n: usize| {
            rt.run(|| {
                for i in 0..n {
                    let named = pirn_runtime::GoBuilder::new().name(format!("a name as long as this, and {i}"));
                    let g = named.go(move || {
                        if i % 2 == 0 {
                            std::panic::resume_unwind(Box::new([i; 50]));
                        }
                        [i; 50]
                    });
                    if i % 3 != 0 {
                        assert_eq!(g.join().is_err(), i % 2 == 0);
                    }
                }
            });
        };
        let n = scale(20_000, 100_000);
        some(n / 4);
        let before = rss_bytes();
        some(n);
        let grown = rss_bytes().saturating_sub(before);
        assert!(grown < 4 << 20, "{grown} bytes more after {n} Gs");
    });
}

#[test]
fn a_wave_of_parked_gs_comes_and_goes() {
    in_a_child("a_wave_of_parked_gs_comes_and_goes", || {
        let rt = runtime(2);
        let n = scale(10_000, 50_000);
        rt.run(|| park_many(n));
        let before = rss_bytes();
        for _ in 0..5 {
            rt.run(|| park_many(n));
        }
        let grown = rss_bytes().saturating_sub(before);
        // Waves are not equally high; what the highest one needed may be kept for the next.
        assert!(grown < n * 12 * KIB, "{grown} bytes more after five waves of {n}");
    });
}

/// Processor time of the process so far.
fn cpu_time() -> Duration {
    // SAFETY: an all-zero rusage is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a valid place for the answer.
    let got = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    assert_eq!(got, 0);
    let time = |t: libc::timeval| Duration::from_micros(t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64);
    time(usage.ru_utime) + time(usage.ru_stime)
}

#[test]
fn an_idle_runtime_uses_no_processor_time() {
    in_a_child("an_idle_runtime_uses_no_processor_time", || {
        let rt = builder().procs(4).name("idle").build().expect("a runtime");
        let timer = rt.run(|| {
            for _ in 0..100 {
                go(|| {
                    loop {
                        park();
                    }
                });
                go(|| sleep(Duration::from_secs(3600)));
            }
            park_many(1000);
            Timer::new(Duration::from_secs(3600))
        });
        // It settles: stacks are looked through, and sysmon goes to sleep.
        let used = (0..10)
            .map(|_| {
                let before = cpu_time();
                std::thread::sleep(Duration::from_millis(300));
                cpu_time() - before
            })
            .inspect(|used| eprintln!("{used:?} in 300 ms"))
            .find(|used| *used < Duration::from_millis(5));
        assert!(used.is_some(), "it never becomes quiet");
        let before = cpu_time();
        std::thread::sleep(Duration::from_millis(300));
        let used = cpu_time() - before;
        assert!(used < Duration::from_millis(5), "{used:?} in 300 ms of nothing");
        drop(timer);
        assert!(rt.shutdown_timeout(Duration::from_secs(30)));
    });
}
