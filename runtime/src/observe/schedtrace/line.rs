//! The numbers that schedtrace prints.

use std::panic::Location;

/// One look at the scheduler. What is printed of it, and in which order: `fields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceLine {
    /// Milliseconds since the runtime was built.
    pub(crate) ms: u64,
    /// How many Ps there are.
    pub(crate) gomaxprocs: usize,
    /// How many of them no M has.
    pub(crate) idleprocs: usize,
    /// How many Ms there are, with sysmon.
    pub(crate) threads: usize,
    /// How many Ms are searching.
    pub(crate) spinningthreads: usize,
    /// Whether work was found that no P was free for.
    pub(crate) needspinning: bool,
    /// How many Ms sleep without a P.
    pub(crate) idlethreads: usize,
    /// How many Gs are on the global queue.
    pub(crate) runqueue: usize,
    /// How many Gs are on the local queue of each P. Not in the detailed text, where each P says it.
    pub(crate) local: Vec<u64>,
    /// How often each P has picked a G, those from runnext not counted. Not in the detailed form, where each P says it.
    pub(crate) schedticks: Vec<u64>,
    /// How many Ms wait for the turn of a G that is locked to them. Only with detail.
    pub(crate) nmidlelocked: usize,
    /// Whether sysmon sleeps until there is something to watch. Only with detail.
    pub(crate) sysmonwait: bool,
    /// How many lines before this one were left out, as the reader was too slow. Not in Go; text has a line
    /// of its own for it.
    pub(crate) leftout: u64,
}

/// Every P, M and G: what follows the header with detail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    /// The Ps, by number.
    pub(crate) ps: Vec<PLine>,
    /// The Ms; Go begins with the youngest.
    pub(crate) ms: Vec<MLine>,
    /// The Gs, by number.
    pub(crate) gs: Vec<GLine>,
}

/// One P.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PLine {
    /// Its number.
    pub(crate) id: usize,
    /// 0 if no M has it, 1 if one has.
    pub(crate) status: u8,
    /// How often it has picked a G, those from runnext not counted.
    pub(crate) schedtick: u64,
    /// How often it was handed off: taken from an M, or released by one. In Go: system calls that have ended on it or
    /// lost it.
    pub(crate) syscalltick: u64,
    /// The M that has it.
    pub(crate) m: Option<u32>,
    /// How many Gs are on its local queue.
    pub(crate) runqsize: usize,
    /// How many free G records it keeps.
    pub(crate) gfreecnt: usize,
    /// How many timers it has.
    pub(crate) timerslen: usize,
    /// The G that runs next. Not in Go.
    pub(crate) runnext: Option<u64>,
}

/// One M.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MLine {
    /// Its number.
    pub(crate) id: u32,
    /// The P that it has.
    pub(crate) p: Option<usize>,
    /// The G that it runs.
    pub(crate) curg: Option<u64>,
    /// Whether it searches.
    pub(crate) spinning: bool,
    /// Whether it sleeps.
    pub(crate) blocked: bool,
    /// The G that is locked to it.
    pub(crate) lockedg: Option<u64>,
    /// Whether it is the keeper, and waits for events of descriptors. Not in Go.
    pub(crate) polls: bool,
    /// What the system calls its thread. Not in Go.
    pub(crate) tid: i32,
}

/// One G.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GLine {
    /// Its number.
    pub(crate) id: u64,
    /// Where it is, with Go's numbers: 1 runnable, 2 running, 3 in a system call, 4 waiting.
    pub(crate) status: u8,
    /// Why it waits, or nothing. Go goes on saying why it waited last.
    pub(crate) wait_reason: &'static str,
    /// The M that runs it.
    pub(crate) m: Option<u32>,
    /// The M that it is locked to.
    pub(crate) lockedm: Option<u32>,
    /// The name that it was given. Not in Go.
    pub(crate) name: Option<String>,
    /// For how many milliseconds it has waited, if it waits. Not in Go.
    pub(crate) wait_ms: Option<u64>,
    /// The G that has what it waits on. Not in Go.
    pub(crate) heldby: Option<u64>,
    /// The thread that has it, as the system calls it. Not in Go.
    pub(crate) heldbytid: Option<i32>,
    /// Where the call stands that started it. Not in Go.
    pub(crate) birthplace: Option<&'static Location<'static>>,
}
