//! The switch of our own, for Linux on x86_64.
//!
//! ```text
//!   the stack of a coroutine that has left it (addresses grow to the right)
//!   | free ....... | rbp | rbx | rip | frames of the functions that wait ...
//!                                    ^ rsp, kept in `Coro::sp`
//! ```
//! Who leaves stores three registers below its stack pointer, where for 128 bytes no signal handler writes (the red
//! zone of the ABI; a function with such code in it does not use it itself). The compiler keeps all others, as it keeps
//! them over a call that destroys every register. Then it jumps to [`arrive`], which takes the stack pointer of the
//! other stack, and from below it the three registers.
//!
//! # Unwinding
//! A profiler may interrupt the thread at every instruction and unwind. Until the jump nothing has changed for the
//! function that leaves. In `arrive` the place to go on, `rbx` and `rbp` lie below the stack pointer, before the stack
//! pointer changes and after; its unwind information says so. When it jumps, all is as the function knows it that goes
//! on. The first frame of a stack, in [`begin`], has no caller: there an unwinder ends, and by `rbp`, 0, a debugger
//! that follows frame pointers.

use super::Tracer;
use super::what::{Arrival, Handover, LeaveFor, PackedOutcome};
use crate::stack::GStack;
use corosensei::stack::Stack;
use std::arch::{asm, naked_asm};
use std::cell::Cell;
use std::mem::{offset_of, size_of};
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};

/// Whether a coroutine can leave for another one.
pub(crate) const DIRECT: bool = true;

/// Where code that resumes coroutines has left its own stack.
#[derive(Debug)]
pub(crate) struct Home {
    sp: Cell<usize>,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home { sp: Cell::new(0) }
    }
}

/// A coroutine that has not ended.
#[derive(Debug)]
pub(crate) struct Coro {
    /// Where it has left its stack.
    sp: Cell<usize>,
    /// The highest address of its stack.
    base: NonZeroUsize,
}

/// What a new coroutine runs.
#[repr(C, align(16))]
struct First<A> {
    entry: fn(A, Arrival) -> LeaveFor<'static>,
    arg: A,
}

/// The top of a new coroutine's stack, as if it had left it at `first`.
#[repr(C)]
struct Top<A> {
    /// So that nothing lies between `rip` and `first`.
    unused: usize,
    rbp: usize,
    rbx: usize,
    rip: usize,
    first: First<A>,
}

/// The word that asks for a trace: the address of a [`Request`], with this bit.
const TRACE: usize = 1;

/// A tracer, and the way back to it.
struct Request<'a> {
    tracer: &'a mut Tracer,
    home: Home,
}

impl Coro {
    /// A coroutine that will run `entry(arg, ..)` on `stack`. `entry` must not unwind (I2); it returns where to go at
    /// the end.
    #[inline]
    pub(crate) fn new<A: Copy + 'static>(stack: GStack, arg: A, entry: fn(A, Arrival) -> LeaveFor<'static>) -> Coro {
        let run: extern "C" fn(*const First<A>, usize) -> Way = run::<A>;
        const { assert!(offset_of!(Top<A>, first) - offset_of!(Top<A>, rip) == size_of::<usize>()) };
        let top = Top {
            unused: 0,
            rbp: 0,
            rbx: run as usize,
            // Behind its first byte: an unwinder looks at the byte before, to find the function.
            rip: begin as *const () as usize + 1,
            first: First { entry, arg },
        };
        let at = (stack.base().get() - size_of::<First<A>>()) - offset_of!(Top<A>, first);
        // SAFETY: the stack is the new coroutine's, much larger than that, and its base a multiple of 16.
        unsafe { ptr::with_exposed_provenance_mut::<Top<A>>(at).write(top) };
        let sp = at + offset_of!(Top<A>, first);
        Coro { sp: Cell::new(sp), base: stack.base() }
    }

    /// About where its innermost frames begin: an address to prefetch from, upward.
    #[inline]
    pub(crate) fn frames_at(&self) -> *const u8 {
        ptr::without_provenance(self.sp.get() - 24)
    }

    /// Where its outermost frames end: an address to prefetch up to.
    #[inline]
    pub(crate) fn frames_end(&self) -> *const u8 {
        ptr::without_provenance(self.base.get())
    }

    /// Runs the coroutine until one leaves for `home`.
    ///
    /// # Safety
    /// The caller owns it, and it does not run (I1).
    #[inline(always)]
    pub(crate) unsafe fn resume(&self, home: &Home) -> PackedOutcome {
        // SAFETY: the coroutine has left its stack, so `sp` is where, and its owner is the caller.
        let what = unsafe { switch(home.sp.as_ptr(), self.sp.get(), 0) };
        PackedOutcome(ptr::with_exposed_provenance(what))
    }

    /// Leaves the stack; returns when the coroutine is continued, perhaps by another thread.
    ///
    /// # Safety
    /// Only from the coroutine itself, on its own stack. A home is that of the thread that runs it; another coroutine
    /// is the caller's (I1).
    #[inline(always)]
    pub(crate) unsafe fn leave(&self, to: LeaveFor<'_>) -> Arrival {
        let Way { to, word } = Way::of(to);
        // SAFETY: as the caller promises.
        let mut word = unsafe { switch(self.sp.as_ptr(), to, word) };
        while word & TRACE != 0 {
            word = self.leave_trace(word);
        }
        Arrival::from(Handover::new(word))
    }

    /// Leaves its trace, and waits again. Returns the next word.
    #[cold]
    #[inline(never)]
    fn leave_trace(&self, word: usize) -> usize {
        let request = ptr::with_exposed_provenance_mut::<Request<'_>>(word & !TRACE);
        // SAFETY: `trace` waits until the coroutine leaves again, and lends the request to it.
        let request = unsafe { &mut *request };
        request.tracer.trace();
        // SAFETY: the tracer has left its stack for this one.
        unsafe { switch(self.sp.as_ptr(), request.home.sp.get(), 0) }
    }

    /// Has the coroutine, which has run before and is suspended, leave its stack trace in `tracer`.
    ///
    /// # Safety
    /// As for [`resume`](Self::resume).
    pub(crate) unsafe fn trace(&self, tracer: &mut Tracer) {
        let mut request = Request { tracer, home: Home::new() };
        let request = NonNull::from(&mut request);
        // SAFETY: it is a local variable of this call.
        let home = unsafe { &raw const (*request.as_ptr()).home };
        // SAFETY: as above.
        let save = unsafe { &*home }.sp.as_ptr();
        let word = request.as_ptr().expose_provenance() | TRACE;
        // SAFETY: as the caller promises.
        let _nothing = unsafe { switch(save, self.sp.get(), word) };
    }
}

/// Where a stack goes on, and with which word. It is returned in two registers.
#[repr(C)]
struct Way {
    to: usize,
    word: usize,
}

impl Way {
    #[inline(always)]
    fn of(to: LeaveFor<'_>) -> Way {
        match to {
            LeaveFor::Home(home, asks) => Way { to: home.sp.get(), word: asks.0.expose_provenance() },
            LeaveFor::Coro(next, word) => Way { to: next.sp.get(), word: word.get() },
        }
    }
}

/// The first function on a coroutine's stack. It returns, so that the CPU predicts the returns on the next stack.
extern "C" fn run<A: Copy>(first: *const First<A>, word: usize) -> Way {
    // SAFETY: `new` has put it there.
    let First { entry, arg } = unsafe { first.read() };
    Way::of(entry(arg, Handover::new(word)))
}

/// Leaves the stack for the one that was left at `to`, with a word. Returns the word with which the stack is continued.
///
/// # Safety
/// `to` is what another call of this has stored in its `save`, or what `Coro::new` has prepared, and nobody else goes
/// on there. `save` is valid, and is read before this stack is continued by its owner alone.
#[inline(always)]
unsafe fn switch(save: *mut usize, to: usize, word: usize) -> usize {
    let answer: usize;
    // SAFETY: as the caller promises. All registers are given up but rbx, rbp and rsp, which the code keeps.
    unsafe {
        asm!(
            "lea rax, [rip + 2f]",
            "mov [rsp - 8], rax",
            "mov [rsp - 16], rbx",
            "mov [rsp - 24], rbp",
            "mov [rdi], rsp",
            "jmp {arrive}@PLT",
            "2:",
            arrive = sym arrive,
            inlateout("rdi") save => _,
            inlateout("rsi") to => _,
            inlateout("rdx") word => answer,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    answer
}

/// Goes on at the stack whose pointer is in `rsi`; the word in `rdx` stays there.
#[unsafe(naked)]
unsafe extern "C" fn arrive() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_def_cfa rsp, 0",
        ".cfi_offset rip, -8",
        ".cfi_offset rbx, -16",
        ".cfi_offset rbp, -24",
        "mov rsp, rsi",
        "mov rbx, [rsp - 16]",
        "mov rbp, [rsp - 24]",
        "jmp [rsp - 8]",
        ".cfi_endproc",
    )
}

/// Where a new coroutine goes on: `rbx` holds its first function, whose first argument is the stack pointer. At its end
/// the stack that it says goes on.
#[unsafe(naked)]
unsafe extern "C" fn begin() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "nop",
        "mov rdi, rsp",
        "mov rsi, rdx",
        "call rbx",
        "mov rsi, rax",
        "jmp {arrive}@PLT",
        ".cfi_endproc",
        arrive = sym arrive,
    )
}
