//! Prints schedtrace, in one of its formats, to standard error or a file.

use super::outbox::{Outbox, Sent};
use super::schedtrace;
use super::snapshot;
use crate::sched::Shared;
use crate::timers::NEVER;
use std::io;
use std::path::Path;

/// The format of a schedtrace line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// As Go 1.27 prints it.
    #[default]
    Go,
    /// With queue lengths as Go printed them before 1.25, and without schedticks.
    Compact,
    /// One JSON object a line.
    Json,
}

/// What to print, and where.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    /// Every P, M and G too.
    detail: bool,
    /// Its own file; standard error if there is none.
    out: Option<Outbox>,
    /// How many lines were left out since the last one.
    left_out: u64,
    /// The last line could not be written, or had no reader, and this has been reported.
    is_broken: bool,
}

impl Printer {
    /// Prints to the file at `out`, at its end, or to standard error.
    ///
    /// # Errors
    /// If the file cannot be opened. A FIFO without a reader can: lines are left out until there is one.
    pub(crate) fn new(format: Format, detail: bool, out: Option<&Path>) -> io::Result<Printer> {
        let out = out.map(Outbox::file).transpose()?;
        Ok(Printer { format, detail, out, left_out: 0, is_broken: false })
    }

    /// Prints a line, if the reader can take it now: the caller does not wait for it.
    pub(crate) fn print(&mut self, shared: &Shared, stderr: &mut Outbox, now_ns: u64) {
        if !self.out.as_mut().unwrap_or(stderr).is_free(now_ns) {
            self.left_out += 1;
            return;
        }
        let (mut line, detail) = snapshot::take(shared, now_ns, self.detail);
        line.leftout = self.left_out;
        let text = match (self.format, &detail) {
            (Format::Json, detail) => schedtrace::json(&line, detail.as_ref()),
            (_, Some(detail)) => schedtrace::go_detail(&line, detail),
            (Format::Go, None) => schedtrace::go(&line),
            (Format::Compact, None) => schedtrace::compact(&line),
        };
        let out = self.out.as_mut().unwrap_or(stderr);
        let failed = match out.send(&text, now_ns) {
            Sent::Taken => {
                (self.left_out, self.is_broken) = (0, false);
                return;
            }
            Sent::TooSlow => None,
            Sent::NoReader => Some(("nobody reads", "lines are left out until somebody does".to_owned())),
            Sent::Failed(error) => {
                Some(("can not write to", format!("{error}; lines are left out until it can be written to again")))
            }
        };
        self.left_out += 1;
        // Once, until it works again: a full disk is no reason to fill the terminal.
        if let (Some((what, why)), Some(path)) = (failed, out.path())
            && !std::mem::replace(&mut self.is_broken, true)
        {
            let path = path.display().to_string();
            stderr.post(&format!("pirn: schedout: {what} {path}: {why}\n"), now_ns);
        }
    }

    /// Writes as much of what waits as possible. Returns whether some of it was written.
    pub(crate) fn flush(&mut self, now_ns: u64) -> bool {
        self.out.as_mut().is_some_and(|out| out.flush(now_ns))
    }

    /// When to flush next.
    pub(crate) fn due_ns(&self) -> u64 {
        self.out.as_ref().map_or(NEVER, Outbox::due_ns)
    }
}
