//! first light
use std::sync::Arc;
use std::sync::atomic::*;
fn rt(n: usize) -> pirn_runtime::Runtime {
    // SAFETY: test
    unsafe { pirn_runtime::Builder::new().procs(n).shared_thread_locals() }.build().unwrap()
}
#[test]
fn basics() {
    for n in [1, 2, 4] {
        let rt = rt(n);
        assert_eq!(rt.run(|| 3), 3);
        let s = rt.run(|| {
            let gs: Vec<_> = (0..1000u64)
                .map(|i| {
                    pirn_runtime::go(move || {
                        pirn_runtime::yield_now();
                        i
                    })
                })
                .collect();
            gs.into_iter().map(|g| g.join().unwrap()).sum::<u64>()
        });
        assert_eq!(s, 499500);
    }
}
#[test]
fn burst() {
    let rt = rt(2);
    rt.run(|| {
        let c = Arc::new(AtomicUsize::new(0));
        let me = pirn_runtime::Unparker::current();
        for _ in 0..1_000_000 {
            let (c, me) = (c.clone(), me.clone());
            pirn_runtime::go(move || {
                if c.fetch_add(1, Ordering::AcqRel) == 999_999 {
                    me.unpark()
                }
            });
        }
        while c.load(Ordering::Acquire) != 1_000_000 {
            pirn_runtime::park();
        }
        for i in 0..100 {
            pirn_runtime::sleep(std::time::Duration::from_micros(i * 10));
        }
    });
}
