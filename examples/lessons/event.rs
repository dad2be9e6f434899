//! An event tells many waiters at once, and those who come later.
//!
//! Python: `asyncio.Event`, `threading.Event`; Go: a channel that is closed. Different here: one event serves
//! goroutines, threads and async tasks, and it can be reset, which a closed channel cannot.

use pirn::channel::bounded;
use pirn::sync::Event;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const WAITERS: usize = 5;

static EVENT: Event = Event::new();
static TOLD: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn program() {
    let (here, all_here) = bounded(WAITERS + 1);
    let wait = move || {
        here.send(()).expect("there is room");
        EVENT.wait();
        TOLD.fetch_add(1, Ordering::Relaxed);
    };
    let gs = [(); WAITERS].map(|()| pirn::go(wait.clone()));
    let thread = thread::spawn(wait);
    // Their senders live until all have been told, so the channel does not end: count.
    all_here.iter().take(WAITERS + 1).for_each(drop);
    println!("told before it is set: {}", TOLD.load(Ordering::Relaxed));
    EVENT.set();
    gs.into_iter().for_each(|g| g.join().expect("it only waits"));
    thread.join().expect("it only waits");
    println!("told after it: {} goroutines and a thread", TOLD.load(Ordering::Relaxed) - 1);
    EVENT.wait();
    println!("a later wait returns at once");
    EVENT.reset();
    println!("after a reset a wait lasts: {}", !EVENT.wait_timeout(Duration::from_millis(5)));
}
