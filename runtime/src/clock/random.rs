//! Random numbers, good enough to be fair: they spread thieves, and choose among the ready cases of a select.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The seed of all generators that are made from now on. The same in each run, unless a test says otherwise.
static SEED: AtomicU64 = AtomicU64::new(0);

/// The generator for threads without a P.
static SHARED: AtomicU64 = AtomicU64::new(state_of(0, u64::MAX));

/// Seeds all generators that are made from now on, those of Ps that do not exist yet, and the one for threads.
pub fn set_seed(seed: u64) {
    SEED.store(seed, Ordering::Relaxed);
    SHARED.store(state_of(seed, u64::MAX), Ordering::Relaxed);
}

/// The first state of the generator `nth`. It is never 0, where the generator would stay.
const fn state_of(seed: u64, nth: u64) -> u64 {
    // The golden ratio has many ones and zeros; multiplying by an odd number spreads the seeds, and maps 0 alone to 0.
    let state = 0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ nth.wrapping_add(1);
    if state == 0 { 1 } else { state }
}

/// The number after `x` (xorshift).
#[inline(always)]
fn step(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    x
}

/// The number below `n` that `random` chooses, each as likely as the others.
#[inline(always)]
fn below(random: u64, n: usize) -> usize {
    // The upper half of the product: no division.
    ((u128::from(random) * n as u128) >> 64) as usize
}

/// A generator for one thread at a time.
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    /// The generator with that number, from the current seed.
    pub(crate) fn new(nth: u64) -> Random {
        Random(Cell::new(state_of(SEED.load(Ordering::Relaxed), nth)))
    }

    /// The next number.
    #[inline(always)]
    fn next(&self) -> u64 {
        let next = step(self.0.get());
        self.0.set(next);
        next
    }

    /// A number below `n`.
    #[inline(always)]
    pub(crate) fn below(&self, n: usize) -> usize {
        below(self.next(), n)
    }
}

/// A number below `n`, for a thread without a P. Two threads that ask at the same moment may get the same one, which does
/// no harm.
pub(crate) fn random_below(n: usize) -> usize {
    let next = step(SHARED.load(Ordering::Relaxed));
    SHARED.store(next, Ordering::Relaxed);
    below(next, n)
}

#[cfg(test)]
mod tests {
    use super::{Random, below, state_of};
    use std::cell::Cell;
    use std::collections::HashSet;

    /// The first numbers of a generator.
    fn numbers(seed: u64, nth: u64) -> Vec<u64> {
        let random = Random(Cell::new(state_of(seed, nth)));
        (0..100).map(|_| random.next()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        assert_eq!(numbers(7, 3), numbers(7, 3));
    }

    #[test]
    fn another_seed_or_another_p_gives_others() {
        let all: Vec<u64> = (0..8).flat_map(|seed| (0..8).flat_map(move |nth| numbers(seed, nth))).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn a_number_below_another_may_be_each_of_them() {
        let random = Random(Cell::new(state_of(0, 0)));
        let numbers: HashSet<usize> = (0..100).map(|_| random.below(3)).collect();
        assert_eq!(numbers, HashSet::from([0, 1, 2]));
        assert_eq!((below(0, 3), below(u64::MAX, 3), below(u64::MAX, 1)), (0, 2, 0));
    }

    #[test]
    fn no_generator_stands_still() {
        let state = 0x9e37_79b9_7f4a_7c15_u64;
        assert_ne!(state_of(0, state - 1), 0);
        assert!(numbers(0, state - 1).iter().all(|number| *number != 0));
    }
}
