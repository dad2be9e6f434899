//! `Once`, `OnceLock` and `LazyLock`, for goroutines and threads.
//!
//! std's tests, each under its own name, from threads and, where several take part, from Gs too:
//! `library/std/tests/sync/once.rs`, all 7: `smoke_once`, `stampede_once`, `poison_bad`, `wait_for_force_to_finish`,
//! `wait` (`wait_for_one`), `wait_on_poisoned`, `wait_force_on_poisoned`.
//! `once_lock.rs`, all 14: `sync_once_cell`, `sync_once_cell_get_mut`, `sync_once_cell_drop`, `sync_once_cell_drop_empty`,
//! `clone`, `get_or_try_init`, `from_impl`, `partialeq_impl`, `into_inner`, `is_sync_send`, `eval_once_macro`,
//! `sync_once_cell_does_not_leak_partially_constructed_boxes`, `dropck`.
//! `lazy_lock.rs`: `sync_lazy_new`, `sync_lazy_default`, `static_sync_lazy`, `static_sync_lazy_via_fn`, `is_sync_send`,
//! `lazy_force_mut`, `lazy_poisoning`, `lazy_lock_deref_panic`, `lazy_lock_deref_mut_panic`,
//! `lazy_lock_preserves_closure_panic_message`. Left out: `lazy_default` and `lazy_type_inference`, which are about
//! `LazyCell`.
//!
//! Go's `src/sync/once_test.go`, `oncefunc_test.go` as semantics: `TestOnce` is `stampede_once`, `TestOncePanic` is
//! `poison_bad`. `OnceFunc`, `OnceValue` and `OnceValues` are `LazyLock`: `TestOnceFunc`, `TestOnceValue`,
//! `TestOnceValues` are `sync_lazy_new`; `TestOnceFuncPanic`, `TestOnceValuePanic`, `TestOnceValuesPanic` and
//! `TestOnceFuncPanicNil` are `lazy_poisoning`, but that later uses panic with a message of their own, as std's do, and
//! not with the same value. Left out: `TestOnceFuncGoexit`, as there is no Goexit; `TestOnceFuncPanicTraceback`, as the
//! hook has said where; `TestOnceXGC`, as there is no collector (`an_initialiser_is_dropped_when_it_has_run`).
//!
//! tokio's `OnceCell` (tests/sync_once_cell.rs), by `OnceLock`, whose `get_or_init_async` is its `get_or_init`, in `cell`:
//! `drop_cell` is `sync_once_cell_drop`, `drop_into_inner` is `into_inner`, `drop_cell_new_with`,
//! `drop_into_inner_new_with` and `from` are `from_impl`; `set_and_get`, `get_uninit` and `set_twice` are `sync_once_cell`.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, eventually, house, runtime};
use crew::{KINDS, Kind, everywhere, in_time, on_gs, wait_until_parked};
use pirn_channels::{bounded, unbounded};
use pirn_runtime::{ShutDown, block_on};
use pirn_sync::{LazyLock, Mutex, Once, OnceLock};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Panics without a word on stderr.
fn quiet_panic(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

/// What `f` panics with.
fn message_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("a message")).to_owned(),
    }
}

const POISONED: &str = "Once instance has previously been poisoned";
const LAZY_POISONED: &str = "LazyLock instance has previously been poisoned";
const RECURSION: &str = "the initialiser asks for what it initialises: it would wait for itself for ever";

// --------------------------------------------------------------------------------------------------------------- Once

#[test]
fn smoke_once() {
    static O: Once = Once::new();
    let mut a = 0;
    O.call_once(|| a += 1);
    assert_eq!(a, 1);
    O.call_once(|| a += 1);
    assert_eq!(a, 1);
    assert!(O.is_completed());
}

#[test]
fn stampede_once() {
    everywhere(|kind| {
        let shared = Arc::new((Once::new(), AtomicBool::new(false)));
        let call = |shared: &(Once, AtomicBool)| {
            shared.0.call_once(|| assert!(!shared.1.swap(true, Ordering::Relaxed)));
            assert!(shared.1.load(Ordering::Relaxed));
        };
        let workers: Vec<_> = (0..10)
            .map(|_| {
                let shared = shared.clone();
                kind.go(move || {
                    (0..4).for_each(|_| pirn_runtime::yield_now());
                    call(&shared);
                })
            })
            .collect();
        call(&shared);
        workers.into_iter().for_each(|worker| worker.join());
    });
}

#[test]
fn poison_bad() {
    let once = Once::new();
    assert_eq!(message_of(|| once.call_once(|| quiet_panic("a mistake"))), "a mistake");
    assert_eq!(message_of(|| once.call_once(|| ())), POISONED);
    assert!(!once.is_completed());
    let mut called = false;
    once.call_once_force(|state| {
        called = true;
        assert!(state.is_poisoned());
    });
    assert!(called);
    once.call_once(|| ());
    once.call_once_force(|_| unreachable!("one has run"));
}

#[test]
fn wait_for_force_to_finish() {
    everywhere(|kind| {
        let once = Arc::new(Once::new());
        message_of(|| once.call_once(|| quiet_panic("a mistake")));
        let (s1, r1) = unbounded();
        let (s2, r2) = unbounded();
        let other = once.clone();
        let first = kind.go(move || {
            other.call_once_force(|state| {
                assert!(state.is_poisoned());
                s1.send(()).unwrap();
                r2.recv().unwrap();
            });
        });
        r1.recv().unwrap();
        let second = kind.go_and_wait(move || once.call_once(|| unreachable!("another one runs")));
        s2.send(()).unwrap();
        first.join();
        second.join();
    });
}

#[test]
fn wait_for_one() {
    everywhere(|kind| {
        for _ in 0..50 {
            let shared = Arc::new((Once::new(), AtomicBool::new(false)));
            let workers = [(); 4].map(|()| {
                let shared = shared.clone();
                kind.go(move || {
                    shared.0.wait();
                    assert!(shared.1.load(Ordering::Relaxed));
                })
            });
            shared.0.call_once(|| shared.1.store(true, Ordering::Relaxed));
            workers.into_iter().for_each(|worker| worker.join());
        }
    });
}

#[test]
fn wait_on_poisoned() {
    let once = Once::new();
    message_of(|| once.call_once(|| quiet_panic("a mistake")));
    assert_eq!(message_of(|| once.wait()), POISONED);
}

#[test]
fn wait_force_on_poisoned() {
    everywhere(|kind| {
        let once = Arc::new(Once::new());
        message_of(|| once.call_once(|| quiet_panic("a mistake")));
        let other = once.clone();
        let waiter = kind.go_and_wait(move || other.wait_force());
        once.call_once_force(|_| ());
        waiter.join();
    });
}

#[test]
fn one_that_waits_hears_of_a_panic() {
    on_gs(|| {
        let once = Arc::new(Once::new());
        let (go_on, wait) = bounded(0);
        let other = once.clone();
        let runner = pirn_runtime::go(move || {
            other.call_once(|| {
                wait.recv().unwrap();
                quiet_panic("a mistake")
            })
        });
        wait_until_parked(&pirn_runtime::Handle::current().unwrap(), runner.id());
        let waiters: Vec<_> = [Once::wait as fn(&Once), |once| once.call_once(|| ())]
            .into_iter()
            .map(|wait| {
                let once = once.clone();
                Kind::G.go_and_wait(move || message_of(|| wait(&once)))
            })
            .collect();
        go_on.send(()).unwrap();
        waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join(), POISONED));
        runner.join().expect_err("it panicked");
    });
}

#[test]
fn an_initialiser_that_needs_itself_says_so() {
    everywhere(|_| {
        let once = Once::new();
        assert_eq!(message_of(|| once.call_once(|| once.call_once(|| ()))), RECURSION);
        assert_eq!(message_of(|| once.call_once(|| ())), POISONED);
        assert_eq!(message_of(|| once.call_once_force(|_| once.wait())), RECURSION);
        assert_eq!(message_of(|| once.call_once_force(|_| once.wait_force())), RECURSION);
        let cell = OnceLock::new();
        assert_eq!(message_of(|| _ = cell.get_or_init(|| *cell.get_or_init(|| 1))), RECURSION);
        assert_eq!(message_of(|| _ = cell.get_or_init(|| *cell.wait())), RECURSION);
        assert_eq!(message_of(|| _ = cell.get_or_init(|| cell.set(1).map_or(0, |()| 1))), RECURSION);
        assert_eq!(cell.get_or_init(|| 7), &7);
    });
    static A: LazyLock<u32> = LazyLock::new(|| *B + 1);
    static B: LazyLock<u32> = LazyLock::new(|| *A + 1);
    assert_eq!(message_of(|| _ = *A), RECURSION);
    assert_eq!(message_of(|| _ = *B), LAZY_POISONED);
}

/// A G may wait in an initialiser, and its P runs others meanwhile.
#[test]
fn an_initialiser_may_wait() {
    let house = runtime(1);
    house.run(|| {
        let once = Arc::new(Once::new());
        let (s, r) = bounded(0);
        let other = once.clone();
        let runner = Kind::G.go_and_wait(move || other.call_once(|| r.recv().unwrap()));
        let waiters: Vec<_> = (0..100)
            .map(|_| {
                let once = once.clone();
                Kind::G.go_and_wait(move || once.call_once(|| unreachable!()))
            })
            .collect();
        s.send(()).unwrap();
        waiters.into_iter().for_each(|waiter| waiter.join());
        runner.join();
    });
    house.close();
}

/// The G that runs an initialiser is unwound: it is as if it had not been called.
#[test]
fn a_shutdown_in_an_initialiser_is_no_panic() {
    type Lazies = (Once, OnceLock<u32>, LazyLock<u32>);
    let shared: Arc<Lazies> = Arc::new((
        Once::new(),
        OnceLock::new(),
        LazyLock::new(|| {
            pirn_runtime::sleep(Duration::from_secs(1000));
            1
        }),
    ));
    let uses: [fn(&Lazies); 3] = [
        |shared| shared.0.call_once(|| pirn_runtime::sleep(Duration::from_secs(1000))),
        |shared| {
            shared.1.get_or_init(|| {
                pirn_runtime::sleep(Duration::from_secs(1000));
                1
            });
        },
        |shared| _ = *shared.2,
    ];
    let mut house = house(builder().procs(2));
    let gs: Vec<_> = (0..3000)
        .map(|n| {
            let shared = shared.clone();
            house.go(move || uses[n % 3](&shared))
        })
        .collect();
    let handle = house.handle();
    eventually("all wait", || {
        handle.goroutines().iter().filter(|g| g.state == pirn_runtime::State::Waiting).count() == 3000
    });
    assert!(house.take().shutdown_timeout(Duration::from_secs(20)));
    for g in gs {
        let payload = g.join().expect_err("it was unwound");
        // One that was told that a lazy value is poisoned may say that.
        assert!(payload.is::<ShutDown>() || payload.downcast_ref::<&str>() == Some(&LAZY_POISONED));
    }
    house.check_empty();
    let mut called = false;
    shared.0.call_once(|| called = true);
    assert!(called);
    assert_eq!(shared.1.get_or_init(|| 7), &7);
    assert_eq!(message_of(|| _ = *shared.2), LAZY_POISONED);
}

#[test]
fn one_that_waits_says_what_for() {
    on_gs(|| {
        let once = Arc::new(Once::new());
        let (s, r) = bounded(0);
        let other = once.clone();
        let runner = Kind::G.go_and_wait(move || other.call_once(|| r.recv().unwrap()));
        let waiter = pirn_runtime::go(move || once.call_once(|| unreachable!()));
        let handle = pirn_runtime::Handle::current().unwrap();
        wait_until_parked(&handle, waiter.id());
        let g = handle.goroutines().into_iter().find(|g| g.id == waiter.id()).unwrap().to_string();
        assert!(g.contains("sync.Once.Do"), "{g}");
        s.send(()).unwrap();
        runner.join();
        waiter.join().unwrap();
    });
}

// ----------------------------------------------------------------------------------------------------------- OnceLock

#[test]
fn sync_once_cell() {
    everywhere(|kind| {
        let cell = Arc::new(OnceLock::new());
        assert!(cell.get().is_none());
        let other = cell.clone();
        kind.go(move || {
            other.get_or_init(|| 92);
            assert_eq!(other.get(), Some(&92));
        })
        .join();
        cell.get_or_init(|| panic!("Kaboom!"));
        assert_eq!(cell.get(), Some(&92));
    });
}

#[test]
fn sync_once_cell_get_mut() {
    let mut c = OnceLock::new();
    assert!(c.get_mut().is_none());
    c.set(90).unwrap();
    *c.get_mut().unwrap() += 2;
    assert_eq!(c.get_mut(), Some(&mut 92));
    assert_eq!(c.take(), Some(92));
    assert_eq!(c.get(), None);
    assert_eq!(c.set(1), Ok(()));
    assert_eq!(c.set(2), Err(2));
}

#[test]
fn sync_once_cell_drop() {
    struct Dropper(Arc<AtomicUsize>);
    impl Drop for Dropper {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    everywhere(|kind| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (x, other) = (OnceLock::new(), drops.clone());
        kind.go(move || {
            x.get_or_init(|| Dropper(other.clone()));
            assert_eq!(other.load(Ordering::Relaxed), 0);
            drop(x);
        })
        .join();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn sync_once_cell_drop_empty() {
    drop(OnceLock::<String>::new());
}

#[test]
fn clone() {
    let s = OnceLock::new();
    assert!(s.clone().get().is_none());
    s.set("hello".to_string()).unwrap();
    assert_eq!(s.clone().get().map(String::as_str), Some("hello"));
}

#[test]
fn get_or_try_init() {
    let cell: OnceLock<String> = OnceLock::new();
    message_of(|| _ = cell.get_or_try_init(|| -> Result<_, ()> { quiet_panic("a mistake") }));
    assert!(cell.get().is_none());
    assert_eq!(cell.get_or_try_init(|| Err(())), Err(()));
    assert_eq!(cell.get_or_try_init(|| Ok::<_, ()>("hello".to_string())), Ok(&"hello".to_string()));
    assert_eq!(cell.get(), Some(&"hello".to_string()));
}

#[test]
fn from_impl() {
    assert_eq!(OnceLock::from("value").get(), Some(&"value"));
    assert_ne!(OnceLock::from("foo").get(), Some(&"bar"));
}

#[test]
fn partialeq_impl() {
    assert!(OnceLock::from("value") == OnceLock::from("value"));
    assert!(OnceLock::from("foo") != OnceLock::from("bar"));
    assert!(OnceLock::<String>::new() == OnceLock::new());
    assert!(OnceLock::<String>::new() != OnceLock::from("value".to_owned()));
}

#[test]
fn into_inner() {
    assert_eq!(OnceLock::<String>::new().into_inner(), None);
    let cell = OnceLock::new();
    cell.set("hello".to_string()).unwrap();
    assert_eq!(cell.into_inner(), Some("hello".to_string()));
}

#[test]
fn is_sync_send() {
    fn assert_traits<T: Send + Sync>() {}
    assert_traits::<OnceLock<String>>();
    assert_traits::<LazyLock<String>>();
    assert_traits::<Once>();
}

#[test]
fn eval_once_macro() {
    macro_rules! eval_once {
        (|| -> $ty:ty { $($body:tt)* }) => {{
            static ONCE_CELL: OnceLock<$ty> = OnceLock::new();
            fn init() -> $ty { $($body)* }
            ONCE_CELL.get_or_init(init)
        }};
    }
    let fib: &'static Vec<i32> = eval_once! {
        || -> Vec<i32> {
            let mut res = vec![1, 1];
            for i in 0..10 {
                res.push(res[i] + res[i + 1]);
            }
            res
        }
    };
    assert_eq!(fib[5], 8);
}

#[test]
fn sync_once_cell_does_not_leak_partially_constructed_boxes() {
    everywhere(|kind| {
        let cell = Arc::new(OnceLock::<String>::new());
        let readers = [(); 10].map(|()| {
            let cell = cell.clone();
            kind.go(move || {
                loop {
                    if let Some(message) = cell.get() {
                        break message.clone();
                    }
                    pirn_runtime::yield_now();
                }
            })
        });
        let writers = [(); 3].map(|()| {
            let cell = cell.clone();
            kind.go(move || _ = cell.set("Hello, World".to_owned()))
        });
        readers.into_iter().for_each(|reader| assert_eq!(reader.join(), "Hello, World"));
        writers.into_iter().for_each(|writer| writer.join());
    });
}

#[test]
fn dropck() {
    let cell = OnceLock::new();
    {
        let s = String::new();
        cell.set(&s).unwrap();
    }
}

#[test]
fn all_kinds_wait_for_a_value() {
    on_gs(|| {
        let cell = Arc::new(OnceLock::new());
        let waiters: Vec<_> = KINDS
            .into_iter()
            .map(|kind| {
                let cell = cell.clone();
                kind.go_and_wait(move || match kind {
                    Kind::Task => *block_on(cell.wait_async()),
                    _ => *cell.wait(),
                })
            })
            .collect();
        // They are told, and wait on.
        message_of(|| _ = cell.get_or_init(|| quiet_panic("a mistake")));
        assert_eq!(cell.get_or_try_init(|| Err("an error")), Err("an error"));
        cell.set(7).unwrap();
        waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join(), 7));
    });
}

/// One fails, and the next that waits makes the value.
#[test]
fn those_that_wait_try_in_their_turn() {
    in_time(|| {
        on_gs(|| {
            let shared = Arc::new((OnceLock::new(), AtomicUsize::new(0)));
            let workers: Vec<_> = (0..50)
                .map(|_| {
                    let shared = shared.clone();
                    Kind::G.go(move || {
                        let result = shared.0.get_or_try_init(|| {
                            pirn_runtime::sleep(Duration::from_micros(50));
                            let n = shared.1.fetch_add(1, Ordering::Relaxed);
                            if n < 10 { Err(n) } else { Ok(n) }
                        });
                        result.copied()
                    })
                })
                .collect();
            let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            assert_eq!(results.iter().filter(|result| result.is_err()).count(), 10);
            assert!(results.iter().flatten().all(|n| *n == 10));
        });
    });
}

// ----------------------------------------------------------------------------------------------------------- LazyLock

#[test]
fn sync_lazy_new() {
    everywhere(|kind| {
        let called = Arc::new(AtomicUsize::new(0));
        let other = called.clone();
        let lazy = Arc::new(LazyLock::new(move || {
            other.fetch_add(1, Ordering::Relaxed);
            92
        }));
        assert_eq!(called.load(Ordering::Relaxed), 0);
        let other = lazy.clone();
        kind.go(move || assert_eq!(**other - 30, 62)).join();
        assert_eq!(called.load(Ordering::Relaxed), 1);
        assert_eq!(**lazy - 30, 62);
        assert_eq!(called.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn sync_lazy_default() {
    static CALLED: AtomicUsize = AtomicUsize::new(0);
    struct Foo(u8);
    impl Default for Foo {
        fn default() -> Foo {
            CALLED.fetch_add(1, Ordering::Relaxed);
            Foo(42)
        }
    }
    let lazy: LazyLock<Mutex<Foo>> = LazyLock::default();
    assert_eq!(CALLED.load(Ordering::Relaxed), 0);
    assert_eq!(lazy.lock().0, 42);
    lazy.lock().0 = 21;
    assert_eq!(lazy.lock().0, 21);
    assert_eq!(CALLED.load(Ordering::Relaxed), 1);
}

#[test]
fn static_sync_lazy() {
    static XS: LazyLock<Vec<i32>> = LazyLock::new(|| vec![1, 2, 3]);
    std::thread::spawn(|| assert_eq!(&*XS, &vec![1, 2, 3])).join().unwrap();
    assert_eq!(&*XS, &vec![1, 2, 3]);
}

#[test]
fn static_sync_lazy_via_fn() {
    fn xs() -> &'static Vec<i32> {
        static XS: OnceLock<Vec<i32>> = OnceLock::new();
        XS.get_or_init(|| vec![1, 2, 3])
    }
    assert_eq!(xs(), &vec![1, 2, 3]);
}

#[test]
fn lazy_force_mut() {
    let s = "abc".to_owned();
    let mut lazy = LazyLock::new(move || s);
    assert_eq!(LazyLock::get(&lazy), None);
    LazyLock::force_mut(&mut lazy);
    LazyLock::force_mut(&mut lazy).clear();
    assert_eq!(LazyLock::get(&lazy).map(String::as_str), Some(""));
    LazyLock::force_mut(&mut lazy);
}

#[test]
fn lazy_poisoning() {
    let x: LazyLock<String> = LazyLock::new(|| quiet_panic("kaboom"));
    assert_eq!(message_of(|| _ = x.len()), "kaboom");
    assert_eq!(message_of(|| _ = x.len()), LAZY_POISONED);
}

#[test]
fn lazy_lock_deref_panic() {
    let lazy: LazyLock<String> = LazyLock::new(|| quiet_panic("initialization failed"));
    message_of(|| _ = &*lazy);
    assert_eq!(message_of(|| _ = &*lazy), LAZY_POISONED);
}

#[test]
fn lazy_lock_deref_mut_panic() {
    let mut lazy: LazyLock<String> = LazyLock::new(|| quiet_panic("initialization failed"));
    message_of(|| _ = LazyLock::force_mut(&mut lazy));
    assert_eq!(message_of(|| _ = &*lazy), LAZY_POISONED);
    assert_eq!(message_of(|| _ = LazyLock::force_mut(&mut lazy)), LAZY_POISONED);
}

#[test]
fn lazy_lock_preserves_closure_panic_message() {
    let lazy: LazyLock<String> = LazyLock::new(|| quiet_panic("custom panic message from closure"));
    assert_eq!(message_of(|| _ = &*lazy), "custom panic message from closure");
}

#[test]
fn an_initialiser_is_dropped_when_it_has_run() {
    let owned = Arc::new(());
    let inside = owned.clone();
    let lazy = LazyLock::new(move || Arc::strong_count(&inside));
    assert_eq!(*lazy, 2);
    assert_eq!(Arc::strong_count(&owned), 1);
}

// ------------------------------------------------------------------------------------------------------ tokio's OnceCell

mod cell {
    use super::*;
    use crew::poll_once;
    use pirn_sync::Event;
    use std::pin::pin;

    #[test]
    fn get_or_init() {
        for kind in KINDS {
            on_gs(|| {
                let cell = Arc::new((OnceLock::new(), Event::new()));
                let runs = {
                    let cell = cell.clone();
                    Kind::Task.go_and_wait(move || {
                        let init = || async {
                            cell.1.wait_async().await;
                            5
                        };
                        *block_on(cell.0.get_or_init_async(init))
                    })
                };
                let waits = {
                    let cell = cell.clone();
                    kind.go_and_wait(move || match kind {
                        Kind::Task => *block_on(cell.0.get_or_init_async(|| async { 10 })),
                        _ => *cell.0.get_or_init(|| 10),
                    })
                };
                assert_eq!(cell.0.get(), None);
                cell.1.set();
                assert_eq!((runs.join(), waits.join()), (5, 5));
            });
        }
    }

    #[test]
    fn get_or_init_panic() {
        let cell = OnceLock::new();
        let panics =
            catch_unwind(AssertUnwindSafe(|| block_on(cell.get_or_init_async(|| async { quiet_panic("no") }))));
        assert!(panics.is_err());
        assert_eq!(cell.get(), None);
        assert_eq!(block_on(cell.get_or_init_async(|| async { 5 })), &5);
    }

    // get_or_try_init
    #[test]
    fn get_or_try_init_async() {
        let cell = OnceLock::new();
        assert_eq!(block_on(cell.get_or_try_init_async(|| async { Err::<u32, _>("no") })), Err("no"));
        assert_eq!(block_on(cell.get_or_try_init_async(|| async { Ok::<_, ()>(10) })), Ok(&10));
        assert_eq!(block_on(cell.get_or_try_init_async(|| async { Err::<u32, _>("no") })), Ok(&10));
    }

    // set_while_initializing: here `set` waits, and finds what the other has made.
    #[test]
    fn set_while_initializing() {
        let cell = Arc::new((OnceLock::new(), Event::new()));
        let mut runs = pin!(cell.0.get_or_init_async(|| async {
            cell.1.wait_async().await;
            5
        }));
        assert!(poll_once(&mut runs).is_pending());
        let sets = {
            let cell = cell.clone();
            Kind::Thread.go_and_wait(move || cell.0.set(10))
        };
        cell.1.set();
        assert_eq!(block_on(runs), &5);
        assert_eq!(sets.join(), Err(10));
    }

    #[test]
    fn one_that_is_dropped_lets_the_next_run() {
        let cell = OnceLock::new();
        let mut runs = Box::pin(cell.get_or_init_async(std::future::pending::<u32>));
        assert!(poll_once(&mut runs).is_pending());
        let mut waits = Box::pin(cell.get_or_init_async(|| async { 7 }));
        assert!(poll_once(&mut waits).is_pending());
        drop(runs);
        assert_eq!(block_on(waits), &7);
        // One that waits may be dropped too.
        let cell = OnceLock::<u32>::new();
        let mut runs = Box::pin(cell.get_or_init_async(std::future::pending));
        assert!(poll_once(&mut runs).is_pending());
        let mut waits = Box::pin(cell.wait_async());
        assert!(poll_once(&mut waits).is_pending());
        drop(waits);
        drop(runs);
        assert_eq!(cell.get(), None);
    }
}
