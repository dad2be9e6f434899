//! What yield_n measures, for every peer: a switch between many tasks, and nothing else of their lives.
//!
//! The tasks yield over and over from when all have been let go until they are told to leave. What they yield between
//! two readings of the clock is counted: neither starting a task nor ending one is part of the figure, and none that
//! has had its share sits idle while others have not. The count is right whoever gets the turns, so it may be cut short
//! where a scheduler lets some wait for long, or a yield takes long.

use crate::{Cost, measure};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::time::{Duration, Instant};

/// So many yields in all, about. A debug build measures nothing.
const YIELDS: usize = if cfg!(debug_assertions) { 20_000 } else { 2_000_000 };

/// For how long at most all are waited for to have a turn, and to have had their share.
const LIMIT: Duration = Duration::from_secs(2);

/// So many tasks at most say that they have had their share: a count that all of them write to would cost as much as a
/// yield.
const SAMPLE: usize = 1000;

// What the tasks do.
const GATHER: usize = 0;
const COUNT: usize = 1;
const LEAVE: usize = 2;

/// Tasks that yield.
#[derive(Debug)]
pub struct Crowd {
    tasks: usize,
    /// Yields of one task.
    share: usize,
    /// One task of so many is in the sample.
    stride: usize,
    stage: AtomicUsize,
    begun: AtomicUsize,
    satisfied: AtomicUsize,
    counted: AtomicUsize,
    left: AtomicUsize,
}

impl Crowd {
    /// One of so many tasks.
    pub fn new(tasks: usize) -> Arc<Self> {
        Arc::new(Crowd {
            tasks,
            share: (YIELDS / tasks).max(2),
            stride: tasks.div_ceil(SAMPLE),
            stage: AtomicUsize::new(GATHER),
            begun: AtomicUsize::new(0),
            satisfied: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
        })
    }

    /// For a task, which has been let go: when to yield. Each has a `place` of its own below the number of tasks.
    pub fn turns(&self, place: usize) -> Turns<'_> {
        self.begun.fetch_add(1, Relaxed);
        Turns { crowd: self, counted: 0, in_sample: place.is_multiple_of(self.stride) }
    }

    /// For who has let them go: waits by `nap` until all yield, and returns how many times they have yielded and what
    /// that cost, when all have left.
    pub fn measure(&self, nap: impl Fn(Duration)) -> (usize, Cost) {
        let wait = |count: &AtomicUsize, all: usize, limit: Duration| {
            let start = Instant::now();
            while count.load(Acquire) < all && start.elapsed() < limit {
                nap(Duration::from_millis(1));
            }
        };
        wait(&self.begun, self.tasks, LIMIT);
        let ((), cost) = measure(|| {
            self.stage.store(COUNT, Relaxed);
            wait(&self.satisfied, self.tasks.div_ceil(self.stride), LIMIT);
            self.stage.store(LEAVE, Relaxed);
        });
        wait(&self.left, self.tasks, Duration::MAX);
        (self.counted.load(Relaxed), cost)
    }
}

/// When one task of a [`Crowd`] yields.
#[derive(Debug)]
pub struct Turns<'a> {
    crowd: &'a Crowd,
    counted: usize,
    in_sample: bool,
}

impl Turns<'_> {
    /// Whether to yield once more. After the first no, do not ask again.
    pub fn more(&mut self) -> bool {
        match self.crowd.stage.load(Relaxed) {
            GATHER => true,
            COUNT => {
                self.counted += 1;
                if self.counted == self.crowd.share && self.in_sample {
                    self.crowd.satisfied.fetch_add(1, Relaxed);
                }
                true
            }
            _ => {
                self.crowd.counted.fetch_add(self.counted, Relaxed);
                // Pairs with the load in `measure`, which reads `counted` after it.
                self.crowd.left.fetch_add(1, Release);
                false
            }
        }
    }
}
