//! The numbers of a pool.

use std::time::Duration;

/// How long a worker that is not needed stays, if nothing else is said.
const IDLE: Duration = Duration::from_secs(10);

/// See the head of this file.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// So many workers are always there.
    pub(super) min: usize,
    /// So many at most.
    pub(super) max: usize,
    /// So many jobs wait for a worker at most.
    pub(super) queue: usize,
    /// How long a worker above the minimum waits for a job.
    pub(super) idle: Duration,
}

impl Config {
    #[track_caller]
    pub(super) fn new(min: usize, max: usize) -> Config {
        assert!(max > 0, "a pool of 0 workers: no job could run");
        assert!(min <= max, "a pool of at least {min} workers and at most {max}");
        Config { min, max, queue: usize::MAX, idle: IDLE }
    }
}
