//! The signals of the process: a handler that remembers what has come and rings a bell.
//!
//! The handler runs in the middle of anything, so it does signal-safe things only: it sets a bit, writes to a descriptor,
//! and calls the handler that was there before. One thread waits for the bell and looks at the bits.

#![allow(unsafe_code, reason = "system calls, and a signal handler")]

use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

/// Signals have numbers up to this.
pub(crate) const SIGNAL_MAX: i32 = 64;

/// The signals that have come and were not taken: bit 0 is signal 1.
static COME: AtomicU64 = AtomicU64::new(0);
/// An eventfd, or -1 as long as there is none. Never closed.
static BELL: AtomicI32 = AtomicI32::new(-1);
/// The process that has the bell: the child of a fork has it too, but must not ring it.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// The handlers that were there before ours, by signal; 0 where there was none.
static EARLIER: [AtomicUsize; SIGNAL_MAX as usize + 1] = [const { AtomicUsize::new(0) }; SIGNAL_MAX as usize + 1];

/// What was done at a signal before ours.
pub(crate) struct Earlier(libc::sigaction);

/// Makes the bell. Once, before the first handler.
pub(crate) fn make_bell() -> io::Result<()> {
    // SAFETY: numbers go in, and one comes out.
    let bell = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if bell < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: nothing goes in.
    PROCESS.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    BELL.store(bell, Ordering::Relaxed);
    Ok(())
}

/// The system's number of the calling thread.
pub(crate) fn thread_number() -> i32 {
    // SAFETY: nothing goes in, and it always works.
    unsafe { libc::gettid() }
}

/// Waits for the bell, and takes the signals that have come: bit 0 is signal 1.
pub(crate) fn wait() -> u64 {
    let bell = BELL.load(Ordering::Relaxed);
    loop {
        let mut poll = libc::pollfd { fd: bell, events: libc::POLLIN, revents: 0 };
        // SAFETY: one record, which is there for the whole call.
        if unsafe { libc::poll(&raw mut poll, 1, -1) } > 0 {
            let mut count = 0_u64;
            // SAFETY: a number of eight bytes is written. The bell is taken before the bits: what comes later rings again.
            unsafe { libc::read(bell, (&raw mut count).cast(), mem::size_of::<u64>()) };
            return COME.swap(0, Ordering::Relaxed);
        }
    }
}

/// Sets our handler, and says what was there.
pub(crate) fn handle(signal: i32) -> io::Result<Earlier> {
    // SAFETY: nought is valid for all its fields: no flags, an empty set.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_signal as extern "C" fn(_, _, _) as usize;
    // On the alternate stack, as that of a G has little room.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // It is known before the first signal can come.
    let earlier = exchange(signal, None)?.sa_sigaction;
    let is_code = ![libc::SIG_DFL, libc::SIG_IGN].contains(&earlier);
    EARLIER[signal as usize].store(if is_code { earlier } else { 0 }, Ordering::Relaxed);
    exchange(signal, Some(&action)).map(Earlier)
}

/// Sets what was there before.
pub(crate) fn restore(signal: i32, earlier: &Earlier) -> io::Result<()> {
    exchange(signal, Some(&earlier.0)).map(drop)
}

/// What is done at the signal; and does something else from now on, if that is given.
fn exchange(signal: i32, action: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    // SAFETY: as in `handle`.
    let mut earlier: libc::sigaction = unsafe { mem::zeroed() };
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both are there for the whole call, and a handler is code that may run at any time.
    match unsafe { libc::sigaction(signal, action, &raw mut earlier) } {
        0 => Ok(earlier),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The handler. It leaves `errno` as it is.
extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: that of the calling thread, or G.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is valid as long as this runs.
    let before = unsafe { errno.read() };
    // SAFETY: nothing goes in.
    if unsafe { libc::getpid() } == PROCESS.load(Ordering::Relaxed) {
        COME.fetch_or(1 << (signal - 1), Ordering::Relaxed);
        let one = 1_u64;
        // SAFETY: a number of eight bytes. If the count is full, the bell has been rung.
        unsafe { libc::write(BELL.load(Ordering::Relaxed), (&raw const one).cast(), mem::size_of::<u64>()) };
    }
    let earlier = EARLIER[signal as usize].load(Ordering::Relaxed);
    if earlier != 0 {
        // SAFETY: it was the handler of this signal. One that takes only the number ignores the rest.
        let earlier: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { mem::transmute(earlier) };
        earlier(signal, info, context);
    }
    // SAFETY: as above.
    unsafe { errno.write(before) };
}
