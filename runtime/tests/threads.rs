//! Threads are counted right: as many as are allowed are enough whenever they are enough, and who asks for one more than
//! there can be gets it as soon as it is to be had. A review found all of these wrong.

mod common;

use common::{
    Census, ThreadGate, builder, child_case, eventually, house, naps, subprocess, threads, threads_of,
    wait_until_asleep, wait_until_waiting,
};
use pirn_runtime::{DeadlockReport, Unparker, blocking, go, lock_os_thread, park, yield_now};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant};

const MOMENT: Duration = Duration::from_millis(20);

/// How long each of them tries.
const TIME: Duration = Duration::from_millis(1500);

/// The kernel's number for the calling thread.
fn thread_id() -> libc::pid_t {
    // SAFETY: gettid has no arguments and always works.
    unsafe { libc::gettid() }
}

fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// One of two threads is blocked, and the other goes to sleep and is woken all the time.
#[test]
fn an_m_on_its_way_to_sleep_counts() {
    let rt = house(builder().procs(1).max_threads(2));
    let over = Arc::new(AtomicBool::new(false));
    let gate = ThreadGate::default();
    let blocks = gate.clone();
    let blocked = rt.go(move || blocking(|| blocks.wait()));
    let (send, receive) = mpsc::channel();
    let (until_over, wakes) = (over.clone(), Arc::new(AtomicUsize::new(0)));
    let counts = wakes.clone();
    let sleeper = rt.go(move || {
        send.send(Unparker::current()).expect("it listens");
        while !until_over.load(Ordering::Relaxed) {
            park();
            counts.fetch_add(1, Ordering::Relaxed);
        }
    });
    let unparker = receive.recv().expect("it sends");
    let began = Instant::now();
    for n in 0.. {
        if began.elapsed() > TIME {
            break;
        }
        let before = wakes.load(Ordering::Relaxed);
        unparker.unpark();
        let waits = Instant::now();
        while wakes.load(Ordering::Relaxed) == before && waits.elapsed() < Duration::from_micros(200) {}
        // About as long as an M searches before it sleeps.
        spin(Duration::from_nanos(5_000 + n * 37 % 5_000));
    }
    over.store(true, Ordering::Relaxed);
    unparker.unpark();
    sleeper.join().expect("no panic");
    gate.open();
    blocked.join().expect("no panic");
}

/// The M that hands its P to a locked G's is free a moment later.
#[test]
fn an_m_that_has_handed_its_p_over_counts() {
    let rt = house(builder().procs(1).max_threads(2));
    let yields = |locks: bool| {
        move || {
            let _mine = locks.then(lock_os_thread);
            let began = Instant::now();
            while began.elapsed() < TIME {
                yield_now();
            }
        }
    };
    let gs = [rt.go(yields(true)), rt.go(yields(false))];
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
}

/// Threads that end with their Gs make room for others, however early they end.
#[test]
fn threads_that_end_with_their_gs_count_no_more() {
    let rt = house(builder().procs(2).max_threads(30));
    let began = Instant::now();
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                while began.elapsed() < TIME {
                    rt.go(|| std::mem::forget(lock_os_thread())).join().expect("no panic");
                }
            });
        }
    });
    let from_a_g = house(builder().procs(1).max_threads(4));
    from_a_g.run(|| {
        let began = Instant::now();
        while began.elapsed() < TIME / 3 {
            go(|| std::mem::forget(lock_os_thread())).join().expect("no panic");
        }
    });
}

/// Those that compute leave threads to those that block.
#[test]
fn computing_takes_not_the_last_thread() {
    let rt = house(builder().procs(2).max_threads(6));
    let gs: Vec<_> = (0..12)
        .map(|i| {
            rt.go(move || {
                spin(Duration::from_millis(150 + i));
                std::thread::sleep(MOMENT / 2);
            })
        })
        .collect();
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
}

/// A shutdown that is not in time says so, also when there is no thread to unwind a G on.
#[test]
fn a_shutdown_without_a_free_thread_gives_up() {
    let rt = builder().procs(1).max_threads(2).name("busy").build().expect("a runtime");
    let parked = rt.go(park);
    wait_until_waiting(&rt.handle(), parked.id());
    let gate = ThreadGate::default();
    let blocks = || {
        let gate = gate.clone();
        rt.go(move || gate.wait())
    };
    let gs = [blocks(), blocks()];
    eventually("both block their threads", || gate.waiting() == 2);
    assert!(!rt.shutdown_timeout(Duration::from_millis(300)));
    gate.open();
    std::mem::forget((gs, parked));
    eventually("the threads have ended", || threads("busy-") == 0);
}

/// A G that is left by a shutdown in the middle of a panic may be woken later; and one that has locked its thread goes on.
#[test]
fn what_a_shutdown_leaves_may_go_on() {
    struct Waits(Arc<AtomicBool>, mpsc::Sender<Unparker>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.1.send(Unparker::current()).expect("it listens");
            while !self.0.load(Ordering::Acquire) {
                park();
            }
        }
    }
    let rt = builder().procs(2).name("left").build().expect("a runtime");
    let (flag, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (send, receive) = mpsc::channel();
    let waits = Waits(flag.clone(), send);
    let panics = rt.go(move || {
        let _waits = waits;
        std::panic::resume_unwind(Box::new(1));
    });
    let until_over = over.clone();
    let census = Census::default();
    let counted = census.count();
    let locked = rt.go(move || {
        let _counted = counted;
        let _mine = lock_os_thread();
        while !until_over.load(Ordering::Relaxed) {
            // It is unwound here, if the runtime closes while it is looked at; so it computes.
            spin(MOMENT);
        }
        // It is alone by now, and goes on.
        drop(std::panic::catch_unwind(yield_now));
    });
    let unparker = receive.recv().expect("it sends");
    assert!(!rt.shutdown_timeout(Duration::from_millis(100)));
    over.store(true, Ordering::Relaxed);
    eventually("the locked one has ended", || census.living() == 0);
    flag.store(true, Ordering::Release);
    unparker.unpark();
    // It is made ready, but no thread that runs Gs is left. Whoever was woken for it sleeps again, or has ended.
    let mut quiet = 0;
    eventually("each thread of it sleeps or has ended", || {
        let is_quiet = threads_of("left-").into_iter().all(|thread| naps(&[thread]).is_some());
        quiet = if is_quiet { quiet + 1 } else { 0 };
        quiet == 25
    });
    std::mem::forget((panics, locked));
}

/// Lets the process have `more` bytes of address space than it has, or any number.
fn limit_address_space(more: Option<u64>) {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm")
        .expect("Linux")
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it writes only to `limit`.
    unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    limit.rlim_cur = more.map_or(limit.rlim_max, |more| pages * 4096 + more);
    // SAFETY: it only reads `limit`.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
}

/// All threads are blocked, every P is idle, sysmon sleeps, and there is no thread to be had for what comes from outside:
/// when there is one again the work is done, the second time too, when nobody warns any more.
#[test]
fn work_that_found_no_thread_is_not_forgotten() {
    const TEST: &str = "work_that_found_no_thread_is_not_forgotten";
    if child_case(TEST).is_none() {
        subprocess(TEST, "limited", &[]).expect_success();
        return;
    }
    // Without the report: for that sysmon looks again and again.
    let rt = builder().procs(1).name("none").deadlock_report(DeadlockReport::Off).build().expect("a runtime");
    let gate = ThreadGate::default();
    for round in 0..2 {
        // Every M there is: whichever comes back is blocked too.
        while rt.metrics().threads > gate.waiting() {
            let (blocks, before) = (gate.clone(), gate.waiting());
            drop(rt.go(move || blocks.wait()));
            eventually("one more blocks, and its P is taken", || {
                gate.waiting() > before && rt.metrics().idle_procs == 1
            });
        }
        // Longer than the scavenger rests: it does not wake by itself any more.
        wait_until_asleep(|| threads_of("none-sysmon"), 700);
        limit_address_space(Some(1 << 20));
        let refused = std::thread::Builder::new().spawn(|| ()).is_err();
        let template = threads_of("none-template");
        let before = naps(&template).expect("it waits for work");
        let ran = Arc::new(AtomicBool::new(false));
        let runs = ran.clone();
        drop(rt.go(move || runs.store(true, Ordering::Release)));
        eventually("a thread was asked for", || naps(&template).is_some_and(|now| now > before));
        limit_address_space(None);
        eprintln!("round {round}: threads were refused: {refused}");
        eventually("it is done", || ran.load(Ordering::Acquire));
    }
    gate.open();
    rt.shutdown();
}

/// What the kernel keeps per thread: signal mask, affinity, priority.
fn of_thread() -> (bool, libc::c_int, libc::c_int) {
    // SAFETY: a set of signals is plain numbers.
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: it only writes to `mask`.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask) };
    // SAFETY: it only reads `mask`.
    let blocked = unsafe { libc::sigismember(&raw const mask, libc::SIGUSR1) } == 1;
    // SAFETY: a set of CPUs is plain numbers.
    let mut cpus: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: it only writes to `cpus`, for the calling thread.
    unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut cpus) };
    // SAFETY: asks about the calling thread.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    // SAFETY: it only reads `cpus`.
    let cpus = unsafe { libc::CPU_COUNT(&cpus) };
    (blocked, cpus, nice)
}

/// Blocks a signal, keeps to one CPU, and lowers the priority, all of the calling thread alone.
fn change_thread() {
    // SAFETY: as in `of_thread`.
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: it only writes to `mask`.
    unsafe { libc::sigaddset(&raw mut mask, libc::SIGUSR1) };
    // SAFETY: it only reads `mask`.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const mask, std::ptr::null_mut()) };
    // SAFETY: as in `of_thread`.
    let mut cpus: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: CPU 0 is within the set.
    unsafe { libc::CPU_SET(0, &mut cpus) };
    // It fails where CPU 0 is not the process's; then only the rest is tried.
    // SAFETY: it only reads `cpus`, for the calling thread.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const cpus) };
    // SAFETY: a number for the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 5) };
}

/// A thread inherits from who starts it: so no M is started from a thread that a G has changed.
#[test]
fn what_is_done_to_a_locked_thread_reaches_no_other() {
    let before = of_thread();
    let rt = house(builder().procs(2));
    for round in 0..4 {
        let others = rt.run(move || {
            let locked = lock_os_thread();
            change_thread();
            // Threads have to be started for all of them, some by this very G.
            let count = 10 * (round + 1);
            let all_block = Arc::new(Barrier::new(count + 1));
            let others: Vec<_> = (0..count)
                .map(|_| {
                    let all_block = all_block.clone();
                    go(move || {
                        all_block.wait();
                        of_thread()
                    })
                })
                .collect();
            blocking(|| all_block.wait());
            let others: Vec<_> = others.into_iter().map(|g| g.join().expect("no panic")).collect();
            // The thread is not given back as it was: so it ends with its G.
            std::mem::forget(locked);
            others
        });
        assert!(others.iter().all(|other| *other == before), "{round}: {others:?}, not {before:?}");
    }
}

/// The kernel may wake a thread 50 us late from a timed sleep unless it is told, and any M may be the one that keeps the
/// time: also those that are started for others.
#[test]
fn every_m_wakes_on_time() {
    let rt = house(builder().procs(2));
    let slacks = rt.run(|| {
        let all_block = Arc::new(Barrier::new(10));
        let gs: Vec<_> = (0..10)
            .map(|_| {
                let all_block = all_block.clone();
                go(move || {
                    all_block.wait();
                    // SAFETY: asks about the calling thread.
                    (thread_id(), unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) })
                })
            })
            .collect();
        gs.into_iter().map(|g| g.join().expect("no panic")).collect::<HashMap<_, _>>()
    });
    assert_eq!(slacks.len(), 10, "Ms were started: {slacks:?}");
    assert!(slacks.values().all(|slack| *slack == 1), "{slacks:?}");
}

/// The one M is locked to its G, and the system has no thread for another: still nothing that the G waits for is lost.
#[test]
fn a_locked_g_goes_on_without_other_threads() {
    const TEST: &str = "a_locked_g_goes_on_without_other_threads";
    if child_case(TEST).is_none() {
        let ended = subprocess(TEST, "locked", &[]);
        ended.expect_success();
        return;
    }
    let rt = builder().procs(1).name("one").build().expect("a runtime");
    rt.run(|| ());
    // Room for the allocator, and not for a thread, which takes 2 MiB. While a G runs, a thread might be started for
    // another M just now, and take all of it.
    wait_until_asleep(|| threads_of("one-m"), 5);
    limit_address_space(Some(7 << 18));
    let unparker = rt.run(|| {
        let _mine = lock_os_thread();
        for _ in 0..20 {
            pirn_runtime::sleep(Duration::from_millis(1));
            yield_now();
            blocking(|| std::thread::sleep(Duration::from_millis(1)));
        }
        Unparker::current()
    });
    unparker.unpark();
    // From outside, and by a timer.
    let (send, receive) = mpsc::channel();
    let waits = rt.go(move || {
        let _mine = lock_os_thread();
        send.send(Unparker::current()).expect("it listens");
        park();
        pirn_runtime::time::Timer::new(Duration::from_millis(1)).wait();
    });
    receive.recv().expect("it sends").unpark();
    waits.join().expect("no panic");
    rt.shutdown();
}

/// A G that is locked to an M waits on a P that found no M, while another P is idle: it is found there, and its M is free.
#[test]
fn a_locked_g_is_found_on_any_idle_p() {
    const TEST: &str = "a_locked_g_is_found_on_any_idle_p";
    if child_case(TEST).is_none() {
        subprocess(TEST, "locked", &[]).expect_success();
        return;
    }
    let rt = house(builder().procs(2).max_threads(3));
    for _ in 0..100 {
        let (send, receive) = mpsc::channel();
        let (answers, both) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(2)));
        let answer = answers.clone();
        let locked = rt.go(move || {
            let _mine = lock_os_thread();
            send.send(Unparker::current()).expect("it listens");
            park();
            answer.store(true, Ordering::Release);
        });
        let unparker = receive.recv().expect("it sends");
        let asks = |unparker: Option<Unparker>| {
            let (answers, both) = (answers.clone(), both.clone());
            move || {
                both.wait();
                if let Some(unparker) = unparker {
                    unparker.unpark();
                }
                blocking(|| {
                    while !answers.load(Ordering::Acquire) {
                        std::thread::sleep(Duration::from_micros(100));
                    }
                });
            }
        };
        let gs = [rt.go(asks(Some(unparker))), rt.go(asks(None)), locked];
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
    }
}
