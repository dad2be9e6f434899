//! Which thread-locals the loaded modules have in every thread's static block, and how they are at first.

use std::ffi::{c_int, c_void};
use std::ptr;

/// The thread-locals of a module, as they are when a thread begins.
#[derive(Debug)]
pub(super) struct Image {
    /// How far below the thread pointer it lies.
    pub(super) below: usize,
    pub(super) from: *const u8,
    pub(super) file_bytes: usize,
    pub(super) memory_bytes: usize,
}

/// The thread-locals that the modules have in the static block.
pub(super) struct Modules {
    mine: usize,
    static_bytes: usize,
    errno: usize,
    /// How far below the thread pointer the farthest of them begins.
    pub(super) below: usize,
    /// Those of all modules but libc, as they are at first.
    pub(super) images: Vec<Image>,
    /// There are others, outside the static block.
    far: bool,
}

/// Looks at all modules that are loaded, from the thread whose thread pointer is `mine` and whose static block takes
/// `static_bytes`.
pub(super) fn modules(mine: usize, static_bytes: usize) -> Modules {
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
        // SAFETY: the loader passes one that is good during the call.
        let info = unsafe { &*info };
        // SAFETY: `modules` passes this.
        let found = unsafe { &mut *found.cast::<Modules>() };
        let at = info.dlpi_tls_data.expose_provenance();
        if info.dlpi_tls_modid == 0 || at == 0 {
            return 0;
        }
        for i in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: there are so many headers.
            let header = unsafe { &*info.dlpi_phdr.wrapping_add(i) };
            if header.p_type == libc::PT_TLS {
                found.add(at, header, info.dlpi_addr + header.p_vaddr);
            }
        }
        0
    }
    // SAFETY: it returns the address of the calling thread's errno.
    let errno = unsafe { libc::__errno_location() }.expose_provenance();
    let mut found = Modules { mine, static_bytes, errno, below: 0, images: Vec::new(), far: false };
    // SAFETY: `look` gets what it expects.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    if found.far {
        tracing::debug!(target: "pirn::sched", "a module has thread-locals outside the static block");
    }
    found
}

impl Modules {
    /// Adds those of one module, which this thread has at `at`.
    fn add(&mut self, at: usize, header: &libc::Elf64_Phdr, image: u64) {
        if at >= self.mine || self.mine - at > self.static_bytes {
            // It does not lie in the static block: each thread gets it when it first uses it.
            self.far = true;
            return;
        }
        let below = self.mine - at;
        self.below = self.below.max(below);
        let memory_bytes = header.p_memsz as usize;
        if (at..at + memory_bytes).contains(&self.errno) {
            // This one is libc's.
            return;
        }
        self.images.push(Image {
            below,
            from: ptr::with_exposed_provenance(image as usize),
            file_bytes: header.p_filesz as usize,
            memory_bytes,
        });
    }
}
