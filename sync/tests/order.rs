//! In which order those run that one call wakes.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::runtime;
use pirn_runtime::{go, yield_now};
use pirn_sync::context::{Cancel, Context};
use pirn_sync::{Barrier, Condvar, Event, Mutex, Notify, Semaphore};
use std::sync::Arc;
use std::time::Duration;

const WAITERS: usize = 5;

/// So many Gs on one P call `wait`, one after the other. When all wait, a new G is in runnext, and `wake` is called.
/// In which order they run then; the new one is the last number.
fn order<T: Send + Sync + 'static>(shared: T, wait: fn(&T), wake: fn(&T)) -> Vec<usize> {
    let shared = Arc::new(shared);
    let ran = Arc::new(std::sync::Mutex::new(Vec::new()));
    let house = runtime(1);
    house.run(|| {
        let start = |nth, does: fn(&T)| {
            let (shared, ran) = (shared.clone(), ran.clone());
            let g = go(move || {
                does(&shared);
                ran.lock().expect("nobody panics").push(nth);
            });
            // It begins to wait before the next one does.
            yield_now();
            g
        };
        let mut gs: Vec<_> = (0..WAITERS).map(|nth| start(nth, wait)).collect();
        let noted = ran.clone();
        gs.push(go(move || noted.lock().expect("nobody panics").push(WAITERS)));
        wake(&shared);
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
    });
    ran.lock().expect("nobody panics").clone()
}

/// Who is ready already runs first.
#[test]
fn those_that_one_call_tells_all_run_in_their_order() {
    let check = |name, order: Vec<usize>| assert_eq!(order, [5, 0, 1, 2, 3, 4], "{name}");
    let wait = |(mutex, condvar): &(Mutex<()>, Condvar)| condvar.wait(&mut mutex.lock());
    let notify = |(_, condvar): &(Mutex<()>, Condvar)| condvar.notify_all();
    check("Condvar::notify_all", order((Mutex::new(()), Condvar::new()), wait, notify));
    check("Event::set", order(Event::new(), Event::wait, Event::set));
    check("Notify::notify_waiters", order(Notify::new(), Notify::wait, Notify::notify_waiters));
    let pass = |barrier: &Barrier| _ = barrier.wait();
    check("Barrier::wait", order(Barrier::new(WAITERS + 1), pass, pass));
    let cancel = |(_, cancel): &(Context, Cancel)| cancel.cancel();
    let sleep = |(context, _): &(Context, Cancel)| _ = context.sleep(Duration::from_secs(3600));
    check("Cancel::cancel", order(Context::background().with_cancel(), sleep, cancel));
    let receive = |(context, _): &(Context, Cancel)| _ = context.done().recv();
    check("Context::done", order(Context::background().with_cancel(), receive, cancel));
}

/// The first one runs next, as it does where a call wakes only one.
#[test]
fn those_that_one_call_lets_in_run_in_their_order() {
    let acquire = |semaphore: &Semaphore| semaphore.acquire(1).expect("nobody closes it").forget();
    let order = order(Semaphore::new(0), acquire, |semaphore| semaphore.add_permits(WAITERS));
    assert_eq!(order, [0, 5, 1, 2, 3, 4]);
}
