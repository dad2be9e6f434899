//! Who calls, and values of which each G has its own: the same in both thread-local modes.

mod common;

use common::{eventually, runtime};
use pirn_runtime::internal::GLocal;
use pirn_runtime::{GoBuilder, JoinHandle, current_gid, go, park, yield_now};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

static COUNT: GLocal<Cell<u64>> = GLocal::new(|| Cell::new(0));
/// It need not be `Send`.
static WORDS: GLocal<RefCell<Vec<Rc<str>>>> = GLocal::new(RefCell::default);

#[test]
fn a_g_knows_its_number() {
    assert_eq!(current_gid(), None);
    let rt = runtime(2);
    let gs: Vec<_> = (0..50)
        .map(|_| {
            rt.go(|| {
                let id = current_gid();
                yield_now();
                assert_eq!(current_gid(), id);
                id
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for g in gs {
        let id = g.id();
        assert_eq!(g.join().expect("no panic"), Some(id));
        assert!(seen.insert(id));
    }
}

#[test]
fn each_g_has_its_own() {
    let rt = runtime(2);
    COUNT.with(|count| count.set(1000));
    rt.run(|| {
        let count_up = |n: u64| {
            move || {
                for i in 0..n {
                    COUNT.with(|count| {
                        assert_eq!(count.get(), i);
                        // The reference stays good.
                        yield_now();
                        count.set(i + 1);
                    });
                    WORDS.with(|words| words.borrow_mut().push(i.to_string().into()));
                    yield_now();
                }
                WORDS.with(|words| words.borrow().len() as u64)
            }
        };
        let gs: Vec<_> = (0..200).map(|n| (n, go(count_up(n % 20)))).collect();
        for (n, g) in gs {
            assert_eq!(g.join().expect("no panic"), n % 20);
        }
        // In a record that others have used.
        assert_eq!(go(|| COUNT.with(Cell::get)).join().expect("no panic"), 0);
    });
    assert_eq!(COUNT.with(Cell::get), 1000, "the thread's own");
    assert_eq!(std::thread::spawn(|| COUNT.with(Cell::get)).join().expect("no panic"), 0);
}

/// How many have been dropped.
static DROPPED: AtomicUsize = AtomicUsize::new(0);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        // It may wait, as any destructor.
        yield_now();
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

static COUNTED: GLocal<Counted> = GLocal::new(|| Counted);

#[test]
fn it_is_destroyed_before_the_joiner_is_told() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let rt = runtime(2);
    let before = || DROPPED.load(Ordering::Relaxed);
    rt.run(|| {
        for _ in 0..100 {
            let was = before();
            go(|| COUNTED.with(|_| yield_now())).join().expect("no panic");
            assert_eq!(before(), was + 1);
        }
        let was = before();
        go(|| COUNTED.with(|_| panic!("on purpose"))).join().expect_err("a panic");
        assert_eq!(before(), was + 1);
    });
    let was = before();
    drop(rt.go(|| COUNTED.with(|_| ())));
    eventually("nobody waits for it", || before() == was + 1);
    // One that is unwound.
    let parked = rt.go(|| COUNTED.with(|_| park()));
    common::wait_until_waiting(&rt.handle(), parked.id());
    drop(rt);
    assert!(parked.join().is_err());
    assert_eq!(before(), was + 2);
}

/// Uses another in its destructor, which is made for that.
struct UsesAnother;

impl Drop for UsesAnother {
    fn drop(&mut self) {
        COUNTED.with(|_| ());
    }
}

static USES_ANOTHER: GLocal<UsesAnother> = GLocal::new(|| UsesAnother);

/// Is made anew whenever it is destroyed.
struct Phoenix;

impl Drop for Phoenix {
    fn drop(&mut self) {
        PHOENIX.with(|_| ());
    }
}

static PHOENIX: GLocal<Phoenix> = GLocal::new(|| Phoenix);

#[test]
fn what_destructors_make_is_destroyed_too() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let rt = runtime(1);
    rt.run(|| {
        let was = DROPPED.load(Ordering::Relaxed);
        go(|| USES_ANOTHER.with(|_| ())).join().expect("no panic");
        assert_eq!(DROPPED.load(Ordering::Relaxed), was + 1);
        // It comes to an end.
        go(|| PHOENIX.with(|_| ())).join().expect("no panic");
        let next = GoBuilder::new().go(|| COUNT.with(Cell::get));
        assert_eq!(next.join().expect("no panic"), 0);
    });
}

/// A result whose destructor uses a value.
struct UsesOne;

impl Drop for UsesOne {
    fn drop(&mut self) {
        COUNTED.with(|_| ());
    }
}

static OWN_HANDLE: GLocal<RefCell<Option<JoinHandle<UsesOne>>>> = GLocal::new(RefCell::default);

/// The handle goes while the values are destroyed, so the G drops its result after that.
#[test]
fn a_result_that_is_dropped_late_may_use_one() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let rt = runtime(1);
    let was = DROPPED.load(Ordering::Relaxed);
    rt.run(|| {
        let handle = Arc::new(Mutex::new(None));
        let given = handle.clone();
        let g = go(move || {
            OWN_HANDLE.with(|own| *own.borrow_mut() = given.lock().expect("no panic").take());
            UsesOne
        });
        *handle.lock().expect("no panic") = Some(g);
    });
    eventually("it has ended", || DROPPED.load(Ordering::Relaxed) == was + 1);
    assert_eq!(rt.run(|| go(|| COUNT.with(Cell::get)).join().expect("no panic")), 0);
}

/// One that asks for itself while it is made.
static NESTED: GLocal<Cell<u32>> = GLocal::new(|| {
    if DEPTH.with(|depth| depth.replace(depth.get() + 1)) == 0 {
        NESTED.with(|nested| nested.set(7));
    }
    Cell::new(0)
});
static DEPTH: GLocal<Cell<u32>> = GLocal::new(|| Cell::new(0));

#[test]
fn one_that_asks_for_itself_is_made_once() {
    let rt = runtime(1);
    assert_eq!(rt.run(|| NESTED.with(Cell::get)), 7);
    assert_eq!(NESTED.with(Cell::get), 7, "on a thread");
}

#[test]
fn thread_locals_end_after_it() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            let found = COUNT.try_with(Cell::get);
            FOUND.lock().expect("no panic").push(found);
        }
    }
    static FOUND: Mutex<Vec<Option<u64>>> = Mutex::new(Vec::new());
    thread_local! {
        static LAST: Last = const { Last };
    }
    if common::shares_thread_locals() {
        return;
    }
    let rt = runtime(1);
    rt.run(|| go(|| LAST.with(|_| COUNT.with(|count| count.set(5)))).join().expect("no panic"));
    assert_eq!(*FOUND.lock().expect("no panic"), [None]);
}
