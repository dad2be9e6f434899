//! Stack traces: of the calling code, and of a thread that does not answer.

use super::lock::Mutex;
use super::signal::{default_action, earlier_action, pass_on, set_action};
use super::thread::{monotonic_ns, thread_id};
use super::unhooked::nap;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A place in the code, and the stack pointer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) ip: usize,
    pub(crate) sp: usize,
}

/// Calls `each` with the frames of the caller, the innermost first, until it returns false. It allocates nothing, takes
/// no lock of its own, and needs 4 KiB of stack.
pub(crate) fn unwind(mut each: impl FnMut(Frame) -> bool) {
    // SAFETY: only the search for symbols has to be synchronised, and only on other platforms.
    unsafe { backtrace::trace_unsynchronized(|frame| each(Frame { ip: frame.ip().addr(), sp: frame.sp().addr() })) };
}

/// The signal that asks a thread where it is. As in Go: by default it is ignored, debuggers do not stop at it, and the
/// C library does not use it.
const SIGNAL: libc::c_int = libc::SIGURG;

const FRAMES_MAX: usize = 64;
/// How long a thread may take to answer. One that is deep in the kernel, or blocks the signal, does not answer.
const ANSWER_MAX: Duration = Duration::from_millis(20);
/// How long a thread that has begun to answer may take.
const GIVE_UP_NS: u64 = 1_000_000_000;

const IDLE: u64 = 0;
const ANSWERING: u64 = 1;
const ANSWERED: u64 = 2;

/// The thread `tid` is asked. In one word, so that a late handler does not answer the next question.
fn asked(tid: i32) -> u64 {
    u64::from(tid.unsigned_abs()) << 2 | 3
}

/// The one question that is open: the asker waits until it is answered, or takes it back.
struct Question {
    state: AtomicU64,
    len: AtomicUsize,
    frames: [[AtomicUsize; 2]; FRAMES_MAX],
}

static QUESTION: Question = Question {
    state: AtomicU64::new(IDLE),
    len: AtomicUsize::new(0),
    frames: [const { [AtomicUsize::new(0), AtomicUsize::new(0)] }; FRAMES_MAX],
};

/// The action that was in force for the signal before ours.
static EARLIER: OnceLock<libc::sigaction> = OnceLock::new();

/// Asks the thread `tid` of this process where it is, by a signal: a system call that it is in may fail with EINTR.
/// None: it has not answered.
pub(crate) fn frames_of(tid: i32) -> Option<Vec<Frame>> {
    static ASKERS: Mutex<()> = Mutex::new(());
    let _alone = ASKERS.lock().unwrap_or_else(|e| e.into_inner());
    install().ok()?;
    if QUESTION.state.compare_exchange(IDLE, asked(tid), Ordering::AcqRel, Ordering::Relaxed).is_err() {
        // A thread has begun to answer an earlier question, and has not ended.
        return None;
    }
    let process = std::process::id();
    // SAFETY: a signal with a handler, to a thread of this process; if there is none it fails.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, tid, SIGNAL) } == 0;
    let pause = Duration::from_micros(100);
    for _ in 0..ANSWER_MAX.as_micros() / pause.as_micros() {
        if !sent || QUESTION.state.load(Ordering::Acquire) == ANSWERED {
            break;
        }
        nap(pause);
    }
    let taken_back = QUESTION.state.compare_exchange(asked(tid), IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok();
    if taken_back {
        return None;
    }
    // It has begun to answer. That takes long only if the loader's lock delays it; then no thread is asked any more.
    let began_ns = monotonic_ns();
    while QUESTION.state.load(Ordering::Acquire) != ANSWERED {
        if monotonic_ns() - began_ns > GIVE_UP_NS {
            return None;
        }
        nap(pause);
    }
    let len = QUESTION.len.load(Ordering::Relaxed);
    let frame = |[ip, sp]: &[AtomicUsize; 2]| Frame { ip: ip.load(Ordering::Relaxed), sp: sp.load(Ordering::Relaxed) };
    let frames = QUESTION.frames[..len].iter().map(frame).collect();
    QUESTION.state.store(IDLE, Ordering::Relaxed);
    Some(frames)
}

fn install() -> io::Result<()> {
    if EARLIER.get().is_some() {
        return Ok(());
    }
    let earlier = earlier_action(SIGNAL)?;
    if EARLIER.set(earlier).is_err() {
        return Ok(());
    }
    let mut action = default_action();
    action.sa_sigaction = on_question as extern "C" fn(_, _, _) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    set_action(SIGNAL, &action)
}

/// The handler: on the alternate stack of the M that was asked.
extern "C" fn on_question(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let mine = asked(thread_id());
    let is_for_us = QUESTION.state.compare_exchange(mine, ANSWERING, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if !is_for_us {
        if let Some(earlier) = EARLIER.get()
            && !matches!(earlier.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
        {
            // SAFETY: the arguments are the kernel's own, and the action was in force for this signal.
            unsafe { pass_on(earlier, signal, false, info, context) };
        }
        return;
    }
    let errno = io::Error::last_os_error().raw_os_error();
    let mut len = 0;
    unwind(|Frame { ip, sp }| {
        QUESTION.frames[len][0].store(ip, Ordering::Relaxed);
        QUESTION.frames[len][1].store(sp, Ordering::Relaxed);
        len += 1;
        len < FRAMES_MAX
    });
    QUESTION.len.store(len, Ordering::Relaxed);
    QUESTION.state.store(ANSWERED, Ordering::Release);
    if let Some(errno) = errno {
        // SAFETY: it has no preconditions.
        let place = unsafe { libc::__errno_location() };
        // SAFETY: it is the calling thread's own.
        unsafe { *place = errno };
    }
}

/// How many SIGQUITs have come, and how many runtimes answer them.
static QUITS: AtomicU32 = AtomicU32::new(0);
static ANSWERERS: AtomicU32 = AtomicU32::new(0);

/// From now on SIGQUIT is counted, in the place of its earlier effect. If no runtime answers it, it has its default
/// effect. Only the first call does something.
///
/// # Errors
/// What the kernel answers.
pub(crate) fn count_quits() -> io::Result<()> {
    extern "C" fn on_quit(signal: libc::c_int) {
        if ANSWERERS.load(Ordering::Relaxed) == 0 {
            let _ = set_action(signal, &default_action());
            // SAFETY: raise is signal-safe. The signal is delivered when this returns.
            let _ = unsafe { libc::raise(signal) };
        }
        QUITS.fetch_add(1, Ordering::Relaxed);
    }
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if INSTALLED.set(()).is_err() {
        return Ok(());
    }
    let mut action = default_action();
    action.sa_sigaction = on_quit as extern "C" fn(_) as usize;
    action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
    set_action(libc::SIGQUIT, &action)
}

/// A runtime begins or ends to answer SIGQUITs.
pub(crate) fn answer_quits(begins: bool) {
    if begins {
        ANSWERERS.fetch_add(1, Ordering::Relaxed);
    } else {
        ANSWERERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many SIGQUITs have been counted.
pub(crate) fn quits() -> u32 {
    QUITS.load(Ordering::Relaxed)
}
