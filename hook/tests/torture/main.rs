//! Gs and threads that do at random what blocks in std, with signals on their threads all the time, with others that take
//! what they wait for, under runtimes that end in order or in the middle of it. Nothing is lost, comes twice, or gets into
//! the wrong hands.
//!
//! `PIRN_STRESS_SECS` is the time box, `PIRN_TEST_SEED` the seed that a failure has printed.

#[path = "../../../runtime/tests/common/mod.rs"]
mod common;
mod copies;
mod races;
mod steps;
mod world;

use common::{Rng, seed, stress_secs};
use pirn::{Builder, Runtime, go};
use pirn_hook as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use world::{World, check};

const WORKERS: usize = 64;
const THREADS: &[fn(&World, Rng)] =
    &[steps::of_a_thread, steps::of_a_thread, steps::of_a_thread, races::throw_all_the_time, races::steal_all_the_time];
/// Longer than anything takes; then what waits is printed.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a thread gets a signal.
const PEST: Duration = Duration::from_micros(300);

#[test]
fn all_of_std_at_random() {
    let over = Instant::now() + Duration::from_secs(stress_secs());
    let mut rng = Rng::new(seed("all_of_std_at_random"));
    let pests = Arc::new(AtomicBool::new(true));
    let pest = thread::spawn({
        let (pests, rng) = (pests.clone(), rng.fork());
        move || pester(&pests, rng)
    });
    let (mut rounds, mut shutdowns, mut steps, mut migrations, mut stolen) = (0, 0, 0, 0, 0);
    while rounds < 4 || Instant::now() < over {
        let in_the_middle = rng.below(3) == 0;
        let world = round(&mut rng, in_the_middle);
        rounds += 1;
        shutdowns += u64::from(in_the_middle);
        steps += world.steps.load(Ordering::Relaxed);
        migrations += world.migrations.load(Ordering::Relaxed);
        stolen += world.races.stolen.load(Ordering::Relaxed);
    }
    pests.store(false, Ordering::Relaxed);
    let signals = pest.join().expect("it does not panic");
    println!("{rounds} runtimes, {shutdowns} shut down in the middle; {steps} steps, {migrations} migrations");
    println!("{stolen} times another has taken what was waited for");
    println!("{signals} signals, {} handled", HANDLED.load(Ordering::Relaxed));
    assert!(migrations > 0 && stolen > 0 && HANDLED.load(Ordering::Relaxed) > 0);
}

/// One runtime from its begin to its end.
fn round(rng: &mut Rng, in_the_middle: bool) -> Arc<World> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let world = World::new(listener.local_addr().expect("its address"));
    let runtime = Builder::new().procs(1 + rng.below(4)).build().expect("a runtime");
    let watched = runtime.handle();
    let threads: Vec<_> = THREADS
        .iter()
        .map(|work| {
            let (world, rng) = (world.clone(), rng.fork());
            thread::spawn(move || work(&world, rng))
        })
        .collect();
    let (ended, wait) = std::sync::mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if wait.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("it hangs:\n{}", watched.dump());
            std::process::abort();
        }
    });
    let time = Duration::from_millis(20 + rng.below(400) as u64);
    if in_the_middle {
        let (world, mut rng) = (world.clone(), rng.fork());
        runtime.run(move || begin(&world, &mut rng, listener).into_iter().for_each(drop));
        thread::sleep(time);
    } else {
        let (world, mut rng) = (world.clone(), rng.fork());
        runtime.run(move || {
            let workers = begin(&world, &mut rng, listener);
            thread::sleep(time);
            world.over.store(true, Ordering::Relaxed);
            for worker in workers {
                check(worker.join().is_ok(), "a worker has panicked");
            }
        });
    }
    shut_down(&world, runtime, in_the_middle);
    world.ended.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    drop(ended);
    watchdog.join().expect("it only waits");
    world.nothing_is_lost();
    world
}

/// Starts the server and the workers.
fn begin(world: &Arc<World>, rng: &mut Rng, listener: TcpListener) -> Vec<pirn::JoinHandle<()>> {
    // It ends with its runtime.
    drop(go(move || steps::serve(&listener)));
    let worker = |_| {
        let (world, rng) = (world.clone(), rng.fork());
        go(move || steps::of_a_g(&world, rng))
    };
    (0..WORKERS).map(worker).collect()
}

/// In the middle all that wait are told to end: their calls fail.
fn shut_down(world: &World, runtime: Runtime, in_the_middle: bool) {
    world.is_cancelled.store(true, Ordering::Relaxed);
    if !in_the_middle {
        world.over.store(true, Ordering::Relaxed);
    }
    check(runtime.shutdown_timeout(PATIENCE), "Gs do not end");
}

/// How many signals were handled.
static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn handle(_: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Signals to threads of this process at random, which end system calls with EINTR.
fn pester(goes_on: &AtomicBool, mut rng: Rng) -> u64 {
    // SAFETY: all zeros are a valid value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(libc::c_int) as usize;
    // Without SA_RESTART.
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the handler calls nothing.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()) }, 0);
    let mut sent = 0;
    while goes_on.load(Ordering::Relaxed) {
        let threads = std::fs::read_dir("/proc/self/task").expect("it is Linux");
        let threads: Vec<i32> = threads.filter_map(|thread| thread.ok()?.file_name().to_str()?.parse().ok()).collect();
        for _ in 0..50 {
            let thread = threads[rng.below(threads.len())];
            // SAFETY: a thread that has ended is an error, and its number may be that of another thread of this process.
            let status = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, libc::SIGUSR2) };
            sent += u64::from(status == 0);
            thread::sleep(PEST);
        }
    }
    sent
}
