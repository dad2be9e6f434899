//! first light of own thread-locals
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
thread_local! { static V: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) }; static R: Rc<u32> = Rc::new(5); }
#[test]
fn isolated() {
    let rt = pirn_runtime::Builder::new().procs(4).build().expect("isolated");
    for round in 0..20u64 {
        rt.run(move || {
            let gs: Vec<_> = (0..200u64)
                .map(|i| {
                    pirn_runtime::go(move || {
                        let r = R.with(|r| r.clone());
                        V.with(|v| {
                            assert!(v.borrow().is_empty());
                            let mut b = v.borrow_mut();
                            for k in 0..50 {
                                b.push(i * k);
                                if k % 7 == 0 {
                                    pirn_runtime::sleep(Duration::from_micros(i));
                                } else {
                                    pirn_runtime::yield_now();
                                }
                            }
                            assert_eq!(b.len(), 50);
                        });
                        let s = format!("{i} {round} {}", std::thread::current().name().is_none());
                        pirn_runtime::yield_now();
                        drop(r);
                        s.len()
                    })
                })
                .collect();
            for g in gs {
                g.join().expect("g");
            }
        });
    }
}
