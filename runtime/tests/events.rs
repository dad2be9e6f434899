//! What the listener hears of the scheduler, what a `tracing` subscriber is told (with the feature), and that both agree
//! with the metrics.

mod common;
#[cfg(feature = "tracing")]
#[path = "common/hearing.rs"]
mod hearing;

use common::log::{g_of, name};
use common::{builder, eventually};
use pirn_runtime::internal::{Event, listen};
use pirn_runtime::{blocking, go, sleep, yield_now};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// What the listener has heard so far.
static EVENTS: Mutex<Vec<Event>> = Mutex::new(Vec::new());

fn take_events() -> Vec<Event> {
    std::mem::take(&mut *EVENTS.lock().expect("no panic"))
}

fn heard() -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for event in EVENTS.lock().expect("no panic").iter() {
        *counts.entry(name(event)).or_default() += 1;
    }
    counts
}

/// What a `tracing` subscriber is told.
#[cfg(feature = "tracing")]
mod told {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// How often a subscriber found its thread-locals destroyed.
    pub(crate) static LOST: AtomicUsize = AtomicUsize::new(0);

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

    pub(crate) static TOLD: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

    /// Counts an event by name, and panics at one of them, which must hurt nobody.
    pub(crate) fn count(event: &tracing::Event<'_>) {
        let name = event.metadata().name();
        if BUFFER.try_with(|buffer| buffer.borrow_mut().0 += 1).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        *TOLD.lock().expect("no panic").entry(name.to_owned()).or_default() += 1;
        assert!(name != "hand_off", "a subscriber that panics");
    }
}

#[inline(never)]
fn deep(depth: usize) -> u8 {
    let room = std::hint::black_box([depth as u8; 4096]);
    if depth == 0 { room[0] } else { deep(depth - 1).wrapping_add(room[1]) }
}

/// What happens to one G after the other, on one P: the walk of each begins, goes on and ends as it must.
fn walks_are_whole() {
    let rt = builder().procs(1).build().expect("a runtime");
    rt.run(|| {
        let gs: Vec<_> = (0..50)
            .map(|i| {
                go(move || match i % 3 {
                    0 => sleep(Duration::from_micros(200)),
                    1 => (0..5).for_each(|_| yield_now()),
                    _ => drop(go(yield_now).join()),
                })
            })
            .collect();
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
    });
    rt.shutdown();
    let mut walks: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for event in take_events() {
        let Some(g) = g_of(&event) else { continue };
        walks.entry(g).or_default().push(name(&event));
    }
    assert_eq!(walks.len(), 1 + 50 + 16);
    for (g, walk) in walks {
        assert!(walk.starts_with(&["spawn", "begin"]) && walk.ends_with(&["end"]), "{g}: {walk:?}");
        for pair in walk[1..].windows(2) {
            let may_follow: &[&str] = match pair[0] {
                "begin" | "run" => &["park", "yield", "end"],
                "park" => &["ready"],
                "ready" | "yield" => &["run"],
                _ => &[],
            };
            assert!(may_follow.contains(&pair[1]), "{g}: {walk:?}");
        }
    }
}

/// The listener, the subscriber and the counters are readers of the same line.
#[test]
fn what_is_heard_is_what_is_counted() {
    listen(|event, _| EVENTS.lock().expect("no panic").push(*event));
    walks_are_whole();
    #[cfg(feature = "tracing")]
    hearing::hear(told::count);
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
    rt.shutdown();
    // Not before: until then the thread of an M may begin.
    let metrics = handle.metrics();
    let heard = heard();
    let counted = [
        ("spawn", metrics.spawns),
        ("end", metrics.ends),
        ("park", metrics.parks),
        ("ready", metrics.readies),
        ("steal", metrics.steals),
        ("hand_off", metrics.hand_offs),
        ("m_start", metrics.m_starts),
        ("m_stop", metrics.m_stops),
    ];
    for (name, count) in counted {
        assert_eq!(heard.get(name).copied().unwrap_or_default(), count, "{name}: {metrics:?}");
    }
    assert!(heard["wake"] >= metrics.wakes && heard["hand_off"] > 0, "{metrics:?}");
    assert_eq!(heard["begin"], heard["spawn"]);
    assert_eq!(heard["run"], heard["ready"] + heard["yield"], "who was queued has gone on");
    #[cfg(feature = "tracing")]
    {
        let told = told::TOLD.lock().expect("no panic");
        for name in ["spawn", "park", "ready", "steal", "hand_off", "m_start", "m_stop", "stack_growth"] {
            assert_eq!(told.get(name), heard.get(name), "{name}: {metrics:?}");
        }
        assert!(told["stack_growth"] > 0 && told.len() <= 8, "{told:?}");
        let lost = told::LOST.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(lost, 0, "events on Gs whose thread-locals are gone");
    }
}
