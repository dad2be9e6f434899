//! A G that calls the channels again and again, and never has to wait, lets others run: whatever the call.

mod crew;

use crew::common::runtime;
use crew::in_time;
use pirn_channels::{Receiver, Select, Sender, after, at, bounded, never, select, select_biased, tick, unbounded};
use pirn_runtime::{block_on, go};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Many slices.
const LONG: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_nanos(1);

/// What a call is made on: room for one value, and one that is there.
struct Ends {
    s: Sender<u32>,
    r: Receiver<u32>,
    full: Sender<u32>,
    filled: Receiver<u32>,
    ended: Receiver<u32>,
    useless: Sender<u32>,
}

/// One call, or a few that belong together.
type Call = (&'static str, fn(&Ends));

const LOOKS: [Call; 15] = [
    ("Sender::len", |ends| _ = black_box(ends.s.len())),
    ("Sender::is_empty", |ends| _ = black_box(ends.s.is_empty())),
    ("Sender::is_full", |ends| _ = black_box(ends.s.is_full())),
    ("Sender::capacity", |ends| _ = black_box(ends.s.capacity())),
    ("Sender::same_channel", |ends| _ = black_box(ends.s.same_channel(&ends.full))),
    ("Sender::clone", |ends| drop(ends.s.clone())),
    ("Sender::close", |ends| _ = ends.useless.close()),
    ("Receiver::len", |ends| _ = black_box(ends.r.len())),
    ("Receiver::is_empty", |ends| _ = black_box(ends.r.is_empty())),
    ("Receiver::is_full", |ends| _ = black_box(ends.r.is_full())),
    ("Receiver::capacity", |ends| _ = black_box(ends.r.capacity())),
    ("Receiver::same_channel", |ends| _ = black_box(ends.r.same_channel(&ends.filled))),
    ("Receiver::clone", |ends| drop(ends.r.clone())),
    ("new channels", |_| drop((bounded::<u32>(1), unbounded::<u32>()))),
    ("new clocks", |_| drop((after(LONG), at(Instant::now()), tick(LONG), never::<u32>()))),
];

const OPERATIONS: [Call; 17] = [
    ("try_send", |ends| _ = ends.full.try_send(1)),
    ("try_recv", |ends| _ = ends.r.try_recv()),
    ("try_recv, ended", |ends| _ = ends.ended.try_recv()),
    ("try_recv, clock", |_| _ = after(LONG).try_recv()),
    ("try_iter", |ends| _ = ends.r.try_iter().next()),
    ("iter, ended", |ends| _ = ends.ended.iter().next()),
    ("send, recv", |ends| {
        ends.s.send(1).expect("there is room");
        ends.r.recv().expect("there is a value");
    }),
    ("send, disconnected", |ends| _ = ends.useless.send(1)),
    ("recv, clock", |_| _ = at(Instant::now()).recv()),
    ("recv_timeout", |ends| _ = ends.r.recv_timeout(Duration::ZERO)),
    ("recv_timeout, never", |_| _ = never::<u32>().recv_timeout(Duration::ZERO)),
    ("send_timeout", |ends| _ = ends.full.send_timeout(1, Duration::ZERO)),
    ("send_async, recv_async", |ends| {
        block_on(async {
            ends.s.send_async(1).await.expect("there is room");
            ends.r.recv_async().await.expect("there is a value");
        });
    }),
    ("recv_async, ended", |ends| _ = block_on(ends.ended.recv_async())),
    ("recv_async, clock", |_| _ = block_on(at(Instant::now()).recv_async())),
    ("recv_async, dropped", |ends| _ = crew::poll_once(&mut Box::pin(ends.r.recv_async()))),
    ("send_async, dropped", |ends| _ = crew::poll_once(&mut Box::pin(ends.full.send_async(1)))),
];

const SELECTS: [Call; 8] = [
    ("try_ready", |ends| _ = both(ends).try_ready()),
    ("ready, at once", |ends| {
        let mut select = both(ends);
        select.recv(&ends.filled);
        black_box(select.ready());
    }),
    ("ready_timeout", |ends| _ = both(ends).ready_timeout(MOMENT)),
    ("try_select", |ends| assert!(both(ends).try_select().is_err())),
    ("select_timeout", |ends| assert!(both(ends).select_timeout(Duration::ZERO).is_err())),
    ("Select::remove", |ends| both(ends).remove(0)),
    ("select!", |ends| {
        select! {
            recv(ends.r) -> _ => unreachable!("it is empty"),
            send(ends.full, 1) -> _ => unreachable!("it is full"),
            default => {}
        }
    }),
    ("select_biased!", |ends| {
        select_biased! {
            recv(ends.r) -> _ => unreachable!("it is empty"),
            recv(ends.ended) -> _ => {}
        }
    }),
];

fn both(ends: &Ends) -> Select<'_> {
    let mut select = Select::new();
    select.recv(&ends.r);
    select.send(&ends.full);
    select
}

#[test]
fn a_loop_over_any_call_lets_others_run() {
    in_time(|| {
        let house = runtime(1);
        house.run(|| {
            let ((s, r), (full, filled), (gone, ended), (useless, none)) =
                (bounded(1), bounded(1), bounded(1), bounded(1));
            full.send(1).expect("there is room");
            drop((gone, none));
            let ends = Ends { s, r, full, filled, ended, useless };
            for (name, call) in LOOKS.into_iter().chain(OPERATIONS).chain(SELECTS) {
                let has_run = Arc::new(AtomicBool::new(false));
                let other = {
                    let has_run = has_run.clone();
                    go(move || has_run.store(true, Ordering::Relaxed))
                };
                let began = Instant::now();
                while !has_run.load(Ordering::Relaxed) {
                    call(&ends);
                    assert!(began.elapsed() < LONG, "{name}: the other has not run");
                }
                other.join().expect("it has run");
            }
        });
        house.close();
    });
}
