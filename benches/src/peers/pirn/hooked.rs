//! What threads do, on Gs with hooked calls: nothing here is pirn's but `go`. Sockets, locks, channels and sleeps are those
//! of std, and channels of crossbeam-channel where the threads have them too.
//!
//! `plain_call` is not about Gs: it measures what the hook costs a thread that runs none.

use super::{in_g, joined, tasks};
use crate::peers::Workload;
use crate::peers::crossbeam::api;
use crate::peers::locks::{self, Permits, locks};
use crate::peers::std_servers as servers;
use crate::{Bench, measure, ns};
use pirn::go;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::sync::mpsc::sync_channel;
use std::sync::{Barrier, RwLock};
use std::{mem, ptr, thread};

/// Gs, and the channels of crossbeam-channel.
struct Gs;

/// What starts Gs, and what else they have is std's.
mod gs {
    pub(super) use pirn::{JoinHandle, go};
    pub(super) use std::thread::yield_now;
}

api!(Gs, crossbeam_channel, gs, go);

/// The locks of std.
struct Std;

locks!(Std, "", std::sync, [.expect("no G panics")], |condvar, guard| {
    guard = condvar.wait(guard).expect("no G panics");
});

pub(in crate::peers) const WORKLOADS: &[Workload] = &[
    ("pingpong", |bench| in_g(bench, pingpong)),
    ("spsc0", |bench| in_g(bench, spsc0)),
    ("timers", |bench| in_g(bench, |bench| tasks::timers(bench, 100_000, thread::sleep))),
    ("timers_10k", |bench| in_g(bench, |bench| tasks::timers(bench, 10_000, thread::sleep))),
    ("sleeps", |bench| in_g(bench, |bench| locks::sleeps::<Gs>(bench, thread::sleep))),
    ("blocking", |bench| in_g(bench, tasks::blocking)),
    ("mutex1", |bench| in_g(bench, |bench| locks::mutex1::<Std>(bench, ""))),
    ("mutex8", |bench| in_g(bench, |bench| locks::mutex8::<Gs, Std>(bench, 1_000_000))),
    ("rwlock1", |bench| in_g(bench, |bench| locks::rwlock1::<Std>(bench, ""))),
    ("rwlock8", |bench| in_g(bench, |bench| locks::rwlock8::<Gs, Std>(bench, 1_000_000))),
    ("mutex_chan", |bench| in_g(bench, |bench| locks::mutex_chan::<Gs, Std>(bench, 100_000))),
    ("mutex_sleep", |bench| in_g(bench, |bench| locks::mutex_sleep::<Gs, Std>(bench, thread::sleep))),
    ("barrier", |bench| in_g(bench, barrier)),
    ("condvar_turns", |bench| in_g(bench, |bench| locks::condvar_turns::<Gs, Std>(bench, 500))),
    ("semaphore", |bench| in_g(bench, semaphore)),
    ("map90", |bench| in_g(bench, map90)),
    ("plain_call", plain_call),
];

pub(in crate::peers) const SERVERS: &[Workload] = &[
    ("serve_echo", |bench| in_g(bench, |_| servers::echo::<Gs>())),
    ("serve_http", |bench| in_g(bench, |_| servers::http::<Gs>())),
];

fn pingpong(bench: &Bench) {
    let n = bench.size(1_000_000);
    let run = |n: usize| {
        let (ping_in, pings) = sync_channel(0);
        let (pong_in, pongs) = sync_channel(0);
        let pong = go(move || (0..n).for_each(|_| pong_in.send(pings.recv().expect("a ping")).expect("a receiver")));
        let ping = go(move || {
            for i in 0..n {
                ping_in.send(i).expect("a receiver");
                assert_eq!(pongs.recv(), Ok(i));
            }
        });
        joined(pong);
        joined(ping);
    };
    run(n / 10);
    bench.each("roundtrip", n, measure(|| run(n)).1);
}

fn spsc0(bench: &Bench) {
    let n = bench.size(2_000_000);
    let run = |n: usize| {
        let (sender, receiver) = sync_channel(0);
        go(move || (0..n as u64).for_each(|i| sender.send(i).expect("a receiver")));
        assert_eq!(joined(go(move || receiver.iter().sum::<u64>())), crate::sum_below(n));
    };
    run(n / 10);
    bench.each("msg", n, measure(|| run(n)).1);
}

fn barrier(bench: &Bench) {
    locks::barrier::<Gs, _>(bench, 20_000, Barrier::new, |barrier| barrier.wait().is_leader());
}

/// std has none, so it is what the threads have: a mutex and a condition variable.
fn semaphore(bench: &Bench) {
    locks::semaphore::<Gs, _>(bench, "", 1000, Permits::<Std>::new, Permits::hold);
}

fn map90(bench: &Bench) {
    locks::map90::<Gs, _>(
        bench,
        "rwlock",
        1_000_000,
        RwLock::<HashMap<u64, u64>>::default,
        |map, key| map.read().expect("no G panics").get(&key).copied(),
        |map, key, value| _ = map.write().expect("no G panics").insert(key, value),
    );
}

type Read = unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize;

/// The call is `read` of no descriptor, which fails. Hooked calls and those of libc's own function take turns, so that both
/// see the same machine; the figure is the median of the differences.
fn plain_call(bench: &Bench) {
    const TURNS: usize = 101;
    let n = bench.size(2_000_000) / TURNS + 1;
    // SAFETY: a name that ends with a zero.
    let of_libc = unsafe { libc::dlsym(libc::RTLD_NEXT, c"read".as_ptr()) };
    assert!(!of_libc.is_null(), "libc has it");
    // SAFETY: it is the function of that name, which has this type.
    let of_libc = unsafe { mem::transmute::<*mut c_void, Read>(of_libc) };
    let each = |read: Read| {
        let read = black_box(read);
        let all = || {
            for _ in 0..n {
                // SAFETY: nothing is read, as there is no such descriptor.
                assert!(unsafe { read(-1, ptr::null_mut(), 0) } < 0);
            }
        };
        ns(measure(all).1.wall) / n as f64
    };
    let hooked: Read = libc::read;
    assert!(!ptr::fn_addr_eq(hooked, of_libc), "peers-pirn-hook is the program with the hook");
    let mut turns: Vec<[f64; 2]> = (0..TURNS).map(|_| [each(of_libc), each(hooked)]).collect();
    let mut median = |of: fn(&[f64; 2]) -> f64| {
        turns.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&turns[TURNS / 2])
    };
    bench.figure("ns_per_call", median(|[_, hooked]| *hooked), "ns");
    bench.figure("ns_per_call[libc]", median(|[libc, _]| *libc), "ns");
    bench.figure("ns_more_per_call", median(|[libc, hooked]| hooked - libc), "ns");
}
