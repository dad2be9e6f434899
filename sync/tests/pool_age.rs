//! A pool gives back what is not used, under a set clock.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{eventually, threads};
use pirn_runtime::internal::SetClock;
use pirn_sync::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(10);

static DROPS: AtomicUsize = AtomicUsize::new(0);

struct Value(bool);

impl Drop for Value {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::Relaxed);
        if self.0 {
            std::panic::resume_unwind(Box::new("a destructor's mistake"));
        }
    }
}

fn drops() -> usize {
    DROPS.load(Ordering::Relaxed)
}

/// One test: the thread that ages and the clock are the process's.
#[test]
fn what_is_not_used_is_dropped() {
    let clock = SetClock::take();
    let pool = Pool::new(|| Value(false));
    let other = Pool::new(|| Value(false));
    let step = || {
        eventually("the ager sleeps", || crew::common::naps(&crew::common::threads_of("pirn-pools")).is_some());
        std::thread::sleep(Duration::from_millis(20));
        clock.advance(PERIOD);
    };
    (0..10).for_each(|_| pool.put(Value(false)));
    other.put(Value(true));
    eventually("there is a thread", || threads("pirn-pools") == 1);
    step();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!((pool.kept(), other.kept(), drops()), (10, 1, 0), "they are not old enough");
    // One is used, and is young again.
    drop(pool.get());
    step();
    eventually("the others are dropped", || drops() == 10);
    assert_eq!((pool.kept(), other.kept()), (1, 0), "a destructor that panics stops nothing");
    step();
    eventually("all are dropped", || drops() == 11);
    assert_eq!(pool.kept(), 0);
    eventually("the thread has ended", || threads("pirn-pools") == 0);
    // It begins anew, and a pool that is dropped meanwhile is forgotten.
    pool.put(Value(false));
    eventually("there is a thread", || threads("pirn-pools") == 1);
    drop(pool);
    assert_eq!(drops(), 12);
    step();
    eventually("the thread has ended", || threads("pirn-pools") == 0);
}
