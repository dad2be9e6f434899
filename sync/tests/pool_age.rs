//! A pool gives back what is not used, under a set clock.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{eventually, runtime};
use pirn_runtime::internal::SetClock;
use pirn_sync::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(10);

/// A thread that puts so often looks whether a step of age is due.
const LOOK_EVERY: usize = 16;

static DROPS: AtomicUsize = AtomicUsize::new(0);
static ON_GS: AtomicUsize = AtomicUsize::new(0);

/// A value, and whether its destructor panics.
struct Value(bool);

impl Drop for Value {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::Relaxed);
        ON_GS.fetch_add(usize::from(pirn_runtime::current_gid().is_some()), Ordering::Relaxed);
        if self.0 {
            std::panic::resume_unwind(Box::new("a destructor's mistake"));
        }
    }
}

fn drops() -> usize {
    DROPS.load(Ordering::Relaxed)
}

/// One test: the pools' steps, and the clock, are the process's.
#[test]
fn what_is_not_used_is_dropped() {
    let clock = SetClock::take();
    threads_alone(&clock);
    DROPS.store(0, Ordering::Relaxed);
    on_a_runtime(&clock);
}

/// Without a runtime a put does it.
fn threads_alone(clock: &SetClock) {
    let pool = Pool::new(|| Value(false));
    (0..10).for_each(|_| pool.put(Value(false)));
    // The same value each time.
    let use_it = || (0..LOOK_EVERY).for_each(|_| drop(pool.get()));
    use_it();
    clock.advance(PERIOD);
    use_it();
    assert_eq!((pool.kept(), drops()), (10, 0), "they are not old enough");
    clock.advance(PERIOD);
    assert_eq!(drops(), 0, "nobody has put anything");
    use_it();
    assert_eq!((pool.kept(), drops()), (1, 9));
    // The last one too, if another pool is used.
    let other = Pool::new(|| 0);
    for _ in 0..2 {
        clock.advance(PERIOD);
        (0..LOOK_EVERY).for_each(|_| drop(other.get()));
    }
    assert_eq!((pool.kept(), drops(), ON_GS.load(Ordering::Relaxed)), (0, 10, 0));
    other.clear();
    clock.advance(PERIOD);
    (0..LOOK_EVERY).for_each(|_| drop(other.get()));
    other.clear();
}

/// A runtime does it, with nothing else to do.
fn on_a_runtime(clock: &SetClock) {
    let house = runtime(2);
    let (pool, other) = (Pool::new(|| Value(false)), Pool::new(|| Value(false)));
    let step = || clock.advance(PERIOD);
    house.run(|| {
        (0..10).for_each(|_| pool.put(Value(false)));
        other.put(Value(true));
    });
    let started = house.metrics().spawns;
    step();
    eventually("a G does the step", || house.metrics().spawns > started);
    eventually("it has ended", || house.goroutines().is_empty());
    assert_eq!((pool.kept(), other.kept(), drops()), (10, 1, 0), "they are not old enough");
    // One is used, and is young again.
    house.run(|| drop(pool.get()));
    step();
    eventually("the others are dropped", || drops() == 10);
    assert_eq!((pool.kept(), other.kept()), (1, 0), "a destructor that panics stops nothing");
    step();
    eventually("all are dropped", || drops() == 11);
    assert_eq!(pool.kept(), 0);
    assert_eq!(ON_GS.load(Ordering::Relaxed), 11, "not on sysmon");
    // It begins anew, and a pool that is dropped meanwhile is forgotten.
    house.run(|| pool.put(Value(false)));
    drop(pool);
    assert_eq!(drops(), 12);
    step();
    house.close();
}
