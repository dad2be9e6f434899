//! The two ways in which thread-locals break under Gs that change threads: in isolated mode they do not, and each test
//! shows in a child that in shared mode they do. If a child is well, its test proves nothing any more.

mod common;

use common::{Ferry, House, child_case, house, isolated, scale, subprocess, thread_number};
use pirn_runtime::{Builder, Unparker, go, park};
use scoped_tls::scoped_thread_local;
use std::cell::Cell;
use std::hint::black_box;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A runtime whose Gs do what they must not.
fn shared(procs: usize) -> House {
    // SAFETY: it is broken, and that is what the children show. No memory is: of all Gs one uses each thread-local at a
    // time, the threads that they belong to live as long as the runtime, and the scopes end in their order.
    house(unsafe { Builder::new().shared_thread_locals() }.procs(procs))
}

/// Checks in this process that nothing breaks in isolated mode, and in a child that something does in shared mode.
fn breaks_only_when_shared(test: &str, procs: usize, breakages: impl Fn(&House) -> usize) {
    if child_case(test).is_some() {
        let found = breakages(&shared(procs));
        eprintln!("{}", if found > 0 { "it broke" } else { "all was well" });
        return;
    }
    assert_eq!(breakages(&isolated(procs)), 0);
    subprocess(test, "shared", &[]).expect_success().expect_says("it broke");
}

// ---------------------------------------------------------------------------------------------- an address is kept

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Where the thread-local of the running thread lies: nothing that the caller knows tells the compiler.
#[inline(never)]
fn where_it_lies() -> usize {
    black_box(COUNT.with(|count| ptr::from_ref(count).addr()))
}

/// As `COUNT.with`, but of std's two doors to a thread-local this one is inlined between codegen units too.
#[inline(always)]
fn with_count<R>(f: impl FnOnce(&Cell<usize>) -> R) -> R {
    COUNT.try_with(f).expect("it has no destructor")
}

/// Counts, in the one that the caller has found. Returns whether that is the running thread's.
#[inline(never)]
fn count_in(count: &Cell<usize>) -> bool {
    count.set(black_box(count.get()) + 1);
    ptr::from_ref(count).addr() == where_it_lies()
}

/// Finds the thread-local anew each time round, as far as the source goes. Returns how often it found another thread's.
#[inline(never)]
fn count_and(go_on_elsewhere: &dyn Fn(), rounds: usize) -> usize {
    let mut wrong = 0;
    for _ in 0..rounds {
        wrong += usize::from(!with_count(count_in));
        go_on_elsewhere();
    }
    wrong
}

/// Compares where the thread-local was and is. Returns how often it looked unmoved although the thread's own is another.
#[inline(never)]
fn compare_and(go_on_elsewhere: &dyn Fn(), rounds: usize) -> usize {
    let mut wrong = 0;
    for _ in 0..rounds {
        let before = with_count(|count| ptr::from_ref(count).addr());
        go_on_elsewhere();
        let after = with_count(|count| ptr::from_ref(count).addr());
        wrong += usize::from((before == after) != (before == where_it_lies()));
    }
    wrong
}

/// Optimised code looks up a thread-local once and keeps the address over a call that changes the thread.
#[test]
#[cfg_attr(debug_assertions, ignore = "only optimised code keeps the address")]
fn the_address_of_a_thread_local_is_kept() {
    const ROUNDS: usize = 500;
    breaks_only_when_shared("the_address_of_a_thread_local_is_kept", 2, |rt| {
        let ferry = Ferry::new(rt);
        let crossing = ferry.crossing();
        let (wrong, threads) = rt.run(move || {
            let before = thread_number();
            crossing.cross();
            let threads = [before, thread_number()];
            let cross = || crossing.cross();
            let wrong = count_and(&cross, ROUNDS) + compare_and(&cross, ROUNDS);
            (wrong, threads)
        });
        assert_ne!(threads[0], threads[1], "it was moved");
        assert_eq!(ferry.moves(), 2 * ROUNDS + 1);
        wrong
    });
}

/// Without any optimisation: a reference, which safe code may hold over any call, goes on on another thread. `Cell` is
/// not `Sync`, yet two threads have it.
#[test]
fn a_reference_to_a_thread_local_is_kept() {
    let rounds = scale(100, 500);
    breaks_only_when_shared("a_reference_to_a_thread_local_is_kept", 2, |rt| {
        let ferry = Ferry::new(rt);
        let crossing = ferry.crossing();
        let wrong = rt.run(move || {
            COUNT.with(|count| {
                let moved = |_| {
                    crossing.cross();
                    ptr::from_ref(count).addr() != where_it_lies()
                };
                (0..rounds).map(moved).filter(|wrong| *wrong).count()
            })
        });
        assert_eq!(ferry.moves(), rounds);
        wrong
    });
}

// ---------------------------------------------------------------------------------------------- two in one scope

scoped_thread_local!(static WHO: char);

/// Waits until the step has come, and takes it.
struct Steps {
    next: AtomicUsize,
    waiters: [std::sync::OnceLock<Unparker>; 2],
}

impl Steps {
    fn take(&self, step: usize) {
        while self.next.load(Ordering::Acquire) != step {
            park();
        }
    }

    fn taken(&self, step: usize) {
        self.next.store(step + 1, Ordering::Release);
        self.waiters.iter().filter_map(|waiter| waiter.get()).for_each(Unparker::unpark);
    }
}

/// Two Gs on one thread enter a scope each, and look who they are. They leave in the order in which scopes end, so that
/// nothing dangles.
#[test]
fn two_gs_interleave_in_a_scoped_thread_local() {
    breaks_only_when_shared("two_gs_interleave_in_a_scoped_thread_local", 1, |rt| {
        rt.run(|| {
            let steps = Arc::new(Steps { next: AtomicUsize::new(0), waiters: Default::default() });
            let theirs = steps.clone();
            let b = go(move || {
                theirs.waiters[1].set(Unparker::current()).expect("set once");
                theirs.take(1);
                WHO.set(&'b', || {
                    theirs.taken(1);
                    theirs.take(3);
                });
                theirs.taken(3);
            });
            steps.waiters[0].set(Unparker::current()).expect("set once");
            let seen = WHO.set(&'a', || {
                steps.taken(0);
                steps.take(2);
                let seen = WHO.with(|who| *who);
                steps.taken(2);
                steps.take(4);
                seen
            });
            b.join().expect("no panic");
            usize::from(seen != 'a')
        })
    });
}
