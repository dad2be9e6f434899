//! To std a G with thread-locals of its own is a thread, also when it goes on on another one in between.

mod common;

use common::{
    Countdown, Crossing, Ferry, House, child_case, eventually, house, isolated, rss_bytes, scale, subprocess,
};
use pirn_runtime::{Builder, ShutDown, Unparker, go, park, yield_now};
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock, mpsc};
use std::thread::{self, panicking};
use std::time::Duration;

/// Runs something on a G, with what moves it to another thread.
fn on_a_g<T: Send + 'static>(f: impl FnOnce(&Crossing) -> T + Send + 'static) -> T {
    let rt = isolated(2);
    let ferry = Ferry::new(&rt);
    let crossing = ferry.crossing();
    let result = rt.run(move || f(&crossing));
    assert!(ferry.moves() > 0, "the test moves it");
    result
}

// ---------------------------------------------------------------------------------------------- threads

#[test]
fn threads_unpark_a_g_as_a_thread() {
    on_a_g(|crossing| {
        let me = thread::current();
        let told = Arc::new(AtomicBool::new(false));
        for told_early in [false, true] {
            let (theirs, flag) = (me.clone(), told.clone());
            let teller = thread::spawn(move || {
                flag.store(true, Ordering::Release);
                theirs.unpark();
            });
            if told_early {
                teller.join().expect("no panic");
                crossing.cross();
                thread::park();
            } else {
                while !told.load(Ordering::Acquire) {
                    thread::park();
                }
                teller.join().expect("no panic");
            }
            assert!(told.swap(false, Ordering::AcqRel));
        }
        // It can wake threads just as well.
        let waiter = thread::spawn(|| {
            thread::park();
            1
        });
        crossing.cross();
        waiter.thread().unpark();
        assert_eq!((waiter.join().expect("no panic"), thread::current().id()), (1, me.id()));
    });
}

#[test]
fn threads_borrow_from_a_g() {
    on_a_g(|crossing| {
        let numbers: Vec<usize> = (0..100).collect();
        let sum = AtomicUsize::new(0);
        let from_scope = thread::scope(|s| {
            let halves = numbers.chunks(50);
            let threads: Vec<_> =
                halves.map(|half| s.spawn(|| sum.fetch_add(half.iter().sum(), Ordering::Relaxed))).collect();
            crossing.cross();
            threads.len()
        });
        assert_eq!((from_scope, sum.into_inner()), (2, 4950));
        // Its panic is told to the G, and is not the G's.
        let failed = thread::scope(|s| {
            let fails = s.spawn(|| resume_unwind(Box::new(5)));
            crossing.cross();
            fails.join().map(|()| 0)
        });
        assert_eq!(failed.expect_err("it panics").downcast_ref(), Some(&5));
        assert!(!panicking());
    });
}

#[test]
fn a_g_waits_as_threads_wait() {
    on_a_g(|crossing| {
        let (send, receive) = mpsc::sync_channel(0);
        let (answer, answers) = mpsc::channel();
        let echo = thread::spawn(move || receive.iter().for_each(|n: u32| answer.send(n + 1).expect("it is kept")));
        for n in 0..20 {
            send.send(n).expect("it is kept");
            crossing.cross();
            assert_eq!(answers.recv(), Ok(n + 1));
        }
        drop(send);
        echo.join().expect("no panic");
        // A G has the lock, and the thread waits; then the other way round.
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let theirs = shared.clone();
        let mut turn = shared.0.lock().expect("nobody panics under it");
        let other = thread::spawn(move || {
            let turn = theirs.0.lock().expect("nobody panics under it");
            let mut turn = theirs.1.wait_while(turn, |turn| *turn != 1).expect("nobody panics under it");
            *turn = 2;
            theirs.1.notify_all();
        });
        crossing.cross();
        *turn = 1;
        shared.1.notify_all();
        drop(shared.1.wait_while(turn, |turn| *turn != 2).expect("nobody panics under it"));
        other.join().expect("no panic");
        let table = RwLock::new(1);
        let read = table.read().expect("nobody panics under it");
        crossing.cross();
        assert!(table.try_write().is_err());
        assert_eq!((*read, *table.try_read().expect("it is only read")), (1, 1));
    });
}

/// std's lock of stdout knows its owner by thread: the G has it again, and a thread does not.
#[test]
fn stdout_stays_locked_by_the_g() {
    on_a_g(|crossing| {
        let released = Arc::new(AtomicBool::new(false));
        let mut held = std::io::stdout().lock();
        let theirs = released.clone();
        let (ready, is_ready) = mpsc::channel();
        let other = thread::spawn(move || {
            ready.send(()).expect("it is kept");
            let _held = std::io::stdout().lock();
            theirs.load(Ordering::Acquire)
        });
        is_ready.recv().expect("it begins");
        crossing.cross();
        let mut again = std::io::stdout().lock();
        again.flush().expect("stdout");
        crossing.cross();
        drop(again);
        held.flush().expect("stdout");
        released.store(true, Ordering::Release);
        drop(held);
        assert!(other.join().expect("no panic"), "a thread had the lock of a G");
    });
}

// ---------------------------------------------------------------------------------------------- the process

#[test]
fn commands_and_addresses() {
    on_a_g(|crossing| {
        let mut cat = Command::new("cat");
        let mut cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("every system has it");
        let mut stdin = cat.stdin.take().expect("piped");
        crossing.cross();
        stdin.write_all(b"from a G").expect("it reads");
        drop(stdin);
        crossing.cross();
        let output = cat.wait_with_output().expect("the G's own child");
        assert!(output.status.success());
        assert_eq!(output.stdout, b"from a G");
        assert!(Command::new("/no/such/program").status().is_err());
        for _ in 0..5 {
            let found: Vec<SocketAddr> = ("localhost", 7).to_socket_addrs().expect("every system has it").collect();
            assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
            crossing.cross();
        }
    });
}

#[test]
fn the_environment_is_the_process_s() {
    const TEST: &str = "the_environment_is_the_process_s";
    if child_case(TEST).is_none() {
        subprocess(TEST, "", &[("FROM_OUTSIDE", "1")]).expect_success();
        return;
    }
    on_a_g(|crossing| {
        assert_eq!(common::env("FROM_OUTSIDE").as_deref(), Some("1"));
        // SAFETY: nobody but this test uses the environment of this child, and not now.
        unsafe { std::env::set_var("FROM_A_G", "2") };
        crossing.cross();
        assert_eq!(common::env("FROM_A_G").as_deref(), Some("2"));
        assert_eq!(thread::spawn(|| common::env("FROM_A_G")).join().expect("no panic").as_deref(), Some("2"));
        // A child gets it too.
        let said = Command::new("sh").args(["-c", "echo $FROM_A_G"]).output().expect("every system has it");
        assert_eq!(said.stdout, b"2\n");
    });
}

// ---------------------------------------------------------------------------------------------- panics

#[test]
fn a_panic_goes_on_after_a_move() {
    struct Moves<'a>(&'a Crossing, &'a Cell<u32>);
    impl Drop for Moves<'_> {
        fn drop(&mut self) {
            self.0.cross();
            assert!(panicking());
            self.1.set(self.1.get() + 1);
        }
    }
    on_a_g(|crossing| {
        let dropped = Cell::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _outer = Moves(crossing, &dropped);
            let payload = catch_unwind(AssertUnwindSafe(|| {
                let _inner = Moves(crossing, &dropped);
                resume_unwind(Box::new(String::from("on its way")));
            }))
            .expect_err("it unwinds");
            assert!(!panicking());
            crossing.cross();
            resume_unwind(payload);
        }));
        assert_eq!(caught.expect_err("it goes on").downcast_ref::<String>().expect("as it was"), "on its way");
        assert_eq!((dropped.get(), panicking()), (2, false));
        // Nobody else is unwinding: a lock that is let go of now is not poisoned.
        let lock = Mutex::new(());
        drop(lock.lock());
        assert!(!lock.is_poisoned());
    });
}

// ---------------------------------------------------------------------------------------------- destructors

/// Counts when it is dropped, and then does something.
struct OnDrop(Arc<AtomicUsize>, Option<Box<dyn FnOnce()>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
        if let Some(then) = self.1.take() {
            then();
        }
    }
}

thread_local! {
    static FIRST: RefCell<Option<OnDrop>> = const { RefCell::new(None) };
    static SECOND: RefCell<Option<OnDrop>> = const { RefCell::new(None) };
    static THIRD: RefCell<Option<OnDrop>> = const { RefCell::new(None) };
}

#[test]
fn destructors_use_thread_locals_for_the_first_time() {
    on_a_g(|crossing| {
        let dropped = Arc::new(AtomicUsize::new(0));
        for i in 1..=10 {
            let (crossing, counted) = (crossing.clone(), dropped.clone());
            let g = go(move || {
                let (second, third) = (counted.clone(), counted.clone());
                let use_third = move || {
                    assert!(FIRST.try_with(|_| ()).is_err() && SECOND.try_with(|_| ()).is_err(), "they have ended");
                    THIRD.set(Some(OnDrop(third, None)));
                };
                let use_second = move || {
                    crossing.cross();
                    assert!(FIRST.try_with(|_| ()).is_err(), "it ends just now");
                    SECOND.set(Some(OnDrop(second, Some(Box::new(use_third)))));
                    crossing.cross();
                };
                FIRST.set(Some(OnDrop(counted, Some(Box::new(use_second)))));
            });
            g.join().expect("no panic");
            assert_eq!(dropped.load(Ordering::Acquire), 3 * i, "each of the three once, before the G is joined");
        }
    });
}

/// In every way in which a G may end.
#[test]
fn destructors_run_once_however_a_g_ends() {
    const N: usize = 50;
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut rt: House = isolated(2);
    let parked = Countdown::new(2 * N);
    let keep = |dropped: &Arc<AtomicUsize>| FIRST.set(Some(OnDrop(dropped.clone(), None)));
    let start = |end: fn(&Countdown)| {
        let (dropped, parked) = (dropped.clone(), parked.clone());
        rt.go(move || {
            keep(&dropped);
            yield_now();
            end(&parked);
        })
    };
    for _ in 0..N {
        start(|_| ()).join().expect("no panic");
        start(|_| resume_unwind(Box::new(()))).join().expect_err("it panics");
    }
    assert_eq!(dropped.load(Ordering::Acquire), 2 * N, "of those that were joined");
    for _ in 0..N {
        drop(start(|_| ()));
    }
    eventually("those that nobody joined have ended", || rt.goroutines().is_empty());
    assert_eq!(dropped.load(Ordering::Acquire), 3 * N, "of those that nobody joined");
    let for_ever = |parked: &Countdown| {
        parked.done();
        loop {
            park();
        }
    };
    let handles: Vec<_> = (0..N).map(|_| start(for_ever)).collect();
    (0..N).for_each(|_| drop(start(for_ever)));
    parked.wait();
    assert_eq!(dropped.load(Ordering::Acquire), 3 * N, "of those that are parked none has run");
    assert!(rt.take().shutdown_timeout(Duration::from_secs(30)));
    assert_eq!(dropped.load(Ordering::Acquire), 5 * N, "of those that the shutdown unwound");
    for handle in handles {
        assert!(handle.join().expect_err("it was unwound").is::<ShutDown>());
    }
    rt.check_empty();
}

// ---------------------------------------------------------------------------------------------- nothing is left

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Counts(Vec<u8>);

impl Drop for Counts {
    fn drop(&mut self) {
        DROPPED.fetch_add(black_box(&self.0).len().min(1), Ordering::Relaxed);
    }
}

thread_local! {
    static KEPT: RefCell<Option<Counts>> = const { RefCell::new(None) };
}

/// Many Gs that each allocate, keep something for their end, and ask who they are.
fn start_and_join(rt: &House, gs: usize) {
    const TOGETHER: usize = 500;
    rt.run(move || {
        for round in 0..gs / TOGETHER {
            let all: Vec<_> = (0..TOGETHER)
                .map(|i| {
                    go(move || {
                        KEPT.set(Some(Counts(vec![1; 8 + (round + i) % 2_000])));
                        let text = black_box(vec![7_u8; 16 + i]);
                        thread::current().name().map_or(text.len(), str::len)
                    })
                })
                .collect();
            all.into_iter().enumerate().for_each(|(i, g)| assert_eq!(g.join().expect("no panic"), 16 + i));
        }
    });
}

fn leave_nothing(gs: usize) {
    let rt = isolated(2);
    start_and_join(&rt, 50_000);
    let (before, dropped) = (rss_bytes(), DROPPED.load(Ordering::Relaxed));
    start_and_join(&rt, gs);
    let grown = rss_bytes().saturating_sub(before);
    assert_eq!(DROPPED.load(Ordering::Relaxed) - dropped, gs, "not every destructor has run once");
    eprintln!("{gs} Gs: grown by {} KiB", grown >> 10);
    assert!(grown < 4 << 20, "it has grown by {} KiB", grown >> 10);
}

#[test]
fn two_million_gs_leave_nothing() {
    // It measures the whole process, so it has one of its own.
    const TEST: &str = "two_million_gs_leave_nothing";
    match child_case(TEST) {
        Some(_) => leave_nothing(scale(100_000, 2_000_000)),
        None => drop(subprocess(TEST, "", &[]).expect_success()),
    }
}

#[test]
#[ignore = "takes long: by hand, optimised, and alone"]
fn ten_million_gs_leave_nothing() {
    leave_nothing(10_000_000);
}

// ---------------------------------------------------------------------------------------------- both modes

thread_local! {
    static SEEN: Cell<usize> = const { Cell::new(0) };
}

/// One side of a game for two: each adds one in its turn and unparks the other.
struct Side {
    board: Arc<AtomicUsize>,
    players: Arc<[Mutex<Option<Unparker>>; 2]>,
    me: usize,
}

impl Side {
    fn pair() -> [Side; 2] {
        let (board, players) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        [0, 1].map(|me| Side { board: Arc::clone(&board), players: Arc::clone(&players), me })
    }

    fn play(&self, turns: usize, at_each: impl Fn(usize)) {
        *self.players[self.me].lock().expect("nobody panics under it") = Some(Unparker::current());
        for turn in 0..turns {
            while self.board.load(Ordering::Acquire) != 2 * turn + self.me {
                park();
            }
            at_each(turn);
            self.board.fetch_add(1, Ordering::AcqRel);
            // Who has not come yet will see the board.
            if let Some(other) = &*self.players[1 - self.me].lock().expect("nobody panics under it") {
                other.unpark();
            }
        }
    }
}

/// Pairs of Gs, one of each runtime, wake each other. Those with thread-locals of their own keep them borrowed; the
/// others use what they find, between two parks.
fn play_across(own: &House, shared: &House, pairs: usize) {
    let turns = scale(20, 100);
    let all: Vec<_> = (0..pairs)
        .map(|i| {
            let [ours, theirs] = Side::pair();
            let isolated = own.go(move || {
                assert_eq!(SEEN.replace(i + 1), 0, "it begins with another's");
                KEPT.with(|kept| {
                    let mut held = kept.borrow_mut();
                    *held = Some(Counts(vec![1; i + 1]));
                    ours.play(turns, |_| assert_eq!(SEEN.get(), i + 1));
                    assert_eq!(held.as_ref().expect("put there above").0.len(), i + 1);
                });
            });
            let shared = shared.go(move || theirs.play(turns, |_| SEEN.set(usize::MAX)));
            [isolated, shared]
        })
        .collect();
    all.into_iter().flatten().for_each(|g| g.join().expect("no panic"));
}

#[test]
fn both_modes_at_once() {
    let make_own = || isolated(2);
    // SAFETY: `play_across` keeps no thread-local over a suspension in the Gs of this one.
    let make_shared = || house(unsafe { Builder::new().shared_thread_locals() }.procs(2));
    let (mut own, mut shared) = (make_own(), make_shared());
    for round in 0..6 {
        play_across(&own, &shared, 100);
        // The free stacks of the one that ends are the other's to use.
        if round % 2 == 0 {
            std::mem::replace(&mut own, make_own()).close();
        } else {
            std::mem::replace(&mut shared, make_shared()).close();
        }
    }
}
