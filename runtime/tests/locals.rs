//! What a G with thread-locals of its own may expect of them: all that a thread may.
//!
//! The ignored ones show limits (runtime/src/locals/mod.rs), each with its cause.

mod common;

use common::{child_case, eventually, isolated, rss_bytes, scale, subprocess, threads_of, wait_until_asleep};
use pirn_runtime::{go, sleep, yield_now};
use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{CString, c_int, c_void};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

// ---------------------------------------------------------------------------------------------- fork and set*id

#[test]
fn a_g_forks() {
    use std::os::unix::process::CommandExt;
    // Each of these has std use fork(2) and not posix_spawn(3).
    let rt = isolated(2);
    rt.run(|| {
        let mut prepared = Command::new("/bin/true");
        // SAFETY: the closure does nothing.
        unsafe { prepared.pre_exec(|| Ok(())) };
        assert!(prepared.status().expect("it starts").success());
        // SAFETY: geteuid has no preconditions.
        let me = unsafe { libc::geteuid() };
        assert!(Command::new("/bin/true").uid(me).status().expect("it starts").success());
        // SAFETY: the child leaves at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: no preconditions.
            unsafe { libc::_exit(7) };
        }
        let mut status = 0;
        // SAFETY: the status is valid to be written.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "{status:#x}");
    });
}

#[test]
#[ignore = "hangs: glibc signals every thread until its control block says that it has answered, but a G's says so"]
fn a_g_sets_the_group() {
    const TEST: &str = "a_g_sets_the_group";
    if child_case(TEST).is_some() {
        let rt = isolated(2);
        // SAFETY: no preconditions.
        let group = unsafe { libc::getgid() };
        // SAFETY: the group stays the same one.
        assert_eq!(rt.run(|| unsafe { libc::setgid(group) }), 0);
        return;
    }
    subprocess(TEST, "", &[]).expect_success();
}

// ---------------------------------------------------------------------------------------------- what libc keeps

unsafe extern "C" {
    /// The caller's state of the resolver, which getaddrinfo uses.
    fn __res_state() -> *mut c_void;
}

fn resolver() -> usize {
    // SAFETY: it returns an address.
    unsafe { __res_state() }.expose_provenance()
}

#[test]
fn each_g_has_a_resolver_of_its_own() {
    let rt = isolated(2);
    let mut seen = rt.run(|| {
        let mine = resolver();
        // Both live at the same time.
        let other = go(resolver).join().expect("no panic");
        yield_now();
        assert_eq!(resolver(), mine);
        vec![mine, other]
    });
    seen.push(thread::spawn(resolver).join().expect("no panic"));
    let distinct: HashSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "{seen:x?}");
}

#[test]
fn a_new_g_has_the_global_locale() {
    let rt = isolated(1);
    // SAFETY: the name is a C string, and there is no locale to begin from.
    let c = unsafe { libc::newlocale(libc::LC_ALL_MASK, c"C".as_ptr(), std::ptr::null_mut()) }.expose_provenance();
    assert_ne!(c, 0);
    rt.run(|| {
        for i in 0..10 {
            let g = go(move || {
                // SAFETY: a null asks.
                let mine = unsafe { libc::uselocale(std::ptr::null_mut()) };
                // SAFETY: made above and never freed.
                unsafe { libc::uselocale(std::ptr::with_exposed_provenance_mut(c)) };
                mine.addr() == usize::MAX
            });
            assert!(g.join().expect("no panic"), "G {i} began with another's locale");
        }
    });
}

// ---------------------------------------------------------------------------------------------- pthread keys

static DESTROYED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count_destroyed(_: *mut c_void) {
    DESTROYED.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn what_a_g_keeps_under_a_pthread_key_ends_with_it() {
    let mut key = 0;
    // SAFETY: the key is valid to be written, and the function is one.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(count_destroyed)) }, 0);
    let rt = isolated(2);
    rt.run(|| {
        for i in 0..100 {
            let g = go(move || {
                // SAFETY: the key is there.
                let before = unsafe { libc::pthread_getspecific(key) };
                // SAFETY: as above; nobody follows the pointer.
                unsafe { libc::pthread_setspecific(key, std::ptr::without_provenance(1)) };
                yield_now();
                before.is_null()
            });
            assert!(g.join().expect("no panic"), "G {i} found another's value");
            assert_eq!(DESTROYED.load(Ordering::Relaxed), i + 1, "the destructor has not run when the G is joined");
        }
    });
}

#[test]
fn gs_that_ask_for_their_thread_leave_nothing() {
    let rt = isolated(2);
    let ask = |gs: usize| {
        rt.run(|| {
            for _ in 0..gs / 100 {
                let all: [_; 100] = std::array::from_fn(|_| go(|| thread::current().name().is_none()));
                all.into_iter().for_each(|g| assert!(g.join().expect("no panic")));
            }
        });
    };
    ask(50_000);
    let before = rss_bytes();
    ask(scale(200_000, 500_000));
    let grown = rss_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "it has grown by {} KiB", grown >> 10);
}

// ---------------------------------------------------------------------------------------------- the end of a G

thread_local! {
    static HELD: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Uses a thread-local when it is dropped.
struct Uses;

impl Drop for Uses {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| held.push(2));
        eprintln!("dropped");
    }
}

#[test]
fn the_result_of_a_detached_g_is_dropped_with_its_thread_locals() {
    const TEST: &str = "the_result_of_a_detached_g_is_dropped_with_its_thread_locals";
    if child_case(TEST).is_some() {
        let rt = isolated(2);
        let (let_go, has_let_go) = mpsc::channel::<()>();
        let g = rt.go(move || {
            HELD.with_borrow_mut(|held| held.push(1));
            has_let_go.recv().expect("the handle is gone before the G ends");
            Uses
        });
        drop(g);
        let_go.send(()).expect("it waits");
        eventually("it has ended", || rt.goroutines().is_empty());
        return;
    }
    subprocess(TEST, "", &[]).expect_success().expect_says("dropped");
}

// ---------------------------------------------------------------------------------------------- memory given back

/// Looks up a name, after which libc keeps the state of the resolver.
fn look_up() {
    let mut found = std::ptr::null_mut();
    // SAFETY: C strings, no hints, and a place for the answer.
    let failed = unsafe { libc::getaddrinfo(c"localhost".as_ptr(), c"1".as_ptr(), std::ptr::null(), &raw mut found) };
    if failed == 0 {
        // SAFETY: it was found above.
        unsafe { libc::freeaddrinfo(found) };
    }
}

#[test]
fn thread_locals_are_as_new_in_stacks_whose_memory_was_given_back() {
    const TEST: &str = "thread_locals_are_as_new_in_stacks_whose_memory_was_given_back";
    const GS: usize = 400;
    if child_case(TEST).is_some() {
        let mut key = 0;
        // SAFETY: the key is valid to be written, and the function is one.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(count_destroyed)) }, 0);
        // SAFETY: as in `a_new_g_has_the_global_locale`.
        let c = unsafe { libc::newlocale(libc::LC_ALL_MASK, c"C".as_ptr(), std::ptr::null_mut()) }.expose_provenance();
        let rt = isolated(2);
        for round in 0..3 {
            let all: Vec<_> = (0..GS)
                .map(|i| {
                    rt.go(move || {
                        HELD.with_borrow_mut(|held| {
                            assert!(held.is_empty(), "round {round}");
                            held.extend([1; 100]);
                        });
                        // SAFETY: the key is there; nobody follows the pointer.
                        assert!(unsafe { libc::pthread_getspecific(key) }.is_null());
                        // SAFETY: as above.
                        unsafe { libc::pthread_setspecific(key, std::ptr::without_provenance(1)) };
                        // SAFETY: the locale is never freed.
                        let before = unsafe { libc::uselocale(std::ptr::with_exposed_provenance_mut(c)) };
                        assert_eq!(before.addr(), usize::MAX);
                        if i % 8 == 0 {
                            look_up();
                        }
                        sleep(Duration::from_millis(50));
                        assert_eq!(HELD.with_borrow(Vec::len), 100);
                    })
                })
                .collect();
            all.into_iter().for_each(|g| g.join().expect("no panic"));
            assert_eq!(DESTROYED.load(Ordering::Relaxed), (round + 1) * GS);
            wait_until_asleep(|| threads_of(&(rt.thread_prefix() + "sysmon")), 700);
        }
        return;
    }
    subprocess(TEST, "", &[]).expect_success();
}

// ---------------------------------------------------------------------------------------------- loaded later

/// A function of a module that is loaded now, which counts in a thread-local that begins with 40; and the module.
fn load_counter(name: &str, model: &str) -> (unsafe extern "C" fn() -> c_int, usize) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, module) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.so")));
    std::fs::write(&source, "static __thread int n = 40; int count(void) { return ++n; }\n").expect("a file");
    // The linker of Rust programs is the C compiler, so there is one.
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", model, "-o"]).arg(&module).arg(&source);
    assert!(cc.status().expect("a C compiler").success());
    let path = CString::new(module.into_os_string().into_encoded_bytes()).expect("no zero byte");
    // SAFETY: the module has no constructors, and stays loaded.
    let loaded = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!loaded.is_null());
    // SAFETY: a C string.
    let count = unsafe { libc::dlsym(loaded, c"count".as_ptr()) };
    assert!(!count.is_null());
    // SAFETY: that is its type.
    let count = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(count) };
    (count, loaded.expose_provenance())
}

/// Threads and Gs that count find it as it is at first, also where a G has been before the module was loaded.
fn count_in_a_module(name: &str, model: &str) {
    let rt = isolated(1);
    rt.run(|| go(|| ()).join().expect("no panic"));
    let (count, _) = load_counter(name, model);
    // SAFETY: it takes nothing.
    let twice = move || [(); 2].map(|()| unsafe { count() });
    assert_eq!(thread::spawn(twice).join().expect("no panic"), [41, 42]);
    let gs: Vec<_> = rt.run(|| (0..5).map(|_| go(twice).join().expect("no panic")).collect());
    assert!(gs.iter().all(|counted| *counted == [41, 42]), "{gs:?}");
    (0..3).for_each(|round| many_count(&rt, count, round));
}

/// So many at once that they are in blocks of all ages.
fn many_count(rt: &common::House, count: unsafe extern "C" fn() -> c_int, round: usize) {
    let counted = rt.run(|| {
        let gs: Vec<_> = (0..100)
            .map(|_| {
                go(move || {
                    // SAFETY: it takes nothing.
                    let first = unsafe { count() };
                    yield_now();
                    // SAFETY: as above.
                    [first, unsafe { count() }]
                })
            })
            .collect();
        gs.into_iter().map(|g| g.join().expect("no panic")).collect::<Vec<_>>()
    });
    let wrong: Vec<_> = counted.iter().filter(|counted| **counted != [41, 42]).collect();
    assert!(wrong.is_empty(), "round {round}: {wrong:?}");
}

#[test]
fn a_module_that_is_loaded_later() {
    count_in_a_module("loaded_later", "-ftls-model=global-dynamic");
}

#[test]
fn a_module_with_static_thread_locals_that_is_loaded_later() {
    count_in_a_module("loaded_static", "-ftls-model=initial-exec");
}

#[test]
fn a_module_with_static_thread_locals_that_was_loaded_before_the_first_runtime() {
    const TEST: &str = "a_module_with_static_thread_locals_that_was_loaded_before_the_first_runtime";
    if child_case(TEST).is_some() {
        let (count, module) = load_counter("loaded_early", "-ftls-model=initial-exec");
        let rt = isolated(1);
        (0..3).for_each(|round| many_count(&rt, count, round));
        // Gs that begin after it has gone do not look for it.
        // SAFETY: loaded above, and nobody uses it any more.
        assert_eq!(unsafe { libc::dlclose(std::ptr::with_exposed_provenance_mut(module)) }, 0);
        let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
        assert!(!maps.contains("loaded_early"), "it is still there");
        rt.run(|| (0..100).for_each(|_| go(|| ()).join().expect("no panic")));
        return;
    }
    subprocess(TEST, "", &[]).expect_success();
}

#[test]
fn a_module_with_static_thread_locals_that_a_g_has_loaded() {
    let rt = isolated(2);
    rt.run(|| {
        go(|| ()).join().expect("no panic");
        let (count, _) = load_counter("loaded_by_a_g", "-ftls-model=initial-exec");
        // SAFETY: it takes nothing.
        let twice = move || [(); 2].map(|()| unsafe { count() });
        // In the block from before; nobody says when the module has been seen.
        common::eventually("the thread-locals are fresh", || {
            go(twice).join().expect("no panic") == [41, 42] && go(twice).join().expect("no panic") == [41, 42]
        });
    });
}

#[test]
fn each_g_is_a_thread_to_std() {
    let rt = isolated(4);
    let ids = rt.run(|| {
        let all: Vec<_> = (0..scale(200, 1_000))
            .map(|_| {
                go(|| {
                    let me = thread::current().id();
                    for _ in 0..10 {
                        yield_now();
                        assert_eq!(thread::current().id(), me);
                    }
                    me
                })
            })
            .collect();
        all.into_iter().map(|g| g.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "two Gs are the same thread");
}
