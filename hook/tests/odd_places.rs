//! Hooked calls in odd places: signal handlers, children of fork, destructors, the end of the process.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{house, isolated};
use pirn_hook as _;
use pirn_runtime::{Builder, go};
use std::cell::Cell;
use std::io::{self, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::process::{Command, Output, exit};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, sleep};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(30);

/// The test with that name, which is ignored otherwise, in a process of its own.
fn alone(name: &str) -> Output {
    let this = std::env::current_exe().expect("Linux");
    Command::new(this).args(["--exact", name, "--ignored", "--nocapture"]).output().expect("it starts")
}

/// Where the handler writes.
static SIGNALLED: AtomicI32 = AtomicI32::new(-1);

extern "C" fn write_one(_: libc::c_int) {
    // SAFETY: a byte that is there.
    let written = unsafe { libc::write(SIGNALLED.load(Ordering::Relaxed), [7_u8].as_ptr().cast(), 1) };
    assert_eq!(written, 1);
}

fn handle(signal: libc::c_int, flags: libc::c_int) {
    handle_by(write_one, signal, flags);
}

fn handle_by(handler: extern "C" fn(libc::c_int), signal: libc::c_int, flags: libc::c_int) {
    // SAFETY: plain numbers, for which all zeros are values.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = flags;
    // SAFETY: the handler calls what is signal-safe.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) }, 0);
}

#[test]
fn signal_handlers_write() {
    isolated(2).run(|| {
        let (mut reader, mut writer) = pipe().unwrap();
        SIGNALLED.store(writer.as_raw_fd(), Ordering::Relaxed);
        // On the G's stack, and on that of the thread.
        handle(libc::SIGUSR1, 0);
        handle(libc::SIGUSR2, libc::SA_ONSTACK);
        for signal in [libc::SIGUSR1, libc::SIGUSR2] {
            // SAFETY: it has a handler.
            assert_eq!(unsafe { libc::raise(signal) }, 0);
            let mut got = [0];
            reader.read_exact(&mut got).unwrap();
            assert_eq!(got, [7]);
        }
        // The pipe is full: the handler on the thread's stack must not park.
        // SAFETY: a question, and a command without a pointer.
        let flags = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETFL) };
        // SAFETY: as above.
        unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) };
        let mut full = 0;
        while let Ok(more) = writer.write(&[1; 4_096]) {
            full += more;
        }
        // SAFETY: as above.
        unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags) };
        let read = go(move || {
            sleep(SHORT);
            let mut got = vec![0; full + 1];
            reader.read_exact(&mut got).unwrap();
            got[full]
        });
        // SAFETY: it has a handler.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
        assert_eq!(read.join().unwrap(), 7);
    });
}

/// Writes to nobody.
extern "C" fn write_to_null(_: libc::c_int) {
    static NULL: AtomicI32 = AtomicI32::new(-1);
    if NULL.load(Ordering::Relaxed) < 0 {
        // SAFETY: a name that ends with a zero.
        NULL.store(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) }, Ordering::Relaxed);
    }
    // SAFETY: a byte that is there.
    unsafe { libc::write(NULL.load(Ordering::Relaxed), [7_u8].as_ptr().cast(), 1) };
}

/// What they have interrupted may hold a lock of malloc's; and the signal is blocked on the thread meanwhile.
#[test]
fn no_other_g_runs_in_the_middle_of_a_handler() {
    for (signal, flags) in [(libc::SIGRTMIN() + 3, 0), (libc::SIGRTMIN() + 4, libc::SA_ONSTACK)] {
        handle_by(write_to_null, signal, flags);
        isolated(1).run(|| {
            let over = Arc::new(AtomicBool::new(false));
            let until_over = over.clone();
            // It is asked to let others run, and makes hooked calls nowhere but in the handler.
            let raises = go(move || {
                while !until_over.load(Ordering::Relaxed) {
                    // SAFETY: it has a handler.
                    assert_eq!(unsafe { libc::raise(signal) }, 0);
                }
            });
            for _ in 0..20 {
                pirn_runtime::yield_now();
                // SAFETY: bits, for which all zeros are values.
                let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
                // SAFETY: without a new mask it only writes the one in force.
                unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask) };
                // SAFETY: it has been written.
                assert_eq!(unsafe { libc::sigismember(&raw const mask, signal) }, 0, "{flags:#x}");
            }
            over.store(true, Ordering::Relaxed);
            raises.join().unwrap();
        });
    }
}

#[test]
fn a_child_of_fork_sleeps_and_reads() {
    isolated(2).run(|| {
        let (mut reader, mut writer) = pipe().unwrap();
        // SAFETY: the child calls what is signal-safe, and ends.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            let mut buf = [0_u8; 2];
            // SAFETY: a time that is there.
            unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
            // SAFETY: a buffer of so many bytes.
            let got = unsafe { libc::read(reader.as_raw_fd(), buf.as_mut_ptr().cast(), 2) };
            // SAFETY: it ends the child.
            unsafe { libc::_exit(if got == 2 && buf == *b"hi" { 5 } else { 1 }) };
        }
        sleep(SHORT);
        writer.write_all(b"hi").unwrap();
        let mut status = 0;
        // SAFETY: there is room.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 5, "{status}");
        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    });
}

static LOCK: Mutex<usize> = Mutex::new(0);

fn lock() -> MutexGuard<'static, usize> {
    LOCK.lock().unwrap_or_else(|e| e.into_inner())
}

/// Sleeps, and waits for a lock.
struct Slow;

impl Drop for Slow {
    fn drop(&mut self) {
        sleep(Duration::from_millis(2));
        *lock() += 1;
    }
}

#[test]
fn destructors_sleep_and_lock() {
    thread_local! {
        static OF_THE_G: Cell<Option<Slow>> = const { Cell::new(None) };
    }
    isolated(2).run(|| {
        let held = lock();
        let gs: Vec<_> = (0..20)
            .map(|nth| {
                go(move || {
                    OF_THE_G.set(Some(Slow));
                    let _slow = Slow;
                    if nth % 2 == 0 {
                        std::panic::resume_unwind(Box::new(nth));
                    }
                })
            })
            .collect();
        sleep(SHORT);
        drop(held);
        for (nth, g) in gs.into_iter().enumerate() {
            assert_eq!(g.join().is_err(), nth % 2 == 0);
        }
        common::eventually("all have been dropped", || *lock() == 40);
    });
}

static AT_EXIT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn at_exit() {
    sleep(Duration::from_millis(1));
    *lock() += 1;
    let (mut reader, mut writer) = pipe().expect("a pipe");
    let thread = thread::spawn(move || {
        sleep(Duration::from_millis(2));
        writer.write_all(b"x").expect("there is room");
    });
    reader.read_exact(&mut [0]).expect("it is written");
    thread.join().expect("it has not panicked");
    // Past what the test runner keeps back.
    let text = format!("at exit {}\n", AT_EXIT.fetch_add(1, Ordering::Relaxed));
    // SAFETY: a text that is there.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}

#[test]
#[ignore = "the test below runs it"]
fn exit_on_a_g() {
    // SAFETY: it may be called when the process ends.
    assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
    isolated(2).run(|| {
        go(|| exit(7)).join().unwrap();
    });
}

#[test]
#[ignore = "the test below runs it"]
fn exit_on_a_thread() {
    // SAFETY: as above.
    assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
    isolated(2).run(|| drop(go(|| sleep(Duration::from_secs(100)))));
    exit(7);
}

#[test]
fn what_runs_at_exit_sleeps_and_reads() {
    for name in ["exit_on_a_g", "exit_on_a_thread"] {
        let output = alone(name);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{name}: {said}");
        assert!(said.contains("at exit 0\n"), "{name}: {said}");
    }
}

#[test]
#[ignore = "the test below runs it"]
fn two_shared_runtimes() {
    for _ in 0..2 {
        // SAFETY: nothing here keeps a thread-local over a suspension.
        let rt = house(unsafe { Builder::new().procs(1).shared_thread_locals() });
        rt.run(|| sleep(Duration::from_millis(1)));
    }
}

#[test]
fn a_runtime_with_shared_thread_locals_says_once_that_it_is_not_hooked() {
    let output = alone("two_shared_runtimes");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("pirn: the feature hook does nothing on this runtime").count(), 1, "{said}");
}

#[test]
fn errors_of_the_last_call_are_each_gs_own() {
    isolated(1).run(|| {
        let gs = [libc::EBADF, libc::EINVAL].map(|errno| {
            go(move || {
                for _ in 0..20 {
                    // SAFETY: it has no preconditions.
                    let place = unsafe { libc::__errno_location() };
                    // SAFETY: it is the caller's own.
                    unsafe { place.write(errno) };
                    sleep(Duration::from_micros(100));
                    assert_eq!(io::Error::last_os_error().raw_os_error(), Some(errno));
                }
            })
        });
        gs.into_iter().for_each(|g| g.join().unwrap());
    });
}
