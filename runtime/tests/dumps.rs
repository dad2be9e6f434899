//! What is said of Gs that wait for ever, were forgotten, or block their threads: who, where, and on what.

mod common;

use common::talk::{Running, read_until, wait_for_parent};
use common::{
    ThreadGate, builder, child_case, child_command, command_of, eventually, runtime, scale, shares_thread_locals,
    subprocess, threads_of, wait_until_asleep, wait_until_waiting,
};
use pirn_runtime::internal::{Kind, Reason, SetClock, park_on};
use pirn_runtime::{
    GoBuilder, Handle, State, Unparker, WaitsOn, blocking, go, lock_os_thread, park, scope, sleep, yield_now,
};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The part of a dump that is about the G with that name.
#[track_caller]
fn about<'a>(dump: &'a str, name: &str) -> &'a str {
    let quoted = format!("{name:?}");
    let of_it =
        |part: &&str| part.lines().next().is_some_and(|head| head.starts_with("goroutine ") && head.contains(&quoted));
    dump.split("\n\n").find(of_it).unwrap_or_else(|| panic!("nothing about {name} in {dump}"))
}

#[inline(never)]
fn wait_deep(depth: u32) {
    if depth == 0 {
        park();
    } else {
        wait_deep(depth - 1);
    }
    // No tail call.
    std::hint::black_box(depth);
}

#[test]
fn a_dump_shows_every_g_with_its_stack() {
    let rt = runtime(2);
    let (idler, born) = (GoBuilder::new().name("idler"), line!() + 1);
    let idle = rt.handle().try_go_with(idler, || wait_deep(3)).expect("it starts");
    let sleeper = rt.run(|| GoBuilder::new().name("sleeper").go(|| sleep(Duration::from_secs(1000))));
    let over = Arc::new(AtomicBool::new(false));
    let stop = over.clone();
    let hog = GoBuilder::new().name("hog");
    let hog = rt.handle().try_go_with(hog, move || while !stop.load(Ordering::Relaxed) {}).expect("it starts");
    let stop = over.clone();
    let blocker = GoBuilder::new().name("blocker");
    let blocker = rt.handle().try_go_with(blocker, move || {
        blocking(|| {
            while !stop.load(Ordering::Relaxed) {
                block_deep(1);
            }
        });
    });
    let locked = GoBuilder::new().name("locked");
    let locked = rt.handle().try_go_with(locked, || {
        let _mine = lock_os_thread();
        park();
    });
    let (blocker, locked) = (blocker.expect("it starts"), locked.expect("it starts"));
    for id in [idle.id(), sleeper.id(), locked.id()] {
        wait_until_waiting(&rt.handle(), id);
    }
    let runs = |id| rt.goroutines().iter().any(|g| g.id == id && g.state == State::Running);
    eventually("both run", || runs(hog.id()) && runs(blocker.id()));
    let (mut dump, mut asked) = (String::new(), 0);
    // On a machine that is busy its thread may not answer in time.
    eventually("the one that blocks says where", || {
        (dump, asked) = rt.run(|| (rt.dump(), line!()));
        about(&dump, "blocker").contains("block_deep")
    });
    let idler = about(&dump, "idler");
    assert!(idler.starts_with(&format!("goroutine {} [park, \"idler\", for ", idle.id().as_u64())), "{idler}");
    assert!(idler.contains(&format!("created by go from a thread\n\t{}:{born}", file!())), "{idler}");
    // Whole, the innermost first, and without what is pirn's own.
    let depths = idler.matches("wait_deep").count();
    assert!(depths >= 4, "{depths} of 4 frames in {idler}");
    assert!(idler.contains("park") && !idler.contains("on_g.rs") && !idler.contains("corosensei"), "{idler}");
    let sleeps = about(&dump, "sleeper");
    assert!(sleeps.contains("[sleep, ") && sleeps.contains("created by go in goroutine "), "{sleeps}");
    assert!(about(&dump, "hog").contains("[running, \"hog\", on M"), "{dump}");
    let blocked = about(&dump, "blocker");
    assert!(blocked.contains("[syscall, \"blocker\", on M") && blocked.contains("without a P since "), "{blocked}");
    // Its thread was asked.
    assert!(blocked.matches("block_deep").count() >= 2 && blocked.contains(file!()), "{blocked}");
    assert!(about(&dump, "locked").contains("[park, locked to thread, \"locked\""), "{dump}");
    // Who asks is shown where it asks, and not what it takes to answer.
    let asker: Vec<&str> = about(&dump, "main").lines().collect();
    assert!(asker[2].ends_with(&format!("{}:{asked}", file!())), "{asker:#?}");
    // They have noticed nothing.
    over.store(true, Ordering::Relaxed);
    hog.join().expect("no panic");
    blocker.join().expect("no panic");
    assert!(!idle.is_finished() && !sleeper.is_finished() && !locked.is_finished());
}

/// A crate above says what its objects are called; the runtime knows no kind of them.
#[test]
fn a_g_that_waits_on_an_object_says_on_which() {
    static LOCK: Reason = Reason::new("lock of a test", Kind::Object("mutex"));
    let rt = runtime(1);
    let waiter = GoBuilder::new().name("waiter");
    let waiter = rt.handle().try_go_with(waiter, || park_on(&LOCK, 0xabc0)).expect("it starts");
    wait_until_waiting(&rt.handle(), waiter.id());
    let gs = rt.goroutines();
    let seen = gs.iter().find(|g| g.id == waiter.id()).expect("it is there");
    assert_eq!(seen.waits_on, Some(WaitsOn::Object { noun: "mutex", address: 0xabc0 }));
    assert_eq!(seen.wait_reason, Some("lock of a test"));
    let dump = ask(&rt);
    assert!(about(&dump, "waiter").contains(r#"[lock of a test, "waiter", on mutex 0xabc0,"#), "{dump}");
    drop(waiter);
}

#[inline(never)]
fn block_deep(depth: u32) {
    if depth == 0 {
        std::thread::sleep(Duration::from_millis(100));
    } else {
        block_deep(depth - 1);
    }
    // No tail call.
    std::hint::black_box(depth);
}

#[inline(never)]
fn ask(rt: &pirn_runtime::Runtime) -> String {
    std::hint::black_box(rt.dump())
}

/// A dump said of a P that a G has lost that it went to the M that lost it.
#[test]
fn a_p_that_was_lost_is_where_it_is_said_to_be() {
    let rt = runtime(1);
    let gate = ThreadGate::default();
    let blocks = gate.clone();
    let blocker = rt.handle().try_go_with(GoBuilder::new().name("blocker"), move || blocking(|| blocks.wait()));
    eventually("it has lost its P", || about(&rt.dump(), "blocker").contains(": P0 is idle]"));
    // Who asks has it, but for a moment in which sysmon has taken it from there too.
    eventually("the M that has it is named", || {
        let handle = rt.handle();
        let asker = rt.handle().try_go_with(GoBuilder::new().name("asker"), move || handle.dump());
        let dump = asker.expect("it starts").join().expect("no panic");
        let asker = about(&dump, "asker").split_once("[running, \"asker\", on ");
        let Some((m, _)) = asker.and_then(|(_, on)| on.split_once(" with P0")) else { return false };
        assert!(about(&dump, "blocker").contains(&format!(": P0 went to {m}]")), "{dump}");
        true
    });
    gate.open();
    blocker.expect("it starts").join().expect("no panic");
}

/// Without debug information there are no files, and pirn's own functions are told by their names.
#[test]
fn a_dump_without_debug_information_has_the_users_functions() {
    const TEST: &str = "a_dump_without_debug_information_has_the_users_functions";
    if child_case(TEST).is_some() {
        let rt = runtime(2);
        let parked = rt.handle().try_go_with(GoBuilder::new().name("parked"), || wait_deep(3)).expect("it starts");
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let blocked = rt.handle().try_go_with(GoBuilder::new().name("blocked"), move || {
            while !stop.load(Ordering::Relaxed) {
                block_deep(1);
            }
        });
        wait_until_waiting(&rt.handle(), parked.id());
        // It sleeps again and again; between two it can not be asked.
        let mut dump = String::new();
        eventually("all are seen", || {
            dump = rt.run(|| ask(&rt));
            about(&dump, "blocked").contains("block_deep")
        });
        eprintln!("{dump}");
        over.store(true, Ordering::Relaxed);
        blocked.expect("it starts").join().expect("no panic");
        return;
    }
    let bare = std::env::temp_dir().join(format!("pirn-bare-{}", std::process::id()));
    let exe = std::env::current_exe().expect("the path of the test");
    let stripped = Command::new("strip").arg("--strip-debug").arg("-o").arg(&bare).arg(exe).status();
    assert!(stripped.expect("binutils, which Rust links with").success());
    let output = command_of(&bare, TEST, "", &[]).output();
    std::fs::remove_file(&bare).expect("it is there");
    let output = output.expect("a child");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let functions = |name: &str| -> Vec<String> {
        let lines = about(&said, name).lines().skip(1).map(str::to_owned);
        lines.take_while(|line| !line.starts_with("created by")).collect()
    };
    let parked = functions("parked");
    // All the frames that there are, and not how pirn waits.
    assert!(parked.len() >= 4 && parked[..4].iter().all(|line| line == "dumps::wait_deep(...)"), "{parked:#?}");
    // How it begins is pirn's and the standard library's.
    for name in ["parked", "main", "blocked"] {
        assert!(functions(name).last().is_some_and(|line| line.starts_with("dumps::")), "{said}");
    }
    assert_eq!(functions("main")[0], "dumps::ask(...)", "{said}");
}

/// Two Gs that wake each other in turns, and wait for nothing else.
#[derive(Default)]
struct Turns {
    taken: AtomicUsize,
    players: Mutex<[Option<Unparker>; 2]>,
}

impl Turns {
    fn play(&self, me: usize, turns: usize) {
        self.players.lock().expect("no panic")[me] = Some(Unparker::current());
        let other = loop {
            if let Some(other) = &self.players.lock().expect("no panic")[1 - me] {
                break other.clone();
            }
            yield_now();
        };
        loop {
            let taken = self.taken.load(Ordering::Acquire);
            if taken >= turns {
                return other.unpark();
            }
            if taken % 2 == me {
                self.taken.store(taken + 1, Ordering::Release);
                other.unpark();
            } else {
                park();
            }
        }
    }
}

/// Gs that are traced all the time are woken as if they were not.
#[test]
fn dumps_lose_no_wake_up() {
    let rt = runtime(3);
    let over = Arc::new(AtomicBool::new(false));
    let dumper = {
        let (handle, over) = (rt.handle(), over.clone());
        std::thread::spawn(move || {
            let mut dumps = 0;
            while !over.load(Ordering::Relaxed) {
                dumps += handle.dump().matches("\ngoroutine ").count();
            }
            dumps
        })
    };
    let turns = scale(20_000, 300_000);
    let pairs: Vec<Turns> = (0..8).map(|_| Turns::default()).collect();
    rt.run(|| {
        scope(|s| {
            for pair in &pairs {
                s.go(move || pair.play(0, turns));
                s.go(move || pair.play(1, turns));
            }
        });
    });
    over.store(true, Ordering::Relaxed);
    let dumps = dumper.join().expect("no panic");
    eprintln!("{dumps} Gs dumped during {} wake-ups", pairs.len() * turns);
    assert!(dumps > 0);
}

/// A dump borrows a free stack to work on. That of a G that has ended holds its thread-locals for the next one, at the top,
/// and a dump wrote over them: a review found it.
#[test]
fn a_dump_spares_the_thread_locals_of_free_stacks() {
    const TEST: &str = "a_dump_spares_the_thread_locals_of_free_stacks";
    if child_case(TEST).is_none() {
        subprocess(TEST, "", &[]).expect_success();
        return;
    }
    thread_local! {
        static MINE: std::cell::RefCell<Vec<usize>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    const GS: usize = 300;
    let clock = SetClock::take();
    let rt = runtime(2);
    let use_them = || {
        let begun = Arc::new(AtomicUsize::new(0));
        let gs: Vec<_> = (0..GS)
            .map(|i| {
                let begun = begun.clone();
                rt.go(move || {
                    MINE.with_borrow_mut(|mine| mine.extend(0..i));
                    begun.fetch_add(1, Ordering::AcqRel);
                    while begun.load(Ordering::Acquire) < GS {
                        yield_now();
                    }
                    shares_thread_locals() || MINE.with_borrow(|mine| mine.len() == i)
                })
            })
            .collect();
        assert!(gs.into_iter().all(|g| g.join().expect("no panic")));
    };
    for _ in 0..3 {
        use_them();
        let parked = rt.go(park);
        wait_until_waiting(&rt.handle(), parked.id());
        // The free stacks go from the Ps to where a dump finds them: sysmon sees to it twice a second.
        for _ in 0..3 {
            clock.advance(Duration::from_millis(500));
            wait_until_asleep(|| threads_of(&(rt.thread_prefix() + "sysmon")), 3);
        }
        for _ in 0..50 {
            assert!(rt.dump().contains("[park"));
        }
    }
    use_them();
}

fn leaves_a_g() {
    let rt = builder().procs(2).name("leaky").build().expect("a runtime");
    rt.run(|| {
        let forgotten = GoBuilder::new().name("forgotten").go(|| wait_deep(2));
        wait_until_waiting(&Handle::current().expect("a G"), forgotten.id());
        GoBuilder::new().name("not forgotten").go(yield_now).join().expect("no panic");
    });
}

fn leaves_none() {
    let rt = builder().procs(2).build().expect("a runtime");
    rt.run(|| go(yield_now).join().expect("no panic"));
}

fn blocks_for_long() {
    let clock = SetClock::take();
    let rt = builder().procs(2).name("blocked").build().expect("a runtime");
    let guard = Arc::new(Mutex::new(()));
    let held = guard.lock().expect("no panic");
    let wanted = guard.clone();
    let g = rt.handle().try_go_with(GoBuilder::new().name("waits for std"), move || lock_deep(&wanted));
    let blocks = || rt.dump().matches("without a P since ").count();
    eventually("its P is taken", || blocks() == 1);
    // It blocks not long enough; once named, the other is not named again.
    let gate = ThreadGate::default();
    let quick = gate.clone();
    let quick = rt.go(move || quick.wait());
    eventually("its P is taken", || blocks() == 2);
    clock.advance(Duration::from_millis(50));
    wait_until_asleep(|| threads_of("blocked-sysmon"), 3);
    gate.open();
    quick.join().expect("no panic");
    for _ in 0..10 {
        clock.advance(Duration::from_millis(60));
        wait_until_asleep(|| threads_of("blocked-sysmon"), 3);
    }
    drop(held);
    g.expect("it starts").join().expect("no panic");
}

fn is_asked_by_signal() {
    // A shell has what it runs in the background ignore this signal.
    // SAFETY: it has no handler in this process.
    unsafe { libc::signal(libc::SIGQUIT, libc::SIG_DFL) };
    let rt = builder().procs(2).name("asked").build().expect("a runtime");
    let g = rt.handle().try_go_with(GoBuilder::new().name("patient"), || wait_deep(1)).expect("it starts");
    wait_until_waiting(&rt.handle(), g.id());
    for _ in 0..2 {
        // SAFETY: a signal to this very process, which has a handler for it.
        unsafe { libc::raise(libc::SIGQUIT) };
        // Until it has heard the answer.
        wait_for_parent();
    }
}

/// What is left when a runtime ends is named, with the line where it waits; and what blocks its thread for long.
#[test]
fn what_is_left_and_what_blocks_is_named() {
    const TEST: &str = "what_is_left_and_what_blocks_is_named";
    match child_case(TEST).as_deref() {
        Some("leak") => leaves_a_g(),
        Some("no leak") => leaves_none(),
        Some("blocker") => blocks_for_long(),
        Some("quit") => is_asked_by_signal(),
        Some(other) => panic!("no such case: {other}"),
        None => {
            let leak = subprocess(TEST, "leak", &[("PIRN_DEBUG", "dumponexit")]);
            leak.expect_success().expect_says("pirn: 1 goroutine is left as the runtime \"leaky\" ends\n\ngoroutine ");
            let forgotten = about(&leak.stderr, "forgotten");
            assert!(forgotten.contains("[park, ") && forgotten.matches("wait_deep").count() >= 3, "{forgotten}");
            assert!(forgotten.contains("created by go in goroutine "), "{forgotten}");
            let quiet = subprocess(TEST, "no leak", &[("PIRN_DEBUG", "dumponexit=1")]);
            assert!(!quiet.expect_success().stderr.contains("left"), "{quiet:?}");
            let off = subprocess(TEST, "leak", &[("PIRN_DEBUG", "dumponexit=0")]);
            assert!(!off.expect_success().stderr.contains("left"), "{off:?}");

            let blocker = subprocess(TEST, "blocker", &[("PIRN_DEBUG", "blockers=1")]);
            blocker.expect_success().expect_says("pirn: a goroutine blocks its thread\n\ngoroutine ");
            assert_eq!(blocker.stderr.matches("blocks its thread").count(), 1, "{blocker:?}");
            let waits = about(&blocker.stderr, "waits for std");
            assert!(waits.contains("[syscall, ") && waits.contains("lock_deep"), "{waits}");
            assert!(waits.contains(file!()), "{waits}");
            let off = subprocess(TEST, "blocker", &[]);
            assert!(!off.expect_success().stderr.contains("blocks"), "{off:?}");

            let mut quit = Running::start(&mut child_command(TEST, "quit", &[("PIRN_DEBUG", "dumponsignal=1")]));
            let mut stderr = quit.stderr();
            let mut said = String::new();
            for times in 1..=2 {
                let answer = "SIGQUIT: runtime \"asked\"";
                read_until(&mut stderr, &mut said, answer, times, "wait_deep");
                read_until(&mut stderr, &mut said, answer, times, "created by");
                assert_eq!(said.matches(answer).count(), times, "{said}");
                quit.go_on();
            }
            assert!(about(&said, "patient").contains("wait_deep"), "{said}");
            quit.expect_success();
            // As ever without.
            assert_eq!(subprocess(TEST, "quit", &[]).signal(), Some(libc::SIGQUIT));
        }
    }
}

#[inline(never)]
fn lock_deep(guard: &Mutex<()>) {
    drop(guard.lock().expect("no panic"));
}
