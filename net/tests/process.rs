//! Children: their ends, outputs and inputs, timeouts, and what is left of them.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{child_case, runtime, subprocess, threads};
use crew::everywhere;
use pirn_net::process::CommandExt;
use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(30);

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

#[test]
fn ends_are_told() {
    everywhere(|_| {
        assert!(sh("true").status_g().unwrap().success());
        assert_eq!(sh("exit 7").status_g().unwrap().code(), Some(7));
        let mut child = sh("sleep 0.1; exit 3").spawn_g().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(child.wait().unwrap().code(), Some(3));
        // And again.
        assert_eq!(child.wait().unwrap().code(), Some(3));
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(3));
        assert_eq!(Command::new("/no such program").spawn_g().unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn both_outputs_are_read_at_the_same_time() {
    everywhere(|_| {
        let script = "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; echo end; echo error >&2; exit 1";
        let output = sh(script).output_g().unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (1_000_004, 1_000_006));
        assert_eq!(output.status.code(), Some(1));
        let output = sh("echo only").stdout(Stdio::piped()).spawn_g().unwrap().wait_with_output().unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), (&b"only\n"[..], &b""[..]));
    });
}

#[test]
fn a_child_is_talked_to() {
    everywhere(|_| {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn_g().unwrap();
        let mut stdout = cat.stdout.take().unwrap();
        for word in ["one", "two"] {
            cat.stdin.as_mut().unwrap().write_all(word.as_bytes()).unwrap();
            let mut echo = [0; 3];
            stdout.read_exact(&mut echo).unwrap();
            assert_eq!(echo, word.as_bytes());
        }
        // The wait closes its input, so it ends.
        assert!(cat.wait().unwrap().success());
    });
}

#[test]
fn a_wait_has_a_timeout() {
    everywhere(|_| {
        let mut child = Command::new("sleep").arg("1000").spawn_g().unwrap();
        let began = Instant::now();
        for _ in 0..2 {
            assert_eq!(child.wait_timeout(SOON).unwrap(), None);
        }
        assert!(began.elapsed() >= SOON * 2);
        child.kill().unwrap();
        assert!(child.wait_timeout(crew::PATIENCE).unwrap().is_some());
        assert!(!child.wait().unwrap().success());
        let mut child = sh("sleep 0.05").spawn_g().unwrap();
        assert!(child.wait_timeout(crew::PATIENCE).unwrap().unwrap().success());
    });
}

/// Whether there is such a process, also if it has ended and nobody has waited for it.
fn exists(process: u32) -> bool {
    std::fs::metadata(format!("/proc/{process}")).is_ok()
}

#[test]
fn a_child_is_killed_when_it_is_dropped_if_asked() {
    everywhere(|_| {
        let mut child = Command::new("sleep").arg("1000").spawn_g().unwrap();
        let id = child.id();
        child.kill_on_drop(true);
        drop(child);
        assert!(!exists(id));
        let child = sh("sleep 0.2").spawn_g().unwrap();
        let id = child.id();
        drop(child);
        assert!(exists(id));
    });
}

#[test]
fn those_that_wait_hold_no_threads() {
    const CHILDREN: usize = 50;
    if child_case("those_that_wait_hold_no_threads").is_none() {
        subprocess("those_that_wait_hold_no_threads", "run", &[]).expect_success();
        return;
    }
    let house = runtime(2);
    let prefix = house.thread_prefix();
    house.run(|| {
        let waiting: Vec<_> =
            (0..CHILDREN).map(|_| pirn_runtime::go(|| sh("sleep 1").status_g().unwrap().success())).collect();
        pirn_runtime::sleep(Duration::from_millis(800));
        let threads = threads(&prefix);
        assert!(threads < CHILDREN / 2, "{threads} threads");
        assert!(waiting.into_iter().all(|g| g.join().unwrap()));
    });
}
