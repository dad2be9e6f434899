//! Thread-local blocks of glibc, made by hand (x86_64).
//!
//! ```text
//!   room at the top of a stack slot (addresses grow to the right)
//!   ... stack | spare | thread-locals of the modules ... libc's, the program's | thread control block | colour |
//!             ^ room_below                                                     ^ thread pointer: what FS holds
//! ```
//! Spare is for libraries with static thread-locals that are loaded later. glibc would keep 1.7 KiB for them. A G has
//! `SPARE_BYTES` (`room.rs`), so that block and first frames lie on one page, or all of it (`leave_room_for_libraries`).
//!
//! glibc makes a block with `_dl_allocate_tls`, as it does for its own threads. This file fills in what
//! `pthread_create` adds to that: the two pointers to itself, the stack and pointer guards, a thread id of its own
//! (recursive locks compare it), an empty robust list, no rseq area, and the first block of thread-specific data. It
//! finds at run time where those lie: from glibc's tables for debuggers, from what the kernel has registered, and from
//! the running thread. It looks up all functions at run time too, so a C library without them causes an error, not a
//! crash.

use super::glibc::{function, is_under_valgrind, missing, robust_list, rseq_offset, symbol, table};
use super::keys::Keys;
use super::lock::Mutex;
use super::modules::{Latest, Modules, VECTOR, changes, forget_late_modules, modules};
use super::room::{COLOUR_BYTES, SPARE_BYTES, below_max, colours, with_spare};
use super::thread_pointer::{ThreadPointer, loaded_block, with_block};
use super::unmake::{AsNew, Parts};
use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

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
    /// Vectors of this generation have nothing outside the static block.
    static_generation: Option<usize>,
    /// In how many places in their pages blocks lie; a power of two.
    colours: usize,
    /// What a new G finds.
    images: Latest,
    /// New Gs have room for all that glibc may place.
    leaves_room: AtomicBool,
    /// Without it blocks are never unmade.
    as_new: OnceLock<Option<AsNew>>,
    /// Where libc's thread-locals and `errno` are, from the thread pointer on.
    libc: Vec<usize>,
    errno: usize,
    overlap: Mutex<Overlap>,
}

/// The thread-locals of a library that lie where older Gs may have their stacks.
#[derive(Debug, Default)]
struct Overlap {
    /// How far below the thread pointer they begin: farther than those of all overlaps before.
    below: usize,
    /// The library's name, until it has been told.
    library: Option<Box<[u8]>>,
}

/// What glibc's headers call LC_GLOBAL_LOCALE.
const GLOBAL_LOCALE: libc::locale_t = ptr::without_provenance_mut(usize::MAX);

// SAFETY: the keys are glibc's, which all threads read, and everything else is plain or guarded.
unsafe impl Send for Blocks {}
// SAFETY: as above.
unsafe impl Sync for Blocks {}

/// What is known once a block can have been made.
static KNOWN: OnceLock<&'static Blocks> = OnceLock::new();

/// What [`thread_local_blocks`] has found, if it has.
pub(crate) fn known_blocks() -> Option<&'static Blocks> {
    KNOWN.get().copied()
}

/// What it takes to make blocks here.
///
/// # Errors
/// `Unsupported` with what is missing; the system's error if it has no thread to look at.
pub(crate) fn thread_local_blocks() -> io::Result<&'static Blocks> {
    // What fails for lack of a thread may work next time, so only success is kept.
    static FINDS: Mutex<()> = Mutex::new(());
    let _finds = FINDS.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(blocks) = known_blocks() {
        blocks.look_again();
        return Ok(blocks);
    }
    let found = Blocks::find()?;
    Ok(KNOWN.get_or_init(|| Box::leak(Box::new(found))))
}

impl Blocks {
    /// How much of a slot is not stack at most, whatever is loaded later.
    pub(crate) fn room_bytes(&self) -> usize {
        (self.static_bytes + self.align).next_multiple_of(ALIGN_MIN) + self.colours * COLOUR_BYTES
    }

    /// How far below the thread pointer that lies which must stay unchanged between two Gs. Beyond it is what glibc keeps
    /// free for modules that are loaded later.
    #[inline]
    pub(crate) fn kept_below(&self) -> usize {
        self.below
    }

    /// Where the block lies in a slot that ends at `end`; `spread` chooses its colour.
    #[inline]
    pub(crate) fn place(&self, end: usize, spread: usize) -> ThreadPointer {
        let end = end - (spread & (self.colours - 1)) * COLOUR_BYTES;
        let at = (end - self.control_bytes) & !(self.align - 1);
        ThreadPointer(NonZeroUsize::new(at).expect("no slot ends at address 0"))
    }

    /// Has new Gs have room for all static thread-locals of libraries that glibc may place, from now on.
    pub(crate) fn leave_room_for_libraries(&self) {
        // Relaxed, and the same in `room_below`: the lock of `images` orders it. Who publishes before `widen` is
        // overwritten by it, and who does it after sees the flag.
        if !self.leaves_room.swap(true, Ordering::Relaxed) {
            self.images.widen(self.room_below(0));
        }
    }

    /// How far below the thread pointer libraries may have their thread-locals at most.
    pub(crate) fn below_max(&self) -> usize {
        below_max(self.static_bytes, self.control_bytes)
    }

    /// How far below the thread pointer the stack of a new G begins, if the thread-locals that are known begin `below`.
    fn room_below(&self, below: usize) -> usize {
        if self.leaves_room.load(Ordering::Relaxed) {
            self.below_max()
        } else {
            with_spare(below).min(self.below_max())
        }
    }

    /// How far below the thread pointer the stack of a new G begins now.
    #[inline]
    pub(crate) fn room_now(&self) -> usize {
        self.images.now().room_below
    }

    /// Makes a block, which has its room until it is unmade. Says how far below the thread pointer the
    /// stack of its first G may begin.
    ///
    /// # Errors
    /// If glibc has no memory for its part.
    ///
    /// # Safety
    /// The block is a [`place`](Self::place) in a slot of the caller's, of which the part above `kept_below` stays as it
    /// is between uses.
    pub(crate) unsafe fn make(&self, block: ThreadPointer) -> io::Result<usize> {
        let room_below = self.images.now().room_below;
        let start = block.address() - room_below;
        // SAFETY: the room is the caller's.
        unsafe { ptr::write_bytes(ptr::with_exposed_provenance_mut::<u8>(start), 0, room_below + self.control_bytes) };
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
        Ok(room_below)
    }

    /// Makes the thread-locals of a block those of a new thread. What is libc's stays: it holds the allocator's cache,
    /// which belongs to the block and not to its user. `make_room` is told before how far below the thread pointer the
    /// stack of its next G may begin.
    ///
    /// # Safety
    /// The block was made by `make`, is loaded nowhere, and its last user has ended.
    #[inline]
    pub(crate) unsafe fn renew(&self, block: ThreadPointer, make_room: impl FnOnce(usize)) {
        forget_late_modules(block, self.static_generation);
        let images = self.images.now();
        make_room(images.room_below);
        // SAFETY: as the caller promises. What lies below the block is an empty stack.
        unsafe { images.write_to(block, images.room_below) };
    }

    /// The same for the caller's own, whose stack begins at `stack_base`.
    ///
    /// # Safety
    /// The block is the caller's, and its thread-locals have been destroyed.
    #[inline]
    pub(crate) unsafe fn renew_own(&self, stack_base: usize) {
        let block = loaded_block();
        forget_late_modules(block, self.static_generation);
        // SAFETY: as the caller promises, and nothing is written into the stack.
        unsafe { self.images.now().write_to(block, block.address() - stack_base) };
    }

    /// Gives back all that glibc has for a block, if that is possible: then its memory is the caller's again, and holds
    /// nothing. Otherwise the block stays as it is.
    ///
    /// # Safety
    /// As for [`renew`](Self::renew).
    pub(crate) unsafe fn unmake(&self, block: ThreadPointer) -> bool {
        let Some(Some(as_new)) = self.as_new.get() else { return false };
        // So that a signal handler that runs while the block is loaded finds nothing of its last user.
        // SAFETY: as the caller promises.
        unsafe { self.renew(block, |_| ()) };
        // SAFETY: as the caller promises.
        unsafe { self.init_other(block) };
        if !as_new.restore(block) {
            return false;
        }
        // SAFETY: glibc made its part; the memory is not glibc's.
        unsafe { (self.deallocate)(ptr::with_exposed_provenance_mut(block.address()), false) };
        true
    }

    /// Makes it possible to unmake blocks, if this libc is as it is known. It loads blocks, which sanitizers do not bear.
    pub(crate) fn learn_to_unmake(&self) {
        self.as_new.get_or_init(|| self.find_as_new());
    }

    /// Finds out what a block looks like that is as new.
    fn find_as_new(&self) -> Option<AsNew> {
        // The slots of two blocks, at any places that differ.
        let bytes = self.room_bytes() + self.align;
        let mut memory = [vec![0_u8; bytes], vec![0; bytes]];
        let blocks = memory.each_mut().map(|slot| self.place(slot.as_mut_ptr().expose_provenance() + bytes, 0));
        for block in blocks {
            // SAFETY: the slot is large enough, and lives until the block is unmade below.
            unsafe { self.make(block) }.ok()?;
            // SAFETY: just made.
            unsafe { self.init_other(block) };
        }
        let parts = Parts {
            libc: self.libc.clone(),
            control_bytes: self.control_bytes,
            own: [VECTOR, self.tid],
            errno: self.errno,
            specific: self.specific_first..self.keys.specific,
        };
        let as_new = AsNew::find(blocks, &parts);
        for block in blocks {
            // SAFETY: as in `unmake`. A cache of malloc that is left leaks.
            unsafe { (self.deallocate)(ptr::with_exposed_provenance_mut(block.address()), false) };
        }
        as_new
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
            let (below, library) = (found.below, found.farthest.clone());
            self.images.publish(found, |below| self.room_below(below));
            // After that, so that all Gs that have no room for it are seen.
            self.note_overlap(below, library);
        }
    }

    /// Notes a library whose thread-locals begin lower than the stack of a G may that has begun until now.
    fn note_overlap(&self, below: usize, library: Box<[u8]>) {
        let mut overlap = self.overlap.lock().unwrap_or_else(|e| e.into_inner());
        if below > overlap.below.max(self.below + SPARE_BYTES) {
            *overlap = Overlap { below, library: Some(library) };
        }
    }

    /// The library whose thread-locals may lie in the stacks of Gs that began before it was loaded, and how far below the
    /// thread pointer they begin. Each is told once.
    pub(crate) fn take_overlap(&self) -> Option<(String, usize)> {
        let mut overlap = self.overlap.lock().unwrap_or_else(|e| e.into_inner());
        let library = overlap.library.take()?;
        Some((String::from_utf8_lossy(&library).into_owned(), overlap.below))
    }

    /// The first thing that runs with a new block.
    ///
    /// # Safety
    /// The block is loaded.
    #[inline]
    pub(crate) unsafe fn init(&self) {
        // This sets libc's tables of characters too, as `__ctype_init` does for a thread. The last user of the block may
        // have had another locale.
        // SAFETY: the global locale may always be chosen.
        unsafe { libc::uselocale(GLOBAL_LOCALE) };
    }

    /// As [`init`](Self::init), with a block that is not the caller's.
    ///
    /// # Safety
    /// It is loaded nowhere.
    unsafe fn init_other(&self, block: ThreadPointer) {
        // SAFETY: it is loaded when this is called.
        let init = || unsafe { self.init() };
        // SAFETY: as the caller promises; none of the caller's thread-locals is used meanwhile.
        unsafe { with_block(block, init) };
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
        let (below, libc, errno) = (modules.below, modules.libc.clone(), modules.errno_below.wrapping_neg());
        let room_below = with_spare(below).min(below_max(static_bytes, control_bytes));
        Ok(Blocks {
            // SAFETY: glibc's declarations: void *(void *), void (void *, bool), void (void).
            allocate: unsafe { function(c"_dl_allocate_tls")? },
            // SAFETY: as above.
            deallocate: unsafe { function(c"_dl_deallocate_tls")? },
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
            below,
            static_generation: modules.static_generation(),
            colours: colours(control_bytes + room_below),
            images: Latest::new(modules, room_below),
            leaves_room: AtomicBool::new(false),
            as_new: OnceLock::new(),
            libc,
            errno,
            overlap: Mutex::new(Overlap::default()),
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
