//! Faults that a review has found, each with the test that would have found it.
//!
//! Each runs in a process of its own, once with shared and once with isolated thread-locals: what comes back would
//! hang, crash, or use up memory.

mod common;

use common::{Census, Rng, builder, child_case, eventually, house, rss_bytes, runtime, scale, seed, subprocess};
use common::{stress_secs, thread_number, threads_of, wait_until_asleep, wait_until_waiting};
use pirn_runtime::{GoBuilder, JoinHandle, Runtime, Unparker, current, go, park, sleep, time, try_go, yield_now};
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// How long what the fault would keep waiting is waited for.
const LATE: Duration = Duration::from_secs(10);

const GIB: usize = 1 << 30;

/// Runs `child`, which is all of the `#[test]` called `test`, in a process for each of the thread-local modes.
#[track_caller]
fn in_both_modes(test: &str, child: impl FnOnce()) {
    if child_case(test).is_some() {
        return child();
    }
    for mode in ["shared", "isolated"] {
        let ended = subprocess(test, mode, &[("PIRN_TEST_MODE", mode), ("PIRN_TEST_HANG_SECS", "60")]);
        ended.expect_success();
        assert!(ended.stdout.contains("1 passed"), "{test} is not what ran: {ended:#?}");
    }
}

/// How long a race is tried for.
fn limit() -> Duration {
    Duration::from_secs(stress_secs().min(3))
}

/// A runtime without the guard, whose handles would keep it.
fn unguarded(procs: usize) -> Runtime {
    builder().procs(procs).build().expect("a runtime for a test")
}

/// Panics without the hook's message.
fn fail<T: Send + 'static>(payload: T) -> ! {
    resume_unwind(Box::new(payload))
}

/// Runs its closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A flag that one G can wait for, also while it unwinds.
#[derive(Clone, Default)]
struct Gate(Arc<(AtomicBool, Mutex<Option<Unparker>>)>);

impl Gate {
    fn wait(&self) {
        let (open, waiter) = &*self.0;
        *waiter.lock().expect("nobody panics under it") = Some(Unparker::current());
        while !open.load(Ordering::Acquire) {
            park();
        }
    }

    fn open(&self) {
        let (open, waiter) = &*self.0;
        open.store(true, Ordering::Release);
        let waiter = waiter.lock().expect("nobody panics under it").clone();
        if let Some(waiter) = waiter {
            waiter.unpark();
        }
    }
}

/// Computes until it is true, or too late; says which.
fn spin_until(mut is_true: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !is_true() {
        if began.elapsed() > LATE {
            return false;
        }
        std::hint::spin_loop();
    }
    true
}

/// Computes for so long.
fn compute(time: Duration) {
    let began = Instant::now();
    spin_until(|| began.elapsed() > time);
}

/// The M that took a P over from the M of a G that unwinds was counted as searching, and did not say that it had found
/// something when its own P had it. Twice over, it counted as searching for good; with all Ps idle, who unparked a G
/// from outside then woke nobody. It failed before the fix.
#[test]
fn an_m_that_takes_over_a_p_does_not_search_for_ever() {
    in_both_modes("an_m_that_takes_over_a_p_does_not_search_for_ever", || {
        let rt = runtime(1);
        let (first, second) = (Gate::default(), Gate::default());
        let (send, sent) = mpsc::channel();
        let (own, other) = (first.clone(), second.clone());
        let g = rt.go(move || {
            let _waits = OnDrop({
                let own = own.clone();
                move || own.wait()
            });
            // It is behind this G in the queue, so that the P is handed over with work.
            let behind: JoinHandle<()> = go(move || {
                let _waits = OnDrop(move || {
                    own.open();
                    other.wait();
                });
                fail(2);
            });
            send.send(behind).expect("the test listens");
            fail(1);
        });
        let payload = g.join().expect_err("it panics");
        assert_eq!(payload.downcast_ref(), Some(&1));
        let behind = sent.recv().expect("it was sent");
        wait_until_waiting(&rt.handle(), behind.id());
        wait_until_asleep(|| threads_of("t0-"), 20);
        second.open();
        let payload = behind.join().expect_err("it panics");
        assert_eq!(payload.downcast_ref(), Some(&2));
        assert_eq!(rt.go(|| 5).join().expect("no panic"), 5);
    });
}

/// An M that took a P over was still counted as searching while it ran the first G that it had picked there: an idle P
/// was not woken for what that G started, for as long as it ran. It failed before the fix.
#[test]
fn a_g_that_picks_on_a_fresh_m_is_no_longer_searching() {
    in_both_modes("a_g_that_picks_on_a_fresh_m_is_no_longer_searching", || {
        let rt = runtime(2);
        let (busy, thread) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicI32::new(0)));
        let (held, says) = (busy.clone(), thread.clone());
        // Nobody else may come to the long G but the M that takes the P over.
        let hog = rt.go(move || {
            says.store(thread_number(), Ordering::Release);
            spin_until(|| !held.load(Ordering::Acquire))
        });
        eventually("one P is busy", || thread.load(Ordering::Acquire) != 0);
        let gate = Gate::default();
        let (send, sent) = mpsc::channel();
        let waits = gate.clone();
        let g = rt.go(move || {
            let _waits = OnDrop(move || waits.wait());
            let long = go(move || {
                busy.store(false, Ordering::Release);
                wait_until_asleep(|| vec![thread.load(Ordering::Acquire)], 20);
                let ran = Arc::new(AtomicUsize::new(0));
                for _ in 0..2 {
                    let ran = ran.clone();
                    drop(go(move || ran.fetch_add(1, Ordering::AcqRel)));
                }
                spin_until(|| ran.load(Ordering::Acquire) == 2)
            });
            send.send(long).expect("the test listens");
            fail(());
        });
        let long: JoinHandle<bool> = sent.recv().expect("it was sent");
        assert!(long.join().expect("no panic"), "what it started has waited although a P was idle");
        gate.open();
        assert!(g.join().is_err());
        assert!(hog.join().expect("no panic"));
    });
}

/// A start from another thread that had seen an open runtime, and was counted only when the shutdown had found no G
/// left, was accepted: its G neither ran nor was dropped, and `join` waited for ever. It failed before the fix.
#[test]
fn a_start_that_races_with_a_shutdown_is_refused_or_run() {
    const TEST: &str = "a_start_that_races_with_a_shutdown_is_refused_or_run";
    in_both_modes(TEST, || {
        let mut rng = Rng::new(seed(TEST));
        let (began, limit) = (Instant::now(), limit());
        let mut accepted = 0;
        for round in 0..6000 {
            if began.elapsed() > limit {
                break;
            }
            let census = Census::default();
            let mut house = runtime(1);
            let (handle, counts) = (house.handle(), census.clone());
            let starter = std::thread::spawn(move || {
                let mut started = Vec::new();
                loop {
                    let counted = counts.count();
                    match handle.try_go_with(GoBuilder::new(), move || drop(counted)) {
                        Ok(g) => started.push(g),
                        Err(error) => return (started, error.kind()),
                    }
                    // Not too many, or the shutdown is never at its end when another comes.
                    if started.len() % 64 == 0 {
                        assert!(spin_until(|| started.iter().all(JoinHandle::is_finished)), "one was lost");
                    }
                }
            });
            compute(Duration::from_micros(100 + rng.below(200) as u64));
            assert!(house.take().shutdown_timeout(LATE), "round {round}");
            let (started, refused) = starter.join().expect("no panic");
            assert_eq!(refused, ErrorKind::BrokenPipe);
            assert!(started.iter().all(JoinHandle::is_finished), "round {round}: a G is lost");
            assert_eq!(census.living(), 0, "round {round}");
            house.check_empty();
            accepted += started.len();
        }
        assert!(accepted > 0);
    });
}

/// The G records that a P kept for itself went away with its runtime, and each new runtime made new ones. It failed
/// before the fix.
#[test]
fn records_go_back_when_a_runtime_ends() {
    in_both_modes("records_go_back_when_a_runtime_ends", || {
        let once = || {
            let rt = runtime(2);
            rt.run(|| {
                let gs: Vec<_> = (0..200).map(|_| go(yield_now)).collect();
                gs.into_iter().for_each(|g| g.join().expect("no panic"));
            });
            rt.close();
        };
        (0..50).for_each(|_| once());
        let before = rss_bytes();
        (0..300).for_each(|_| once());
        let grown = rss_bytes().saturating_sub(before);
        eprintln!("{} KiB more", grown >> 10);
        assert!(grown < 3 << 20, "{grown} bytes more after 300 runtimes");
    });
}

/// Has the kernel refuse this process more than so many bytes of addresses more.
fn limit_address_space(more_bytes: usize) {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = text.split(' ').next().and_then(|n| n.parse().ok()).expect("the number of pages");
    let bytes = (pages * 4096 + more_bytes) as libc::rlim_t;
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: it reads `limit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// Starts so many Gs with the largest stacks, and ends them when all have one, or there is none left. Returns how many
/// had one at the same time. Their stacks lie in the caller's P afterwards, if the other one is busy.
fn with_large_stacks(most: usize) -> usize {
    let (end, have) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut gs = Vec::new();
    for _ in 0..most {
        let (end, have) = (end.clone(), have.clone());
        let started = GoBuilder::new().stack_size(GIB).try_go(move || {
            have.fetch_add(1, Ordering::AcqRel);
            while !end.load(Ordering::Acquire) {
                yield_now();
            }
        });
        let Ok(g) = started else { break };
        gs.push(g);
        for _ in 0..4 {
            yield_now();
        }
    }
    let had = have.load(Ordering::Acquire);
    end.store(true, Ordering::Release);
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
    had
}

/// Brings about that a G waits for a stack that the other P of its runtime keeps; false if it got one.
fn waits_for_a_stack_of_the_other_p() -> bool {
    let (begun, busy) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    let (begins, held) = (begun.clone(), busy.clone());
    let hog = go(move || {
        begins.store(true, Ordering::Release);
        spin_until(|| !held.load(Ordering::Acquire))
    });
    assert!(spin_until(|| begun.load(Ordering::Acquire)), "the other P comes for it");
    let all = with_large_stacks(64);
    assert!((1..64).contains(&all), "{all} stacks of 1 GiB");
    // This time nobody waits for one when they end, so they stay here, unless sysmon has taken the P meanwhile. If it did
    // that before, while there was one G with such a stack, the others lie in the cache of that P.
    let stay = all > 1 && with_large_stacks(all) == all;
    busy.store(false, Ordering::Release);
    if !stay {
        hog.join().expect("no panic");
        return false;
    }
    let ran = Arc::new(AtomicBool::new(false));
    let runs = ran.clone();
    let g = GoBuilder::new().stack_size(GIB).go(move || runs.store(true, Ordering::Release));
    // The other P picks it, for this one computes; and while it waits others are refused. Those that are not must not
    // end before it: then it would try again.
    let over = Arc::new(AtomicBool::new(false));
    let mut waits = false;
    assert!(spin_until(|| {
        compute(Duration::from_micros(500));
        let over = over.clone();
        let small = try_go(move || {
            while !over.load(Ordering::Acquire) {
                sleep(Duration::from_millis(1));
            }
        });
        waits = small.is_err_and(|e| e.kind() == ErrorKind::OutOfMemory);
        waits || ran.load(Ordering::Acquire)
    }));
    g.join().expect("no panic");
    over.store(true, Ordering::Release);
    hog.join().expect("no panic");
    waits
}

/// A G that found no stack waited for one to be given back, and not for those that lay in the cache of another P, which
/// kept them even when it was idle: it waited for ever, and new Gs were refused. It failed before the fix.
#[test]
fn a_g_that_waits_for_a_stack_gets_what_another_p_keeps() {
    in_both_modes("a_g_that_waits_for_a_stack_gets_what_another_p_keeps", || {
        // The stacks of the usual size have their place before there is a limit.
        runtime(1).run(|| ());
        limit_address_space(40 * GIB);
        let has_waited = (0..500).any(|_| {
            let rt = runtime(2);
            let has_waited = rt.run(waits_for_a_stack_of_the_other_p);
            assert_eq!(rt.go(|| 5).join().expect("it is not refused"), 5);
            has_waited
        });
        assert!(has_waited, "there was always a stack");
    });
}

/// Fills memory that has just been freed, so that who still reads it finds nonsense.
fn scribble() {
    let blocks: Vec<_> = (0..4096).map(|i| vec![0x5a_u8; 128 + 16 * (i % 512)]).collect();
    drop(std::hint::black_box(blocks));
}

/// A G may wait for what has to be waited for, a G of another runtime, when its own runtime is left at the timeout.
/// That one was freed, and the end of the other G then made a G of it ready. It failed before the fix.
#[test]
fn a_runtime_that_leaves_a_waiting_g_is_not_freed() {
    in_both_modes("a_runtime_that_leaves_a_waiting_g_is_not_freed", || {
        let (ends, census) = (Arc::new(AtomicBool::new(false)), Census::default());
        let other = Arc::new(unguarded(1));
        let (ended, counted, runs) = (ends.clone(), census.count(), other.clone());
        let rt = unguarded(1);
        let g = rt.go(move || {
            let _counted = counted;
            runs.run(|| spin_until(|| ended.load(Ordering::Acquire)))
        });
        wait_until_waiting(&rt.handle(), g.id());
        assert!(!rt.shutdown_timeout(Duration::from_millis(50)), "it can not be unwound");
        scribble();
        ends.store(true, Ordering::Release);
        // It has only one P: when this runs, the other G has told who waits for it.
        assert_eq!(other.run(|| 5), 5);
        assert!(!g.is_finished(), "its runtime is over, and it is left whole");
        assert_eq!((census.living(), runtime(2).run(|| 6)), (1, 6));
    });
}

/// A runtime that left a parked G behind at the timeout was freed; who unparked the G later used it. It failed before
/// the fix.
#[test]
fn a_g_that_was_left_behind_can_be_unparked() {
    in_both_modes("a_g_that_was_left_behind_can_be_unparked", || {
        let census = Census::default();
        let counted = census.count();
        let (send, sent) = mpsc::channel();
        let rt = unguarded(1);
        let g: JoinHandle<()> = rt.go(move || {
            let _counted = counted;
            send.send(Unparker::current()).expect("the test listens");
            loop {
                park();
            }
        });
        let unparker = sent.recv().expect("it was sent");
        wait_until_waiting(&rt.handle(), g.id());
        assert!(!rt.shutdown_timeout(Duration::ZERO));
        scribble();
        for _ in 0..3 {
            unparker.unpark();
        }
        assert!(!g.is_finished(), "nobody is left to run it");
        assert_eq!((census.living(), runtime(2).run(|| 5)), (1, 5));
    });
}

/// The G that an unpark from outside made ready could run, end, and its runtime with it, before that unpark was
/// through: it then used the freed runtime. Only ASAN saw it, so this one gives it as many chances as it can.
#[test]
fn an_unpark_from_outside_may_outlast_the_runtime() {
    in_both_modes("an_unpark_from_outside_may_outlast_the_runtime", || {
        let unparkers: Vec<_> = (0..2)
            .map(|_| {
                let (send, sent) = mpsc::channel::<(Unparker, Arc<AtomicBool>)>();
                let thread = std::thread::spawn(move || {
                    let mut unparked = 0;
                    for (unparker, done) in sent {
                        done.store(true, Ordering::Release);
                        unparker.unpark();
                        unparked += 1;
                    }
                    unparked
                });
                (send, thread)
            })
            .collect();
        let (began, limit) = (Instant::now(), limit());
        let mut rounds = 0;
        while rounds < scale(2000, 5000) && began.elapsed() < limit {
            let rt = unguarded(1 + rounds % 2);
            let gs: Vec<_> = unparkers
                .iter()
                .map(|(send, _)| {
                    let send = send.clone();
                    rt.go(move || {
                        let done = Arc::new(AtomicBool::new(false));
                        send.send((Unparker::current(), done.clone())).expect("it listens");
                        while !done.load(Ordering::Acquire) {
                            park();
                        }
                    })
                })
                .collect();
            gs.into_iter().for_each(|g| g.join().expect("it was unparked"));
            assert!(rt.shutdown_timeout(LATE));
            rounds += 1;
        }
        eprintln!("{rounds} rounds");
        for (send, thread) in unparkers {
            drop(send);
            assert_eq!(thread.join().expect("no panic"), rounds);
        }
        eventually("the threads have ended", || common::threads("pirn-") == 0);
    });
}

/// Ms that wait for the G that is locked to them, because it waits in a destructor while it unwinds, counted against
/// `max_threads`: when all did there was none to look at the timers, or to run anything else. It failed before the fix.
#[test]
fn ms_that_wait_for_their_gs_leave_room_for_others() {
    in_both_modes("ms_that_wait_for_their_gs_leave_room_for_others", || {
        let rt = house(builder().procs(1).max_threads(2));
        let gs: Vec<_> = (0..4)
            .map(|i| {
                rt.go(move || {
                    let _sleeps = OnDrop(|| sleep(Duration::from_millis(50)));
                    fail::<usize>(i);
                })
            })
            .collect();
        assert_eq!(rt.go(|| 5).join().expect("no panic"), 5);
        for (i, g) in gs.into_iter().enumerate() {
            let payload = g.join().expect_err("it panics");
            assert_eq!(payload.downcast_ref(), Some(&i));
        }
    });
}

/// A timer that came due during a shutdown could not start its G any more, and what its closure held was dropped on the
/// M's own stack: destructors did not run on a G, and one that panicked ended the process. It failed before the fix.
#[test]
fn what_a_timer_holds_is_dropped_on_a_g_while_a_runtime_ends() {
    in_both_modes("what_a_timer_holds_is_dropped_on_a_g_while_a_runtime_ends", || {
        for panics in [false, true] {
            let mut house = runtime(2);
            let (dropped, on_g) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let (drops, is_on_g) = (dropped.clone(), on_g.clone());
            let held = OnDrop(move || {
                is_on_g.store(current().is_some(), Ordering::Relaxed);
                drops.store(true, Ordering::Release);
                if panics {
                    fail("from a destructor");
                }
            });
            // The end waits for this one.
            let begun = Arc::new(AtomicBool::new(false));
            let (begins, seen) = (begun.clone(), dropped.clone());
            let first = house.go(move || {
                begins.store(true, Ordering::Release);
                spin_until(|| seen.load(Ordering::Acquire))
            });
            eventually("it runs", || begun.load(Ordering::Acquire));
            // Both Ps compute, so nobody looks at timers until the end has begun.
            let armed = Arc::new(AtomicBool::new(false));
            let arms = armed.clone();
            let second = house.go(move || {
                drop(time::after_func(Duration::from_millis(1), move || {
                    drop(held);
                    unreachable!("the runtime ends");
                }));
                arms.store(true, Ordering::Release);
                spin_until(|| {
                    compute(Duration::from_millis(2));
                    try_go(|| ()).is_err()
                })
            });
            eventually("it runs", || armed.load(Ordering::Acquire));
            assert!(house.take().shutdown_timeout(3 * LATE));
            assert!(second.join().expect("it saw the end"));
            assert!(first.join().expect("no panic"), "the timer was forgotten");
            assert!(on_g.load(Ordering::Relaxed), "dropped where no G is");
            house.check_empty();
        }
    });
}

/// What timers hold that are not due when the runtime ends is dropped by who shuts down: a destructor that panicked
/// came out of the shutdown. It failed before the fix.
#[test]
fn what_a_pending_timer_holds_may_panic_when_it_is_dropped() {
    in_both_modes("what_a_pending_timer_holds_may_panic_when_it_is_dropped", || {
        let census = Census::default();
        let house = runtime(2);
        house.run(|| {
            for i in 0..100 {
                let counted = census.count();
                let held = OnDrop(move || {
                    let _ = &counted;
                    if i == 50 {
                        fail("from a destructor");
                    }
                });
                drop(time::after_func(Duration::from_secs(3600), move || drop(held)));
            }
        });
        house.close();
        assert_eq!(census.living(), 0);
    });
}
