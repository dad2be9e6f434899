//! Thread-local blocks of glibc, made by hand (x86_64).
//!
//! ```text
//!   room at the top of a stack slot (addresses grow to the right)
//!   | alignment | thread-locals of the modules ... libc's, the program's | thread control block |
//!                                                                        ^ thread pointer: what FS holds
//! ```
//! glibc makes a block with `_dl_allocate_tls`, as it does for its own threads. This file fills in what
//! `pthread_create` adds to that: the two pointers to itself, the stack and pointer guards, a thread id of its own
//! (recursive locks compare it), an empty robust list, no rseq area, and the first block of thread-specific data. It
//! finds at run time where those lie: from glibc's tables for debuggers, from what the kernel has registered, and from
//! the running thread. It looks up all functions at run time too, so a C library without them causes an error, not a
//! crash.

use super::glibc::{function, is_under_valgrind, missing, robust_list, rseq_offset, symbol, table};
use super::keys::Keys;
use super::modules::{Latest, Modules, changes, forget_late_modules, modules};
use super::thread_pointer::{ThreadPointer, loaded_block};
use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Blocks begin at multiples of this, or of more if a module asks for it.
const ALIGN_MIN: usize = 64;

/// Where the fields of the head of a thread control block lie. They are part of the ABI of TLS on x86_64: compilers
/// emit accesses to them.
const TCB: usize = 0x00;
const SELF: usize = 0x10;
const COPIED: [usize; 4] = [0x20, 0x28, 0x30, 0x48];
const MULTIPLE_THREADS: usize = 0x18;

/// The bit of the second word of hardware capabilities that says that user code may write FS.
const HWCAP2_FSGSBASE: u64 = 2;

/// Ids for blocks, far above what the kernel gives to threads, and below the flag bits of a robust lock.
static NEXT_TID: AtomicU32 = AtomicU32::new(0x1000_0000);

/// What is needed to make blocks here, found once.
#[derive(Debug)]
pub(crate) struct Blocks {
    allocate: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    deallocate: unsafe extern "C" fn(*mut c_void, bool),
    ctype_init: unsafe extern "C" fn(),
    call_destructors: unsafe extern "C" fn(),
    static_bytes: usize,
    control_bytes: usize,
    align: usize,
    tid: usize,
    robust: usize,
    robust_futex_offset: usize,
    rseq: Option<isize>,
    specific_first: usize,
    /// The link in the list of all threads: in the child of a fork the running thread is taken off it.
    list: usize,
    /// libc's pointer to the state of the resolver, and the state.
    resolver_pointer: usize,
    resolver: usize,
    keys: Keys,
    /// How far below the thread pointer the thread-locals of the modules reached at first. What is loaded later need
    /// not be kept: it is written again for each new G.
    below: usize,
    /// What a new G finds.
    images: Latest,
}

/// What glibc's headers call LC_GLOBAL_LOCALE.
const GLOBAL_LOCALE: libc::locale_t = ptr::without_provenance_mut(usize::MAX);

// SAFETY: the keys are glibc's, which all threads read, and everything else is plain or guarded.
unsafe impl Send for Blocks {}
// SAFETY: as above.
unsafe impl Sync for Blocks {}

/// What it takes to make blocks here.
///
/// # Errors
/// `Unsupported` with what is missing; the system's error if it has no thread to look at.
pub(crate) fn thread_local_blocks() -> io::Result<&'static Blocks> {
    // What fails for lack of a thread may work next time, so only success is kept.
    static BLOCKS: Mutex<Option<&'static Blocks>> = Mutex::new(None);
    let mut known = BLOCKS.lock().unwrap_or_else(|e| e.into_inner());
    match *known {
        Some(blocks) => {
            blocks.look_again();
            Ok(blocks)
        }
        None => Ok(known.insert(Box::leak(Box::new(Blocks::find()?)))),
    }
}

impl Blocks {
    /// How much room a block takes at the top of a slot.
    pub(crate) fn room_bytes(&self) -> usize {
        (self.static_bytes + self.align).next_multiple_of(ALIGN_MIN)
    }

    /// How many bytes at the end of the room that ends at `end` must stay unchanged between two Gs. Below it lies only
    /// what glibc keeps free for modules that are loaded later.
    pub(crate) fn used_bytes(&self, end: usize) -> usize {
        end - self.block_in(end).address() + self.below
    }

    /// Where the block lies in the room that ends at `end`.
    #[inline]
    pub(crate) fn block_in(&self, end: usize) -> ThreadPointer {
        let at = (end - self.control_bytes) & !(self.align - 1);
        ThreadPointer(NonZeroUsize::new(at).expect("no room ends at address 0"))
    }

    /// Makes a block in the room that ends at `end`. It is never unmade: the room belongs to it for good.
    ///
    /// # Errors
    /// If glibc has no memory for its part.
    ///
    /// # Safety
    /// The `room_bytes` below `end` are the caller's, and stay as they are between uses.
    pub(crate) unsafe fn make(&self, end: usize) -> io::Result<ThreadPointer> {
        self.look_again();
        let block = self.block_in(end);
        let start = end - self.room_bytes();
        // SAFETY: the room is the caller's.
        unsafe { ptr::write_bytes(ptr::with_exposed_provenance_mut::<u8>(start), 0, self.room_bytes()) };
        // SAFETY: the memory is zeroed, aligned, and as large as glibc asks for.
        let made = unsafe { (self.allocate)(ptr::with_exposed_provenance_mut(block.address())) };
        if made.is_null() {
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        }
        let mine = loaded_block();
        block.put(TCB, block.address());
        block.put(SELF, block.address());
        for at in COPIED {
            block.put(at, mine.get(at));
        }
        block.put_u32(MULTIPLE_THREADS, 1);
        block.put_u32(self.tid, NEXT_TID.fetch_add(1, Ordering::Relaxed) & 0x1fff_ffff | 0x1000_0000);
        let robust = block.address() + self.robust;
        // An empty list: the head points to itself, and so does libc's link back, the word before it.
        block.put(self.robust, robust);
        block.put(self.robust + 8, self.robust_futex_offset);
        block.put(self.robust - 8, robust);
        block.put(self.keys.specific, block.address() + self.specific_first);
        // A list with this block alone: both links point to it.
        block.put(self.list, block.address() + self.list);
        block.put(self.list + 8, block.address() + self.list);
        block.put(self.resolver_pointer, block.address() + self.resolver);
        if let Some(rseq) = self.rseq {
            // No CPU is known: libc asks the kernel then.
            block.put_u32(rseq.wrapping_add(4) as usize, u32::MAX);
        }
        Ok(block)
    }

    /// Makes the thread-locals of a block those of a new thread. What is libc's stays: it holds the allocator's cache,
    /// which belongs to the block and not to its user.
    ///
    /// # Safety
    /// The block was made by `make`, is loaded nowhere, and its last user has ended.
    #[inline]
    pub(crate) unsafe fn renew(&self, block: ThreadPointer) {
        forget_late_modules(block);
        // SAFETY: as the caller promises.
        unsafe { self.images.write_to(block) };
    }

    /// As [`look_again`](Self::look_again), if the calling thread itself has loaded one. For callers that cannot spend
    /// 20 ns.
    #[inline]
    pub(crate) fn look_if_caller_loaded(&self) {
        if self.images.is_older_than_caller() {
            self.look_again();
        }
    }

    /// Has new Gs find the thread-locals of libraries that have been loaded since the last look too: 20 ns if there are
    /// none.
    pub(crate) fn look_again(&self) {
        if changes() != self.images.changes() {
            self.look();
        }
    }

    #[cold]
    fn look(&self) {
        let before = changes();
        // SAFETY: glibc makes a block of its own.
        let made = unsafe { (self.allocate)(ptr::null_mut()) };
        let Some(block) = NonZeroUsize::new(made.expose_provenance()).map(ThreadPointer) else {
            // There is no memory. The next look tries again.
            return;
        };
        let found = modules(block, self.static_bytes);
        // SAFETY: made above, with memory of glibc's, and never loaded.
        unsafe { (self.deallocate)(made, true) };
        // A module that came or went in between, or is only being loaded, is for the next look.
        if found.is_complete && found.changes == before {
            self.images.publish(found);
        }
    }

    /// The first thing that runs with a new block.
    ///
    /// # Safety
    /// The block is loaded.
    #[inline]
    pub(crate) unsafe fn init(&self) {
        // SAFETY: what glibc calls at the beginning of a thread.
        unsafe { (self.ctype_init)() };
        // SAFETY: the global locale may always be chosen; the last user of the block may have had another.
        unsafe { libc::uselocale(GLOBAL_LOCALE) };
    }

    /// Runs the destructors of the thread-locals that were used. They may use others; those are run too.
    ///
    /// # Safety
    /// The block is loaded by its user.
    #[inline]
    pub(crate) unsafe fn destroy(&self) {
        // SAFETY: what glibc calls at the end of a thread.
        unsafe { (self.call_destructors)() };
        self.keys.destroy(loaded_block());
    }

    fn find() -> io::Result<Blocks> {
        // SAFETY: it only reads a table that the kernel gave to the process.
        let hwcap2 = unsafe { libc::getauxval(libc::AT_HWCAP2) };
        if hwcap2 & HWCAP2_FSGSBASE == 0 {
            return missing(if is_under_valgrind() {
                "Valgrind does not follow the FS register"
            } else {
                "the kernel or the CPU does not let programs write the FS register (FSGSBASE)"
            });
        }
        let mine = loaded_block();
        let (mut static_bytes, mut align) = (0_usize, 0_usize);
        // SAFETY: glibc's declaration is void (size_t *, size_t *).
        let static_info: unsafe extern "C" fn(*mut usize, *mut usize) =
            unsafe { function(c"_dl_get_tls_static_info")? };
        // SAFETY: both are valid to be written.
        unsafe { static_info(&raw mut static_bytes, &raw mut align) };
        let control_bytes = table(c"_thread_db_sizeof_pthread", 0)? as usize;
        let tid = table(c"_thread_db_pthread_tid", 2)? as usize;
        let specific = table(c"_thread_db_pthread_specific", 2)? as usize;
        let (robust_at, robust_futex_offset) = robust_list()?;
        let robust = robust_at.wrapping_sub(mine.address());
        let list = table(c"_thread_db_pthread_list", 2)? as usize;
        let resolver_pointer = symbol(c"__resp")?.expose_provenance().wrapping_sub(mine.address());
        let (resolver, modules) = seen_by_a_thread(resolver_pointer, static_bytes)?;
        let specific_first = mine.get(specific).wrapping_sub(mine.address());
        let sane = control_bytes > 0
            && control_bytes < static_bytes
            && [tid, robust, specific, specific_first, list, resolver]
                .iter()
                .all(|at| *at >= 8 && at + 16 <= control_bytes)
            && align.is_power_of_two()
            && mine.get(SELF) == mine.address();
        if !sane || modules.below > static_bytes - control_bytes {
            return missing("the C library's thread control block does not look as it is known");
        }
        Ok(Blocks {
            // SAFETY: glibc's declarations: void *(void *), void (void *, bool), void (void), void (void).
            allocate: unsafe { function(c"_dl_allocate_tls")? },
            // SAFETY: as above.
            deallocate: unsafe { function(c"_dl_deallocate_tls")? },
            // SAFETY: as above.
            ctype_init: unsafe { function(c"__ctype_init")? },
            // SAFETY: as above.
            call_destructors: unsafe { function(c"__call_tls_dtors")? },
            static_bytes,
            control_bytes,
            align: align.max(ALIGN_MIN),
            tid,
            robust,
            robust_futex_offset,
            rseq: rseq_offset(),
            specific_first,
            list,
            resolver_pointer,
            resolver,
            keys: Keys { specific, keys: symbol(c"__pthread_keys")?.cast() },
            below: modules.below,
            images: Latest::new(modules),
        })
    }
}

/// What only a thread shows that libc has just made: where the state of the resolver lies in a control block, since the
/// main thread's is elsewhere; and which modules have thread-locals in the static block.
fn seen_by_a_thread(resolver_pointer: usize, static_bytes: usize) -> io::Result<(usize, Modules)> {
    let look = move || {
        let block = loaded_block();
        let resolver = block.get(resolver_pointer).wrapping_sub(block.address());
        (resolver, modules(block, static_bytes))
    };
    let thread = std::thread::Builder::new().spawn(look)?;
    thread.join().map_err(|_| io::Error::other("a thread that was looked at panicked"))
}
