//! Threads and goroutines beside each other: what starting one costs, what one that waits keeps, what a switch takes.
//!
//! Ten thousand of each wait for one event; then two of each pass a token to and fro. The code is the same for both:
//! events and channels of pirn serve threads too. First it looks how many threads the system allows, and starts at most
//! half of those. The memory is what the process has in use; the kernel's own part of a thread, 16 KiB and more, is not
//! in it. A number after the name of the lesson asks for so many. `cargo run --release` gives the times that count.

use pirn::channel::bounded;
use pirn::sync::Event;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const PASSES: u32 = 10_000;

/// What has been measured.
struct Figures {
    count: usize,
    start: Duration,
    memory_kib: usize,
    passing: Duration,
}

pub(crate) fn program() {
    let wanted = std::env::args().next_back().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let allowed = threads_allowed() / 2;
    println!("{wanted} wanted, {} threads are started", wanted.min(allowed));

    let threads =
        measure(wanted.min(allowed), |f| thread::Builder::new().spawn(f).ok(), |thread| thread.join().is_ok());
    let gs = measure(wanted, |f| pirn::try_go(f).ok(), |g| g.join().is_ok());

    println!("{:18}{:>12}{:>12}", "", "threads", "goroutines");
    println!("{:18}{:>12}{:>12}", "count", threads.count, gs.count);
    let row = |name: &str, of: fn(&Figures) -> f64| println!("{name:18}{:>12.1}{:>12.1}", of(&threads), of(&gs));
    row("start, us each", |it| it.start.as_secs_f64() * 1e6 / it.count as f64);
    row("memory, KiB each", |it| it.memory_kib as f64 / it.count as f64);
    row("switch, ns each", |it| it.passing.as_secs_f64() * 1e9 / f64::from(2 * PASSES));
}

/// Starts up to `count` of them, which wait for an event, and two that pass a token.
fn measure<H>(
    count: usize,
    go: impl Fn(Box<dyn FnOnce() + Send>) -> Option<H>,
    has_ended_well: impl Fn(H) -> bool,
) -> Figures {
    let event: &'static Event = Box::leak(Box::new(Event::new()));
    let (here, all_here) = bounded(count);
    let (before_kib, start) = (memory_in_use_kib(), Instant::now());
    let waiters: Vec<H> = (0..count)
        .map_while(|_| {
            let here = here.clone();
            go(Box::new(move || {
                here.send(()).expect("there is room");
                event.wait();
            }))
        })
        .collect();
    let start = start.elapsed();
    all_here.iter().take(waiters.len()).for_each(drop);
    let memory_kib = memory_in_use_kib().saturating_sub(before_kib);
    event.set();
    let count = waiters.len();
    assert!(waiters.into_iter().all(&has_ended_well), "none panics");

    let ((to_left, left), (to_right, right)) = (bounded::<u32>(0), bounded::<u32>(0));
    let began = Instant::now();
    let players = [(left, to_right, true), (right, to_left, false)].map(|(from, to, begins)| {
        go(Box::new(move || {
            if begins {
                to.send(0).expect("the other one plays");
            }
            for token in from.iter().take(PASSES as usize) {
                // At the end the other one has left.
                _ = to.send(token + 1);
            }
        }))
        .expect("there is room for two")
    });
    assert!(players.into_iter().all(&has_ended_well), "none panics");
    Figures { count, start, memory_kib, passing: began.elapsed() }
}

/// How many threads the system lets this process have, by the limits that are known. Each needs two mappings.
fn threads_allowed() -> usize {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<usize>().ok();
    let of_the_user = || {
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let line = limits.lines().find(|line| line.starts_with("Max processes"))?;
        line.split_whitespace().nth(2)?.parse().ok()
    };
    let limits = [
        number("/proc/sys/kernel/threads-max"),
        number("/proc/sys/kernel/pid_max"),
        number("/sys/fs/cgroup/pids.max"),
        number("/proc/sys/vm/max_map_count").map(|maps| maps / 2),
        of_the_user(),
    ];
    limits.into_iter().flatten().min().unwrap_or(1000)
}

fn memory_in_use_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has this line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("it is a number")
}
