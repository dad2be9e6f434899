//! Plain numbers, each with its reason.

#![cfg(not(loom))]

/// A local queue longer than this sends half of itself to the global queue, as in Go.
pub(crate) const LOCAL_QUEUE_MAX: usize = 256;

/// Every so many picks an M looks at the global queue, the timers and the clock first. 61 is Go's: a prime, so
/// that it does not coincide with a period of the program.
pub(crate) const FAIRNESS_TICKS: u32 = 61;

/// So many Gs in a row may come from runnext while others wait in the queue. A smaller number costs two Gs that wake
/// each other nothing that can be measured.
pub(crate) const RUNNEXT_STREAK_MAX: u32 = 16;

/// Slices longer than this, on average over [`FAIRNESS_TICKS`] picks, make a P coarse: a G made ready goes where
/// other Ps see it, and one of them is woken. Below it a wake (8 us for the waker) costs more than it gains.
pub(crate) const COARSE_SLICE_NS: u64 = 3_000;

/// While slices are short, an idle P is woken only if what the lane hides takes at least so long to run. The waker pays
/// some microseconds, and each G that changes its P pays for its cache lines.
pub(crate) const WORTH_WAKE_NS: u64 = 1_000;

/// What has come from outside at once is worth an idle P if it takes at least so long to run: a wake, the search and the
/// sleep after it cost some 25 us in all.
pub(crate) const ARRIVALS_WORTH_WAKE_NS: u64 = 24_000;
/// A G that has waited for a descriptor is taken to run for so long at least: it makes a system call or two.
pub(crate) const ARRIVAL_SLICE_NS: u64 = 3_000;

/// How long an M searches for work before it sleeps.
pub(crate) const SEARCH_NS: u64 = 6_000;

/// At most so many Gs are taken from the global queue at a time.
pub(crate) const GLOBAL_BATCH_MAX: usize = LOCAL_QUEUE_MAX / 2;

/// A P keeps at most so many free G records; half go to the pool when there are more.
pub(crate) const FREE_GS_MAX: usize = 256;

/// So many ids a P takes from the process-wide counter at a time.
pub(crate) const ID_BATCH: u64 = 1024;

/// While slices are long, an M takes its share of the global queue at a pick if there is room for so many.
pub(crate) const DRAW_MIN: usize = LOCAL_QUEUE_MAX / 4;

/// A P with work of its own polls descriptors if no more Gs than this are in its local queue. A longer one is drained first.
pub(crate) const POLL_QUEUE_MAX: usize = 32;

/// A P that has Gs for others and has picked none for so long has an M without a CPU, or one whose G runs for long. Others
/// take them before they poll for new ones. The kernel leaves a thread without a CPU for some milliseconds.
pub(crate) const STRANDED_NS: u64 = 100_000;

/// The default stack of a G. Debug builds use several times as much stack.
pub(crate) const STACK_BYTES: usize = if cfg!(debug_assertions) { 1 << 20 } else { 256 << 10 };

/// The least and the most that may be asked for as a stack limit.
pub(crate) const STACK_BYTES_MIN: usize = 64 << 10;
/// See [`STACK_BYTES_MIN`].
pub(crate) const STACK_BYTES_MAX: usize = 1 << 30;

/// The most Ps that a runtime may have.
pub(crate) const MAX_PROCS: usize = 1024;

/// The shortest and the longest pause of sysmon while a P is held.
pub(crate) const SYSMON_MIN_NS: u64 = 20_000;
/// See [`SYSMON_MIN_NS`].
pub(crate) const SYSMON_MAX_NS: u64 = 10_000_000;
/// The longest pause of sysmon while an M may block, or work waits: 15 to 30 us of work for each millisecond.
pub(crate) const SYSMON_BUSY_NS: u64 = 1_000_000;
/// The longest pause of sysmon while every M that runs Gs picks many of them: none blocks then, and they look after all else
/// themselves. (Go's sysmon pauses for up to 10 ms then.) With 1,000 busy connections on two Ps a pause of 1 ms cost 6 % of
/// the server's CPU time: sysmon's own, and that of the Ms whose CPU it took.
pub(crate) const SYSMON_STEADY_NS: u64 = 4_000_000;
/// If all Ps were idle for less than so long, sysmon goes on with the pause that it was at. What a server waits for comes
/// within some ten microseconds, and each time sysmon looked again after the shortest pause: that took a fifth of the
/// server's CPU time with one connection, and a thirteenth with 64.
pub(crate) const SYSMON_NAP_NS: u64 = 10_000_000;
/// How long nobody has asked for the events of descriptors when sysmon does: Ms ask at every 61st pick, and whenever
/// they have nothing to run.
pub(crate) const POLL_NS: u64 = 1_000_000;
/// The same while an M runs many Gs in a short time: it asks when it has run its queue once, and new events would stand
/// behind that queue anyway. What sysmon delivers goes by way of the global queue: with 1,000 busy connections that took 5 %
/// of a server's CPU time.
pub(crate) const POLL_LATER_NS: u64 = 10_000_000;
/// How often sysmon counts the threads of the machine that want a CPU, while descriptors have events: it takes some
/// microseconds, with many CPUs more.
pub(crate) const CROWD_SAMPLE_NS: u64 = 4_000_000;
/// On a machine without a CPU for each P, it is tried in so many windows of so long each whether more Gs are picked with
/// fewer Ps, and what is found holds for so long (`sysmon/crowd.rs`).
pub(crate) const WINDOW_NS: u64 = 30_000_000;
/// See [`WINDOW_NS`].
pub(crate) const WINDOWS: u32 = 8;
/// A machine has been without a CPU for each P for so long when this is tried: what begins is like nothing that follows.
pub(crate) const SETTLED_NS: u64 = 200_000_000;
/// See [`WINDOW_NS`].
pub(crate) const KEPT_NS: u64 = 4_000_000_000;
/// While slices are long, Ms ask for these events at their picks, if nobody has for so long: it takes some 200 ns.
pub(crate) const ASK_NS: u64 = 20_000;
/// If descriptors have had events so lately, an M that has nothing to run does not search for [`SEARCH_NS`]: it sleeps in
/// the epoll. With 64 busy connections the search took a tenth of a server's CPU time.
pub(crate) const LATELY_NS: u64 = 1_000_000;
/// sysmon may be poked out of a pause that is longer than this.
pub(crate) const SYSMON_DROWSY_NS: u64 = 200_000;

/// A G that holds its P for so long, in wall time, while others wait, is asked to let them run. If its thread has run for
/// so long, it then loses its P. This is Go's slice.
pub(crate) const SLICE_NS: u64 = 10_000_000;
/// After so many slices of wall time it loses it, however little its thread has run.
pub(crate) const SLICES_MAX: u64 = 10;

/// A thread computes if it runs for so long between two sleeps or preemptions, on average. The kernel lets one that
/// never sleeps run for some milliseconds at a time; what answers small requests runs for some ten microseconds.
pub(crate) const STRETCH_NS: u64 = 250_000;

/// Slices become longer with the number of Gs that compute without a P: twice as long at so many per P. Otherwise a
/// load of long computations would use more and more threads, and each would make little progress.
pub(crate) const ADRIFT_PER_P: usize = 8;

/// A G that blocks its thread for so long is reported, if that is asked for.
pub(crate) const BLOCKER_NS: u64 = 100_000_000;

/// When the system has refused a thread, it is not asked for another for so long: it takes some 20 us to refuse.
pub(crate) const NO_THREAD_NS: u64 = 10_000_000;

/// An M that sleeps for so long ends, if as many others sleep as there are Ps.
pub(crate) const M_KEPT_NS: u64 = 2_000_000_000;

/// How often idle stacks give memory back.
pub(crate) const SCAVENGE_NS: u64 = 500_000_000;
/// How long sysmon rests between two calls while much is to be given back: a million stacks take some five seconds,
/// at a quarter of one CPU.
pub(crate) const SCAVENGE_PAUSE_NS: u64 = 2_000_000;

/// Whether a panic unwinds. With `panic = "abort"`, which a profile sets for all crates of a program, a G cannot be
/// ended from outside. When its runtime closes, it is left whole where it waits.
pub(crate) const UNWINDS: bool = cfg!(panic = "unwind");

/// How long dropping a [`Runtime`](crate::Runtime) waits for Gs that do not park.
pub(crate) const DROP_TIMEOUT_NS: u64 = 1_000_000_000;
