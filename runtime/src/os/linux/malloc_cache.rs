//! The cache that glibc's malloc keeps for each thread (tcache), of a block that is to be unmade.
//!
//! At the end of a thread glibc frees it, by a function that it does not export. Here malloc itself empties it: with the
//! block loaded, a malloc of the right size takes what is first in a list of the cache. Which of libc's thread-locals
//! points to the cache, and where in it the list of each size begins, is found by an experiment. So this does nothing
//! with another allocator, and nothing with a cache that works differently; then the block stays as it is.

use super::thread_pointer::{ThreadPointer, with_block};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;

/// Sizes that malloc keeps apart: this, and so many bytes more each.
const SIZE_MIN: usize = 24;
const SIZE_STEP: usize = 16;
/// More than there are sizes that it keeps by default: 64.
const SIZES_MAX: usize = 128;
/// How often malloc is asked for a piece of a size. It has few that are a little larger.
const TRIES: usize = 1000;
/// The cache itself takes so much at most: 640 bytes in glibc 2.30, 760 in 2.42.
const CACHE_BYTES_MAX: usize = 4096;
/// An arena other than the first begins a heap, which is aligned to this, and stands in it behind a few words.
const HEAP_ALIGN: usize = 64 << 20;
const HEAP_HEAD_BYTES: usize = 256;

/// What is known of the cache.
#[derive(Debug)]
pub(super) struct MallocCache {
    /// The pointers to the cache and to the thread's arena.
    cache: Word,
    arena: Word,
    /// Where the list of each size begins.
    lists: Vec<List>,
    /// An empty one.
    empty: Vec<u8>,
}

/// A thread-local of libc's: where it is, from the thread pointer on, and what a new thread has there.
#[derive(Clone, Copy, Debug)]
struct Word {
    at: usize,
    unset: usize,
}

/// The list of the memory of one size: where in the cache it begins.
#[derive(Clone, Copy, Debug)]
struct List {
    size: usize,
    at: usize,
}

/// The allocator, of which the compiler knows nothing: it would take for granted that a malloc returns what no pointer
/// points to, and leave out one whose result is freed.
#[derive(Clone, Copy)]
struct Malloc {
    malloc: unsafe extern "C" fn(usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    usable: unsafe extern "C" fn(*mut c_void) -> usize,
}

impl Malloc {
    fn opaque() -> Malloc {
        black_box(Malloc { malloc: libc::malloc, free: libc::free, usable: libc::malloc_usable_size })
    }

    fn take(self, size: usize) -> usize {
        // SAFETY: no preconditions.
        unsafe { (self.malloc)(size) }.expose_provenance()
    }

    /// Takes a piece of exactly that size. What has a few bytes more, as malloc does not cut off less than 32, goes into
    /// the chain.
    fn take_exactly(self, size: usize, chain: &mut Chain) -> Option<usize> {
        for _ in 0..TRIES {
            let taken = self.take(size);
            if taken == 0 {
                return None;
            }
            // SAFETY: just taken.
            if unsafe { (self.usable)(ptr::with_exposed_provenance_mut(taken)) } == size {
                return Some(taken);
            }
            chain.push(taken);
        }
        None
    }

    /// # Safety
    /// It was taken, and nobody uses it any more.
    unsafe fn give(self, taken: usize) {
        // SAFETY: as the caller promises.
        unsafe { (self.free)(ptr::with_exposed_provenance_mut(taken)) };
    }
}

/// A word of memory.
///
/// # Safety
/// It is there to be read.
unsafe fn read(at: usize) -> usize {
    // SAFETY: as the caller promises.
    unsafe { ptr::with_exposed_provenance::<usize>(at).read_volatile() }
}

/// Pieces of memory that have been taken, each of which points to the next.
struct Chain(usize);

impl Chain {
    fn push(&mut self, taken: usize) {
        // SAFETY: it is the caller's own, and malloc gives 24 bytes at least.
        unsafe { ptr::with_exposed_provenance_mut::<usize>(taken).write_volatile(self.0) };
        self.0 = taken;
    }

    fn give_all(self, malloc: Malloc) {
        let mut first = self.0;
        while first != 0 {
            // SAFETY: `push` wrote it.
            let next = unsafe { read(first) };
            // SAFETY: it is in the chain, so nobody else has it.
            unsafe { malloc.give(first) };
            first = next;
        }
    }
}

impl MallocCache {
    /// Finds out, with a block that is new; `words` says where libc's thread-locals are. Leaves no cache in it. None if the
    /// cache is not as it is known.
    pub(super) fn find(block: ThreadPointer, words: &[usize]) -> Option<MallocCache> {
        let malloc = Malloc::opaque();
        let before: Vec<Word> = words.iter().map(|&at| Word { at, unset: block.get(at) }).collect();
        with_loaded(block, || {
            let taken = malloc.take(SIZE_MIN);
            // SAFETY: taken above.
            unsafe { malloc.give(taken) };
        });
        let changed: Vec<Word> = before.into_iter().filter(|word| word.now(block) != word.unset).collect();
        let &[one, other] = changed.as_slice() else { return None };
        let (cache, arena) = match (is_arena(one.now(block)), is_arena(other.now(block))) {
            (false, true) => (one, other),
            (true, false) => (other, one),
            _ => return None,
        };
        let at = cache.now(block);
        // SAFETY: what malloc's thread-locals point to is an arena, or memory that it has given to itself.
        let bytes = unsafe { (malloc.usable)(ptr::with_exposed_provenance_mut(at)) };
        if !(64..=CACHE_BYTES_MAX).contains(&bytes) {
            return None;
        }
        // The last word belongs to whatever lies behind, too.
        let bytes = (bytes - 1) / size_of::<usize>() * size_of::<usize>();
        let lists = find_lists(block, malloc, at, bytes);
        let known = MallocCache { cache, arena, lists, empty: copy(at, bytes) };
        // A program may have turned the lists off (`glibc.malloc.tcache_count=0`).
        let is_known = !known.lists.is_empty() || known.empty.iter().all(|byte| *byte == 0);
        (is_known && known.flush(block)).then_some(known)
    }

    /// Frees the cache of a block, and all that is in it. Says whether nothing is left.
    pub(super) fn flush(&self, block: ThreadPointer) -> bool {
        let malloc = Malloc::opaque();
        let at = self.cache.now(block);
        if at != self.cache.unset {
            let mut chain = Chain(0);
            let is_drained = with_loaded(block, || self.lists.iter().all(|list| list.drain(at, malloc, &mut chain)));
            // They go to the caller's own cache, and to the arenas.
            chain.give_all(malloc);
            if !is_drained || copy(at, self.empty.len()) != self.empty {
                return false;
            }
            // SAFETY: malloc took it for the block, which forgets it here. It is empty.
            unsafe { malloc.give(at) };
            block.put(self.cache.at, self.cache.unset);
        }
        // Its arena counts one thread too many from now on. It uses that only to know whether it has any.
        block.put(self.arena.at, self.arena.unset);
        true
    }
}

impl Word {
    fn now(self, block: ThreadPointer) -> usize {
        block.get(self.at)
    }
}

impl List {
    /// Takes all that is in the list of the cache at that address. It must be the loaded block's. False if malloc gave
    /// something else.
    fn drain(self, cache: usize, malloc: Malloc, chain: &mut Chain) -> bool {
        loop {
            // SAFETY: the cache is this long.
            let first = unsafe { read(cache + self.at) };
            if first == 0 {
                return true;
            }
            let taken = malloc.take(self.size);
            if taken != 0 {
                chain.push(taken);
            }
            if taken != first {
                return false;
            }
        }
    }
}

/// Runs `f` with a block loaded. It uses no thread-local but those of malloc.
fn with_loaded<R>(block: ThreadPointer, f: impl FnOnce() -> R) -> R {
    // SAFETY: the block is loaded nowhere else, and `f` uses none of the caller's thread-locals.
    unsafe { with_block(block, f) }
}

/// Whether this is the address of an arena of malloc.
fn is_arena(address: usize) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: it looks at no memory at the address, and writes into the place for the answer.
    let in_libc = unsafe { libc::dladdr(ptr::with_exposed_provenance(address), info.as_mut_ptr()) } != 0;
    in_libc || address % HEAP_ALIGN < HEAP_HEAD_BYTES
}

/// For each size of which the cache keeps freed memory, the place in it that points to that.
fn find_lists(block: ThreadPointer, malloc: Malloc, cache: usize, bytes: usize) -> Vec<List> {
    let mut lists: Vec<List> = Vec::with_capacity(SIZES_MAX);
    let mut chain = Chain(0);
    for size in (0..SIZES_MAX).map(|i| SIZE_MIN + i * SIZE_STEP) {
        let found = with_loaded(block, || {
            // When malloc takes a piece from an arena it may fill the list with others, and then this one is not put there.
            // The second is out of the list.
            for _ in 0..2 {
                let Some(taken) = malloc.take_exactly(size, &mut chain) else {
                    // There are only larger pieces.
                    return Some(None);
                };
                // SAFETY: taken above.
                unsafe { malloc.give(taken) };
                // SAFETY: the cache is this long.
                let at = (0..bytes).step_by(size_of::<usize>()).find(|at| unsafe { read(cache + at) } == taken);
                if let Some(list) = at.map(|at| List { size, at }) {
                    return list.drain(cache, malloc, &mut chain).then_some(Some(list));
                }
            }
            None
        });
        match found {
            Some(list) => lists.extend(list),
            // It keeps no memory of that size.
            None => break,
        }
    }
    chain.give_all(malloc);
    fill_gaps(lists)
}

/// Adds the lists of sizes that were not to be had, if all lists stand side by side. What is wrong is noticed when it is
/// drained.
fn fill_gaps(found: Vec<List>) -> Vec<List> {
    let (Some(first), Some(last)) = (found.first().copied(), found.last().copied()) else { return found };
    let list = |size: usize| List { size, at: first.at + (size - first.size) / SIZE_STEP * size_of::<usize>() };
    if first.size != SIZE_MIN || !found.iter().all(|known| known.at == list(known.size).at) {
        return found;
    }
    (first.size..=last.size).step_by(SIZE_STEP).map(list).collect()
}

/// A copy of so many bytes at an address of malloc's.
fn copy(at: usize, bytes: usize) -> Vec<u8> {
    // SAFETY: the cache is this long, and no thread uses it.
    unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance::<u8>(at), bytes) }.to_vec()
}
