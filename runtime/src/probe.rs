//! Names of what can happen: statuses, what a deadlock does; and the two ways to end the process, `fatal` and
//! `exit_with_report`.

#![cfg(not(loom))]

/// Where a G is, with Go's numbers. The owner of the G writes it; everybody may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// On a queue or in a runnext.
    Runnable = 1,
    /// On an M.
    Running = 2,
    /// Parked.
    Waiting = 4,
    /// Free: the record is in a pool.
    Dead = 6,
}

impl Status {
    /// The status with that number.
    pub(crate) fn from_u8(n: u8) -> Status {
        match n {
            1 => Status::Runnable,
            2 => Status::Running,
            4 => Status::Waiting,
            _ => Status::Dead,
        }
    }
}

/// What happens when all Gs of a runtime wait, and nothing can ever wake one. When that is certain, and what prevents
/// the report: [`Builder::deadlock_report`](crate::Builder::deadlock_report).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeadlockReport {
    /// Nothing.
    Off,
    /// Every G is reported on standard error, once, and the program continues.
    Warn,
    /// Every G is reported on standard error, and the process ends with status 2, as in Go.
    #[default]
    Abort,
}

/// For how long a reader of standard error may accept nothing. The caller of [`complain`] has other work; a program
/// that ends must not hang in its last words.
const COMPLAINT_NS: u64 = 100_000_000;
const LAST_WORDS_NS: u64 = 5_000_000_000;

/// One line to the user's terminal that is not the program's own output.
pub(crate) fn complain(line: &str) {
    crate::os::write_stderr(format!("{line}\n").as_bytes(), COMPLAINT_NS);
}

/// The report at the end of something, of any length.
pub(crate) fn last_words(text: &[u8]) {
    crate::os::write_stderr(text, LAST_WORDS_NS);
}

/// An invariant is broken: prints which, and aborts.
pub(crate) fn fatal(what: &str) -> ! {
    last_words(format!("fatal error: {what}\n").as_bytes());
    crate::os::abort();
}

/// The program cannot continue, though no invariant is broken: prints why and ends the process with status 2, as Go
/// does.
pub(crate) fn exit_with_report(why: &str) -> ! {
    last_words(format!("fatal error: {why}\n").as_bytes());
    crate::os::exit(2);
}
