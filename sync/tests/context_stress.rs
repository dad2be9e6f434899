//! Trees of contexts at random: Gs and threads make, end, drop and watch contexts of one tree at once. What has ended
//! has ended parents first, everybody who waits is told, each call comes once or is taken back, nothing is left.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Census, Rng, eventually, runtime, seed, stress_secs};
use pirn_runtime::yield_now;
use pirn_sync::context::{Context, Stop};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Default)]
struct Counts {
    registered: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
    stopped: Arc<AtomicUsize>,
}

/// The contexts that one worker has, each with its parent.
struct Family {
    members: Vec<(Context, Context)>,
    stops: Vec<Stop>,
}

impl Family {
    fn check(&self) {
        for (context, parent) in &self.members {
            // In this order: who sees the child ended sees the parent ended, if the parent's end was the reason.
            let cause = context.cause();
            if cause.is_some_and(|cause| cause.to_string() == "root") {
                assert!(parent.err().is_some());
            }
        }
    }
}

fn micros(rng: &mut Rng, below: usize) -> Duration {
    Duration::from_micros(rng.below(below) as u64)
}

fn worker(root: &Context, mut rng: Rng, until: Instant, counts: &Counts, census: &Census) {
    let mut family = Family { members: Vec::new(), stops: Vec::new() };
    while Instant::now() < until {
        let parent = match family.members.len() {
            0 => root.clone(),
            n => family.members[rng.below(n)].0.clone(),
        };
        let (context, cancel) = match rng.below(4) {
            0 => parent.with_timeout(micros(&mut rng, 500)),
            1 => parent.with_timeout(Duration::from_secs(3600)),
            _ => parent.with_cancel(),
        };
        match rng.below(8) {
            0 => cancel.cancel_with("one"),
            1 => {
                let child = context.with_cancel().0;
                cancel.cancel();
                assert!(child.err().is_some());
            }
            2 => _ = context.sleep(micros(&mut rng, 100)),
            3 => {
                let (counted, made) = (census.count(), counts.made.clone());
                counts.registered.fetch_add(1, Ordering::Relaxed);
                family.stops.push(context.after_func(move || {
                    made.fetch_add(1, Ordering::Relaxed);
                    drop(counted);
                }));
            }
            4 => {
                if let Some(stop) = family.stops.pop()
                    && stop.stop()
                {
                    counts.stopped.fetch_add(1, Ordering::Relaxed);
                }
            }
            5 => _ = context.done().try_recv(),
            _ => {}
        }
        family.members.push((context, parent));
        if family.members.len() > 40 {
            let at = rng.below(family.members.len());
            family.members.swap_remove(at);
            family.members.truncate(30 + rng.below(10));
        }
        if rng.below(16) == 0 {
            family.check();
            yield_now();
        }
    }
    root.wait();
    assert!(family.members.iter().all(|(context, _)| context.err().is_some()));
    family.check();
    for stop in family.stops {
        // Each has come, or is among those that were taken back when it was taken from the list.
        assert!(!stop.stop());
    }
}

#[test]
fn trees_at_random() {
    let mut rng = Rng::new(seed("trees_at_random"));
    let end = Instant::now() + Duration::from_secs(stress_secs());
    while Instant::now() < end {
        let house = runtime(1 + rng.below(3));
        let (counts, census) = (Counts::default(), Census::default());
        let (root, cancel) = Context::background().with_cancel();
        let until = Instant::now() + Duration::from_millis(200);
        let work = |rng: Rng| {
            let (root, counts, census) = (root.clone(), counts.clone(), census.clone());
            move || worker(&root, rng, until, &counts, &census)
        };
        let gs: Vec<_> = (0..4).map(|_| house.go(work(Rng::new(rng.next())))).collect();
        let threads: Vec<_> = (0..2).map(|_| thread::spawn(work(Rng::new(rng.next())))).collect();
        thread::sleep(micros(&mut rng, 250_000));
        cancel.cancel_with("root");
        assert!(root.err().is_some());
        gs.into_iter().for_each(|g| g.join().expect("no worker fails"));
        threads.into_iter().for_each(|thread| thread.join().expect("no worker fails"));
        let settled = || counts.made.load(Ordering::Relaxed) + counts.stopped.load(Ordering::Relaxed);
        let registered = counts.registered.load(Ordering::Relaxed);
        eventually("each call has come or was taken back", || settled() == registered);
        eventually("nothing is left", || census.living() == 0);
        eventually("no G is left", || house.goroutines().is_empty());
        house.close();
    }
}
