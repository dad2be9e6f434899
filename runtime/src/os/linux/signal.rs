//! Signals: the fault handler and those before it, alternate stacks, last words.

use std::io;
use std::marker::PhantomData;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use super::memory::{self, Span};

/// What a fault handler is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The address that could not be used.
    pub(crate) address: usize,
    /// The stack pointer of the code that tried.
    pub(crate) stack_pointer: usize,
}

/// Looks at a fault. It runs in a signal handler on the alternate stack, so it does signal-safe things only. A handler
/// that recognises the fault as its own does not return. If it returns, the fault goes to the code that handled the
/// signal before.
pub(crate) type FaultHandler = fn(&Fault);

/// The signals that a bad memory access can raise.
const FAULT_SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];
/// Room for the frames of a handler, the kernel's register dump (up to 11 KiB) and formatting.
const ALT_STACK_BYTES: usize = 64 * 1024;

/// Everything the signal handler reads. Complete before the first handler is installed (I3).
struct Installed {
    handler: FaultHandler,
    /// The earlier actions, in the order of [`FAULT_SIGNALS`].
    earlier: [libc::sigaction; 2],
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();

/// Has `handler` look at every memory fault of the process first. Only the first call does something.
///
/// # Errors
///
/// What `sigaction` answers; there is no known reason for it to refuse.
pub(crate) fn install_fault_handler(handler: FaultHandler) -> io::Result<()> {
    // The earlier actions are read and published before the first signal can arrive at `on_fault`.
    let earlier = [earlier_action(FAULT_SIGNALS[0])?, earlier_action(FAULT_SIGNALS[1])?];
    if INSTALLED.set(Installed { handler, earlier }).is_err() {
        return Ok(());
    }
    for signal in FAULT_SIGNALS {
        let mut action = default_action();
        action.sa_sigaction = on_fault as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        set_action(signal, &action)?;
    }
    Ok(())
}

/// The action now in force for `signal`.
pub(super) fn earlier_action(signal: libc::c_int) -> io::Result<libc::sigaction> {
    let mut earlier = default_action();
    // SAFETY: without a new action, sigaction only writes the old one to `earlier`.
    let status = unsafe { libc::sigaction(signal, ptr::null(), &raw mut earlier) };
    if status == 0 { Ok(earlier) } else { Err(io::Error::last_os_error()) }
}

/// Puts `action` in force for `signal`.
pub(super) fn set_action(signal: libc::c_int, action: &libc::sigaction) -> io::Result<()> {
    // SAFETY: `action` is initialised, and names a handler of ours, one that was installed before, or the
    // default.
    let status = unsafe { libc::sigaction(signal, action, ptr::null_mut()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `SIG_DFL` with no flags and an empty mask.
pub(super) fn default_action() -> libc::sigaction {
    // SAFETY: sigaction is a plain C struct, and all zeros is SIG_DFL, no flags, empty mask.
    unsafe { mem::zeroed() }
}

/// The signal handler itself. Every step is signal-safe: it reads memory that is complete (I3) and makes
/// system calls.
extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(installed) = INSTALLED.get() else { return };
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo.
    let details = unsafe { &*info };
    let code = details.si_code;
    // Codes from 1 on are the kernel's own; 0x80 (a wild jump or a non-canonical address) comes without an
    // address.
    let has_address = code > 0 && code != libc::SI_KERNEL;
    if has_address {
        // SAFETY: a memory fault fills the address in.
        let address = unsafe { details.si_addr() }.addr();
        // SAFETY: with SA_SIGINFO the third argument is the interrupted ucontext.
        let interrupted = unsafe { &*context.cast::<libc::ucontext_t>() };
        let stack_pointer = interrupted.uc_mcontext.gregs[libc::REG_RSP as usize] as usize;
        (installed.handler)(&Fault { address, stack_pointer });
    }
    let earlier = &installed.earlier[usize::from(signal != FAULT_SIGNALS[0])];
    // SAFETY: the arguments are the kernel's own, and `earlier` is the action that was in force for this
    // signal.
    unsafe { pass_on(earlier, signal, code > 0, info, context) };
}

/// Does what would have happened to the signal without us.
///
/// # Safety
///
/// `earlier` was in force for `signal`; `info` and `context` come from the kernel.
pub(super) unsafe fn pass_on(
    earlier: &libc::sigaction,
    signal: libc::c_int,
    is_fault: bool,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    match earlier.sa_sigaction {
        libc::SIG_IGN if !is_fault => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // Returning runs the faulting instruction again, now without us: the kernel ends the process as
            // it should.
            let _ = set_action(signal, earlier);
            if !is_fault {
                // Another process or thread sent the signal, so nothing would raise it again. It stays blocked until we
                // return. SAFETY: raise is signal-safe.
                let _ = unsafe { libc::raise(signal) };
            }
        }
        handler if earlier.sa_flags & libc::SA_SIGINFO != 0 => {
            type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: with SA_SIGINFO the address is that of a function of this type.
            let handler = unsafe { mem::transmute::<usize, WithInfo>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO the address is that of a function of one argument.
            let handler = unsafe { mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
            handler(signal);
        }
    }
}

/// The signals that are blocked on the calling thread, as bits. Signal-safe.
pub(crate) fn signal_mask() -> u64 {
    // SAFETY: bits, for which all zeros are values.
    let mut mask: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: without a new mask, it only writes the one in force.
    let _ = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask) };
    // SAFETY: Linux has 64 signals, which are in the first word.
    unsafe { (&raw const mask).cast::<u64>().read() }
}

/// The alternate signal stack of the thread that made it, with a guard page below. Dropping it restores the
/// one before.
#[derive(Debug)]
pub(crate) struct AltStack {
    mapping: NonNull<u8>,
    earlier: libc::stack_t,
    /// `sigaltstack` speaks of the calling thread (I5).
    not_send: PhantomData<*mut ()>,
}

impl AltStack {
    /// Maps an alternate stack and makes it the calling thread's.
    ///
    /// # Errors
    ///
    /// What the kernel answers: no address space, no mappings, or the call was made from an alternate stack.
    pub(crate) fn install() -> io::Result<AltStack> {
        let guard_bytes = memory::page_bytes();
        let mapping = memory::reserve(guard_bytes + ALT_STACK_BYTES, guard_bytes)?;
        let start = mapping.as_ptr().wrapping_add(guard_bytes);
        // From here on, dropping `alt_stack` unmaps again; there is no earlier stack to restore yet.
        let earlier = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        let mut alt_stack = AltStack { mapping, earlier, not_send: PhantomData };
        // SAFETY: the range is in the reservation made above (I1).
        unsafe { memory::open(Span { start: start.expose_provenance(), bytes: ALT_STACK_BYTES }) }?;
        let ours = libc::stack_t { ss_sp: start.cast(), ss_flags: 0, ss_size: ALT_STACK_BYTES };
        // SAFETY: `ours` names memory that stays mapped until `alt_stack` is dropped on this thread (I5).
        let status = unsafe { libc::sigaltstack(&raw const ours, &raw mut alt_stack.earlier) };
        if status == 0 { Ok(alt_stack) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        let mut current = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: without a new stack, sigaltstack only writes the current one to `current`.
        let _ = unsafe { libc::sigaltstack(ptr::null(), &raw mut current) };
        let start = self.mapping.as_ptr().wrapping_add(memory::page_bytes());
        // A handler that was installed after ours stays.
        if current.ss_sp.cast::<u8>() == start {
            // SAFETY: the earlier stack was in force before ours, so its owner still keeps it mapped.
            let _ = unsafe { libc::sigaltstack(&raw const self.earlier, ptr::null_mut()) };
        }
        // SAFETY: the mapping is ours, and the kernel no longer knows it as an alternate stack of this thread
        // (I5).
        unsafe { memory::release(self.mapping, memory::page_bytes() + ALT_STACK_BYTES) };
    }
}

/// Ends the process with `SIGABRT`, whatever handlers there are. Signal-safe (I4).
pub(crate) fn abort() -> ! {
    // A handler for SIGABRT would run on a stack that is used up, or never come back.
    let _ = set_action(libc::SIGABRT, &default_action());
    // SAFETY: abort is signal-safe; it unblocks SIGABRT and raises it.
    unsafe { libc::abort() }
}

/// Ends the process in the ordinary way: what std has buffered is written, exit handlers run.
pub(crate) fn exit(status: i32) -> ! {
    std::process::exit(status)
}
