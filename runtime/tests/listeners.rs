//! A `tracing` subscriber hears of events in the middle of a channel's operation, and may use the same channel. Only with
//! the feature.
#![cfg(feature = "tracing")]

mod common;
#[path = "common/hearing.rs"]
mod hearing;

use common::builder;
use hearing::hear;
use pirn::channel::{Receiver, Select, Sender, bounded};
use pirn_runtime::go;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const VALUES: u64 = 5_000;

static CHANNEL: OnceLock<(Sender<u64>, Receiver<u64>)> = OnceLock::new();
/// The sum of what the subscriber has taken and could not put back.
static KEPT: AtomicU64 = AtomicU64::new(0);
static TURNS: AtomicU64 = AtomicU64::new(0);
/// What the subscriber does tells events too.
static IS_BUSY: AtomicBool = AtomicBool::new(false);

/// Takes a value and puts it back whenever a G has been made ready.
fn meddle(event: &tracing::Event<'_>) {
    let Some((s, r)) = CHANNEL.get().filter(|_| event.metadata().name() == "ready") else { return };
    if IS_BUSY.swap(true, Ordering::Acquire) {
        return;
    }
    if let Ok(value) = r.try_recv() {
        TURNS.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = s.try_send(value) {
            KEPT.fetch_add(error.into_inner(), Ordering::Relaxed);
        }
    }
    IS_BUSY.store(false, Ordering::Release);
}

#[test]
fn a_subscriber_uses_the_channel_on_which_others_watch() {
    hear(meddle);
    let (s, r) = CHANNEL.get_or_init(|| bounded(2)).clone();
    let rt = builder().procs(2).build().expect("a runtime");
    let received = rt.run(move || {
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                let r = r.clone();
                go(move || {
                    let mut sum = 0;
                    loop {
                        let mut select = Select::new();
                        select.recv(&r);
                        select.ready();
                        match r.try_recv() {
                            Ok(0) => return sum,
                            Ok(value) => sum += value,
                            // The other was faster, or the subscriber.
                            Err(_) => {}
                        }
                    }
                })
            })
            .collect();
        (1..=VALUES).for_each(|value| s.send(value).expect("there are receivers"));
        // The subscriber may keep an end, which counts for nothing.
        while watchers.iter().any(|watcher| !watcher.is_finished()) {
            _ = s.try_send(0);
            pirn_runtime::yield_now();
        }
        watchers.into_iter().map(|watcher| watcher.join().expect("no panic")).sum::<u64>()
    });
    // No thread is in the subscriber any more. It may have put values back after the last receive.
    rt.shutdown();
    let left: u64 = CHANNEL.get().expect("it was made above").1.try_iter().sum();
    assert_eq!(received + left + KEPT.load(Ordering::Relaxed), VALUES * (VALUES + 1) / 2);
    assert!(TURNS.load(Ordering::Relaxed) > 0);
}
