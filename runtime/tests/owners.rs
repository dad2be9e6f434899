//! Who waits, and who has what is waited for: a G, or a thread that runs no G.
//!
//! One test sets the clock, so each that builds a runtime in this process takes it.

mod common;

use common::{builder, house, runtime, subprocess, wait_until_waiting};
use pirn_runtime::internal::{Kind, Owner, Party, Reason, SetClock, now, park_on, party_word};
use pirn_runtime::{GoBuilder, Holder, Runtime, current_gid, go, park, yield_now};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

fn caller() -> Party {
    Party::from_word(party_word()).expect("somebody calls")
}

fn thread_id() -> i32 {
    // SAFETY: gettid has no arguments and always works.
    unsafe { libc::gettid() }
}

#[test]
fn a_caller_is_its_g_or_its_thread() {
    let _clock = SetClock::take();
    assert_eq!(caller(), Party::Thread(thread_id()));
    assert_eq!(caller(), Party::Thread(thread_id()), "it is kept");
    let other = thread::spawn(|| assert_eq!(caller(), Party::Thread(thread_id())));
    other.join().expect("no panic");
    let rt = runtime(2);
    rt.run(|| {
        let g = || {
            let id = current_gid().expect("it is a G").as_u64();
            for _ in 0..100 {
                assert_eq!(caller(), Party::G(id));
                yield_now();
            }
        };
        let gs: Vec<_> = (0..10).map(|_| go(g)).collect();
        gs.into_iter().for_each(|g| g.join().expect("no panic"));
    });
    assert_eq!(caller(), Party::Thread(thread_id()));
}

/// The child of a fork has another thread than the one that forked.
#[test]
fn the_child_of_a_fork_has_a_number_of_its_own() {
    let _clock = SetClock::take();
    let rt = runtime(1);
    let is_right = || {
        let parent = caller();
        // SAFETY: the child only asks who it is, and ends.
        match unsafe { libc::fork() } {
            0 => {
                let is_right = caller() == Party::Thread(thread_id()) && caller() != parent;
                // SAFETY: it may be called anywhere.
                unsafe { libc::_exit(i32::from(!is_right)) }
            }
            child => {
                let mut status = -1;
                // SAFETY: a valid place for a status.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                status == 0
            }
        }
    };
    assert!(is_right(), "on a thread");
    assert!(rt.run(is_right), "on a G");
}

/// Who has locked what, as a crate of locks would know it.
static HELD: Mutex<BTreeMap<usize, Owner>> = Mutex::new(BTreeMap::new());

static LOCK: Reason = Reason::new("lock of a test", Kind::Object("mutex")).with_owner(owner);

fn owner(what: usize) -> Option<Owner> {
    HELD.lock().expect("no panic").get(&what).copied()
}

fn hold(what: usize, party: Party) {
    HELD.lock().expect("no panic").insert(what, Owner { party, since: Some(now()) });
}

/// The heads of the Gs that wait for a lock, by their names, as a dump has them.
fn heads(rt: &Runtime) -> Vec<String> {
    let dump = rt.dump();
    let heads = dump.lines().filter(|line| line.contains("[lock of a test"));
    let mut heads: Vec<_> = heads.filter_map(|line| Some(line.split_once(" [")?.1.to_owned())).collect();
    heads.sort();
    heads
}

/// By a clock that the test sets, so that all times are known.
#[test]
fn a_dump_says_who_holds_what_is_waited_for() {
    let clock = SetClock::take();
    let rt = house(builder().procs(1));
    let start = |name: &str, f: fn()| {
        let g = rt.handle().try_go_with(GoBuilder::new().name(name), f).expect("it starts");
        wait_until_waiting(&rt.handle(), g.id());
        g
    };
    let holder = start("holder", park);
    let gone = rt.run(party_word);
    hold(0xa0, Party::G(holder.id().as_u64()));
    hold(0xb0, Party::from_word(gone).expect("a G"));
    hold(0xc0, caller());
    HELD.lock().expect("no panic").insert(0xd0, Owner::of(Party::Thread(i32::MAX)));
    clock.advance(Duration::from_secs(4));
    let a = start("a", || park_on(&LOCK, 0xa0));
    let others = [
        start("b", || park_on(&LOCK, 0xb0)),
        start("c", || park_on(&LOCK, 0xc0)),
        start("d", || park_on(&LOCK, 0xd0)),
        start("e", || park_on(&LOCK, 0xe0)),
    ];
    clock.advance(Duration::from_millis(130_200));
    let (holder_id, gone) = (holder.id().as_u64(), gone >> 3);
    let name = std::fs::read_to_string(format!("/proc/self/task/{}/comm", thread_id())).expect("Linux");
    let me = format!("thread {} {:?}", thread_id(), name.trim_end());
    let expected = [
        format!("a\", on mutex 0xa0, held by goroutine {holder_id} \"holder\" since 134.2s, for 130.2s]:"),
        format!("b\", on mutex 0xb0, held by goroutine {gone} (ended) since 134.2s, for 130.2s]:"),
        format!("c\", on mutex 0xc0, held by {me} since 134.2s, for 130.2s]:"),
        format!("d\", on mutex 0xd0, held by thread {} (ended), for 130.2s]:", i32::MAX),
        "e\", on mutex 0xe0, for 130.2s]:".to_owned(),
    ];
    let expected: Vec<_> = expected.iter().map(|rest| format!("lock of a test, 2 minutes, \"{rest}")).collect();
    assert_eq!(heads(&rt), expected);
    let gs = rt.goroutines();
    let seen = gs.iter().find(|g| g.id == a.id()).expect("it is there");
    let Some(Holder::Goroutine { id, name, has_ended: false, .. }) = &seen.held_by else { panic!("{seen:?}") };
    assert_eq!((*id, name.as_deref()), (holder.id(), Some("holder")));
    assert_eq!(seen.held_for, Some(Duration::from_millis(134_200)));
    drop((holder, a, others));
}

#[test]
fn schedtrace_says_who_holds_what_is_waited_for() {
    const TEST: &str = "schedtrace_says_who_holds_what_is_waited_for";
    if common::talk::case_of(TEST).is_some() {
        let rt = runtime(1);
        hold(0xa0, caller());
        hold(0xb0, Party::G(1));
        let gs = [0xa0, 0xb0].map(|what| rt.go(move || park_on(&LOCK, what)));
        gs.iter().for_each(|g| wait_until_waiting(&rt.handle(), g.id()));
        eprintln!("thread {}", thread_id());
        thread::sleep(Duration::from_millis(200));
        return;
    }
    for (format, by_thread, by_g) in [
        ("go", "wait=WAIT heldbytid=TID created=", "wait=WAIT heldby=1 created="),
        ("json", r#""heldby":null,"heldbytid":TID,"#, r#""heldby":1,"heldbytid":null,"#),
    ] {
        let debug = format!("schedtrace=20,scheddetail=1,schedfmt={format}");
        let ended = subprocess(TEST, "", &[("PIRN_DEBUG", &debug)]);
        let said = &ended.expect_success().stderr;
        let tid = said.lines().find_map(|line| line.strip_prefix("thread ")).expect("its number");
        for expected in [by_thread, by_g] {
            let parts: Vec<_> = expected.replace("TID", tid).split("WAIT").map(str::to_owned).collect();
            let is_it = |line: &str| {
                let rest = parts.iter().try_fold(line, |rest, part| Some(rest.split_once(part.as_str())?.1));
                rest.is_some() && line.contains("lock of a test")
            };
            assert!(said.lines().any(is_it), "{expected}: {said}");
        }
    }
}
