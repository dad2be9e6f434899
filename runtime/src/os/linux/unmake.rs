//! Whether a block can be unmade, so that its memory can be given back.
//!
//! What a thread leaves in its control block and in libc's thread-locals, glibc frees at the end of the thread, by
//! functions that it does not export: the cache of malloc, the state of the resolver, buffers of `strerror`. So a block
//! is unmade only if it is *as new*: if each word there is what a block has that nobody has used, after the cache of
//! malloc has been freed (`malloc_cache.rs`). Most are. The others stay as they are, for the next G.

use super::malloc_cache::MallocCache;
use super::thread_pointer::ThreadPointer;
use std::ops::Range;

/// What a new block looks like, and what is known of malloc's cache.
#[derive(Debug)]
pub(super) struct AsNew {
    words: Vec<Word>,
    cache: Option<MallocCache>,
}

/// A word that all new blocks have in common: where it is, from the thread pointer on, and what it is.
#[derive(Debug)]
struct Word {
    at: usize,
    expected: usize,
    /// The bits that are compared.
    mask: usize,
    /// It is the address of something in the block, and what is expected is counted from the thread pointer on.
    is_within: bool,
}

/// What a control block and libc's thread-locals are made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// Where libc's thread-locals are, from the thread pointer on.
    pub(super) libc: Vec<usize>,
    pub(super) control_bytes: usize,
    /// Words that differ from block to block.
    pub(super) own: [usize; 2],
    /// `errno`, of four bytes.
    pub(super) errno: usize,
    /// The first values of pthread keys, with a number beside each that says nothing if there is no value.
    pub(super) specific: Range<usize>,
}

impl AsNew {
    /// Compares two blocks that have just been made. None if they differ otherwise than they should.
    pub(super) fn find(blocks: [ThreadPointer; 2], parts: &Parts) -> Option<AsNew> {
        let cache = MallocCache::find(blocks[1], &parts.libc);
        let at = parts.libc.iter().copied().chain((0..parts.control_bytes).step_by(size_of::<usize>()));
        let words = at.filter(|at| parts.is_compared(*at)).map(|at| {
            let mask = parts.mask(at);
            let [one, other] = blocks.map(|block| block.get(at));
            let [from_one, from_other] = blocks.map(|block| block.get(at).wrapping_sub(block.address()));
            if one & mask == other & mask {
                Some(Word { at, expected: one & mask, mask, is_within: false })
            } else {
                (from_one == from_other).then_some(Word { at, expected: from_one, mask, is_within: true })
            }
        });
        Some(AsNew { words: words.collect::<Option<_>>()?, cache })
    }

    /// Frees the cache of malloc of a block that is not in use. Says whether the block is as new.
    pub(super) fn restore(&self, block: ThreadPointer) -> bool {
        self.cache.as_ref().is_none_or(|cache| cache.flush(block)) && self.words.iter().all(|word| word.is_in(block))
    }
}

impl Parts {
    fn is_compared(&self, at: usize) -> bool {
        let is_number =
            self.specific.contains(&at) && (at - self.specific.start).is_multiple_of(2 * size_of::<usize>());
        !is_number && !self.own.contains(&at)
    }

    /// All bits but those of `errno`.
    fn mask(&self, at: usize) -> usize {
        match self.errno.wrapping_sub(at) {
            0 => !(usize::MAX >> 32),
            4 => usize::MAX >> 32,
            _ => usize::MAX,
        }
    }
}

impl Word {
    fn is_in(&self, block: ThreadPointer) -> bool {
        let word = block.get(self.at);
        let found = if self.is_within { word.wrapping_sub(block.address()) } else { word };
        found & self.mask == self.expected
    }
}

#[cfg(test)]
mod tests {
    use crate::os::{Blocks, ThreadPointer, thread_local_blocks, with_block};
    use std::ffi::c_int;
    use std::hint::black_box;
    use std::ptr;

    /// A block in memory of the test's.
    fn made(blocks: &Blocks) -> ThreadPointer {
        let bytes = blocks.room_bytes() + 4096;
        let slot: &'static mut [u8] = vec![1; bytes].leak();
        let block = blocks.place(slot.as_mut_ptr().expose_provenance() + bytes, 0);
        // SAFETY: the slot is large enough, and never freed.
        unsafe { blocks.make(block) }.expect("memory");
        block
    }

    /// Runs `f` with a block loaded.
    fn with_loaded<R>(block: ThreadPointer, f: impl FnOnce() -> R) -> R {
        // SAFETY: it is loaded nowhere else, and what `f` calls uses no thread-local of the test's.
        unsafe { with_block(block, f) }
    }

    /// Takes and frees memory as a G may, and leaves an errno.
    fn use_malloc(rounds: usize) {
        type Take = unsafe extern "C" fn(usize) -> *mut libc::c_void;
        let (take, give): (Take, unsafe extern "C" fn(*mut libc::c_void)) = black_box((libc::malloc, libc::free));
        for round in 0..rounds {
            let mut taken = [ptr::null_mut(); 200];
            for (i, place) in taken.iter_mut().enumerate() {
                // SAFETY: no preconditions.
                *place = unsafe { take(1 + i * (11 + round)) };
            }
            // SAFETY: taken above.
            taken.into_iter().for_each(|place| unsafe { give(place) });
        }
        // SAFETY: a path that is none.
        assert_eq!(unsafe { libc::chdir(ptr::null()) }, -1);
    }

    #[test]
    fn a_block_that_has_used_malloc_is_unmade_and_made_again() {
        let blocks = thread_local_blocks().expect("this system has blocks");
        blocks.learn_to_unmake();
        let block = made(blocks);
        for rounds in [0, 1, 3, 10] {
            with_loaded(block, || use_malloc(rounds));
            // SAFETY: it is not in use.
            assert!(unsafe { blocks.unmake(block) }, "{rounds} rounds: is the allocator glibc's?");
            // SAFETY: its memory is the test's.
            unsafe { blocks.make(block) }.expect("memory");
        }
    }

    #[test]
    fn a_block_that_holds_something_else_stays() {
        unsafe extern "C" {
            fn strerror(number: c_int) -> *mut libc::c_char;
        }
        type Text = unsafe extern "C" fn(c_int) -> *mut libc::c_char;
        let blocks = thread_local_blocks().expect("this system has blocks");
        blocks.learn_to_unmake();
        let block = made(blocks);
        // This allocates a buffer for the text.
        // SAFETY: no preconditions.
        let text = with_loaded(block, || unsafe { black_box(strerror as Text)(123_456) });
        for _ in 0..3 {
            // SAFETY: it is not in use.
            assert!(!unsafe { blocks.unmake(block) });
            // SAFETY: the text is the block's still.
            assert!(unsafe { std::ffi::CStr::from_ptr(text) }.to_bytes().ends_with(b"123456"));
        }
    }
}
