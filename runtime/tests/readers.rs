//! Whoever reads what is printed may be slow, late, gone, or nobody: the program goes on, and ends.

mod common;

use common::talk::{Running, case_of, say, wait_for_parent};
use common::{builder, child_command, eventually};
use pirn_runtime::{blocking, go, park, sleep};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(20);

/// A pipe that is full after some twenty lines: what is read, what is written.
fn small_pipe() -> (File, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: a valid place for two descriptors.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: it is open and nobody else's.
    let reader = unsafe { File::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    let writer = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    // SAFETY: an open descriptor.
    assert!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) } >= 4096);
    (reader, writer)
}

fn small_socket() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = UnixStream::pair().expect("a pair of sockets");
    let bytes: libc::c_int = 1;
    let len = size_of_val(&bytes) as libc::socklen_t;
    let place = (&raw const bytes).cast();
    // SAFETY: an open descriptor, and a value of that length.
    let set = unsafe { libc::setsockopt(writer.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, place, len) };
    assert_eq!(set, 0);
    (reader.into(), writer.into())
}

/// A terminal that somebody has stopped with ^S.
fn stopped_terminal() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: valid places for two descriptors; the rest may be null.
    let opened = unsafe { libc::openpty(&raw mut master, &raw mut slave, none, none.cast(), none.cast()) };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: it is open and nobody else's.
    let master = unsafe { OwnedFd::from_raw_fd(master) };
    // SAFETY: as above.
    let slave = unsafe { OwnedFd::from_raw_fd(slave) };
    // SAFETY: an open descriptor of a terminal.
    assert_eq!(unsafe { libc::tcflow(slave.as_raw_fd(), libc::TCOOFF) }, 0);
    (master, slave)
}

/// Nobody reads, and all that is written to is full: sysmon hung in a write, and so did the drop of the runtime.
#[test]
fn nobody_waits_for_a_reader_that_does_not_read() {
    const TEST: &str = "nobody_waits_for_a_reader_that_does_not_read";
    if case_of(TEST).is_some() {
        let rt = builder().procs(2).build().expect("a runtime");
        // Of so many Gs a dump is longer than any of the buffers.
        let waiting: Vec<_> = (0..100).map(|_| rt.go(park)).collect();
        rt.run(|| {
            let slow = go(|| blocking(|| std::thread::sleep(MOMENT * 10)));
            (0..10).for_each(|_| sleep(MOMENT));
            slow.join().expect("no panic");
        });
        // SAFETY: a signal to this very process, which has a handler for it.
        unsafe { libc::raise(libc::SIGQUIT) };
        rt.run(|| (0..10).for_each(|_| sleep(MOMENT)));
        drop(rt);
        assert!(waiting.into_iter().all(|g| g.join().is_err()));
        return;
    }
    let list = "schedtrace=1,scheddetail=1,blockers=1,dumponsignal=1";
    let debug = [("PIRN_DEBUG", list)];
    let pipe = || {
        let (reader, writer) = small_pipe();
        (OwnedFd::from(reader), writer)
    };
    for full in [pipe, small_socket, stopped_terminal] {
        let (_reader, writer) = full();
        Running::start(child_command(TEST, "full", &debug).stderr(writer)).expect_success();
    }
    // The last words wait for some seconds, and not longer.
    let (_reader, writer) = pipe();
    let on_exit = format!("{list},dumponexit");
    Running::start(child_command(TEST, "exit", &[("PIRN_DEBUG", &on_exit)]).stderr(writer)).expect_success();
    let (reader, writer) = pipe();
    drop(reader);
    Running::start(child_command(TEST, "gone", &debug).stderr(writer)).expect_success();
}

/// Reads schedtrace, and checks that lines are whole and that what is missing is counted. Returns how many lines were left
/// out before the line at which it ends, which is `enough`'s.
#[track_caller]
fn read_lines(from: &mut impl BufRead, mut enough: impl FnMut(u64, u64) -> bool) -> u64 {
    let (mut left_out, mut lines, mut last_ms) = (0, 0, None);
    for line in from.lines() {
        let line = line.expect("UTF-8");
        if let Some(rest) = line.strip_prefix("pirn: schedtrace: ") {
            let (count, rest) = rest.split_once(' ').expect("a number");
            assert!(rest.ends_with(" left out: the reader is too slow"), "{line:?}");
            left_out += count.parse::<u64>().expect("a number");
            continue;
        }
        // The test runner's own words.
        let Some(rest) = line.strip_prefix("SCHED ") else { continue };
        assert!(rest.ends_with("]") && rest.matches("schedticks=").count() == 1, "a broken line: {line:?}");
        let ms: u64 = rest.split_once("ms: ").and_then(|(ms, _)| ms.parse().ok()).expect("milliseconds");
        assert!(last_ms.is_none_or(|last| last < ms), "{line:?} after {last_ms:?}");
        (lines, last_ms) = (lines + 1, Some(ms));
        if enough(lines, left_out) {
            return left_out;
        }
    }
    panic!("it has ended after {lines} lines, {left_out} left out");
}

/// A reader that comes when the pipe has been full for long gets whole lines, and the count of those that are missing.
#[test]
fn a_slow_reader_gets_whole_lines_and_a_count() {
    const TEST: &str = "a_slow_reader_gets_whole_lines_and_a_count";
    if case_of(TEST).is_some() {
        let rt = builder().procs(2).build().expect("a runtime");
        rt.run(|| sleep(MOMENT * 10));
        say("full");
        return rt.run(wait_for_parent);
    }
    let (reader, writer) = small_pipe();
    let mut child = Running::start(child_command(TEST, "", &[("PIRN_DEBUG", "schedtrace=1")]).stderr(writer));
    child.wait_for("full");
    let left_out = read_lines(&mut BufReader::new(reader), |lines, left_out| left_out > 0 && lines > 100);
    assert!(left_out > 10, "{left_out} left out in 200 ms, at a line each");
    child.go_on();
    child.expect_success();
}

/// A dump that is longer than the pipe comes whole, whenever its reader comes.
#[test]
fn a_long_dump_waits_for_its_reader() {
    const TEST: &str = "a_long_dump_waits_for_its_reader";
    const GS: usize = 500;
    if case_of(TEST).is_some() {
        let rt = builder().procs(2).name("talks").build().expect("a runtime");
        let gs: Vec<_> = (0..GS).map(|_| rt.go(park)).collect();
        eventually("all wait", || rt.goroutines().iter().all(|g| g.waiting_for.is_some()));
        // SAFETY: a signal to this very process, which has a handler for it.
        unsafe { libc::raise(libc::SIGQUIT) };
        // Lines that come meanwhile must not get into it.
        rt.run(|| sleep(MOMENT * 20));
        say("asked");
        rt.run(wait_for_parent);
        return drop(gs);
    }
    let (reader, writer) = small_pipe();
    let debug = [("PIRN_DEBUG", "dumponsignal=1,schedtrace=5")];
    let mut child = Running::start(child_command(TEST, "", &debug).stderr(writer));
    child.wait_for("asked");
    let (mut gs, mut in_dump) = (0, false);
    for line in BufReader::new(reader).lines() {
        let line = line.expect("UTF-8");
        in_dump |= line.starts_with("SIGQUIT: runtime \"talks\"");
        if !in_dump {
            continue;
        }
        gs += usize::from(line.starts_with("goroutine ") && line.contains("[park"));
        assert!(gs == GS || !line.contains("SCHED"), "after {gs} Gs: {line:?}");
        if line.starts_with("SCHED ") {
            break;
        }
    }
    assert_eq!(gs, GS);
    child.go_on();
    child.expect_success();
}

/// `schedout=` on a FIFO: the program did not start until somebody read it, and hung when the reader did not go on.
#[test]
fn a_fifo_may_have_its_readers_later() {
    const TEST: &str = "a_fifo_may_have_its_readers_later";
    if let Some(case) = case_of(TEST) {
        let rt = builder().procs(2).build().expect("a runtime");
        rt.run(|| sleep(MOMENT));
        say("runs");
        if case == "readers" {
            rt.run(wait_for_parent);
        }
        return;
    }
    let path = std::env::temp_dir().join(format!("pirn-fifo-{}", std::process::id()));
    let name = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no zero");
    // SAFETY: the name ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let debug = format!("schedtrace=1,schedout={}", path.display());
    let variables = [("PIRN_DEBUG", debug.as_str())];
    let mut child = Running::start(&mut child_command(TEST, "none", &variables));
    let mut stderr = child.stderr();
    child.wait_for("runs");
    child.expect_success();
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("UTF-8");
    let expected = format!("pirn: schedout: nobody reads {}: lines are left out until somebody does\n", path.display());
    assert_eq!(said.matches(&expected).count(), 1, "{said}");
    assert!(!said.contains("SCHED"), "{said}");

    let mut child = Running::start(&mut child_command(TEST, "readers", &variables));
    child.wait_for("runs");
    // Each goes away in the middle; the next one begins with a whole line.
    for nth in 0..3 {
        let mut reader = BufReader::new(File::open(&path).expect("a FIFO"));
        let left_out = read_lines(&mut reader, |lines, _| lines == 20);
        assert!(left_out > 0 || nth > 0, "nobody has read until now");
    }
    child.go_on();
    child.expect_success();
    std::fs::remove_file(&path).expect("it is there");
}
