//! Waits for any child: in a process of its own, as they take the children of other tests.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::isolated;
use pirn_hook as _;
use pirn_runtime::go;
use std::io;
use std::process::Command;
use std::ptr;
use std::thread::sleep;
use std::time::Duration;

// `libc` has it not.
unsafe extern "C" {
    fn wait3(status: *mut i32, options: i32, used: *mut libc::rusage) -> libc::pid_t;
}

#[test]
fn any_child_is_waited_for() {
    let rt = isolated(1);
    rt.run(|| {
        let mut status = 0;
        for nth in 1..5 {
            #[expect(clippy::zombie_processes, reason = "each is waited for below")]
            let child = Command::new("sh").args(["-c", &format!("sleep 0.05; exit {nth}")]).spawn().unwrap();
            let id = child.id() as i32;
            let other = go(|| sleep(Duration::from_millis(1)));
            let ended = match nth {
                // SAFETY: there is room.
                1 => unsafe { libc::wait(&raw mut status) },
                // SAFETY: as above.
                2 => unsafe { libc::waitpid(-1, &raw mut status, 0) },
                // SAFETY: as above; what it has used is not asked for.
                3 => unsafe { wait3(&raw mut status, 0, ptr::null_mut()) },
                // SAFETY: as above.
                _ => unsafe { libc::waitpid(id, &raw mut status, libc::WUNTRACED) },
            };
            assert!(ended == id && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == nth);
            other.join().unwrap();
        }
        // SAFETY: as above.
        assert_eq!(unsafe { libc::wait(&raw mut status) }, -1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ECHILD));
    });
    let waits = rt.metrics().hooked_waits;
    assert!(waits.iter().any(|(call, count)| *call == "wait for a child" && *count > 3), "{waits:?}");
}
