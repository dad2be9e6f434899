//! The programs by which concurrency is taught, for Go, for Python and for threads, as one writes them with pirn.
//!
//! Each lesson is a file beside this one, and its head says what is different here. Other lessons are examples of their
//! own: `pipeline`, `fan_in`, `nil_merge`, `select_timeout`, `priority_select`, `heartbeat`, `parallel_map` and
//! `lock_cycle`.
//!
//! ```text
//! cargo run --example lessons -- bank_transfer
//! ```

mod as_completed;
mod bank_transfer;
mod event;
mod file_pipeline;
mod gather;
mod io_and_cpu;
mod order_service;
mod semaphore;
mod sentinel;
mod task_group;
mod threads_and_gs;
mod wait_group;
mod worker_pool;

use std::process::exit;

const LESSONS: &[(&str, fn())] = &[
    ("as_completed", as_completed::program),
    ("bank_transfer", bank_transfer::program),
    ("event", event::program),
    ("file_pipeline", file_pipeline::program),
    ("gather", gather::program),
    ("io_and_cpu", io_and_cpu::program),
    ("order_service", order_service::program),
    ("semaphore", semaphore::program),
    ("sentinel", sentinel::program),
    ("task_group", task_group::program),
    ("threads_and_gs", threads_and_gs::program),
    ("wait_group", wait_group::program),
    ("worker_pool", worker_pool::program),
];

fn main() {
    let lesson = std::env::args().nth(1).and_then(|name| LESSONS.iter().find(|(lesson, _)| *lesson == name));
    let Some((_, program)) = lesson else {
        let names: Vec<_> = LESSONS.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: lessons LESSON\nlessons: {}", names.join(", "));
        exit(2);
    };
    pirn::run(program);
}
