//! Running a program to its end, or to the end of its time.

use crate::figures::{Figure, Outcome};
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The exit code of a program that has no such workload.
pub(crate) const NO_SUCH_WORKLOAD: u8 = 3;

/// How long to wait for the rest of the output of a program that was killed.
const GRACE: Duration = Duration::from_secs(1);

/// How often to look for the end of a program that has closed its output before.
const LOOK: Duration = Duration::from_millis(10);

/// What a program wrote, and how it ended.
#[derive(Debug)]
struct Ended {
    /// None if it was killed, for its time was over.
    status: Option<ExitStatus>,
    out: String,
    err: String,
}

/// Runs `command`, for no longer than `limit`, and reads the figures from what it prints: those of `peer`, if it is one.
pub(crate) fn run(command: Command, peer: Option<&str>, limit: Duration) -> Outcome {
    let ended = match to_the_end(command, limit) {
        Ok(ended) => ended,
        Err(error) => return failed("did not start", &error.to_string()),
    };
    let last_line = last_line(&ended.err).or(last_line(&ended.out)).unwrap_or("it wrote nothing").to_owned();
    let Some(status) = ended.status else {
        let how = format!("no end after {} s", limit.as_secs_f64());
        return Outcome::Failed { how, last_line, hopeless: true };
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => match Figure::all_of(&ended.out, peer) {
            figures if figures.is_empty() => failed("printed no figure", &last_line),
            figures => Outcome::Figures(figures),
        },
        (Some(code), _) if code == i32::from(NO_SUCH_WORKLOAD) => Outcome::None,
        (Some(code), _) => failed(&format!("exit code {code}"), &last_line),
        (None, signal) => failed(&format!("signal {}", signal.unwrap_or_default()), &last_line),
    }
}

fn failed(how: &str, last_line: &str) -> Outcome {
    Outcome::Failed { how: how.to_owned(), last_line: last_line.to_owned(), hopeless: false }
}

/// The last line that is not empty.
pub(crate) fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

/// Waits for the end of the output, not for that of the process, which only a poll could do with a limit: nothing of
/// ours runs beside what is measured.
fn to_the_end(mut command: Command, limit: Duration) -> io::Result<Ended> {
    let deadline = Instant::now() + limit;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let out = read_all(child.stdout.take());
    let err = read_all(child.stderr.take());
    let left = || deadline.saturating_duration_since(Instant::now());
    let in_time = out.recv_timeout(left()).and_then(|out| Ok((out, err.recv_timeout(left())?)));
    let status = if in_time.is_ok() { end_by(&mut child, deadline)? } else { None };
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let (out, err) = in_time.unwrap_or_else(|_| {
        let rest = |from: Receiver<String>| from.recv_timeout(GRACE).unwrap_or_default();
        (rest(out), rest(err))
    });
    Ok(Ended { status, out, err })
}

/// How `child` ends, if it does before the deadline.
fn end_by(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(LOOK);
    }
}

/// Reads a pipe to its end, on a thread, and sends what there was.
fn read_all(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read is there even if the rest could not.
            _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody listens any more if it took too long.
        _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Outcome {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, Some("go"), limit)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn figures_of_a_program() {
        let Outcome::Figures(figures) = sh("echo yield1 go 1 ns_per_yield 88 ns; echo noise >&2", LONG) else {
            panic!()
        };
        assert_eq!(figures.len(), 1);
        assert_eq!(figures[0].value, 88.0);
    }

    #[test]
    fn no_such_workload() {
        assert_eq!(sh("echo no such >&2; exit 3", LONG), Outcome::None);
    }

    #[test]
    fn a_crash_tells_its_last_line() {
        let script = "echo yield1 go 1 ns_per_yield 88 ns; echo first >&2; echo last words >&2; echo >&2; exit 101";
        assert_eq!(sh(script, LONG), failed("exit code 101", "last words"));
        assert_eq!(sh("echo only this; kill -9 $$", LONG), failed("signal 9", "only this"));
        assert_eq!(sh("exit 1", LONG), failed("exit code 1", "it wrote nothing"));
    }

    #[test]
    fn silence_is_a_failure() {
        assert_eq!(sh("echo hello", LONG), failed("printed no figure", "hello"));
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let hung = Outcome::Failed { how: "no end after 0.5 s".into(), last_line: "so far".into(), hopeless: true };
        assert_eq!(sh("echo so far; exec sleep 1000", Duration::from_millis(500)), hung);
        // The same with its output closed.
        let hung = Outcome::Failed { how: "no end after 0.5 s".into(), last_line: "so far".into(), hopeless: true };
        let script = "echo so far; exec >/dev/null 2>/dev/null sleep 1000";
        assert_eq!(sh(script, Duration::from_millis(500)), hung);
    }

    #[test]
    fn no_such_program() {
        let outcome = run(Command::new("/nowhere/at/all"), None, LONG);
        assert!(matches!(outcome, Outcome::Failed { how, .. } if how == "did not start"));
    }
}
