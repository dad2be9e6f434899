//! Text on its way to a reader that may be slow or gone: the writer never waits.
//!
//! A text whose first part is written is written whole: the rest that did not fit is kept, and comes before anything
//! else, so a line stays a line. While there is a rest, lines of schedtrace are left out ([`Outbox::is_free`]), and
//! reports are kept up to a limit.

use crate::os::{open_for_lines, try_write_stderr, try_write_to};
use crate::timers::NEVER;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A report is kept if no more than this waits already.
const WAITING_MAX_BYTES: usize = 1 << 20;

/// More than the length of any rest.
const NO_MORE: usize = usize::MAX;

/// How soon a rest is tried again: after some of it has gone, and at most.
const AGAIN_MIN_NS: u64 = 1_000_000;
const AGAIN_MAX_NS: u64 = 100_000_000;

/// Where text goes to.
#[derive(Debug)]
enum To {
    Stderr,
    /// A file; none is open if it is a FIFO without a reader.
    File(PathBuf, Option<File>),
}

/// What happened to a text.
#[derive(Debug)]
#[must_use]
pub(super) enum Sent {
    /// It is written, or its rest will follow.
    Taken,
    /// The reader is too slow: nothing of it is written.
    TooSlow,
    /// The FIFO has no reader.
    NoReader,
    /// It cannot be written.
    Failed(io::Error),
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Outbox {
    to: To,
    /// The text that is partly written, with what waits behind it; and how much of it is written.
    rest: Vec<u8>,
    gone: usize,
    /// How many reports were left out.
    left_out: u64,
    due_ns: u64,
    again_ns: u64,
}

impl Outbox {
    /// To standard error.
    pub(crate) fn stderr() -> Outbox {
        Outbox::new(To::Stderr)
    }

    /// To the end of a file, or to a FIFO, which may get its reader later.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn file(path: &Path) -> io::Result<Outbox> {
        let file = open_for_lines(path)?;
        Ok(Outbox::new(To::File(path.to_owned(), file)))
    }

    fn new(to: To) -> Outbox {
        Outbox { to, rest: Vec::new(), gone: 0, left_out: 0, due_ns: NEVER, again_ns: AGAIN_MIN_NS }
    }

    /// The file, if it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.to {
            To::Stderr => None,
            To::File(path, _) => Some(path),
        }
    }

    /// Whether nothing waits, so that a line may be sent. Tries to get there.
    pub(super) fn is_free(&mut self, now_ns: u64) -> bool {
        self.flush(now_ns);
        self.rest.is_empty()
    }

    /// Sends a line, whole, if all before it is written; otherwise not at all.
    pub(super) fn send(&mut self, line: &str, now_ns: u64) -> Sent {
        if !self.is_free(now_ns) {
            return Sent::TooSlow;
        }
        match self.try_write(line.as_bytes()) {
            Ok(None) => Sent::NoReader,
            Ok(Some(0)) => Sent::TooSlow,
            Ok(Some(gone)) => {
                self.keep(&line.as_bytes()[gone..], now_ns);
                Sent::Taken
            }
            Err(error) => Sent::Failed(error),
        }
    }

    /// Sends a report, or keeps it until what waits is written. If too much waits, leaves it out and counts it.
    pub(crate) fn post(&mut self, report: &str, now_ns: u64) {
        if !self.is_free(now_ns) && self.rest.len() - self.gone > WAITING_MAX_BYTES {
            self.left_out += 1;
            return;
        }
        if self.left_out > 0 {
            let what = plural(self.left_out, "report was", "reports were");
            self.keep(format!("pirn: {what} left out: the reader is too slow\n").as_bytes(), now_ns);
            self.left_out = 0;
        }
        self.keep(report.as_bytes(), now_ns);
        self.flush(now_ns);
    }

    /// Writes as much of what waits as possible. Returns whether some of it was written.
    pub(crate) fn flush(&mut self, now_ns: u64) -> bool {
        if self.rest.is_empty() {
            return false;
        }
        let (rest, before) = (std::mem::take(&mut self.rest), self.gone);
        match self.try_write(&rest[self.gone..]) {
            Ok(Some(0)) => self.again_ns = (self.again_ns * 2).min(AGAIN_MAX_NS),
            Ok(Some(more)) => {
                self.gone += more;
                self.again_ns = AGAIN_MIN_NS;
            }
            // The line must be whole when there is room again.
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                self.again_ns = AGAIN_MAX_NS;
            }
            // No reader reads it to its end.
            Ok(None) | Err(_) => self.gone = NO_MORE,
        }
        let has_gone = self.gone > before;
        if self.gone >= rest.len() {
            self.gone = 0;
            self.due_ns = NEVER;
        } else {
            self.rest = rest;
            self.due_ns = now_ns + self.again_ns;
        }
        has_gone
    }

    /// When to flush next.
    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    fn keep(&mut self, text: &[u8], now_ns: u64) {
        if text.is_empty() {
            return;
        }
        if self.gone > self.rest.len() / 2 {
            // A reader that takes only a little each time never reaches the end.
            self.rest.drain(..self.gone);
            self.gone = 0;
        }
        self.rest.extend_from_slice(text);
        self.again_ns = AGAIN_MIN_NS;
        self.due_ns = now_ns + self.again_ns;
    }

    /// Writes what it can without waiting. None if there is no reader.
    fn try_write(&mut self, text: &[u8]) -> io::Result<Option<usize>> {
        let To::File(path, file) = &mut self.to else { return try_write_stderr(text).map(Some) };
        if file.is_none() {
            *file = open_for_lines(path)?;
        }
        let Some(open) = file else { return Ok(None) };
        let written = try_write_to(open, text);
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            // It is opened anew for the next reader.
            *file = None;
        }
        written.map(Some)
    }
}

/// A number with its noun.
pub(crate) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
