//! What the system does not give: errors that name the cause.

mod common;

use common::{builder, child_case, subprocess};
use pirn_runtime::Builder;
use std::process::Command;

#[test]
fn a_limit_on_locked_memory_is_named() {
    const TEST: &str = "a_limit_on_locked_memory_is_named";
    if child_case(TEST).is_some() {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the limit is valid to be written.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) }, 0);
        limit.rlim_cur = limit.rlim_max.min(64 << 20);
        // SAFETY: the limit is good during the call.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0);
        // Who may do anything has no limit.
        // SAFETY: no preconditions.
        assert!(unsafe { libc::geteuid() } != 0 || unsafe { libc::setuid(65_534) } == 0);
        // SAFETY: it changes how memory is reserved, and no memory.
        assert_eq!(unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) }, 0);
        let error = builder().build().map(|rt| rt.go(|| ()).join()).expect_err("more is reserved than may be locked");
        eprintln!("{error}");
        return;
    }
    let ended = subprocess(TEST, "", &[("PIRN_TEST_MODE", "isolated")]);
    ended.expect_success().expect_says("raise the limit on that (ulimit -l)");
    assert!(!ended.stderr.contains("ulimit -v"), "{ended:#?}");
}

#[test]
fn valgrind_is_named() {
    const TEST: &str = "valgrind_is_named";
    if child_case(TEST).is_some() {
        eprintln!("{}", Builder::new().build().expect_err("FS is not followed"));
        return;
    }
    let mut valgrind = Command::new("valgrind");
    let me = std::env::current_exe().expect("the path of the test");
    valgrind.arg("-q").arg(me).args([TEST, "--exact", "--nocapture"]).env("PIRN_TEST_CHILD", format!("{TEST}#"));
    let Ok(output) = valgrind.output() else {
        eprintln!("there is no valgrind here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Valgrind does not follow the FS register"), "{said}");
    assert!(said.contains("shared_thread_locals"), "{said}");
    assert!(!said.contains("CPU"), "{said}");
}
