//! Ps that are taken from Gs that block or compute: nothing stalls, nothing is lost, and threads come and go.

mod common;
#[path = "common/hearing.rs"]
mod hearing;

use common::{builder, child_case, eventually, house, runtime, scale, subprocess, thread_number};
use hearing::hear;
use pirn_runtime::time::{Ticker, Timer, after_func};
use pirn_runtime::{GoBuilder, Unparker, blocking, go, lock_os_thread, num_goroutines, park, scope, sleep, yield_now};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

/// Blocks the calling thread, with no word to the runtime.
fn block(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// Computes until `over`, and calls nothing.
fn spin(over: &AtomicBool) -> u64 {
    let mut n = 1_u64;
    while !over.load(Ordering::Relaxed) {
        n = std::hint::black_box(n.rotate_left(5) ^ 7);
    }
    n
}

#[test]
fn others_run_while_all_ps_compute() {
    for procs in [1, 2] {
        let rt = runtime(procs);
        let over = Arc::new(AtomicBool::new(false));
        let hogs: Vec<_> = (0..2 * procs)
            .map(|_| {
                let over = over.clone();
                rt.go(move || spin(&over))
            })
            .collect();
        let ticks = rt.run(|| {
            let ticker = Ticker::new(Duration::from_millis(1));
            (0..50).map(|_| ticker.wait()).count()
        });
        assert_eq!(ticks, 50);
        assert!(hogs.iter().all(|hog| !hog.is_finished()));
        over.store(true, Ordering::Relaxed);
        hogs.into_iter().for_each(|hog| assert_ne!(hog.join().expect("no panic"), 0));
    }
}

/// All of them meet at a barrier of std: with a thread for each that is blocked it opens, else never.
#[test]
fn as_many_gs_may_block_as_there_may_be_threads() {
    for procs in [1, 2, 5] {
        let rt = runtime(procs);
        let barrier = Arc::new(Barrier::new(40));
        let gs: Vec<_> = (0..40)
            .map(|i| {
                let barrier = barrier.clone();
                rt.go(move || {
                    let _leads = if i % 2 == 0 { barrier.wait() } else { blocking(|| barrier.wait()) };
                    i
                })
            })
            .collect();
        let sum: usize = gs.into_iter().map(|g| g.join().expect("no panic")).sum();
        assert_eq!(sum, 40 * 39 / 2);
    }
}

#[test]
fn threads_come_and_go() {
    let rt = runtime(2);
    let prefix = rt.thread_prefix();
    // Each blocks its thread until all do.
    let all = Arc::new(Barrier::new(30));
    let gs: Vec<_> = (0..30).map(|_| all.clone()).map(|all| rt.go(move || all.wait().is_leader())).collect();
    let leaders = gs.into_iter().map(|g| g.join().expect("no panic")).filter(|leads| *leads).count();
    assert_eq!(leaders, 1);
    let most = common::threads(&prefix);
    assert!(most > 20, "{most} threads for 30 Gs that block");
    // Two that sleep, one keeper, sysmon, the template.
    eventually("threads that are not needed have gone", || common::threads(&prefix) <= 5);
    // And those that are left are enough for it all again.
    let gs: Vec<_> = (0..30).map(|_| rt.go(|| block(2))).collect();
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
}

/// A G that calls the runtime again and again, and never parks, lets others run at those calls: with one P and no
/// thread to spare nothing else would.
#[test]
fn calls_that_need_not_park_let_others_run() {
    let rt = house(builder().procs(1).max_threads(2));
    let over = Arc::new(AtomicBool::new(false));
    let starter = {
        let over = over.clone();
        rt.go(move || {
            let mut started = 0_u64;
            while !over.load(Ordering::Relaxed) {
                started += 1;
                drop(go(|| ()));
                // So that its queue never overflows, which is another reason to yield.
                while num_goroutines() > 100 && !over.load(Ordering::Relaxed) {
                    yield_now();
                }
            }
            started
        })
    };
    rt.run(|| (0..20).for_each(|_| sleep(Duration::from_millis(1))));
    over.store(true, Ordering::Relaxed);
    assert!(starter.join().expect("no panic") > 0);
}

/// Whatever a G calls again and again without a pause, the others have their turn: with one P they need its.
#[test]
fn a_loop_over_any_call_lets_others_run() {
    let rt = runtime(1);
    for (name, call) in entering_calls(&rt).into_iter().chain(other_calls(&rt)) {
        others_run_beside(&rt, name, call);
    }
}

/// A call that goes into the runtime checks in: it lets others run even where no thread is to be had that a P could be
/// handed to.
///
/// In a process of its own: a dump takes a lock of the process. On a busy machine it waits there for the dumps of other
/// tests for so long that its thread counts as blocked.
#[test]
fn a_loop_over_calls_into_the_runtime_needs_no_other_thread() {
    const TEST: &str = "a_loop_over_calls_into_the_runtime_needs_no_other_thread";
    if child_case(TEST).is_none() {
        subprocess(TEST, "alone", &[]).expect_success();
        return;
    }
    for procs in [1, 2] {
        let rt = house(builder().procs(procs).max_threads(procs + 1));
        let (over, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let blocked: Vec<_> = (0..procs)
            .map(|_| {
                let (until_over, begun) = (over.clone(), begun.clone());
                rt.go(move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    while !until_over.load(Ordering::Relaxed) {
                        block(10);
                    }
                })
            })
            .collect();
        eventually("they are blocked", || begun.load(Ordering::Relaxed) == procs);
        // One thread is left.
        rt.run(|| ());
        for (name, call) in entering_calls(&rt) {
            others_run_beside(&rt, name, call);
        }
        over.store(true, Ordering::Relaxed);
        blocked.into_iter().for_each(|g| g.join().expect("no panic"));
    }
}

/// While a G makes a call again and again another one has its turn, several times.
fn others_run_beside(rt: &common::House, name: &str, call: Call) {
    let over = Arc::new(AtomicBool::new(false));
    let until_over = over.clone();
    let body = move || {
        while !until_over.load(Ordering::Relaxed) {
            call();
        }
    };
    let caller = rt.handle().try_go_with(GoBuilder::new().name(name), body).expect("a G");
    rt.run(|| (0..3).for_each(|_| sleep(Duration::from_millis(1))));
    over.store(true, Ordering::Relaxed);
    caller.join().unwrap_or_else(|_| panic!("{name}"));
}

type Call = Box<dyn Fn() + Send + Sync>;

/// A call by its name.
fn call(name: &'static str, call: impl Fn() + Send + Sync + 'static) -> (&'static str, Call) {
    (name, Box::new(call))
}

/// A call on something that only a G can make.
fn call_on<T: Send + Sync + 'static>(
    rt: &common::House,
    name: &'static str,
    make: impl FnOnce() -> T + Send,
    call: impl Fn(&T) + Send + Sync + 'static,
) -> (&'static str, Call) {
    let made = rt.run(make);
    (name, Box::new(move || call(&made)))
}

/// Calls that go into the runtime.
fn entering_calls(rt: &common::House) -> Vec<(&'static str, Call)> {
    const HOUR: Duration = Duration::from_secs(3600);
    let [handle, metrics, goroutines, dump] = [(); 4].map(|()| rt.handle());
    let ended = rt.go(|| ());
    vec![
        call("num_goroutines", || _ = num_goroutines()),
        call("maxprocs", || _ = pirn_runtime::maxprocs()),
        call("current", || _ = pirn_runtime::current()),
        call("stack_use", || _ = pirn_runtime::stack_use()),
        call("Handle::current", || drop(pirn_runtime::Handle::current())),
        call("metrics", move || drop(metrics.metrics())),
        call("goroutines", move || drop(goroutines.goroutines())),
        call("dump", move || drop(dump.dump())),
        call("is_finished", move || _ = ended.is_finished()),
        call("go", || while_few(|| drop(go(|| ())))),
        call("Handle::go", move || while_few(|| drop(handle.go(|| ())))),
        call("yield_now", yield_now),
        call("sleep", || sleep(Duration::ZERO)),
        call("park_timeout", || pirn_runtime::park_timeout(Duration::ZERO)),
        call("lock_os_thread", || drop(lock_os_thread())),
        call("Timer", || drop(Timer::new(HOUR))),
        call_on(rt, "Timer::try_wait", || Timer::new(HOUR), |timer| _ = timer.try_wait()),
        call_on(rt, "Timer::reset", || Timer::new(HOUR), |timer| _ = timer.reset(HOUR)),
        call_on(rt, "Timer::stop", || Timer::new(HOUR), |timer| _ = timer.stop()),
        call_on(rt, "Ticker::try_wait", || Ticker::new(HOUR), |ticker| _ = ticker.try_wait()),
        call_on(rt, "Ticker::reset", || Ticker::new(HOUR), |ticker| ticker.reset(HOUR)),
        call("after_func", || _ = after_func(HOUR, || ()).stop()),
    ]
}

/// Calls that do not, or give up their P.
fn other_calls(rt: &common::House) -> Vec<(&'static str, Call)> {
    let handle = rt.handle();
    let ended = rt.go(|| ());
    let me = std::thread::current();
    vec![
        call("Handle::clone", move || drop(handle.clone())),
        call("JoinHandle::id", move || _ = ended.id()),
        call("scope", || scope(|_| ())),
        call("blocking", || blocking(|| ())),
        call("block_on", || pirn_runtime::block_on(async {})),
        call("Unparker::current", || drop(Unparker::current())),
        call("unpark itself", || Unparker::current().unpark()),
        call("unpark a thread", move || me.unpark()),
    ]
}

/// Starts one more, unless there are very many.
fn while_few(start: impl Fn()) {
    if num_goroutines() < 1000 {
        start();
    }
}

/// Many Gs that answer small requests hold no P for longer than others do, and do not count as a load of computations,
/// which is what makes slices longer.
#[test]
fn gs_that_block_shortly_and_often_let_all_begin() {
    // 10,000 where nothing else runs; 40,000 if they counted as a load of computations. Where the machine has other work,
    // sysmon may get a CPU late; not each time.
    let mut seen = Vec::new();
    while seen.last().is_none_or(|rounds| *rounds >= 20_000) {
        assert!(seen.len() < 5, "{seen:?} rounds of the first until the last had begun");
        seen.push(rounds_until_all_have_begun());
    }
}

/// The first one's rounds are the clock: it takes the same machine as the others.
fn rounds_until_all_have_begun() -> usize {
    let rt = runtime(1);
    let over = Arc::new(AtomicBool::new(false));
    let (begun, rounds) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gs: Vec<_> = (0..100)
        .map(|_| {
            let (over, begun, rounds) = (over.clone(), begun.clone(), rounds.clone());
            rt.go(move || {
                let nth = begun.fetch_add(1, Ordering::Relaxed);
                while !over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_micros(50));
                    if nth == 0 {
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    eventually("all have begun", || begun.load(Ordering::Relaxed) == 100);
    over.store(true, Ordering::Relaxed);
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
    rounds.load(Ordering::Relaxed)
}

#[test]
fn blocking_returns_what_it_is_told_and_lets_panics_through() {
    let rt = runtime(1);
    rt.run(|| {
        let ran = Arc::new(AtomicUsize::new(0));
        let other = ran.clone();
        let g = go(move || other.fetch_add(1, Ordering::SeqCst));
        // The only P goes to the other G at once, though this thread never lets go.
        let seen = blocking(|| {
            let began = Instant::now();
            while ran.load(Ordering::SeqCst) == 0 && began.elapsed() < Duration::from_secs(10) {
                std::hint::spin_loop();
            }
            ran.load(Ordering::SeqCst)
        });
        assert_eq!(seen, 1);
        g.join().expect("no panic");
        let payload = std::panic::catch_unwind(|| blocking(|| std::panic::resume_unwind(Box::new(5)))).expect_err("it");
        assert_eq!(payload.downcast_ref(), Some(&5));
        assert_eq!(blocking(|| blocking(|| 6)), 6);
    });
    assert_eq!(blocking(|| 7), 7);
}

/// What a G without a P calls: it may do everything.
#[test]
fn a_g_without_a_p_may_do_everything() {
    let rt = runtime(2);
    rt.run(|| {
        let sum = blocking(|| {
            let g = go(|| 1);
            let timer = pirn_runtime::time::Timer::new(Duration::from_millis(1));
            timer.wait();
            g.join().expect("no panic")
        });
        assert_eq!(sum, 1);
        let waker = Unparker::current();
        blocking(|| {
            go(move || waker.unpark());
            park();
        });
        blocking(|| scope(|s| drop(s.go(yield_now).join())));
        blocking(|| sleep(Duration::from_millis(1)));
        // It ends without one, and its record and stack are used again.
        for _ in 0..scale(200, 2000) {
            go(|| blocking(|| ())).join().expect("no panic");
            go(|| blocking(yield_now)).join().expect("no panic");
        }
    });
}

#[test]
fn a_locked_g_has_its_thread_to_itself() {
    for procs in [1, 3] {
        let rt = runtime(procs);
        let mine = Arc::new(Mutex::new(HashSet::new()));
        let over = Arc::new(AtomicBool::new(false));
        let others: Vec<_> = (0..4)
            .map(|_| {
                let (mine, over) = (mine.clone(), over.clone());
                rt.go(move || {
                    while !over.load(Ordering::Relaxed) {
                        let here = thread_number();
                        assert!(!mine.lock().expect("no panic").contains(&here), "a locked thread was used");
                        yield_now();
                    }
                })
            })
            .collect();
        let locked: Vec<_> = (0..3)
            .map(|_| {
                let mine = mine.clone();
                rt.go(move || {
                    let outer = lock_os_thread();
                    let here = thread_number();
                    assert!(mine.lock().expect("no panic").insert(here));
                    let inner = lock_os_thread();
                    for i in 0..20 {
                        match i % 5 {
                            0 => sleep(Duration::from_micros(100)),
                            1 => yield_now(),
                            2 => drop(go(thread_number).join().map(|there| assert_ne!(there, here))),
                            3 => blocking(|| block(1)),
                            _ => block(1),
                        }
                        assert_eq!(thread_number(), here);
                    }
                    drop(inner);
                    yield_now();
                    assert_eq!(thread_number(), here, "one lock is left");
                    assert!(mine.lock().expect("no panic").remove(&here));
                    drop(outer);
                })
            })
            .collect();
        for g in locked {
            g.join().expect("no panic");
        }
        over.store(true, Ordering::Relaxed);
        others.into_iter().for_each(|g| g.join().expect("no panic"));
    }
}

/// Whatever was done to the thread of a G that did not unlock it, no other G sees it.
#[test]
fn a_thread_that_was_not_unlocked_ends_with_its_g() {
    let rt = runtime(2);
    let tainted: Vec<i32> = (0..5)
        .map(|_| {
            let g = rt.go(|| {
                std::mem::forget(lock_os_thread());
                yield_now();
                thread_number()
            });
            g.join().expect("no panic")
        })
        .collect();
    let is_there = |tid: &i32| std::path::Path::new(&format!("/proc/self/task/{tid}")).exists();
    eventually("the threads have ended", || !tainted.iter().any(is_there));
    assert_eq!(rt.run(|| 3), 3);
}

#[test]
fn too_many_blocked_threads_are_reported() {
    const TEST: &str = "too_many_blocked_threads_are_reported";
    if child_case(TEST).is_some() {
        let rt = builder().procs(2).max_threads(4).name("small").build().expect("a runtime");
        let gs: Vec<_> = (0..10).map(|_| rt.go(|| block(60_000))).collect();
        gs.into_iter().for_each(|g| drop(g.join()));
        return;
    }
    let ended = subprocess(TEST, "blocked", &[]);
    assert_eq!(ended.status.code(), Some(2), "{ended:#?}");
    ended.expect_says("fatal error: thread exhaustion: the runtime \"small\" needs more than the 4 threads");
    ended.expect_says("Builder::max_threads");
}

/// With nothing to do there is nobody who looks: the process sleeps.
#[test]
fn an_idle_runtime_uses_no_time() {
    const TEST: &str = "an_idle_runtime_uses_no_time";
    if child_case(TEST).is_some() {
        let rt = runtime(2);
        let gs: Vec<_> = (0..10).map(|_| rt.go(park)).collect();
        rt.run(|| sleep(Duration::from_millis(20)));
        // Stacks are given back for a while.
        block(3000);
        let before = switches();
        block(1000);
        let rounds = switches() - before;
        // This thread's own, and one look a second whether somebody waits in vain.
        assert!(rounds < 20, "{rounds} rounds of an idle runtime");
        drop(gs);
        return;
    }
    subprocess(TEST, "idle", &[]).expect_success();
}

/// How often the threads of this process have gone to sleep.
fn switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?.to_owned();
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    tasks.filter_map(of).sum()
}

/// Whether a warning is about membarrier.
fn is_about_membarrier(event: &tracing::Event<'_>) -> bool {
    struct Looks(bool);
    impl tracing::field::Visit for Looks {
        fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            self.0 |= format!("{value:?}").contains("membarrier");
        }
    }
    let mut looks = Looks(false);
    event.record(&mut looks);
    looks.0
}

/// Has every thread of the process get EPERM from membarrier from now on.
fn refuse_membarrier() {
    let op = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut program = [
        // The number of the system call.
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_membarrier as u32),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: it takes numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: the program is good during the call.
    assert_eq!(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) }, 0);
}

#[test]
fn a_barrier_that_is_refused_later_is_said_once_and_does_no_harm() {
    const TEST: &str = "a_barrier_that_is_refused_later_is_said_once_and_does_no_harm";
    if child_case(TEST).is_some() {
        let said = Arc::new(AtomicBool::new(false));
        let heard = said.clone();
        hear(move |event| _ = heard.fetch_or(is_about_membarrier(event), Ordering::Relaxed));
        let rt = house(builder().procs(1).retake_eagerly());
        refuse_membarrier();
        // sysmon can not take the P, and says so.
        let hog = rt.go({
            let said = said.clone();
            move || spin(&said)
        });
        let others: Vec<_> = (0..100).map(|i| rt.go(move || yield_now_and_return(i))).collect();
        assert_ne!(hog.join().expect("no panic"), 0);
        // All else works: borrows are refused all the time meanwhile.
        others.into_iter().enumerate().for_each(|(i, g)| assert_eq!(g.join().expect("no panic"), i));
        let sum = rt.run(|| {
            let gs: Vec<_> = (0..1_000).map(|i| go(move || yield_now_and_return(i))).collect();
            gs.into_iter().map(|g| g.join().expect("no panic")).sum::<usize>()
        });
        assert_eq!(sum, 499_500);
        return;
    }
    let ended = subprocess(TEST, "", &[]);
    ended.expect_success().expect_says("pirn: the kernel refuses membarrier");
    assert_eq!(ended.stderr.matches("refuses membarrier").count(), 1, "{ended:#?}");
}

fn yield_now_and_return(i: usize) -> usize {
    yield_now();
    i
}
