//! Child processes that are waited for without a thread: [`CommandExt`] for [`std::process::Command`].
//!
//! A child has a descriptor (`pidfd_open`), which is readable when it has ended.

use crate::io::{PipeReader, PipeWriter};
use crate::poll::{Poll, deadline};
use crate::sys;
use pirn_runtime::JoinHandle;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::process::{self, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// So long a child that is killed when it is dropped is waited for, in milliseconds. It takes less than one, unless the
/// child hangs in the kernel.
const KILLED_MS: i32 = 100;

/// For [`std::process::Command`]: children that are waited for without a thread.
///
/// ```
/// use pirn::process::CommandExt;
/// use std::process::Command;
///
/// pirn::run(|| {
///     let output = Command::new("echo").arg("hello").output_g().unwrap();
///     assert_eq!(output.stdout, b"hello\n");
/// });
/// ```
pub trait CommandExt {
    /// Starts the child: [`Command::spawn`].
    ///
    /// # Errors
    /// If the program is not there, or there is no process or descriptor to be had.
    fn spawn_g(&mut self) -> io::Result<Child>;

    /// Starts the child, and waits for its end: [`Command::status`].
    ///
    /// # Errors
    /// As [`spawn_g`](Self::spawn_g).
    fn status_g(&mut self) -> io::Result<ExitStatus> {
        self.spawn_g()?.wait()
    }

    /// Starts the child, and reads all of its two outputs: [`Command::output`]. Both become pipes, whatever was set before.
    ///
    /// # Errors
    /// As [`spawn_g`](Self::spawn_g); if an output cannot be read.
    fn output_g(&mut self) -> io::Result<Output>;
}

impl CommandExt for Command {
    fn spawn_g(&mut self) -> io::Result<Child> {
        Child::new(self.spawn()?)
    }

    fn output_g(&mut self) -> io::Result<Output> {
        self.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn_g()?.wait_with_output()
    }
}

/// A child process: [`std::process::Child`], but what waits for it holds no thread.
///
/// As with std, it runs on when this is dropped, unless [`kill_on_drop`](Self::kill_on_drop) says otherwise, and a child
/// that has ended and is never waited for stays in the table of processes.
///
/// # Cancellation
/// While the runtime shuts down, a wait unwinds its goroutine with `pirn::ShutDown`. The child runs on.
///
/// ```
/// use pirn::process::CommandExt;
/// use std::process::Command;
/// use std::time::Duration;
///
/// pirn::run(|| {
///     let mut child = Command::new("sleep").arg("1000").spawn_g().unwrap();
///     assert_eq!(child.wait_timeout(Duration::from_millis(10)).unwrap(), None);
///     child.kill().unwrap();
///     assert!(!child.wait().unwrap().success());
/// });
/// ```
pub struct Child {
    /// What is written to its standard input, if that was made a pipe.
    pub stdin: Option<PipeWriter>,
    /// Its standard output, if that was made a pipe.
    pub stdout: Option<PipeReader>,
    /// Its standard error, if that was made a pipe.
    pub stderr: Option<PipeReader>,
    child: process::Child,
    end: Poll<OwnedFd>,
    kill_on_drop: bool,
}

impl Child {
    fn new(mut child: process::Child) -> io::Result<Child> {
        let end = match sys::pidfd(child.id()).and_then(|end| Poll::named(end, "process")) {
            Ok(end) => end,
            Err(error) => {
                // It would be lost, and its caller thinks that there is none.
                _ = child.kill();
                _ = child.wait();
                return Err(error);
            }
        };
        Ok(Child {
            stdin: child.stdin.take().map(|pipe| OwnedFd::from(pipe).into()),
            stdout: child.stdout.take().map(|pipe| OwnedFd::from(pipe).into()),
            stderr: child.stderr.take().map(|pipe| OwnedFd::from(pipe).into()),
            child,
            end,
            kill_on_drop: false,
        })
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the child is killed when this is dropped, and has not been waited for. At first it is not.
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Child {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// Kills the child, if it has not been waited for. Then wait for it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Waits for the end of the child, after closing [`stdin`](Self::stdin), so that the child does not wait for more. Later
    /// calls return the same.
    ///
    /// # Errors
    /// If somebody else has waited for it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.wait_until(None)?.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    /// As [`wait`](Self::wait), for so long at most: then this is none, and the child runs on.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        self.wait_until(deadline(Some(timeout)))
    }

    fn wait_until(&mut self, until: Option<Instant>) -> io::Result<Option<ExitStatus>> {
        drop(self.stdin.take());
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some(status));
        }
        self.end.set_read_deadline(until);
        match self.end.readable() {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => self.child.try_wait(),
            ready => {
                ready?;
                // It has ended, so this does not wait.
                self.child.wait().map(Some)
            }
        }
    }

    /// How the child has ended; none while it runs.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Closes [`stdin`](Self::stdin), reads all of the outputs that are pipes, both at the same time, and waits for the end.
    ///
    /// # Errors
    /// As [`wait`](Self::wait); if an output cannot be read.
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        // A child that fills one pipe while the other is read would wait for ever.
        let stderr = self.stderr.take().map(Beside::read);
        let stdout = read_all(self.stdout.take());
        let stderr = stderr.map_or(Ok(Vec::new()), Beside::join);
        Ok(Output { status: self.wait()?, stdout: stdout?, stderr: stderr? })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.kill_on_drop && matches!(self.child.try_wait(), Ok(None)) {
            _ = self.child.kill();
            // A destructor must not park.
            _ = sys::poll(self.end.get_ref().as_fd(), sys::READABLE, KILLED_MS);
            _ = self.child.try_wait();
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id())
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish_non_exhaustive()
    }
}

fn read_all(pipe: Option<PipeReader>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// A read on a G of its own, or on a thread if the caller is no G.
enum Beside {
    G(JoinHandle<io::Result<Vec<u8>>>),
    Thread(thread::JoinHandle<io::Result<Vec<u8>>>),
}

impl Beside {
    fn read(pipe: PipeReader) -> Beside {
        let read = move || read_all(Some(pipe));
        match pirn_runtime::current_gid() {
            Some(_) => Beside::G(pirn_runtime::go(read)),
            None => Beside::Thread(thread::spawn(read)),
        }
    }

    fn join(self) -> io::Result<Vec<u8>> {
        let result = match self {
            Beside::G(g) => g.join(),
            Beside::Thread(thread) => thread.join(),
        };
        result.unwrap_or_else(|payload| resume_unwind(payload))
    }
}
