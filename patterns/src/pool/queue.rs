//! Who is next: a queue for each priority, of which none starves.
//!
//! A pick takes from the highest priority that has jobs, and has passed over each lower one that has jobs. One that was
//! passed over `PASSES` times is taken from instead; of two such, the one that was passed over more often. So with three
//! priorities the first job of a queue is picked at the latest by pick `PASSES + 2`.

use std::collections::VecDeque;

/// How urgent a job is. Of one priority the jobs are run in the order in which they came. A low one is not forgotten: after
/// sixteen jobs that were preferred to it, it is next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// What can wait.
    Low,
    /// What has no reason to be another.
    #[default]
    Normal,
    /// What others wait for.
    High,
}

/// See the head of this file.
const PASSES: u32 = 16;

/// See the head of this file.
pub(super) struct Queue<T> {
    /// By priority, from low to high.
    levels: [Level<T>; 3],
    len: usize,
}

struct Level<T> {
    jobs: VecDeque<T>,
    /// How often it was passed over since a job was picked from it.
    passed: u32,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Queue<T> {
        let level = || Level { jobs: VecDeque::new(), passed: 0 };
        Queue { levels: [level(), level(), level()], len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, priority: Priority, job: T) {
        self.levels[priority as usize].jobs.push_back(job);
        self.len += 1;
    }

    pub(super) fn pick(&mut self) -> Option<T> {
        let starved = (0..self.levels.len()).filter(|nth| self.levels[*nth].passed >= PASSES);
        let highest = || self.levels.iter().rposition(|level| !level.jobs.is_empty());
        let nth = starved.max_by_key(|nth| self.levels[*nth].passed).or_else(highest)?;
        for (other, level) in self.levels.iter_mut().enumerate() {
            if other != nth && !level.jobs.is_empty() && (other < nth || level.passed > 0) {
                level.passed += 1;
            }
        }
        let level = &mut self.levels[nth];
        level.passed = 0;
        self.len -= 1;
        level.jobs.pop_front()
    }

    /// Empties it: the highest priority first, in order.
    pub(super) fn take(&mut self) -> Vec<T> {
        self.len = 0;
        self.levels.iter_mut().for_each(|level| level.passed = 0);
        self.levels.iter_mut().rev().flat_map(|level| level.jobs.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{PASSES, Priority, Queue};
    use proptest::prelude::*;

    const PRIORITIES: [Priority; 3] = [Priority::Low, Priority::Normal, Priority::High];

    #[test]
    fn the_higher_priority_is_picked_and_the_lower_one_does_not_starve() {
        let mut queue = Queue::new();
        queue.push(Priority::Low, 0);
        for n in 1..=100 {
            queue.push(Priority::High, n);
        }
        let picked: Vec<_> = std::iter::from_fn(|| queue.pick()).collect();
        let nth = picked.iter().position(|n| *n == 0);
        assert_eq!(nth, Some(PASSES as usize));
        assert_eq!(picked.len(), 101);
    }

    proptest! {
        /// Each queue is first in, first out; nothing is lost; whoever is first is picked in time.
        #[test]
        fn nobody_starves(moves in prop::collection::vec((0..4_usize, 0..8_usize), 1..400)) {
            let mut queue = Queue::new();
            let mut model: [Vec<u32>; 3] = Default::default();
            let mut waits = [0; 3];
            let mut next = 0;
            for (level, picks) in moves {
                if level < 3 {
                    queue.push(PRIORITIES[level], (level, next));
                    model[level].push(next);
                    next += 1;
                }
                for _ in 0..picks {
                    let Some((level, number)) = queue.pick() else { continue };
                    prop_assert_eq!(model[level].remove(0), number);
                    for other in 0..3 {
                        waits[other] = if other == level || model[other].is_empty() { 0 } else { waits[other] + 1 };
                        prop_assert!(waits[other] <= PASSES + 1, "{} waits too long", other);
                    }
                }
                prop_assert_eq!(queue.len(), model.iter().map(Vec::len).sum::<usize>());
            }
            let left = queue.take();
            prop_assert_eq!(left.len(), model.iter().map(Vec::len).sum::<usize>());
            prop_assert!(queue.pick().is_none());
        }
    }
}
