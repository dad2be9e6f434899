//! [`stdin`].

use crate::poll::Poll;
use crate::shared::Shared;
use pirn_sync::{LazyLock, Mutex, MutexGuard};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// The one buffer of the process.
static BUFFER: LazyLock<Mutex<BufReader<Raw>>> =
    LazyLock::new(|| Mutex::new(BufReader::new(Raw(Poll::of(io::stdin(), "stdin", Shared::default())))));

/// Standard input: [`std::io::stdin`], but what waits for it holds no thread. It has a buffer of its own: do not use
/// std's at the same time.
///
/// The descriptor stays as it is, as it is shared with other processes (io I2): a read comes after it has become readable.
/// If another process reads at the same time, a read may block its thread all the same.
///
/// ```no_run
/// pirn::run(|| {
///     for line in pirn::io::stdin().lines() {
///         println!("{}", line.unwrap());
///     }
/// });
/// ```
pub fn stdin() -> Stdin {
    Stdin(())
}

/// What [`stdin`] returns.
#[derive(Debug)]
pub struct Stdin(());

impl Stdin {
    /// Reads from now on without others in between, until the lock is dropped. Waits while somebody else has it.
    pub fn lock(&self) -> StdinLock {
        StdinLock(BUFFER.lock())
    }

    /// Reads a line, with its end, and appends it to `line`. Zero at the end of the input.
    ///
    /// # Errors
    /// Those of a read; if the line is not UTF-8.
    pub fn read_line(&self, line: &mut String) -> io::Result<usize> {
        self.lock().read_line(line)
    }

    /// The lines, without their ends. Each is read under the lock of its own.
    pub fn lines(self) -> Lines {
        Lines(self)
    }
}

impl Read for Stdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buf)
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.lock().read_to_end(buf)
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        self.lock().read_to_string(buf)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.lock().read_exact(buf)
    }
}

/// What [`Stdin::lines`] returns.
#[derive(Debug)]
pub struct Lines(Stdin);

impl Iterator for Lines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        self.0.lock().lines().next()
    }
}

/// What [`Stdin::lock`] returns.
pub struct StdinLock(MutexGuard<'static, BufReader<Raw>>);

impl Read for StdinLock {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl BufRead for StdinLock {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl fmt::Debug for StdinLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdinLock").finish_non_exhaustive()
    }
}

/// The descriptor, whose reads wait until it is readable.
struct Raw(Poll<io::Stdin>);

impl Read for Raw {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.readable()?;
        crate::sys::read_blocking(self.0.as_fd(), buf)
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
