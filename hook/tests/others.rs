//! Children, epolls and select, on Gs.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{eventually, isolated, shown_waiting};
use pirn_hook as _;
use pirn_runtime::{JoinHandle, Runtime, go};
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::mem::{self, MaybeUninit};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(30);

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

fn join_all<T>(gs: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    gs.into_iter().map(|g| g.join().expect("it has not panicked")).collect()
}

fn waits_in(rt: &Runtime, call: &str) -> u64 {
    rt.metrics().hooked_waits.into_iter().find(|(name, _)| *name == call).expect("it is hooked").1
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    (client, listener.accept().expect("it is connected").0)
}

#[test]
fn children_are_waited_for_on_few_threads() {
    let rt = isolated(2);
    let before = threads();
    rt.run(|| {
        let children = (0..40).map(|nth| {
            go(move || {
                let mut child = Command::new("sh").args(["-c", &format!("sleep 0.3; exit {nth}")]).spawn().unwrap();
                assert_eq!(child.wait().unwrap().code(), Some(nth));
            })
        });
        let children: Vec<_> = children.collect();
        std::thread::sleep(SHORT * 5);
        // Others of this test program run at the same time.
        assert!(threads() <= before + 2 + 8 + 20, "{} threads, and {before} before", threads());
        join_all(children);
    });
}

#[test]
fn the_output_of_children() {
    isolated(2).run(|| {
        let outputs = join_all((0..20).map(|nth| {
            go(move || Command::new("sh").args(["-c", &format!("echo {nth}; echo x >&2")]).output().unwrap())
        }));
        for (nth, output) in outputs.into_iter().enumerate() {
            assert_eq!(output.stdout, format!("{nth}\n").as_bytes());
            assert_eq!(output.stderr, b"x\n");
        }
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"through a pipe").unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"through a pipe");
    });
}

#[test]
fn a_child_of_fork_calls_libc() {
    use std::os::unix::process::CommandExt;
    isolated(1).run(|| {
        let mut command = Command::new("true");
        let in_child = || {
            let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            // SAFETY: a valid time.
            unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
            let (reader, mut writer) = io::pipe()?;
            writer.write_all(b"x")?;
            drop(reader);
            Ok(())
        };
        // SAFETY: it calls what is signal-safe.
        unsafe { command.pre_exec(in_child) };
        assert!(command.status().unwrap().success());
    });
}

#[test]
fn children_by_waitid() {
    isolated(1).run(|| {
        #[expect(clippy::zombie_processes, reason = "waitid waits for it")]
        let child = Command::new("sh").args(["-c", "sleep 0.05; exit 7"]).spawn().unwrap();
        // SAFETY: plain numbers, for which all zeros are values.
        let mut about: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let wait = |options, about: *mut libc::siginfo_t| {
            // SAFETY: there is room, or it is null.
            unsafe { libc::waitid(libc::P_PID, child.id(), about, options) }
        };
        assert_eq!(wait(libc::WEXITED | libc::WNOWAIT, &raw mut about), 0);
        // SAFETY: it is about a child.
        assert_eq!(unsafe { about.si_status() }, 7);
        assert_eq!(wait(libc::WEXITED, ptr::null_mut()), 0);
        assert_eq!(wait(libc::WEXITED, ptr::null_mut()), -1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ECHILD));
    });
}

#[test]
fn file_locks_hold_no_thread() {
    let path = std::env::temp_dir().join(format!("pirn-hook-flock-{}", std::process::id()));
    std::fs::write(&path, "").unwrap();
    let before = threads();
    isolated(2).run(|| {
        let holder = std::fs::File::open(&path).unwrap();
        // SAFETY: a call on a file of ours.
        assert_eq!(unsafe { libc::flock(holder.as_raw_fd(), libc::LOCK_EX) }, 0);
        let waiters = (0..50).map(|_| {
            let path = path.clone();
            go(move || {
                let file = std::fs::File::open(path).unwrap();
                // SAFETY: as above.
                let busy = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
                assert_eq!((busy, io::Error::last_os_error().kind()), (-1, io::ErrorKind::WouldBlock));
                // SAFETY: as above.
                assert_eq!(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_SH) }, 0);
            })
        });
        let waiters: Vec<_> = waiters.collect();
        std::thread::sleep(SHORT);
        assert!(threads() <= before + 2 + 8 + 20, "{} threads, and {before} before", threads());
        drop(holder);
        join_all(waiters);
    });
    std::fs::remove_file(path).unwrap();
}

#[test]
fn names_are_looked_up_by_few_threads() {
    use std::net::ToSocketAddrs;
    isolated(2).run(|| {
        let lookups = (0..200).map(|_| go(|| ("localhost", 80).to_socket_addrs().unwrap().count()));
        assert!(join_all(lookups.collect::<Vec<_>>()).into_iter().all(|found| found > 0));
    });
}

/// Its child opens that FIFO, so the call lasts until somebody opens it for the opposite. Returns its number, or an error.
fn spawn_and_open(fifo: &CStr, flags: i32) -> Result<libc::pid_t, i32> {
    let mut actions = MaybeUninit::uninit();
    let mut child = 0;
    let mut arguments = [c"true".as_ptr().cast_mut(), ptr::null_mut()];
    // SAFETY: there is room.
    assert_eq!(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) }, 0);
    // SAFETY: they have been made, and the name ends with a zero.
    let added = unsafe { libc::posix_spawn_file_actions_addopen(actions.as_mut_ptr(), 0, fifo.as_ptr(), flags, 0) };
    assert_eq!(added, 0);
    // SAFETY: as above, and there is a list that ends with a null. No attributes and no variables are needed.
    let result = unsafe {
        libc::posix_spawnp(
            &raw mut child,
            c"true".as_ptr(),
            actions.as_ptr(),
            ptr::null(),
            arguments.as_mut_ptr(),
            ptr::null(),
        )
    };
    // SAFETY: they are not used any more.
    unsafe { libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr()) };
    if result == 0 { Ok(child) } else { Err(result) }
}

fn reap(child: libc::pid_t) {
    let mut status = -1;
    // SAFETY: there is room.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
}

/// The path of a new FIFO.
fn fifo(name: &str) -> CString {
    let path = std::env::temp_dir().join(format!("pirn-hook-{name}-{}", std::process::id()));
    let path = CString::new(path.into_os_string().into_encoded_bytes()).expect("no zero");
    // SAFETY: a string.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    path
}

fn remove(fifo: &CStr) {
    // SAFETY: a string.
    assert_eq!(unsafe { libc::unlink(fifo.as_ptr()) }, 0);
}

/// With one permit alone each would wait for the other.
#[test]
fn a_child_that_waits_for_another_does_not_keep_that_from_starting() {
    let path = fifo("pair");
    let rt = isolated(1);
    rt.run(|| {
        let starts = [libc::O_RDONLY, libc::O_WRONLY].map(|flags| {
            let path = path.clone();
            go(move || reap(spawn_and_open(&path, flags).expect("it starts")))
        });
        join_all(starts);
    });
    remove(&path);
    assert!(waits_in(&rt, "posix_spawn") > 0);
}

fn start_true() {
    assert!(Command::new("true").status().expect("it starts").success());
}

/// One that starts children again and again overtakes none that waits.
#[test]
fn who_waits_to_start_a_child_is_not_overtaken() {
    const OTHERS: usize = 10;
    for procs in [1, 2] {
        isolated(procs).run(|| {
            let (started, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let again_and_again = go({
                let (started, is_over) = (started.clone(), is_over.clone());
                move || {
                    while !is_over.load(Ordering::Relaxed) {
                        start_true();
                        started.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            eventually("it has begun", || started.load(Ordering::Relaxed) > 0);
            let others = (0..OTHERS).map(|_| {
                let started = started.clone();
                go(move || {
                    let before = started.load(Ordering::Relaxed);
                    start_true();
                    started.load(Ordering::Relaxed) - before
                })
            });
            let meanwhile = join_all(others.collect::<Vec<_>>());
            is_over.store(true, Ordering::Relaxed);
            again_and_again.join().unwrap();
            // Once for each that was before, and some while the other's child ran.
            assert!(meanwhile.iter().all(|children| *children < 10 * OTHERS), "{meanwhile:?}");
        });
    }
}

/// Beside a child whose start lasts there is one more permit, and not one for each of the others.
#[test]
fn a_child_that_does_not_start_keeps_no_others_from_it() {
    let path = fifo("stuck");
    let rt = isolated(2);
    let waits = || waits_in(&rt, "posix_spawn");
    let stuck = rt.run(|| {
        let path = path.clone();
        let begun = Arc::new(AtomicBool::new(false));
        let has_begun = begun.clone();
        let stuck = go(move || {
            has_begun.store(true, Ordering::Relaxed);
            reap(spawn_and_open(&path, libc::O_RDONLY).expect("it starts"));
        });
        eventually("it has begun", || begun.load(Ordering::Relaxed));
        std::thread::sleep(SHORT);
        start_true();
        stuck
    });
    let before = waits();
    assert!(before >= 1);
    rt.run(|| (0..20).for_each(|_| start_true()));
    assert!(waits() <= before + 2, "{} waits, and {before} before", waits());
    // For both: so it does not wait itself.
    let opened = File::options().read(true).write(true).open(OsStr::from_bytes(path.to_bytes())).expect("it is there");
    rt.run(|| stuck.join().unwrap());
    drop(opened);
    remove(&path);
}

/// As C does around a spawn, so that the child begins with them: whoever waited would go on with another thread's.
#[test]
fn who_has_blocked_signals_stays_on_its_thread() {
    /// Blocks one more, or sets them all. Returns those from before.
    fn mask(how: i32, signals: &libc::sigset_t) -> libc::sigset_t {
        let mut before = MaybeUninit::uninit();
        // SAFETY: there is a set, and room for one.
        assert_eq!(unsafe { libc::pthread_sigmask(how, signals, before.as_mut_ptr()) }, 0);
        // SAFETY: it has been written.
        unsafe { before.assume_init() }
    }
    fn of_one(signal: i32) -> libc::sigset_t {
        let mut signals = MaybeUninit::uninit();
        // SAFETY: there is room.
        unsafe { libc::sigemptyset(signals.as_mut_ptr()) };
        // SAFETY: it has been written.
        unsafe { libc::sigaddset(signals.as_mut_ptr(), signal) };
        // SAFETY: as above.
        unsafe { signals.assume_init() }
    }
    isolated(2).run(|| {
        let starts = (0..50).map(|_| {
            go(|| {
                let before = mask(libc::SIG_BLOCK, &of_one(libc::SIGUSR1));
                let thread = std::fs::read_link("/proc/thread-self").unwrap();
                let mut child = 0;
                let mut arguments = [c"true".as_ptr().cast_mut(), ptr::null_mut()];
                let (name, arguments) = (c"true".as_ptr(), arguments.as_mut_ptr());
                // SAFETY: a name and a list that end with a zero.
                let result = unsafe {
                    libc::posix_spawnp(&raw mut child, name, ptr::null(), ptr::null(), arguments, ptr::null())
                };
                assert_eq!(result, 0);
                assert_eq!(std::fs::read_link("/proc/thread-self").unwrap(), thread);
                mask(libc::SIG_SETMASK, &before);
                reap(child);
            })
        });
        join_all(starts.collect::<Vec<_>>());
    });
}

#[test]
fn who_waits_to_start_a_child_is_cancelled_when_the_runtime_closes() {
    let path = fifo("closing");
    let rt = isolated(1);
    let (begun, results) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    rt.run(|| {
        // Whenever 50 ms have passed one of them goes on.
        for _ in 0..100 {
            let (path, begun, results) = (path.clone(), begun.clone(), results.clone());
            go(move || {
                begun.fetch_add(1, Ordering::Relaxed);
                let started = spawn_and_open(&path, libc::O_RDONLY);
                results.lock().unwrap().push(started);
            });
        }
    });
    eventually("all have begun", || begun.load(Ordering::Relaxed) == 100);
    shown_waiting(&rt.handle(), "posix_spawn");
    let handle = rt.handle();
    let opens = std::thread::spawn({
        let path = path.clone();
        move || {
            eventually("no one waits to start a child", || {
                handle.goroutines().iter().all(|g| g.wait_reason != Some("posix_spawn"))
            });
            // For both: so it does not wait itself.
            File::options().read(true).write(true).open(OsStr::from_bytes(path.to_bytes())).expect("it is there")
        }
    });
    rt.close();
    drop(opens.join().unwrap());
    remove(&path);
    let results = mem::take(&mut *results.lock().unwrap());
    assert_eq!(results.len(), 100);
    let cancelled = results.iter().filter(|result| **result == Err(libc::ECANCELED)).count();
    assert!(cancelled > 0, "{results:?}");
    let started: Vec<_> = results.into_iter().flatten().collect();
    assert_eq!(started.len(), 100 - cancelled);
    started.into_iter().for_each(reap);
}

#[test]
fn dumps_name_the_child_and_waits_are_counted() {
    let rt = isolated(1);
    let waits_in = |call| waits_in(&rt, call);
    assert_eq!(waits_in("waitpid"), 0);
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let (id, end) = (child.id(), child.stdin.take().unwrap());
    rt.run(|| {
        drop(go(move || assert!(child.wait().unwrap().success())));
        std::thread::sleep(SHORT);
    });
    let dump = shown_waiting(&rt.handle(), "waitpid");
    assert!(dump.contains(&format!("[waitpid, process {id}, for ")), "{dump}");
    drop(end);
    eventually("no G is left", || rt.handle().goroutines().is_empty());
    assert!(waits_in("waitpid") >= 1 && waits_in("nanosleep") >= 1);
    assert_eq!(waits_in("accept"), 0);
}

#[test]
fn an_epoll_in_the_epoll() {
    let rt = isolated(1);
    let handle = rt.handle();
    rt.run(|| {
        // SAFETY: it has no preconditions.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        // SAFETY: it is new.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        let (ours, mut theirs) = tcp_pair();
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 5 };
        // SAFETY: a valid event.
        let added = unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, ours.as_raw_fd(), &raw mut event) };
        assert_eq!(added, 0);
        let wait = move |timeout_ms| {
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: room for one.
            let found = unsafe { libc::epoll_wait(fd, &raw mut event, 1, timeout_ms) };
            (found, event.u64)
        };
        let began = Instant::now();
        assert_eq!(wait(30).0, 0);
        assert!(began.elapsed() >= SHORT);
        let waits = go(move || wait(-1));
        eventually("it waits", || handle.goroutines().iter().any(|g| g.wait_reason == Some("epoll_wait")));
        theirs.write_all(b"x").unwrap();
        assert_eq!(waits.join().unwrap(), (1, 5));
        let time = libc::timespec { tv_sec: 1, tv_nsec: 0 };
        // SAFETY: room for one, and a time.
        assert_eq!(unsafe { libc::epoll_pwait2(fd, &raw mut event, 1, &raw const time, ptr::null()) }, 1);
        // SAFETY: room for one.
        assert_eq!(unsafe { libc::epoll_pwait(fd, &raw mut event, 1, -1, ptr::null()) }, 1);
        drop(epoll);
    });
}

#[test]
fn select_waits_and_says_which() {
    isolated(1).run(|| {
        let pairs = [tcp_pair(), tcp_pair()];
        let fds = [pairs[0].0.as_raw_fd(), pairs[1].0.as_raw_fd()];
        let select = |timeout_us: Option<i64>| {
            // SAFETY: all zeros are the empty set.
            let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
            for fd in fds {
                // SAFETY: there are less descriptors than a set has places.
                unsafe { libc::FD_SET(fd, &raw mut set) };
            }
            let mut time = timeout_us.map(|tv_usec| libc::timeval { tv_sec: 0, tv_usec });
            let time = time.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
            let most = fds[0].max(fds[1]) + 1;
            // SAFETY: the set and the time are there.
            let found = unsafe { libc::select(most, &raw mut set, ptr::null_mut(), ptr::null_mut(), time) };
            // SAFETY: as above.
            (found, fds.map(|fd| unsafe { libc::FD_ISSET(fd, &raw const set) }))
        };
        let began = Instant::now();
        assert_eq!(select(Some(30_000)), (0, [false, false]));
        assert!(began.elapsed() >= SHORT);
        let mut other = pairs[1].1.try_clone().unwrap();
        let write = go(move || other.write_all(b"x").unwrap());
        assert_eq!(select(None), (1, [false, true]));
        write.join().unwrap();
    });
}

#[test]
fn pselect_is_a_select() {
    let rt = isolated(1);
    rt.run(|| {
        let (ours, mut theirs) = tcp_pair();
        let fd = ours.as_raw_fd();
        let pselect = |timeout_ms: i64, mask: *const libc::sigset_t| {
            // SAFETY: all zeros are the empty set.
            let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
            // SAFETY: there are less descriptors than a set has places.
            unsafe { libc::FD_SET(fd, &raw mut set) };
            let time = libc::timespec { tv_sec: timeout_ms / 1_000, tv_nsec: timeout_ms % 1_000 * 1_000_000 };
            let none = ptr::null_mut();
            // SAFETY: the set, the time, and the mask, if any, are there.
            let found = unsafe { libc::pselect(fd + 1, &raw mut set, none, none, &raw const time, mask) };
            // SAFETY: as above.
            (found, unsafe { libc::FD_ISSET(fd, &raw const set) })
        };
        let began = Instant::now();
        assert_eq!(pselect(30, ptr::null()), (0, false));
        assert!(began.elapsed() >= SHORT);
        // SAFETY: all zeros are the empty set.
        let mask: libc::sigset_t = unsafe { std::mem::zeroed() };
        assert_eq!(pselect(1, &raw const mask), (0, false));
        let write = go(move || theirs.write_all(b"x").unwrap());
        assert_eq!(pselect(100_000, ptr::null()), (1, true));
        write.join().unwrap();
    });
    // The last one need not wait, if the byte has come by then.
    let waits = rt.metrics().hooked_waits;
    assert!(waits.iter().any(|(call, count)| *call == "select of descriptors" && *count >= 1), "{waits:?}");
}

#[test]
fn wait4_says_what_a_child_has_used() {
    let rt = isolated(1);
    rt.run(|| {
        #[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
        let child = Command::new("sh").args(["-c", "sleep 0.05; exit 3"]).spawn().unwrap();
        let (id, mut status) = (child.id() as i32, 0);
        // SAFETY: plain numbers, for which all zeros are values.
        let mut used: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: there is room for both.
        let mut wait = |options| unsafe { libc::wait4(id, &raw mut status, options, &raw mut used) };
        assert_eq!(wait(libc::WNOHANG), 0);
        assert_eq!(wait(0), id);
        assert_eq!((libc::WEXITSTATUS(status), used.ru_maxrss > 0), (3, true));
    });
    assert!(rt.metrics().hooked_waits.iter().any(|(call, count)| *call == "waitpid" && *count >= 1));
}

mod fortified {
    use super::*;
    use std::ffi::{c_int, c_void};
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    // What C calls that is compiled so.
    unsafe extern "C" {
        fn __read_chk(fd: c_int, buf: *mut c_void, len: usize, room: usize) -> isize;
        fn __recv_chk(fd: c_int, buf: *mut c_void, len: usize, room: usize, flags: c_int) -> isize;
        fn __poll_chk(asked: *mut libc::pollfd, count: libc::nfds_t, timeout_ms: c_int, room: usize) -> c_int;
    }

    #[test]
    fn calls_that_are_told_the_size_of_the_buffer() {
        let rt = isolated(1);
        rt.run(|| {
            let (ours, mut theirs) = tcp_pair();
            let fd = ours.as_raw_fd();
            let write = go(move || {
                for _ in 0..3 {
                    std::thread::sleep(SHORT);
                    theirs.write_all(b"x").unwrap();
                }
            });
            let mut buf = [0_u8; 8];
            // SAFETY: there is room.
            assert_eq!(unsafe { __read_chk(fd, buf.as_mut_ptr().cast(), 8, 8) }, 1);
            // SAFETY: as above; the compiler may not know how much.
            assert_eq!(unsafe { __recv_chk(fd, buf.as_mut_ptr().cast(), 8, usize::MAX, 0) }, 1);
            let mut asked = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one record.
            assert_eq!(unsafe { __poll_chk(&raw mut asked, 1, -1, size_of::<libc::pollfd>()) }, 1);
            write.join().unwrap();
        });
        let waits = rt.metrics().hooked_waits;
        for call in ["read", "recv", "poll"] {
            assert!(waits.iter().any(|(name, count)| *name == call && *count >= 1), "{waits:?}");
        }
    }

    #[test]
    fn a_buffer_that_is_too_small_ends_the_process() {
        isolated(1).run(|| {
            let in_child = || {
                // SAFETY: it ends this process, which is a child.
                unsafe { __read_chk(0, ptr::null_mut(), 9, 8) };
                Ok(())
            };
            let mut command = Command::new("true");
            // SAFETY: it calls what is signal-safe.
            unsafe { command.stderr(Stdio::null()).pre_exec(in_child) };
            assert_eq!(command.status().unwrap().signal(), Some(libc::SIGABRT));
        });
    }
}
