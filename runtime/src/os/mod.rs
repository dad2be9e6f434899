//! The operating system: memory, signals, fences, clock.
//!
//! # What lives here
//!
//! Thin, named wrappers around system calls. Nothing here knows what a G, an M or a stack is.
//! One folder per platform holds them (`linux/` for Linux on x86_64) and this door re-exports it,
//! so another platform is one more folder with the same names and a line below.
//!
//! - memory: [`page_bytes`], [`reserve`], [`release`], [`open`], [`close`], [`advise`], [`install_guards`],
//!   [`populate`], [`discard`], [`guard_backend`], [`max_map_count`], [`Residency`];
//! - signals: [`install_fault_handler`], [`Fault`], [`AltStack`], [`signal_mask`];
//! - thread-locals: [`thread_local_blocks`], [`Blocks`], [`ThreadPointer`], [`load_block`], [`loaded_block`],
//!   [`word_at`], [`with_block`];
//! - text for people: [`write_stderr`], [`try_write_stderr`], [`try_write_to`], [`open_for_lines`]; the end: [`abort`],
//!   [`exit`], [`exit_at_once`]; forks: [`on_fork`], [`Rseq`];
//! - fences: [`register_membarrier`], [`heavy_fence`], [`light_fence`];
//! - locks: [`Mutex`], [`MutexGuard`];
//! - clock and threads: [`monotonic_ns`], [`set_timer_slack_ns`], [`prefetch_lines`], [`prefetch_lines_to_l2`], [`thread_id`], [`thread_cpu_ns`],
//!   [`thread_sleeps`], [`thread_stretches`], [`RunningThreads`], [`thread_count`], [`threads`], [`thread_name`], [`is_in_lock`], [`nap`];
//! - descriptors: [`Epoll`], [`PollEvents`], [`EventFd`], [`poll_one`], [`address_of`], [`kind_of`];
//! - stack traces: [`unwind`], [`frames_of`], [`Frame`]; SIGQUIT: [`count_quits`], [`answer_quits`],
//!   [`quits`].
//!
//! # Who may come in
//!
//! Every room above. This is the only room that uses `libc`.
//!
//! # Invariants
//!
//! - I1. A mapping made by [`reserve`] belongs to its caller until [`release`]; no other code unmaps it or changes its
//!   protection.
//! - I2. [`install_guards`] and [`discard`] may be repeated over the same range without harm. The batched
//!   system call is therefore simply redone range by range when the kernel refuses it or stops half-way.
//! - I3. Once [`install_fault_handler`] has returned, the handlers that were there before never change, and
//!   what the fault handler reads is complete.
//! - I4. [`write_stderr`], [`try_write_stderr`] and [`abort`] are safe in a signal handler: they neither allocate nor
//!   lock.
//! - I5. An [`AltStack`] is dropped on the thread that made it (it is not `Send`).
//!
//! # Locks and ordering
//!
//! It has the lock of the runtime, and few of its own, which are leaves. The cached answers (page size, guard
//! backend, whether batches work) are independent numbers, so `Relaxed` is enough. [`heavy_fence`] on one
//! side and [`light_fence`] on the other order plain accesses as two `SeqCst` fences would.
//!
//! # Tests
//!
//! `os/tests.rs` for this room alone; `stack/tests.rs` drives guards, faults and discards in earnest.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "system calls, signals, registers")]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use linux::*;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("pirn runs on Linux x86_64 only; another platform is one more folder in runtime/src/os");

#[cfg(test)]
mod tests;
