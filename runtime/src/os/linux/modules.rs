//! Which thread-locals the loaded modules have in the static block of every thread, and their initial values.
//!
//! Only glibc knows where those of a module lie in the block. It writes this into the vector of a block that it has
//! just made. There a module has an address if it lies in the static block, "unallocated" if each thread gets its
//! thread-locals at their first use, and nothing while it is being loaded. The vector of a thread that is older than
//! the module has no entry for it, and asking for the address (`__tls_get_addr`) would make the choice for the module.

use super::lock::{Mutex, MutexGuard};
use super::thread_pointer::{ThreadPointer, loaded_block};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// Where a control block has its vector.
pub(super) const VECTOR: usize = 0x08;
/// What an entry says of thread-locals that each thread gets when it first uses them.
const UNALLOCATED: usize = usize::MAX;

/// An entry of a block's vector of thread-locals: where those of a module lie, and what to free if they were allocated
/// when they were first used. The length stands before the vector, its generation in the first entry.
#[derive(Clone, Copy)]
#[repr(C)]
struct ModuleEntry {
    value: usize,
    to_free: *mut c_void,
}

impl ModuleEntry {
    /// The entry of the module with that number in the vector of a block, if that is long enough.
    fn of(block: ThreadPointer, number: usize) -> Option<ModuleEntry> {
        let vector = ptr::with_exposed_provenance::<ModuleEntry>(block.get(VECTOR));
        // SAFETY: the entry before the first has the length.
        let len = unsafe { vector.wrapping_sub(1).read() }.value;
        // SAFETY: the vector has so many entries after its first.
        (number <= len).then(|| unsafe { vector.wrapping_add(number).read() })
    }
}

/// The generation of a block's vector: how new the newest module is that it knows.
#[inline]
fn generation(block: ThreadPointer) -> usize {
    let vector = ptr::with_exposed_provenance::<ModuleEntry>(block.get(VECTOR));
    // SAFETY: the first entry has it, in every block.
    unsafe { vector.read() }.value
}

/// The thread-locals of a module with their initial values. The bytes are a copy: the module may be unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Image {
    /// How far below the thread pointer it lies.
    below: usize,
    /// Their initial bytes; the rest is zero.
    bytes: Box<[u8]>,
    memory_bytes: usize,
}

/// The thread-locals in the static block, of all modules except libc, with their initial values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Images {
    list: Vec<Image>,
    /// How far below the thread pointer the stack of a G begins that begins with these.
    pub(super) room_below: usize,
}

/// The images that were found last, and how many modules had been loaded and unloaded until then.
#[derive(Debug)]
pub(super) struct Latest {
    images: AtomicPtr<Images>,
    changes: AtomicU64,
    /// The generation of the vector that they were found by.
    generation: AtomicUsize,
    /// All images so far. A G may begin with an old one at any time, so they are kept. An image that was seen before is
    /// used again.
    known: Mutex<Vec<&'static Images>>,
}

impl Latest {
    /// Those that were found first. Gs that begin with them have so much room below the thread pointer.
    pub(super) fn new(found: Modules, room_below: usize) -> Latest {
        // If one was only being loaded, the next look finds that something has changed since.
        let changes = if found.is_complete { found.changes } else { 0 };
        let images: &'static Images = Box::leak(Box::new(Images { list: found.images, room_below }));
        Latest {
            images: AtomicPtr::new(ptr::from_ref(images).cast_mut()),
            changes: AtomicU64::new(changes),
            generation: AtomicUsize::new(found.generation),
            known: Mutex::new(vec![images]),
        }
    }

    /// How many modules had been loaded and unloaded at the last look.
    pub(super) fn changes(&self) -> u64 {
        // Relaxed: it guards nothing; a reader of an old value looks once more.
        self.changes.load(Ordering::Relaxed)
    }

    /// Whether the calling thread itself has loaded a library with static thread-locals since: then the loader has
    /// brought its vector up to date. Two loads.
    #[inline]
    pub(super) fn is_older_than_caller(&self) -> bool {
        generation(loaded_block()) > self.generation.load(Ordering::Relaxed)
    }

    /// Makes new Gs begin with what was found, and with the room for it that `room_below` says.
    pub(super) fn publish(&self, found: Modules, room_below: impl FnOnce(usize) -> usize) {
        let mut known = self.lock();
        // Of two threads that look at the same time, the newer image stays.
        if found.changes >= self.changes() {
            let room_below = room_below(found.below);
            self.store(&mut known, Images { list: found.images, room_below });
            self.changes.store(found.changes, Ordering::Relaxed);
            self.generation.store(found.generation, Ordering::Relaxed);
        }
    }

    /// Makes new Gs begin with so much room below the thread pointer.
    pub(super) fn widen(&self, room_below: usize) {
        let mut known = self.lock();
        let list = self.now().list.clone();
        self.store(&mut known, Images { list, room_below });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<&'static Images>> {
        self.known.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn store(&self, known: &mut Vec<&'static Images>, images: Images) {
        let images = match known.iter().find(|known| ***known == images) {
            Some(images) => images,
            None => {
                let images: &'static Images = Box::leak(Box::new(images));
                known.push(images);
                images
            }
        };
        // Release: partner is the Acquire in `now`.
        self.images.store(ptr::from_ref(images).cast_mut(), Ordering::Release);
    }

    /// What a G that begins now finds.
    #[inline]
    pub(super) fn now(&self) -> &'static Images {
        // Acquire: partner is the Release in `store`.
        let images = self.images.load(Ordering::Acquire);
        // SAFETY: they are never dropped.
        unsafe { &*images }
    }
}

impl Images {
    /// Gives the thread-locals of a block their initial values, those that lie at most `room_below` bytes below the
    /// thread pointer: farther down is the stack.
    ///
    /// # Safety
    /// The block is of this process, whole, and not in use.
    #[inline]
    pub(super) unsafe fn write_to(&self, block: ThreadPointer, room_below: usize) {
        for image in &self.list {
            if image.below > room_below {
                continue;
            }
            let to = ptr::with_exposed_provenance_mut::<u8>(block.address() - image.below);
            // SAFETY: its place in the block is as large, and no other code uses it.
            unsafe { ptr::copy_nonoverlapping(image.bytes.as_ptr(), to, image.bytes.len()) };
            let rest = to.wrapping_add(image.bytes.len());
            // SAFETY: as above.
            unsafe { ptr::write_bytes(rest, 0, image.memory_bytes - image.bytes.len()) };
        }
    }
}

/// What a look at the loaded modules has found.
pub(super) struct Modules {
    block: ThreadPointer,
    static_bytes: usize,
    pub(super) errno_below: usize,
    /// How many had been loaded and unloaded until then.
    pub(super) changes: u64,
    /// How far below the thread pointer the farthest thread-local begins, and whose it is.
    pub(super) below: usize,
    pub(super) farthest: Box<[u8]>,
    images: Vec<Image>,
    /// Where the words of libc's thread-locals are, from the thread pointer on.
    pub(super) libc: Vec<usize>,
    /// The generation of the block's vector.
    generation: usize,
    /// None of them was only being loaded.
    pub(super) is_complete: bool,
    /// All have their thread-locals in the static block.
    is_all_static: bool,
}

/// How many modules have been loaded and unloaded so far: 20 ns.
pub(super) fn changes() -> u64 {
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
        // SAFETY: the loader passes one that is good during the call.
        let info = unsafe { &*info };
        // SAFETY: `changes` passes this.
        unsafe { *found.cast::<u64>() = changes_in(info) };
        1
    }
    let mut found = 0_u64;
    // SAFETY: `look` gets what it expects.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    found
}

fn changes_in(info: &libc::dl_phdr_info) -> u64 {
    info.dlpi_adds.wrapping_add(info.dlpi_subs)
}

/// Looks at all modules that are loaded. glibc has just made the block, of which the static part takes `static_bytes`.
pub(super) fn modules(block: ThreadPointer, static_bytes: usize) -> Modules {
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
        // SAFETY: the loader passes one that is good during the call.
        let info = unsafe { &*info };
        // SAFETY: `modules` passes this.
        let found = unsafe { &mut *found.cast::<Modules>() };
        found.changes = changes_in(info);
        if info.dlpi_tls_modid == 0 {
            return 0;
        }
        for i in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: there are so many headers.
            let header = unsafe { &*info.dlpi_phdr.wrapping_add(i) };
            if header.p_type == libc::PT_TLS {
                // SAFETY: the module is loaded as long as the loader's lock is held, which is during this call.
                unsafe { found.add(info, header) };
            }
        }
        0
    }
    // SAFETY: it returns the address of the calling thread's errno.
    let errno = unsafe { libc::__errno_location() }.expose_provenance();
    let errno_below = loaded_block().address() - errno;
    let mut found = Modules {
        block,
        static_bytes,
        errno_below,
        changes: 0,
        below: 0,
        farthest: Box::default(),
        images: Vec::new(),
        libc: Vec::new(),
        generation: generation(block),
        is_complete: true,
        is_all_static: true,
    };
    // SAFETY: `look` gets what it expects.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    found
}

impl Modules {
    /// A vector of this generation has no thread-locals outside the static block. None if it may have some.
    pub(super) fn static_generation(&self) -> Option<usize> {
        self.is_all_static.then_some(self.generation)
    }

    /// Adds those of a module, if they lie in the static block.
    ///
    /// # Safety
    /// The module is loaded, this header is its own, and its image is there.
    unsafe fn add(&mut self, info: &libc::dl_phdr_info, header: &libc::Elf64_Phdr) {
        let at = ModuleEntry::of(self.block, info.dlpi_tls_modid).map_or(0, |entry| entry.value);
        if at == 0 {
            self.is_complete = false;
        }
        let mine = self.block.address();
        if at == 0 || at == UNALLOCATED || at >= mine || mine - at > self.static_bytes {
            self.is_all_static = false;
            return;
        }
        let below = mine - at;
        if below > self.below {
            self.below = below;
            // SAFETY: the loader gives it a name that ends with a zero.
            self.farthest = unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes().into();
        }
        let memory_bytes = header.p_memsz as usize;
        if (below - memory_bytes..below).contains(&(self.errno_below - 1)) {
            // This one is libc's.
            self.libc =
                (below - memory_bytes..below).step_by(size_of::<usize>()).map(|b| usize::wrapping_neg(b + 8)).collect();
            return;
        }
        let from = ptr::with_exposed_provenance::<u8>((info.dlpi_addr + header.p_vaddr) as usize);
        // SAFETY: as the caller promises.
        let bytes = unsafe { std::slice::from_raw_parts(from, header.p_filesz as usize) };
        self.images.push(Image { below, bytes: bytes.into(), memory_bytes });
    }
}

/// Thread-locals outside the static block are allocated when they are first used. The next user of the block has to find
/// them new. There are none in a vector of the generation `none_in`: the loader renews it before it allocates the first.
#[inline]
pub(super) fn forget_late_modules(block: ThreadPointer, none_in: Option<usize>) {
    if none_in != Some(generation(block)) {
        forget_each_late_module(block);
    }
}

#[cold]
fn forget_each_late_module(block: ThreadPointer) {
    let vector = ptr::with_exposed_provenance_mut::<ModuleEntry>(block.get(VECTOR));
    // SAFETY: the entry before the first has the length.
    let len = unsafe { vector.wrapping_sub(1).read() }.value;
    for i in 1..=len {
        let entry = vector.wrapping_add(i);
        // SAFETY: the vector has so many entries, and they are the block's own.
        let ModuleEntry { to_free, .. } = unsafe { entry.read() };
        if !to_free.is_null() {
            // SAFETY: the loader allocated it, and frees it so at the end of a thread.
            unsafe { libc::free(to_free) };
            // SAFETY: as above.
            unsafe { entry.write(ModuleEntry { value: UNALLOCATED, to_free: ptr::null_mut() }) };
        }
    }
}
