//! Counts the threads of a process while an exam runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fs, process};

/// A thread that looks at the number of threads again and again, itself included, and keeps the largest.
pub(crate) struct MostThreads {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl MostThreads {
    /// Of this process.
    pub(crate) fn count() -> MostThreads {
        MostThreads::count_of(process::id())
    }

    /// Of a child, which must run until [`most`](Self::most) is called.
    pub(crate) fn count_of(process: u32) -> MostThreads {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = is_over.clone();
        let thread = thread::spawn(move || {
            let mut most = 0;
            while !seen.load(Ordering::Relaxed) {
                most = most.max(threads_of(process));
                thread::sleep(Duration::from_millis(2));
            }
            most
        });
        MostThreads { is_over, thread }
    }

    /// Ends the counting.
    pub(crate) fn most(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only counts")
    }
}

fn threads_of(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).expect("Linux says how many");
    threads.trim().parse().expect("a number")
}
