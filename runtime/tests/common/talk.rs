//! Children that the test talks to while they run.

use super::child_case;
use std::io::{Read, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// A child that is killed if it does not end by itself.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        Running(command.stdin(Stdio::piped()).spawn().expect("a child"))
    }

    /// The child's standard error, once.
    pub(crate) fn stderr(&mut self) -> ChildStderr {
        self.0.stderr.take().expect("piped, and not taken yet")
    }

    /// Waits until the child has printed this line to its standard output.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, said: &str) {
        let stdout = self.0.stdout.as_mut().expect("piped");
        let mut line = Vec::new();
        // Byte for byte: nothing of the next line is taken. The test runner's own words may stand before it.
        while !line.ends_with(format!("{said}\n").as_bytes()) {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap_or_else(|_| panic!("the child ended before it said {said}"));
            line.extend(byte);
        }
    }

    /// Lets the child go on from [`wait_for_parent`].
    pub(crate) fn go_on(&mut self) {
        self.0.stdin.as_mut().expect("piped").write_all(b".").expect("the child reads it");
    }

    #[track_caller]
    pub(crate) fn expect_success(mut self) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().expect("the child's status") {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the child hangs");
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads until the text has come so many times, and with it a line that begins with `end`.
#[track_caller]
pub(crate) fn read_until(stderr: &mut ChildStderr, said: &mut String, what: &str, times: usize, end: &str) {
    let all_there =
        |said: &str| said.match_indices(what).nth(times - 1).is_some_and(|(at, _)| said[at..].contains(end));
    while !all_there(said) {
        let mut bytes = [0; 4096];
        let n = stderr.read(&mut bytes).expect("a pipe can be read");
        assert!(n > 0, "the child has ended: {said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
}

/// In a child: says something to the parent, past the capture of the test runner.
pub(crate) fn say(what: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{what}").expect("the parent listens");
    stdout.flush().expect("the parent listens");
}

/// Which case of the test this process is a child for; one that hangs is ended by the kernel.
pub(crate) fn case_of(test: &str) -> Option<String> {
    let case = child_case(test)?;
    // SAFETY: it has no preconditions.
    unsafe { libc::alarm(60) };
    Some(case)
}

/// In a child: waits for [`Running::go_on`].
pub(crate) fn wait_for_parent() {
    std::io::stdin().read_exact(&mut [0]).expect("the parent writes a byte");
}
