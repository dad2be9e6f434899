//! What the reports say of real locks: who holds what others wait for, and cycles.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::talk::{Running, case_of, read_until, wait_for_parent};
use crew::common::{builder, child_command, eventually, subprocess, wait_until_waiting};
use pirn_runtime::{GoBuilder, JoinHandle, Runtime, sleep};
use pirn_sync::group::{gather, task_group};
use pirn_sync::{Mutex, RwLock, Semaphore};
use std::io::Read;
use std::thread;
use std::time::Duration;

static A: Mutex<()> = Mutex::new(());
static B: RwLock<()> = RwLock::new(());
static MEETING: Mutex<u32> = Mutex::new(0);

/// Until both have their first lock.
fn meet() {
    *MEETING.lock() += 1;
    eventually("both are here", || *MEETING.lock() == 2);
}

fn named(rt: &Runtime, name: &str, f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    rt.handle().try_go_with(GoBuilder::new().name(name), f).expect("it starts")
}

fn a_then_b() {
    let _a = A.lock();
    meet();
    drop(B.read());
}

fn b_then_a() {
    let _b = B.write();
    meet();
    drop(A.lock());
}

fn two_gs(rt: &Runtime) -> Vec<JoinHandle<()>> {
    vec![named(rt, "first", a_then_b), named(rt, "second", b_then_a)]
}

fn a_g_and_a_thread(rt: &Runtime) -> Vec<JoinHandle<()>> {
    thread::Builder::new().name("second".to_owned()).spawn(b_then_a).expect("a thread");
    vec![named(rt, "first", a_then_b)]
}

fn twice(rt: &Runtime) -> Vec<JoinHandle<()>> {
    vec![named(rt, "first", || {
        let _a = A.lock();
        drop(A.lock());
    })]
}

fn write_twice(rt: &Runtime) -> Vec<JoinHandle<()>> {
    vec![named(rt, "first", || {
        let _b = B.write();
        drop(B.read());
    })]
}

/// An upgradable reader is the holder, for those that cannot have the lock beside it.
fn upgradable_and_write(rt: &Runtime) -> Vec<JoinHandle<()>> {
    vec![named(rt, "first", || {
        let _b = B.upgradable_read();
        drop(B.read());
        drop(B.write());
    })]
}

fn a_then_upgradable(rt: &Runtime) -> Vec<JoinHandle<()>> {
    let first = || {
        let _a = A.lock();
        meet();
        drop(B.upgradable_read());
    };
    let second = || {
        let _b = B.upgradable_read();
        meet();
        drop(A.lock());
    };
    vec![named(rt, "first", first), named(rt, "second", second)]
}

/// It waits for all of its tasks, and one of those for its lock.
fn a_scope(rt: &Runtime) -> Vec<JoinHandle<()>> {
    vec![named(rt, "first", || {
        let _a = A.lock();
        pirn_runtime::scope(|scope| {
            scope.go(|| sleep(Duration::from_millis(1)));
            scope.go_with(GoBuilder::new().name("inner"), || drop(A.lock()));
            scope.go(pirn_runtime::park);
        });
    })]
}

/// The same with a join in between, and groups.
fn groups(rt: &Runtime) -> Vec<JoinHandle<()>> {
    vec![named(rt, "first", || {
        let _b = B.write();
        _ = task_group::<_, (), _>(|tasks| {
            tasks.go_with(GoBuilder::new().name("outer"), |_| {
                gather([|| drop(B.read())]);
                Ok(())
            });
            Ok(())
        });
    })]
}

type Acts = fn(&Runtime) -> Vec<JoinHandle<()>>;

const CASES: &[(&str, Acts, &[&str])] = &[
    (
        "two Gs",
        two_gs,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"first\" waits for rwlock 0x",
            " held by goroutine ",
            " \"second\" (sync.RWMutex.RLock), which waits for mutex 0x",
            " (sync.Mutex.Lock)",
            "a_then_b",
            "b_then_a",
        ],
    ),
    (
        "a G and a thread",
        a_g_and_a_thread,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"first\" waits for rwlock 0x",
            " held by thread ",
            " \"second\" (sync.RWMutex.RLock), which waits for mutex 0x",
            " (sync.Mutex.Lock)",
            "a_then_b",
        ],
    ),
    (
        "twice",
        twice,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"first\" waits for mutex 0x",
            ", which it has locked itself (sync.Mutex.Lock), for ever unless it has given the guard away\n",
        ],
    ),
    (
        "write twice",
        write_twice,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"first\" waits for rwlock 0x",
            ", which it has locked itself (sync.RWMutex.RLock), for ever unless it has given the guard away\n",
        ],
    ),
    (
        "upgradable and write",
        upgradable_and_write,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"first\" waits for rwlock 0x",
            ", which it has locked itself (sync.RWMutex.Lock), for ever unless it has given the guard away\n",
        ],
    ),
    (
        "a lock and an upgradable reader",
        a_then_upgradable,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"first\" waits for rwlock 0x",
            " held by goroutine ",
            " \"second\" (sync.RWMutex.UpgradableRLock), which waits for mutex 0x",
            " (sync.Mutex.Lock)",
        ],
    ),
    (
        "a scope",
        a_scope,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"first\" waits for the end of goroutine ",
            " \"inner\" (scope), which waits for mutex 0x",
            " held by goroutine ",
            " (sync.Mutex.Lock)",
            "a_scope",
        ],
    ),
    (
        "groups",
        groups,
        &[
            "pirn: partial deadlock: goroutine ",
            " \"first\" waits for the end of goroutine ",
            " \"outer\" (scope), which waits for the end of goroutine ",
            ", which waits for rwlock 0x",
            " held by goroutine ",
            " (sync.RWMutex.RLock)",
            "groups",
        ],
    ),
];

#[test]
fn cycles_of_locks_are_reported() {
    const TEST: &str = "cycles_of_locks_are_reported";
    if let Some(case) = case_of(TEST) {
        let (_, acts, _) = CASES.iter().find(|(name, ..)| *name == case).expect("a case");
        let rt = builder().procs(2).build().expect("a runtime");
        let gs = acts(&rt);
        // Others run all the time.
        let ticker = rt.go(|| {
            loop {
                sleep(Duration::from_millis(1));
            }
        });
        wait_for_parent();
        drop((gs, ticker, rt));
        return;
    }
    thread::scope(|s| {
        for (case, _, parts) in CASES {
            s.spawn(move || {
                let mut child = Running::start(&mut child_command(TEST, case, &[]));
                let (mut stderr, mut said) = (child.stderr(), String::new());
                let (first, last) = (parts[0], parts[parts.len() - 1]);
                read_until(&mut stderr, &mut said, first, 1, last);
                child.go_on();
                child.expect_success();
                stderr.read_to_string(&mut said).expect("UTF-8");
                let rest = parts.iter().try_fold(&*said, |rest, part| Some(rest.split_once(part)?.1));
                assert!(rest.is_some(), "{case}: {said}");
                assert_eq!(said.matches("partial deadlock").count(), 1, "{case}: {said}");
            });
        }
    });
}

/// Dumps say who has it: a G, or a thread.
#[test]
fn dumps_say_who_has_it() {
    let rt = builder().procs(2).build().expect("a runtime");
    let (mutex, lock) = (&*Box::leak(Box::new(Mutex::new(0))), &*Box::leak(Box::new(RwLock::new(0))));
    let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
    let (tell, told) = std::sync::mpsc::channel();
    let holder = named(&rt, "holder", move || {
        let _held = mutex.lock();
        tell.send(()).expect("the test waits");
        semaphore.acquire(1).expect("open").forget();
    });
    told.recv().expect("it has it");
    let mine = lock.write();
    let waiters = [
        named(&rt, "locks", || drop(mutex.lock())),
        named(&rt, "reads", || drop(lock.read())),
        named(&rt, "writes", || drop(lock.write())),
    ];
    waiters.iter().for_each(|waiter| wait_until_waiting(&rt.handle(), waiter.id()));
    let dump = rt.dump();
    let line = |name: &str| {
        let name = format!("\"{name}\"");
        dump.lines()
            .find(|line| line.starts_with("goroutine ") && line.contains(&name))
            .expect("it is there")
            .to_owned()
    };
    let locks = line("locks");
    assert!(locks.contains("[sync.Mutex.Lock, "), "{locks}");
    assert!(locks.contains(&format!("held by goroutine {} \"holder\"", holder.id().as_u64())), "{locks}");
    for (name, reason) in [("reads", "[sync.RWMutex.RLock, "), ("writes", "[sync.RWMutex.Lock, ")] {
        let text = line(name);
        let me = format!("held by thread {}", crew::common::thread_number());
        assert!(text.contains(reason) && text.contains(&me), "{text}");
    }
    assert!(line("holder").contains("[sync.Semaphore.Acquire, "), "{dump}");
    drop(mine);
    semaphore.add_permits(1);
    waiters.into_iter().chain([holder]).for_each(|g| g.join().expect("no panic"));
}

/// Who has locked a lock and given the guard to another may wait for it: the report does not say that this is for ever.
#[test]
fn who_has_given_its_guard_away_goes_on() {
    const TEST: &str = "who_has_given_its_guard_away_goes_on";
    if case_of(TEST).is_some() {
        let rt = builder().procs(2).build().expect("a runtime");
        let first = named(&rt, "first", || {
            let guard = A.lock();
            let other = pirn_runtime::go(move || {
                sleep(Duration::from_millis(50));
                drop(guard);
            });
            drop(A.lock());
            other.join().expect("no panic");
        });
        first.join().expect("no panic");
        // The report is printed by a thread of the runtime.
        return thread::sleep(Duration::from_millis(500));
    }
    let ended = subprocess(TEST, "away", &[]);
    let said = &ended.expect_success().stderr;
    let parts = [
        "pirn: partial deadlock: goroutine ",
        " \"first\" waits for mutex 0x",
        ", which it has locked itself (sync.Mutex.Lock), for ever unless it has given the guard away\n",
    ];
    let rest = parts.iter().try_fold(&**said, |rest, part| Some(rest.split_once(part)?.1));
    assert!(rest.is_some(), "{said}");
    assert!(!said.contains("holds"), "{said}");
}
