//! What a `tracing` subscriber hears of the scheduler, and that it agrees with the metrics. Only with the feature.
#![cfg(feature = "tracing")]

mod common;

use common::{builder, eventually};
use pirn_runtime::{blocking, go, sleep, yield_now};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// How often a subscriber found its thread-locals destroyed.
static LOST: AtomicUsize = AtomicUsize::new(0);

/// What a subscriber keeps for each thread: `tracing_subscriber::fmt` has such a buffer.
struct Buffer(usize);

impl Drop for Buffer {
    fn drop(&mut self) {
        self.0 = 0;
    }
}

std::thread_local! {
    static BUFFER: RefCell<Buffer> = const { RefCell::new(Buffer(0)) };
}

static HEARD: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Counts events by name, and panics at one of them, which must hurt nobody.
struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pirn::sched"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let name = event.metadata().name();
        if BUFFER.try_with(|buffer| buffer.borrow_mut().0 += 1).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        *HEARD.lock().expect("no panic").entry(name.to_owned()).or_default() += 1;
        assert!(name != "hand_off", "a subscriber that panics");
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn heard(name: &str) -> u64 {
    HEARD.lock().expect("no panic").get(name).copied().unwrap_or_default()
}

#[inline(never)]
fn deep(depth: usize) -> u8 {
    let room = std::hint::black_box([depth as u8; 4096]);
    if depth == 0 { room[0] } else { deep(depth - 1).wrapping_add(room[1]) }
}

#[test]
fn what_is_heard_is_what_is_counted() {
    tracing::subscriber::set_global_default(Counter).expect("the only one");
    let rt = builder().procs(3).build().expect("a runtime");
    rt.run(|| {
        let gs: Vec<_> = (0..500)
            .map(|i| {
                go(move || match i % 5 {
                    0 => sleep(Duration::from_micros(200)),
                    1 => blocking(|| std::thread::sleep(Duration::from_micros(100))),
                    2 => (0..20).for_each(|_| yield_now()),
                    3 => drop(go(yield_now).join()),
                    _ => drop(std::hint::black_box(deep(20))),
                })
            })
            .collect();
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
    });
    let handle = rt.handle();
    eventually("the main G has ended", || handle.metrics().goroutines == 0);
    let metrics = rt.metrics();
    // A park that finds a wake-up on its way is heard, and is none.
    for (name, count) in [("spawn", metrics.spawns), ("ready", metrics.readies), ("hand_off", metrics.hand_offs)] {
        assert_eq!(heard(name), count, "{name}: {metrics:?}");
    }
    assert!(heard("park") >= metrics.parks && heard("steal") == metrics.steals, "{metrics:?}");
    assert!(heard("stack_growth") > 0 && heard("hand_off") > 0);
    drop(handle);
    rt.shutdown();
    assert_eq!(LOST.load(Ordering::Relaxed), 0, "events on Gs whose thread-locals are gone");
    assert_eq!((heard("m_start"), heard("m_stop")), (metrics.m_starts, metrics.m_starts));
}
