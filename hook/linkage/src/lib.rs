//! A library that contains pirn with the feature `hook`.

use std::fs::read_dir;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// How many threads the process has at most while a hundred goroutines sleep. 0: they do not all end.
#[unsafe(no_mangle)]
pub extern "C" fn threads_while_gs_sleep() -> usize {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    pirn::run(|| {
        let nap = || {
            sleep(Duration::from_millis(200));
            ENDED.fetch_add(1, Ordering::Relaxed);
        };
        let sleepers: Vec<_> = (0..100).map(|_| pirn::go(nap)).collect();
        sleep(Duration::from_millis(100));
        let threads = read_dir("/proc/self/task").map_or(0, Iterator::count);
        sleepers.into_iter().for_each(|g| drop(g.join()));
        if ENDED.load(Ordering::Relaxed) == 100 { threads } else { 0 }
    })
}
