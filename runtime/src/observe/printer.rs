//! Prints schedtrace: in which form, and where to.

use super::schedtrace;
use super::snapshot;
use crate::os::write_stderr;
use crate::probe::complain;
use crate::sched::Shared;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The shape of a schedtrace line.
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

/// What to print, and where to.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    /// Every P, M and G too.
    detail: bool,
    /// Standard error, if there is none.
    out: Option<(PathBuf, File)>,
    /// The last line could not be written, which has been said.
    is_broken: bool,
}

impl Printer {
    /// Prints to the file at `out`, at its end, or to standard error.
    ///
    /// # Errors
    /// If the file can not be opened.
    pub(crate) fn new(format: Format, detail: bool, out: Option<&Path>) -> io::Result<Printer> {
        let out = match out {
            Some(path) => Some((path.to_owned(), OpenOptions::new().create(true).append(true).open(path)?)),
            None => None,
        };
        Ok(Printer { format, detail, out, is_broken: false })
    }

    /// Prints how it stands.
    pub(crate) fn print(&mut self, shared: &Shared, now_ns: u64) {
        let (line, detail) = snapshot::take(shared, now_ns, self.detail);
        let text = match (self.format, &detail) {
            (Format::Json, detail) => schedtrace::json(&line, detail.as_ref()),
            (_, Some(detail)) => schedtrace::go_detail(&line, detail),
            (Format::Go, None) => schedtrace::go(&line),
            (Format::Compact, None) => schedtrace::compact(&line),
        };
        self.write(&text);
    }

    fn write(&mut self, text: &str) {
        let Some((path, file)) = &mut self.out else {
            return write_stderr(text.as_bytes());
        };
        match file.write_all(text.as_bytes()) {
            Ok(()) => self.is_broken = false,
            // Once, until it works again: a full disk is no reason to fill the terminal.
            Err(_) if self.is_broken => {}
            Err(error) => {
                self.is_broken = true;
                complain(&format!(
                    "pirn: schedout: can not write to {}: {error}; lines are left out until it can be written to again",
                    path.display()
                ));
            }
        }
    }
}
