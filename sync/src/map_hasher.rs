//! How the keys of a [`Map`](crate::Map) are hashed that is given no hasher: by foldhash, with a seed of the process. It
//! has types of its own here, because a `static` map needs a state that is a constant.

#![cfg(not(loom))]

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use std::fmt;
use std::hash::{BuildHasher, Hasher};

/// The hashers of a [`Map`](crate::Map) that is given no other: fast, with a seed that each process draws anew.
///
/// So nobody can choose keys beforehand that all have one hash. Who can measure how long operations take, and tries long
/// enough, may still find some; [`RandomState`](std::collections::hash_map::RandomState) resists that, and takes some
/// 8 ns more for a key.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct MapState;

impl MapState {
    /// All have the same seed.
    pub const fn new() -> MapState {
        MapState
    }
}

impl BuildHasher for MapState {
    type Hasher = MapHasher;

    #[inline]
    fn build_hasher(&self) -> MapHasher {
        MapHasher(FoldHasher::with_seed(0, SharedSeed::global_random()))
    }
}

/// The hasher of a [`MapState`].
#[derive(Clone)]
pub struct MapHasher(FoldHasher<'static>);

/// They mix a whole number at once.
macro_rules! write_numbers {
    ($($write:ident($number:ty)),*) => {
        $(
            #[inline]
            fn $write(&mut self, n: $number) {
                self.0.$write(n);
            }
        )*
    };
}

impl Hasher for MapHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    write_numbers!(write_u8(u8), write_u16(u16), write_u32(u32), write_u64(u64), write_u128(u128), write_usize(usize));
}

impl fmt::Debug for MapHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapHasher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::MapState;
    use std::collections::HashSet;
    use std::hash::{BuildHasher, Hash};

    fn hash(value: impl Hash) -> u64 {
        MapState::new().hash_one(value)
    }

    #[test]
    fn like_keys_have_other_hashes() {
        const N: u64 = 100_000;
        // Keys of a map have one type.
        let kinds: [Vec<u64>; 4] = [
            (0..N).chain((1..N).map(|n| n << 32)).map(hash).collect(),
            (0..300u32).flat_map(|a| (1..300i16).map(move |b| hash((a, b)))).collect(),
            (0..N).map(|n| hash(format!("key {n}"))).collect(),
            (1..100).map(|n| hash(vec![0_u8; n])).collect(),
        ];
        for all in kinds {
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        }
    }

    #[test]
    fn each_bit_of_a_key_changes_many_of_the_hash() {
        for key in [0, 1, 1000, u64::MAX, 0x0123_4567_89AB_CDEF] {
            for bit in 0..u64::BITS {
                let changed = (hash(key) ^ hash(key ^ (1 << bit))).count_ones();
                assert!(changed >= 8, "bit {bit} of {key:#x} changes {changed}");
            }
        }
    }
}
