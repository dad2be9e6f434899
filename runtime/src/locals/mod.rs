//! # What lives here
//! Whose thread-locals a G uses: its own, or those of the M that runs it (`mode`), the block that holds the own ones
//! (`block`), and the test that they work on this system (`self_test`).
//!
//! # Who may come in
//! `boot` chooses; `sched/first_run.rs` binds a block to a G with its stack; `sched/run.rs` and `sched/direct.rs` load it.
//!
//! # The argument
//! It stands only here. A G that parks on one OS thread and continues on another breaks two things in ordinary safe
//! Rust:
//!
//! - *What came out of a thread-local.* A reference, a `RefCell` borrow, an `Rc`, a `ThreadRng` is now on a thread that
//!   it does not belong to; and while one G is inside a scoped thread-local, another on the same thread sees its value
//!   and may change it.
//! - *Addresses.* The compiler assumes that a function runs on one thread, so it may compute the address of a
//!   thread-local once and keep it over any call, even one that suspends. Afterwards the function writes into another
//!   thread's memory.
//!
//! Both rest on one assumption: the thread of a function does not change while it runs. This mode makes the assumption
//! true. A G has a thread-local block of its own, made like a thread's, and FS points to it while the G runs, whichever
//! M runs it. Its stack and its thread-locals move together. So for the program a G is a thread, and the M is only the
//! CPU that it runs on: kept addresses stay right, values that are not `Send` stay with their owner, and what std and
//! libc keep per thread (the panic count, the owner of a lock, `errno`, the resolver, the locale, the allocator's
//! cache) is kept per G. Nothing in Rust's rules speaks of OS threads; they speak of threads of execution with their
//! own stack and thread-locals, which is what a G is here.
//!
//! ```text
//! slot of a stack:   | guard | stack, grows to the left ........ | spare | block                                    |
//!                                                                        | thread-locals of ^ thread control block
//!                                                                          the modules      FS, while the G runs
//! ```
//!
//! *When a block is loaded.* A G that switches to the next one (`sched/direct.rs`) loads that one's block, once, and then
//! moves the stack pointer. The next one's block was loaded nowhere, as its G was the M's to run. That of the G that
//! leaves is loaded here until then, and nowhere else later, as nobody is given the G before it has been finished from
//! the next one's stack. For an instruction or two the thread is on the stack of the one with the thread-locals of the
//! other. What may run there is a signal handler: it finds a whole block that nobody else uses meanwhile, and leaves
//! `errno` as it found it, as every handler has to. A G that leaves for its M's loop leaves its block loaded until the
//! loop, on the M's stack, loads the M's own; only then is the G given away.
//!
//! *Rejected: a loop that does not load the M's own block.* From the moment when others can take the G that has left,
//! the M would run with a block that another M may have loaded too. The runtime's own code could avoid thread-locals
//! there. A signal handler (of a profiler) cannot, and already uses `errno`.
//!
//! # Invariants
//! 1. A block is loaded by at most one M, the one that runs its G. While an M runs none, its own block is loaded.
//! 2. Between loading a G's block and going on with that G, and between leaving a G and loading another block, no
//!    thread-local is used except the runtime's own one, which is never cached (`m/current.rs`). A G whose thread-locals
//!    have been destroyed uses none with a destructor any more.
//! 3. A block is made in a slot for its first G and stays there for the next ones. Each new G in the slot finds the
//!    program's thread-locals as a new thread does, those of libraries that were loaded later too. libc's part is kept:
//!    freed with its G it would leak the allocator's cache.
//!    When the scavenger gives the memory of a free slot back, it unmakes the block: it frees the allocator's cache, and
//!    what glibc allocated for the block, if nothing else is left in it (`os/linux/unmake.rs`); otherwise the block stays,
//!    with its page. The slot is in no list then, so no G begins there, and no M has loaded the block.
//! 4. A slot has room for the block beside the stack that was asked for, however large the program's thread-locals are:
//!    they choose the size class too (`stack_class` in `go/builder.rs`).
//! 5. The destructors of a G's thread-locals run on the G's stack with its block loaded, before its joiner is told.
//! 6. Where the stack of a G begins is decided when the G is bound, by the static thread-locals that are known then
//!    (`set_room`), and does not change until it ends. 144 bytes are left for those that come later, as no module's
//!    thread-locals may lie in a live stack: see Limits for those that need more. Block and first frames are on one page,
//!    which is why it is not all that glibc keeps free (1.7 KiB). A block lies at the same place of its slot, however
//!    large the room is; so blocks of before a load are good for Gs that begin after it, and what is added to their room
//!    is zeroed.
//!
//! # Limits
//! - What the kernel keeps per thread does not move with a G: the thread id, signal mask, priority, affinity. A G's
//!   block has an id of its own that the kernel does not know, so what libc asks the kernel by it fails in a G
//!   (`pthread_getaffinity_np` and the like for oneself), and a contended priority-inheritance mutex hangs.
//! - `setuid`, `setgid` and the like, which libc carries out on every thread, do not return on a G: change identity
//!   before the first runtime is built.
//! - A library that is loaded later (`dlopen`) and insists on static thread-locals (initial-exec) finds them
//!   uninitialised in Gs that have begun before: glibc initialises them in the threads that it knows. Gs that begin
//!   after it was loaded have them, except some that begin within milliseconds: the runtime notices the library when a
//!   block is made, a runtime is built, a thread outside of the runtime that has loaded it starts a G, or sysmon looks.
//!   Ordinary thread-locals of such a library work everywhere.
//! - If such libraries need more than 144 bytes together, their thread-locals lie in the stacks of the Gs that have begun
//!   before they were noticed: a call from one of those overwrites frames. The loader gives no sign before it runs the
//!   constructors, so this cannot be prevented; sysmon warns, once for each library, if such Gs live. Two kinds have room
//!   for all that glibc may place: the G of `Runtime::run`, which loads libraries in most programs that do, and, after
//!   `Builder::room_for_libraries`, each that begins.
//!   *Rejected: taking the rest of glibc's room with a module of our own*, so that the loader refuses such a library. It
//!   would refuse the small ones too (OpenGL drivers, libgomp), as it gives the room away from one end.
//! - An allocator with a heap per thread (mimalloc, jemalloc) has one per G.
//! - A library that has room for a limited number of threads counts each G that uses it: the registry of
//!   tracing-subscriber panics when more than 4096 Gs live that have made a span.
//! - Valgrind and sanitizers do not follow the FS register. With shared thread-locals Valgrind works with
//!   `--max-stackframe=40000`, AddressSanitizer with `-Cllvm-args=-asan-stack=0`; ThreadSanitizer does not work.
//! - In the child of a fork the block of the G that has forked is the only thread that libc knows, and the stack of
//!   the M is free: `m/fork.rs`. What the kernel ties to a thread, as `PR_SET_PDEATHSIG`, is tied to the M.
//! - If something is missing, `Builder::build` returns an error that names the shared mode: no FSGSBASE, no glibc, a
//!   control block of another shape. macOS has no such register to write; on aarch64 it is `tpidr_el0`, which user code
//!   may write.
//!
//! # Tests
//! `self_test.rs` runs once in each process. In `tests/`, `breakages.rs` shows the two ways in which thread-locals
//! break without blocks; `torture.rs` moves Gs that hold something a million times a second; `crates.rs` does it to
//! crates, `like_a_thread.rs` to std, `locals.rs` to libc.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "thread-local blocks")]

mod block;
mod mode;
mod self_test;

pub(crate) use block::unmake_block;
pub(crate) use mode::Locals;
