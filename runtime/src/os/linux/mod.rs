//! Linux on x86_64.

mod epoll;
mod fork;
mod glibc;
mod keys;
mod lock;
mod malloc_cache;
mod memory;
mod modules;
mod room;
mod signal;
mod thread;
mod thread_pointer;
mod tls;
mod unhooked;
mod unmake;
mod unwind;
mod write;

pub(crate) use epoll::{Epoll, EventFd, PollEvent, PollEvents, Watch, address_of, kind_of, poll_one};
pub(crate) use fork::{Rseq, exit_at_once, on_fork};
pub(crate) use lock::{Mutex, MutexGuard, holds_one, when_none_is_held};
#[cfg(test)]
pub(crate) use memory::set_guard_backend;
pub(crate) use memory::{
    Advice, Guard, Residency, Span, advise, close, discard, guard_backend, install_guards, max_map_count, open,
    page_bytes, populate, release, reserve,
};
pub(crate) use signal::{AltStack, Fault, abort, exit, install_fault_handler, signal_mask};
pub(crate) use thread::{
    LINE_BYTES, RunningThreads, heavy_fence, is_in_lock, light_fence, monotonic_ns, online_cpus, prefetch_lines,
    prefetch_lines_to_l2, register_membarrier, set_timer_slack_ns, thread_count, thread_cpu_ns, thread_id, thread_name,
    thread_sleeps, thread_stretches, threads,
};
pub(crate) use thread_pointer::{ThreadPointer, load_block, loaded_block, with_block, word_at};
pub(crate) use tls::{Blocks, known_blocks, thread_local_blocks};
pub(crate) use unhooked::nap;
pub(crate) use unwind::{Frame, answer_quits, count_quits, frames_of, quits, unwind};
pub(crate) use write::{open_for_lines, try_write_stderr, try_write_to, write_stderr};
