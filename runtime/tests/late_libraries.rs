//! Libraries with static thread-locals (initial-exec), which lie at the same distance from the thread pointer in every
//! thread: loaded early, late, small, large, with Gs that are older. Each test has a process of its own, as each
//! library takes some of the little room that glibc has for all of them.

mod common;

use common::{Ended, House, child_case, house, isolated, subprocess};
use pirn_runtime::{Builder, JoinHandle, go, sleep, yield_now};
use std::ffi::{CString, c_int, c_void};
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// What the runtime says of a library that older Gs have no room for.
const WARNING: &str = "has static thread-locals (initial-exec) and was loaded while goroutines live";

/// What no block has room for by itself.
const LARGE: usize = 1000;
/// As libgomp: the largest that Debian ships.
const SMALL: usize = 120;

#[derive(Clone, Copy)]
struct Library {
    count: unsafe extern "C" fn() -> c_int,
    fill: unsafe extern "C" fn(c_int),
    holds: unsafe extern "C" fn(c_int) -> c_int,
}

static LIBRARY: OnceLock<Library> = OnceLock::new();

/// Loads a library with a counter that begins with 40, and so many bytes that begin with 0.
fn load(name: &str, bytes: usize) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, module) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.so")));
    let code = format!(
        "static __thread int n = 40;\n\
         static __thread unsigned char bytes[{bytes}];\n\
         int count(void) {{ return ++n; }}\n\
         void fill(int with) {{ for (int i = 0; i < {bytes}; i++) bytes[i] = with; }}\n\
         int holds(int with) {{ for (int i = 0; i < {bytes}; i++) if (bytes[i] != with) return 0; return 1; }}\n"
    );
    std::fs::write(&source, code).expect("a file");
    // The linker of Rust programs is the C compiler, so there is one.
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-ftls-model=initial-exec", "-o"]).arg(&module).arg(&source);
    assert!(cc.status().expect("a C compiler").success());
    let path = CString::new(module.into_os_string().into_encoded_bytes()).expect("no zero byte");
    // SAFETY: the module has no constructors, and stays loaded.
    let loaded = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!loaded.is_null());
    let find = |symbol: &std::ffi::CStr| {
        // SAFETY: a C string.
        let found = unsafe { libc::dlsym(loaded, symbol.as_ptr()) };
        assert!(!found.is_null());
        found
    };
    let library = Library {
        // SAFETY: that is its type.
        count: unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(find(c"count")) },
        // SAFETY: as above.
        fill: unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int)>(find(c"fill")) },
        // SAFETY: as above.
        holds: unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int) -> c_int>(find(c"holds")) },
    };
    assert!(LIBRARY.set(library).is_ok(), "one library in each process");
}

/// Uses the library over suspensions, with a frame that would be hit if its thread-locals lay in the stack. Says what it
/// has counted, and whether all else is as it was written.
#[inline(never)]
fn use_library(mark: u8) -> ([c_int; 2], bool) {
    let Library { count, fill, holds } = *LIBRARY.get().expect("it is loaded");
    let frame = black_box([mark; 800]);
    // SAFETY: it has no preconditions but room for its thread-locals.
    unsafe { fill(c_int::from(mark)) };
    yield_now();
    // SAFETY: as above.
    let first = unsafe { count() };
    sleep(Duration::from_millis(1));
    // SAFETY: as above.
    let counted = [first, unsafe { count() }];
    // SAFETY: as above.
    let holds = unsafe { holds(c_int::from(mark)) } == 1;
    (counted, holds && black_box(&frame).iter().all(|byte| *byte == mark))
}

/// So many Gs at once that find all as in a thread.
fn new_gs_are_right(rt: &House, gs: u8) {
    for round in 0..3 {
        let all: Vec<_> = (0..gs).map(|i| rt.go(move || use_library(i))).collect();
        for g in all {
            assert_eq!(g.join().expect("no panic"), ([41, 42], true), "round {round}");
        }
    }
}

/// Gs that have begun and use the library when it is loaded.
fn old_gs(rt: &House) -> Vec<JoinHandle<([c_int; 2], bool)>> {
    rt.run(|| {
        let waits = |i: u8| {
            go(move || {
                while LIBRARY.get().is_none() {
                    sleep(Duration::from_millis(1));
                }
                use_library(i)
            })
        };
        let all: Vec<_> = (0..20).map(waits).collect();
        sleep(Duration::from_millis(10));
        all
    })
}

/// Those have room for the library: nothing is overwritten, though only zeros begin as they should.
fn old_gs_are_whole(old: Vec<JoinHandle<([c_int; 2], bool)>>) {
    for g in old {
        let ([first, second], whole) = g.join().expect("no panic");
        assert!(whole && second == first + 1, "{first} {second} {whole}");
    }
}

/// Runs `body` in a process of its own.
fn in_a_child(test: &str, variables: &[(&str, &str)], body: fn()) -> Option<Ended> {
    if child_case(test).is_some() {
        body();
        return None;
    }
    let ended = subprocess(test, "", variables);
    ended.expect_success();
    Some(ended)
}

fn expect_no_warning(ended: Option<Ended>) {
    assert!(ended.is_none_or(|ended| !ended.stderr.contains(WARNING)));
}

#[test]
fn a_large_one_that_is_loaded_before_the_first_runtime() {
    let test = "a_large_one_that_is_loaded_before_the_first_runtime";
    expect_no_warning(in_a_child(test, &[], || {
        load("early", LARGE);
        new_gs_are_right(&isolated(2), 100);
    }));
}

#[test]
fn a_small_one_that_is_loaded_late_has_room_in_older_gs() {
    let test = "a_small_one_that_is_loaded_late_has_room_in_older_gs";
    expect_no_warning(in_a_child(test, &[], || {
        let rt = isolated(2);
        let old = old_gs(&rt);
        load("late_small", SMALL);
        old_gs_are_whole(old);
        new_gs_are_right(&rt, 100);
    }));
}

/// In whichever way it was told.
fn told(rt: &House) {
    let old = old_gs(rt);
    load(&format!("told{}", std::process::id()), LARGE);
    old_gs_are_whole(old);
    new_gs_are_right(rt, 100);
}

#[test]
fn a_large_one_that_is_loaded_late_has_room_in_older_gs_if_the_builder_was_told() {
    let test = "a_large_one_that_is_loaded_late_has_room_in_older_gs_if_the_builder_was_told";
    expect_no_warning(in_a_child(test, &[], || told(&house(Builder::new().procs(2).room_for_libraries()))));
}

#[test]
fn a_large_one_that_is_loaded_late_has_room_in_older_gs_if_the_environment_says_so() {
    let test = "a_large_one_that_is_loaded_late_has_room_in_older_gs_if_the_environment_says_so";
    expect_no_warning(in_a_child(test, &[("PIRN_DEBUG", "libraryroom=1")], || told(&isolated(2))));
}

#[test]
fn the_room_is_for_gs_in_slots_that_others_have_used_too() {
    let test = "the_room_is_for_gs_in_slots_that_others_have_used_too";
    expect_no_warning(in_a_child(test, &[], || {
        let before = isolated(2);
        before.run(|| {
            let all: Vec<_> = (0..200).map(|_| go(|| sleep(Duration::from_millis(1)))).collect();
            all.into_iter().for_each(|g| g.join().expect("no panic"));
        });
        drop(before);
        told(&house(Builder::new().procs(2).room_for_libraries()));
    }));
}

fn loads_a_large_one(rt: &House) {
    rt.run(|| {
        load(&format!("by_a_g{}", std::process::id()), LARGE);
        // Nothing is overwritten, though only zeros begin as they should.
        assert!(use_library(3).1);
        // Nobody says when the library has been seen. Until then Gs that begin must not call it.
        sleep(Duration::from_millis(50));
        for i in 0..100 {
            assert_eq!(go(move || use_library(i)).join().expect("no panic"), ([41, 42], true));
        }
    });
}

#[test]
fn the_main_g_can_use_a_large_one_that_it_loads() {
    let test = "the_main_g_can_use_a_large_one_that_it_loads";
    expect_no_warning(in_a_child(test, &[], || loads_a_large_one(&isolated(2))));
}

#[test]
fn a_g_can_use_a_large_one_that_it_loads_if_the_builder_was_told() {
    let test = "a_g_can_use_a_large_one_that_it_loads_if_the_builder_was_told";
    expect_no_warning(in_a_child(test, &[], || {
        let rt = house(Builder::new().procs(2).room_for_libraries());
        rt.run(|| ());
        rt.go(|| {
            load("by_a_g", LARGE);
            assert!(use_library(3).1);
        })
        .join()
        .expect("no panic");
    }));
}

#[test]
fn a_large_one_that_is_loaded_late_is_reported_if_older_gs_live() {
    let test = "a_large_one_that_is_loaded_late_is_reported_if_older_gs_live";
    let ended = in_a_child(test, &[], || {
        let rt = isolated(2);
        let old = rt.go(|| {
            while LIBRARY.get().is_none() {
                sleep(Duration::from_millis(1));
            }
            // It does not call the library.
            sleep(Duration::from_millis(200));
        });
        thread::sleep(Duration::from_millis(50));
        load("late_large", LARGE);
        // Those that begin from now on have room.
        new_gs_are_right(&rt, 100);
        old.join().expect("no panic");
    });
    if let Some(ended) = ended {
        let said: Vec<_> = ended.stderr.lines().filter(|line| line.contains(WARNING)).collect();
        assert!(matches!(said.as_slice(), [line] if line.contains("late_large.so has")), "{ended:#?}");
        ended.expect_says("Builder::room_for_libraries or PIRN_DEBUG=libraryroom=1");
    }
}

#[test]
fn a_large_one_that_is_loaded_late_is_not_reported_if_no_older_g_lives() {
    let test = "a_large_one_that_is_loaded_late_is_not_reported_if_no_older_g_lives";
    expect_no_warning(in_a_child(test, &[], || {
        let rt = isolated(2);
        // In slots that are used again below.
        rt.run(|| {
            let all: Vec<_> = (0..100).map(|_| go(yield_now)).collect();
            all.into_iter().for_each(|g| g.join().expect("no panic"));
        });
        load("late_alone", LARGE);
        new_gs_are_right(&rt, 100);
    }));
}
