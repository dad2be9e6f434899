//! Compiled with `panic = "abort"`, where nothing can be unwound: what works, and how a runtime ends. A test, which
//! `ci/profiles` runs: cargo compiles tests themselves so that they unwind.

use pirn_runtime::{Builder, GoBuilder, Runtime, go, lock_os_thread, park, sleep, yield_now};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn builder(shared: bool) -> Builder {
    let builder = Builder::new().procs(2);
    // SAFETY: nothing below keeps a thread-local over a suspension in this mode.
    if shared { unsafe { builder.shared_thread_locals() } } else { builder }
}

/// Gs of all kinds that never end.
fn leave_some(rt: &Runtime) {
    fn forever() {
        let _counted = Counted;
        loop {
            park();
        }
    }
    rt.go(forever);
    rt.go(|| {
        loop {
            sleep(Duration::from_secs(3600));
        }
    });
    rt.go(|| {
        loop {
            yield_now();
        }
    });
    rt.go(move || {
        let _locked = lock_os_thread();
        forever()
    });
    rt.go(move || go(forever).join());
    // They end while the runtime closes, or are left in a queue.
    (0..1000).for_each(|_| drop(rt.go(|| COUNT.set(COUNT.get() + 1))));
    rt.run(|| sleep(Duration::from_millis(5)));
}

fn main() {
    for shared in [false, true] {
        let rt = builder(shared).build().expect("it works where panics abort");
        let sum = rt.run(|| {
            let gs: Vec<_> = (0..100_usize)
                .map(|i| {
                    GoBuilder::new().go(move || {
                        yield_now();
                        sleep(Duration::from_micros(10));
                        i
                    })
                })
                .collect();
            gs.into_iter().map(|g| g.join().expect("no panic")).sum::<usize>()
        });
        assert_eq!(sum, 4950);
        assert!(rt.shutdown_timeout(Duration::from_secs(60)), "all Gs have ended");

        let began = Instant::now();
        let rt = builder(shared).build().expect("as above");
        leave_some(&rt);
        assert!(!rt.shutdown_timeout(Duration::from_secs(60)), "some are left");
        let rt = builder(shared).build().expect("as above");
        leave_some(&rt);
        rt.shutdown();
        let rt = builder(shared).build().expect("as above");
        leave_some(&rt);
        drop(rt);
        // None of the shutdowns has waited until its time was over, nor for ever.
        assert!(began.elapsed() < Duration::from_secs(60));
        assert_eq!(DROPPED.load(Ordering::Relaxed), 0, "Gs that are left are left whole");
    }
    println!("panics {}", if cfg!(panic = "abort") { "abort" } else { "unwind: this shows nothing" });
}
