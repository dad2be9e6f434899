//! Connections that come and go for a long time, some each second: nothing grows. Run by hand:
//!
//! ```text
//! PIRN_SOAK_SECS=3600 PIRN_SOAK_RATE=50 cargo test --release -p pirn-net --test soak -- --ignored --nocapture
//! ```
//!
//! It prints a line a minute.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, env, house};
use pirn_net::{TcpListener, TcpStream};
use pirn_runtime::{Handle, go};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PROCS: usize = 2;
/// So many stacks a P keeps at most (`runtime/src/stack/cache.rs`).
const STACKS_KEPT_MAX: usize = 64;

/// What could grow.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    resident_kib: usize,
    descriptors: usize,
    threads: usize,
    records: usize,
    goroutines: usize,
    timers: usize,
    stacks: usize,
}

impl Sizes {
    fn now(handle: &Handle) -> Sizes {
        let metrics = handle.metrics();
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let value = |key: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("it is said");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        Sizes {
            resident_kib: value("VmRSS:"),
            descriptors: std::fs::read_dir("/proc/self/fd").expect("Linux").count(),
            threads: value("Threads:"),
            records: pirn_runtime::internal::descriptor_records(),
            goroutines: metrics.goroutines,
            timers: metrics.timers,
            stacks: metrics.stacks,
        }
    }

    /// The greater of each.
    fn max(self, other: Sizes) -> Sizes {
        Sizes {
            resident_kib: self.resident_kib.max(other.resident_kib),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            records: self.records.max(other.records),
            goroutines: self.goroutines.max(other.goroutines),
            timers: self.timers.max(other.timers),
            stacks: self.stacks.max(other.stacks),
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    env(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Serves one connection: an echo up to the end.
fn serve(mut stream: TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut buf = [0; 1000];
    while let Ok(length @ 1..) = stream.read(&mut buf) {
        if stream.write_all(&buf[..length]).is_err() {
            return;
        }
    }
}

/// One connection, which ends in one of several ways.
fn visit(address: SocketAddr, nth: u64) {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(30)).expect("it listens");
    let mut buf = [0; 5];
    stream.write_all(b"hello").expect("it is read");
    stream.read_exact(&mut buf).expect("an echo");
    match nth % 5 {
        // It just ends.
        0 => {}
        // In order.
        1 => {
            stream.shutdown(Shutdown::Write).expect("it is connected");
            assert_eq!(stream.read(&mut buf).expect("the end"), 0);
        }
        // By a reset.
        2 => stream.set_linger(Some(Duration::ZERO)).expect("an option"),
        // After a wait in vain.
        3 => {
            stream.set_read_deadline(Some(Instant::now() + Duration::from_millis(3)));
            assert_eq!(stream.read(&mut buf).expect_err("nothing comes").kind(), ErrorKind::TimedOut);
        }
        // With a second descriptor.
        _ => {
            let mut clone = stream.try_clone().expect("a descriptor");
            drop(stream);
            clone.write_all(b"again").expect("it is read");
            clone.read_exact(&mut buf).expect("an echo");
        }
    }
}

#[test]
#[ignore = "as long as PIRN_SOAK_SECS says"]
fn connections_for_a_long_time() {
    let (secs, rate) = (number("PIRN_SOAK_SECS", 60), number("PIRN_SOAK_RATE", 50));
    assert!(secs >= 20, "the first and the last quarter are compared");
    // No watchdog: this takes long.
    let runtime = builder().procs(PROCS).build().expect("a runtime");
    let [(first, first_kib), (last, last_kib)] = runtime.run(move || soak(secs, rate));
    drop(runtime);
    eprintln!("in the first quarter {first_kib} KiB, at most {first:?}");
    eprintln!("in the last quarter {last_kib} KiB, at most {last:?}");
    assert!(last_kib <= first_kib + 500, "memory");
    assert!(last.descriptors <= first.descriptors + 4, "descriptors");
    assert!(last.threads <= first.threads + 2, "threads");
    assert!(last.records <= first.records, "records");
    assert!(last.goroutines <= first.goroutines + 4, "goroutines");
    assert!(last.timers <= first.timers + 4, "timers");
    // Those that Ps keep come and go in batches, so their greatest numbers say little. But there is a limit.
    assert!(last.stacks <= PROCS * STACKS_KEPT_MAX + last.goroutines, "stacks");
    // The usual guard too.
    house(builder().procs(1)).run(|| ());
}

/// Of the first and of the last quarter: the greatest sizes, and the mean of the resident memory. That has peaks of a MiB,
/// which the mean does not show; growth it does.
fn soak(secs: u64, rate: u64) -> [(Sizes, usize); 2] {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = listener.local_addr().expect("it has one");
    let accepting = listener.clone();
    let server = go(move || {
        for stream in accepting.incoming() {
            let stream = stream.expect("a connection");
            go(move || serve(stream));
        }
    });
    let handle = Handle::current().expect("a G");
    let (began, all) = (Instant::now(), Duration::from_secs(secs));
    // The start is for what is made once. Only these are kept, so that the test does not grow itself.
    let quarters = [all / 20..all / 4, all * 3 / 4..Duration::MAX];
    let mut greatest: [Option<Sizes>; 2] = [None; 2];
    let mut memory = [(0, 0); 2];
    let (mut nth, mut next_sample, mut next_line) = (0, Duration::ZERO, Duration::ZERO);
    while began.elapsed() < all {
        let visits: Vec<_> = (0..rate.div_ceil(10))
            .map(|_| {
                nth += 1;
                go(move || visit(address, nth))
            })
            .collect();
        visits.into_iter().for_each(|visit| visit.join().expect("a connection"));
        let at = began.elapsed();
        if at >= next_sample {
            let sizes = Sizes::now(&handle);
            if let Some(nth) = quarters.iter().position(|quarter| quarter.contains(&at)) {
                greatest[nth] = Some(greatest[nth].map_or(sizes, |so_far| so_far.max(sizes)));
                let (total_kib, samples) = &mut memory[nth];
                *total_kib += sizes.resident_kib;
                *samples += 1;
            }
            next_sample = at + Duration::from_secs(1);
            if at >= next_line {
                eprintln!("{:5} s, {nth} connections: {sizes:?}", at.as_secs());
                next_line += Duration::from_secs(60).min(all / 4);
            }
        }
        let due = Duration::from_secs_f64(nth as f64 / rate as f64);
        pirn_runtime::sleep(due.saturating_sub(began.elapsed()));
    }
    eprintln!("{nth} connections in {secs} s");
    listener.close();
    server.join().expect("it ends with its listener");
    [0, 1].map(|nth| {
        let (total_kib, samples) = memory[nth];
        (greatest[nth].expect("a sample"), total_kib / samples)
    })
}
