//! Names of what can happen: wait reasons, statuses, what a deadlock does; and the two ways to end the process, `fatal`
//! and `give_up`.

#![cfg(not(loom))]

/// Why a G waits. Where Go has the same thing, the word is Go's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WaitReason {
    /// It does not wait.
    None,
    /// [`park`](crate::park) and [`park_timeout`](crate::park_timeout).
    Park,
    /// [`sleep`](crate::sleep).
    Sleep,
    /// [`JoinHandle::join`](crate::JoinHandle::join).
    Join,
    /// The end of a [`scope`](crate::scope), which waits for the Gs that it started.
    Scope,
    /// [`block_on`](crate::block_on).
    BlockOn,
    /// [`Timer::wait`](crate::time::Timer::wait).
    Timer,
    /// [`Ticker::wait`](crate::time::Ticker::wait).
    Ticker,
    /// A receive on a channel.
    ChanReceive,
    /// A receive on a channel that never has anything.
    ChanReceiveNever,
    /// A send on a channel.
    ChanSend,
    /// A select.
    Select,
    /// A select without cases.
    SelectNoCases,
}

impl WaitReason {
    /// All of them, by their number.
    pub(crate) const ALL: [WaitReason; 13] = [
        WaitReason::None,
        WaitReason::Park,
        WaitReason::Sleep,
        WaitReason::Join,
        WaitReason::Scope,
        WaitReason::BlockOn,
        WaitReason::Timer,
        WaitReason::Ticker,
        WaitReason::ChanReceive,
        WaitReason::ChanReceiveNever,
        WaitReason::ChanSend,
        WaitReason::Select,
        WaitReason::SelectNoCases,
    ];

    /// The word for dumps.
    pub(crate) fn name(self) -> &'static str {
        match self {
            WaitReason::None => "",
            WaitReason::Park => "park",
            WaitReason::Sleep => "sleep",
            WaitReason::Join => "join",
            WaitReason::Scope => "scope",
            WaitReason::BlockOn => "block on",
            WaitReason::Timer => "timer",
            WaitReason::Ticker => "ticker",
            WaitReason::ChanReceive => "chan receive",
            WaitReason::ChanReceiveNever => "chan receive (never)",
            WaitReason::ChanSend => "chan send",
            WaitReason::Select => "select",
            WaitReason::SelectNoCases => "select (no cases)",
        }
    }

    /// The reason with that number.
    pub(crate) fn from_u8(n: u8) -> WaitReason {
        Self::ALL.get(usize::from(n)).copied().unwrap_or(WaitReason::None)
    }
}

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

/// What happens when all Gs of a runtime wait, and nothing can ever wake one. When that is certain, and what silences it:
/// [`Builder::deadlock_report`](crate::Builder::deadlock_report).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeadlockReport {
    /// Nothing.
    Off,
    /// Every G is reported on standard error, once, and the program goes on.
    Warn,
    /// Every G is reported on standard error, and the process ends with status 2, as in Go.
    #[default]
    Abort,
}

/// For how long a reader of standard error may take nothing. The caller of [`complain`] has other things to do; a program
/// that ends must not hang in its last words.
const COMPLAINT_NS: u64 = 100_000_000;
const LAST_WORDS_NS: u64 = 5_000_000_000;

/// One line to the user's terminal that is not the program's own output.
pub(crate) fn complain(line: &str) {
    crate::os::write_stderr(format!("{line}\n").as_bytes(), COMPLAINT_NS);
}

/// What is said at the end of something, of whatever length.
pub(crate) fn last_words(text: &[u8]) {
    crate::os::write_stderr(text, LAST_WORDS_NS);
}

/// A broken rule of the house: says which and ends the process.
pub(crate) fn fatal(what: &str) -> ! {
    last_words(format!("fatal error: {what}\n").as_bytes());
    crate::os::abort();
}

/// The program can not go on, through no fault of the house: says why and ends the process with status 2, as Go does.
pub(crate) fn give_up(why: &str) -> ! {
    last_words(format!("fatal error: {why}\n").as_bytes());
    crate::os::exit(2);
}
