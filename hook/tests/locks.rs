//! std's locks, unmodified, on Gs: they wait for futexes.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{eventually, house, isolated, scale, seed, shown_waiting, stress_secs};
use pirn_hook as _;
use pirn_runtime::{Builder, JoinHandle, go, yield_now};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Barrier, Condvar, Mutex, Once, OnceLock, RwLock};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

/// How many threads the process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

fn join_all<T>(gs: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    gs.into_iter().map(|g| g.join().expect("it has not panicked")).collect()
}

fn start<T: Send + 'static>(count: usize, f: impl Fn(usize) -> T + Clone + Send + 'static) -> Vec<JoinHandle<T>> {
    let start_one = |nth| {
        let f = f.clone();
        go(move || f(nth))
    };
    (0..count).map(start_one).collect()
}

#[test]
fn gs_take_turns_with_a_mutex() {
    let rounds = scale(20_000, 500_000);
    isolated(2).run(|| {
        let count = Arc::new(Mutex::new(0));
        join_all(start(8, {
            let count = count.clone();
            move |_| {
                for _ in 0..rounds {
                    *count.lock().unwrap() += 1;
                }
            }
        }));
        assert_eq!(*count.lock().unwrap(), 8 * rounds);
    });
}

#[test]
fn a_thousand_wait_for_a_mutex_that_is_held_over_a_sleep() {
    let rt = isolated(2);
    let before = threads();
    rt.run(|| {
        let count = Arc::new(Mutex::new(0));
        let held = count.lock().unwrap();
        let waiting = start(1_000, {
            let count = count.clone();
            move |nth| {
                let mut count = count.lock().unwrap();
                *count += 1;
                if nth % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        std::thread::sleep(SHORT);
        let now = threads();
        drop(held);
        join_all(waiting);
        assert_eq!(*count.lock().unwrap(), 1_000);
        // Others of this test program run at the same time.
        assert!(now <= before + 2 + 8 + 30, "{now} threads, and {before} before");
    });
}

#[test]
fn a_condvar_hands_a_turn_around() {
    const GS: usize = 100;
    let turns = scale(2_000, 20_000);
    isolated(2).run(|| {
        let turn = Arc::new((Mutex::new(0), Condvar::new()));
        join_all(start(GS, move |nth| {
            let (at, changed) = &*turn;
            loop {
                let mut at = changed.wait_while(at.lock().unwrap(), |at| *at % GS != nth && *at < turns).unwrap();
                if *at >= turns {
                    return;
                }
                *at += 1;
                changed.notify_all();
            }
        }));
    });
}

#[test]
fn waits_have_timeouts() {
    isolated(1).run(|| {
        let (lock, condvar) = (Mutex::new(()), Condvar::new());
        let began = Instant::now();
        let (_guard, result) = condvar.wait_timeout(lock.lock().unwrap(), SHORT).unwrap();
        assert!(result.timed_out() && began.elapsed() >= SHORT);
        let began = Instant::now();
        std::thread::park_timeout(SHORT);
        assert!(began.elapsed() >= SHORT);
        let (sender, receiver) = channel::<()>();
        assert!(receiver.recv_timeout(SHORT).is_err());
        drop(sender);
    });
}

#[test]
fn futexes_wait_by_each_clock() {
    isolated(1).run(|| {
        let word = AtomicU32::new(0);
        let now = |clock| {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: there is room.
            unsafe { libc::clock_gettime(clock, &raw mut time) };
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        };
        let real = libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME;
        for (operation, time) in [
            (libc::FUTEX_WAIT, SHORT),
            (libc::FUTEX_WAIT_BITSET, now(libc::CLOCK_MONOTONIC) + SHORT * 2),
            (real, now(libc::CLOCK_REALTIME) + SHORT * 3),
        ] {
            let began = Instant::now();
            let operation = operation | libc::FUTEX_PRIVATE_FLAG;
            let time = libc::timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
            let other = std::ptr::null::<u32>();
            // SAFETY: a word and a time that are there.
            let waited = unsafe {
                libc::syscall(libc::SYS_futex, word.as_ptr(), operation, 0, &raw const time, other, u32::MAX)
            };
            assert_eq!(waited, -1);
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ETIMEDOUT));
            // The clocks are read one after the other, and the real one may be set.
            assert!(began.elapsed() >= SHORT / 2, "{operation}");
        }
    });
}

#[test]
fn gs_and_threads_meet_at_a_barrier() {
    let rt = isolated(2);
    let barrier = Arc::new(Barrier::new(8));
    let meet = || {
        let barrier = barrier.clone();
        move || (0..200).filter(|_| barrier.wait().is_leader()).count()
    };
    let workers: Vec<_> = (0..4).map(|_| std::thread::spawn(meet())).collect();
    let gs = rt.run(|| join_all((0..4).map(|_| go(meet())).collect::<Vec<_>>()));
    let led: usize = workers.into_iter().map(|worker| worker.join().unwrap()).chain(gs).sum();
    assert_eq!(led, 200);
}

#[test]
fn barriers_channels_once_and_rwlocks() {
    isolated(2).run(|| {
        let (barrier, leaders) = (Arc::new(Barrier::new(100)), Arc::new(AtomicUsize::new(0)));
        join_all(start(100, {
            let leaders = leaders.clone();
            move |_| {
                for _ in 0..5 {
                    leaders.fetch_add(usize::from(barrier.wait().is_leader()), Ordering::Relaxed);
                }
            }
        }));
        assert_eq!(leaders.load(Ordering::Relaxed), 5);

        let (sender, receiver) = sync_channel(0);
        let send = go(move || (0..2_000).for_each(|nth| sender.send(nth).unwrap()));
        assert!(receiver.iter().eq(0..2_000));
        send.join().unwrap();

        static ONCE: Once = Once::new();
        static LOCK: OnceLock<usize> = OnceLock::new();
        let values = join_all(start(50, |nth| {
            ONCE.call_once(|| std::thread::sleep(SHORT));
            *LOCK.get_or_init(|| {
                std::thread::sleep(SHORT);
                nth
            })
        }));
        assert!(values.iter().all(|value| *value == values[0]));

        let shared = Arc::new(RwLock::new((0, 0)));
        join_all(start(20, {
            let shared = shared.clone();
            move |nth| {
                for _ in 0..100 {
                    if nth % 4 == 0 {
                        let mut pair = shared.write().unwrap();
                        pair.0 += 1;
                        yield_now();
                        pair.1 += 1;
                    } else {
                        let pair = shared.read().unwrap();
                        assert_eq!(pair.0, pair.1);
                        yield_now();
                    }
                }
            }
        }));
        assert_eq!(*shared.read().unwrap(), (500, 500));
    });
}

#[test]
fn gs_and_threads_share_a_lock_and_none_starves() {
    let rt = isolated(2);
    let (lock, counts) = (Arc::new(Mutex::new(())), Arc::new([0; 2].map(AtomicUsize::new)));
    let over = Arc::new(AtomicBool::new(false));
    let work = |kind: usize| {
        let (lock, counts, over) = (lock.clone(), counts.clone(), over.clone());
        move || {
            while !over.load(Ordering::Relaxed) {
                let _guard = lock.lock().unwrap();
                counts[kind].fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    };
    let workers: Vec<_> = (0..3).map(|_| std::thread::spawn(work(0))).collect();
    let gs = rt.run(|| (0..3).map(|_| go(work(1))).collect::<Vec<_>>());
    eventually("each kind has had it", || counts.iter().all(|count| count.load(Ordering::Relaxed) > 20));
    over.store(true, Ordering::Relaxed);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    rt.run(|| join_all(gs));
}

#[test]
fn gs_and_threads_pass_a_turn() {
    let rt = isolated(1);
    let turn = Arc::new((Mutex::new(0_u32), Condvar::new()));
    let play = |mine: u32| {
        let turn = turn.clone();
        move || {
            let (at, changed) = &*turn;
            for _ in 0..500 {
                let mut at = changed.wait_while(at.lock().unwrap(), |at| *at % 2 != mine).unwrap();
                *at += 1;
                changed.notify_one();
            }
        }
    };
    let thread = std::thread::spawn(play(0));
    rt.run(|| go(play(1)).join().unwrap());
    thread.join().unwrap();
    assert_eq!(*turn.0.lock().unwrap(), 1_000);
}

#[test]
fn std_park_and_scope() {
    isolated(1).run(|| {
        let me = std::thread::current();
        let unparks = Arc::new(AtomicU32::new(0));
        let done = unparks.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(SHORT);
            done.store(1, Ordering::Release);
            me.unpark();
        });
        while unparks.load(Ordering::Acquire) == 0 {
            std::thread::park();
        }
        thread.join().unwrap();
        let mut sum = 0;
        std::thread::scope(|s| {
            s.spawn(|| {
                std::thread::sleep(SHORT);
                sum = 1;
            });
        });
        assert_eq!(sum, 1);
    });
}

#[test]
fn dumps_name_the_word_and_a_shutdown_waits() {
    let rt = isolated(2);
    let lock = Arc::new((Mutex::new(false), Condvar::new()));
    let waiter = lock.clone();
    rt.run(|| {
        go(move || {
            let mut is_set = waiter.0.lock().unwrap();
            while !*is_set {
                is_set = waiter.1.wait(is_set).unwrap();
            }
        });
    });
    let dump = shown_waiting(&rt.handle(), "futex");
    assert!(dump.contains("[futex, 0x"), "{dump}");
    let thread = std::thread::spawn(move || {
        std::thread::sleep(SHORT * 2);
        *lock.0.lock().unwrap() = true;
        lock.1.notify_one();
    });
    let began = Instant::now();
    rt.close();
    assert!(began.elapsed() >= SHORT);
    thread.join().unwrap();
}

#[test]
fn two_runtimes_share_a_lock() {
    let (a, b) = (isolated(1), isolated(1));
    let count = Arc::new(Mutex::new(0));
    let all: Vec<_> = [&a, &b, &a, &b]
        .into_iter()
        .map(|rt| {
            let count = count.clone();
            rt.run(|| {
                go(move || {
                    for _ in 0..500 {
                        let mut count = count.lock().unwrap();
                        yield_now();
                        *count += 1;
                    }
                })
            })
        })
        .collect();
    all.into_iter().for_each(|g| g.join().unwrap());
    assert_eq!(*count.lock().unwrap(), 2_000);
}

/// What runs on an M's own stack is inside the runtime: it waits in the kernel, and leaves its wakes to sysmon.
#[test]
fn code_of_ours_inside_the_runtime_wakes_gs() {
    static IS_HELD: AtomicBool = AtomicBool::new(false);
    static IS_WAITED_FOR: AtomicBool = AtomicBool::new(false);
    let a = isolated(1);
    let lock = Arc::new(Mutex::new(()));
    let held = lock.clone();
    let holds = move || {
        let _held = held.lock().unwrap();
        IS_HELD.store(true, Ordering::Release);
        eventually("it is waited for", || IS_WAITED_FOR.load(Ordering::Acquire));
    };
    let b = house(Builder::new().procs(1).on_thread_start(holds));
    eventually("it is held", || IS_HELD.load(Ordering::Acquire));
    let g = a.run(|| go(move || drop(lock.lock().unwrap())));
    eventually("it waits", || a.handle().goroutines().iter().any(|g| g.wait_reason == Some("futex")));
    IS_WAITED_FOR.store(true, Ordering::Release);
    g.join().unwrap();
    b.run(|| ());
}

#[test]
fn the_kernel_says_what_is_wrong() {
    isolated(1).run(|| {
        let word = AtomicU32::new(0);
        let wait = |operation: libc::c_int, expected: u32, bits: u32| {
            let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            let none = std::ptr::null::<u32>();
            // SAFETY: a word and a time that are there.
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, &raw const time, none, bits) }
        };
        let errno = || std::io::Error::last_os_error().raw_os_error();
        for private in [0, libc::FUTEX_PRIVATE_FLAG] {
            assert_eq!((wait(libc::FUTEX_WAIT | private, 1, 0), errno()), (-1, Some(libc::EAGAIN)));
            assert_eq!((wait(libc::FUTEX_WAIT | private, 0, 0), errno()), (-1, Some(libc::ETIMEDOUT)));
            // A moment long ago.
            assert_eq!((wait(libc::FUTEX_WAIT_BITSET | private, 0, 1), errno()), (-1, Some(libc::ETIMEDOUT)));
            assert_eq!((wait(libc::FUTEX_WAIT_BITSET | private, 0, 0), errno()), (-1, Some(libc::EINVAL)));
            assert_eq!(wait(libc::FUTEX_WAKE | private, 1, 0), 0);
        }
        // Another system call, with all its arguments.
        // SAFETY: it has no preconditions.
        assert_eq!(unsafe { libc::syscall(libc::SYS_getpid) }, i64::from(std::process::id()));
    });
}

#[test]
fn a_wake_says_how_many_and_whom() {
    let rt = isolated(1);
    let word: Arc<AtomicU32> = Arc::default();
    let call = |operation: libc::c_int, value: u32, bits: u32, word: &AtomicU32| {
        let none = std::ptr::null::<u32>();
        let operation = operation | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: a word that is there, without a time.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, none, none, bits) }
    };
    let waiting: Vec<_> = [1, 2, 2, 3]
        .into_iter()
        .map(|bits| {
            let word = word.clone();
            rt.run(|| go(move || call(libc::FUTEX_WAIT_BITSET, 0, bits, &word)))
        })
        .collect();
    eventually("all wait", || rt.handle().goroutines().iter().filter(|g| g.wait_reason == Some("futex")).count() == 4);
    assert_eq!(call(libc::FUTEX_WAKE_BITSET, 9, 4, &word), 0);
    assert_eq!(call(libc::FUTEX_WAKE_BITSET, 1, 2, &word), 1);
    assert_eq!(call(libc::FUTEX_WAKE_BITSET, 9, 2, &word), 2);
    assert_eq!(call(libc::FUTEX_WAKE, 9, 0, &word), 1);
    assert_eq!(call(libc::FUTEX_WAKE, 9, 0, &word), 0);
    assert!(waiting.into_iter().all(|g| g.join().unwrap() == 0));
}

#[test]
fn what_moves_threads_wakes_gs() {
    let rt = isolated(2);
    static WORDS: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
    let call = |operation: i32, first: usize, value: u32, most: usize, last: u32| {
        let operation = operation | libc::FUTEX_PRIVATE_FLAG;
        let (first, other) = (WORDS[first].as_ptr(), WORDS[1].as_ptr());
        // SAFETY: the words are there for ever; `most` is in the place of a time that there is not.
        unsafe { libc::syscall(libc::SYS_futex, first, operation, value, most, other, last) }
    };
    for operation in [libc::FUTEX_REQUEUE, libc::FUTEX_CMP_REQUEUE, libc::FUTEX_WAKE_OP] {
        rt.run(|| {
            for word in [0, 0, 1] {
                go(move || assert_eq!(call(libc::FUTEX_WAIT, word, 0, 0, 0), 0));
            }
        });
        let waiting = || rt.handle().goroutines().iter().filter(|g| g.wait_reason == Some("futex")).count();
        eventually("all wait", || waiting() == 3);
        if operation == libc::FUTEX_CMP_REQUEUE {
            assert_eq!(call(operation, 0, 1, 9, 7), -1);
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EAGAIN));
            assert_eq!(waiting(), 3);
        }
        // The operation of FUTEX_WAKE_OP: the other word becomes 0, and is compared with 0.
        let expected = if operation == libc::FUTEX_WAKE_OP { 3 } else { 2 };
        assert_eq!(call(operation, 0, 1, 9, 0), expected);
        eventually("they go on", || waiting() == 3 - expected as usize);
        call(libc::FUTEX_WAKE, 1, 9, 0, 0);
        eventually("no G is left", || rt.handle().goroutines().is_empty());
    }
}

/// Waits for a word, by a system call that is made by hand, until it is woken.
fn wait_by_hand(word: &AtomicU32, expected: u32) {
    let (operation, none) = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, 0_usize);
    // SAFETY: a word that is there, without a time.
    unsafe {
        std::arch::asm!(
            "syscall", inlateout("rax") libc::SYS_futex => _, in("rdi") word.as_ptr(), in("rsi") operation,
            in("rdx") expected, in("r10") none, out("rcx") _, out("r11") _, options(nostack)
        );
    }
}

/// A thread that is not counted waits where a G is woken: a wake of all is for it too, though not at once; also if the
/// runtime closes then.
#[test]
fn a_wake_of_all_is_for_a_thread_that_nobody_knows() {
    for closes in [false, true, false, true] {
        static WORD: AtomicU32 = AtomicU32::new(0);
        static TID: AtomicU32 = AtomicU32::new(0);
        TID.store(0, Ordering::Relaxed);
        let before = WORD.load(Ordering::Relaxed);
        let call = |operation: libc::c_int, value: u32| {
            let (operation, none) = (operation | libc::FUTEX_PRIVATE_FLAG, 0_usize);
            // SAFETY: a word that is there, without a time.
            unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), operation, value, none, none, 0) }
        };
        let thread = std::thread::spawn(move || {
            // SAFETY: it has no preconditions.
            TID.store(unsafe { libc::gettid() } as u32, Ordering::Relaxed);
            wait_by_hand(&WORD, before);
        });
        eventually("the thread sleeps", || {
            let tid = TID.load(Ordering::Relaxed);
            let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat"));
            tid != 0 && stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')))
        });
        let rt = isolated(2);
        let waits = rt.run(|| go(move || call(libc::FUTEX_WAIT, before)));
        eventually("the G waits", || rt.handle().goroutines().iter().any(|g| g.wait_reason == Some("futex")));
        rt.run(|| {
            WORD.store(before + 1, Ordering::Relaxed);
            assert!(call(libc::FUTEX_WAKE, i32::MAX as u32) >= 1);
        });
        assert_eq!(waits.join().unwrap(), 0);
        if closes {
            drop(rt);
            eventually("it goes on when the runtime has closed", || thread.is_finished());
        } else {
            eventually("it goes on", || thread.is_finished());
            drop(rt);
        }
        thread.join().unwrap();
    }
}

/// Each change of a word is seen by a thread that is not counted, while Gs wait for the same words.
#[test]
fn threads_that_nobody_knows_follow_each_change() {
    const WORDS: usize = 4;
    const END: u32 = u32::MAX;
    static WORD: [AtomicU32; WORDS] = [const { AtomicU32::new(0) }; WORDS];
    static SEEN: [AtomicU32; WORDS] = [const { AtomicU32::new(0) }; WORDS];
    fn call(nth: usize, operation: libc::c_int, value: u32) {
        let (operation, none) = (operation | libc::FUTEX_PRIVATE_FLAG, 0_usize);
        // SAFETY: the words are there for ever; there is no time.
        unsafe { libc::syscall(libc::SYS_futex, WORD[nth].as_ptr(), operation, value, none, none, 0) };
    }
    let mut random = seed("threads_that_nobody_knows_follow_each_change") | 1;
    let follow = |nth: usize, wait: fn(usize, u32)| {
        loop {
            let now = WORD[nth].load(Ordering::Acquire);
            if now == END {
                return;
            }
            wait(nth, now);
        }
    };
    let by_hand = |nth: usize, now: u32| {
        SEEN[nth].store(now, Ordering::Release);
        wait_by_hand(&WORD[nth], now);
    };
    let rt = isolated(2);
    let threads = [0, 1, 2, 3].map(|nth| std::thread::spawn(move || follow(nth, by_hand)));
    let parks = |nth: usize, now: u32| call(nth, libc::FUTEX_WAIT, now);
    let gs: Vec<_> = rt.run(|| (0..WORDS).map(|nth| go(move || follow(nth, parks))).collect());
    let change = |nth: usize, value: u32| {
        rt.run(|| {
            WORD[nth].store(value, Ordering::Release);
            call(nth, libc::FUTEX_WAKE, i32::MAX as u32);
        });
    };
    let (began, long) = (Instant::now(), Duration::from_secs(stress_secs()));
    for value in 1.. {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let nth = (random >> 20) as usize % WORDS;
        change(nth, value);
        if random & 1 == 0 {
            eventually("the thread follows", || SEEN[nth].load(Ordering::Acquire) == value);
        }
        if began.elapsed() > long {
            break;
        }
    }
    (0..WORDS).for_each(|nth| change(nth, END));
    join_all(gs);
    threads.into_iter().for_each(|thread| thread.join().expect("it has not panicked"));
}

/// Those that are all woken run after who is ready, in the order in which they waited.
#[test]
fn all_that_wait_for_a_condvar_run_in_their_order() {
    let order = isolated(1).run(|| {
        let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let mut gs = Vec::new();
        for nth in 0..5 {
            let shared = shared.clone();
            gs.push(go(move || {
                let (ran, condvar) = &*shared;
                let mut ran = condvar.wait(ran.lock().unwrap()).unwrap();
                ran.push(nth);
            }));
            // It begins to wait before the next one does.
            yield_now();
        }
        let ready = shared.clone();
        gs.push(go(move || ready.0.lock().unwrap().push(5)));
        shared.1.notify_all();
        join_all(gs);
        shared.0.lock().unwrap().clone()
    });
    assert_eq!(order, [5, 0, 1, 2, 3, 4]);
}
