//! The hasher of a [`Map`](crate::Map) that is given no other.
//!
//! Each word is mixed into the hash by one multiplication, of whose result both halves are used: so each bit of the word
//! changes bits all over the hash. As wyhash does, and many after it.

#![cfg(not(loom))]

use std::hash::Hasher;

/// The hasher of a [`Map`](crate::Map) that is given no other: fast, and the same in each run.
///
/// Who knows it can choose keys that all have one hash. Where an attacker may do so, use
/// [`Map::with_hasher`](crate::Map::with_hasher) and a hasher with a random key, such as
/// [`RandomState`](std::collections::hash_map::RandomState).
#[derive(Clone, Debug)]
pub struct MapHasher(u64);

/// Digits of pi.
const START: u64 = 0x243F_6A88_85A3_08D3;
const FACTOR: u64 = 0x1319_8A2E_0370_7345;

const WORD: usize = size_of::<u64>();

impl MapHasher {
    #[inline]
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = product as u64 ^ (product >> u64::BITS) as u64;
    }
}

impl Default for MapHasher {
    #[inline]
    fn default() -> MapHasher {
        MapHasher(START)
    }
}

impl Hasher for MapHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(WORD);
        for word in &mut words {
            let mut whole = [0; WORD];
            whole.copy_from_slice(word);
            self.add(u64::from_le_bytes(whole));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            // With their number in the last byte, as zeros at the end count too.
            let mut whole = [0; WORD];
            whole[..rest.len()].copy_from_slice(rest);
            whole[WORD - 1] = rest.len() as u8;
            self.add(u64::from_le_bytes(whole));
        }
    }

    #[inline]
    fn write_u8(&mut self, n: u8) {
        self.add(u64::from(n));
    }

    #[inline]
    fn write_u16(&mut self, n: u16) {
        self.add(u64::from(n));
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.add(u64::from(n));
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.add(n);
    }

    #[inline]
    fn write_u128(&mut self, n: u128) {
        self.add(n as u64);
        self.add((n >> u64::BITS) as u64);
    }

    #[inline]
    fn write_usize(&mut self, n: usize) {
        self.add(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::MapHasher;
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault, Hash};

    fn hash(value: impl Hash) -> u64 {
        BuildHasherDefault::<MapHasher>::default().hash_one(value)
    }

    #[test]
    fn like_keys_have_other_hashes() {
        const N: u64 = 100_000;
        let numbers = (0..N).map(hash);
        let steps = (1..N).map(|n| hash(n << 32));
        let pairs = (0..300u32).flat_map(|a| (1..300i16).map(move |b| hash((a, b))));
        let texts = (0..N).map(|n| hash(format!("key {n}")));
        let zeros = (1..100).map(|n| hash(vec![0_u8; n]));
        let all: Vec<_> = numbers.chain(steps).chain(pairs).chain(texts).chain(zeros).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
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
