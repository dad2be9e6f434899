//! What runs when the program is loaded: libc's functions are found, and the runtimes that are built later learn that the
//! hooks are there.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a function in the table of those that the loader calls")]

use crate::calls::ALL;
use crate::futexes::wake_late;
use crate::next::find_all;
use libc::{AT_PHDR, Dl_info, c_void, dladdr, getauxval};
use pirn_runtime::internal::{hook_is_linked, hook_was_loaded_with_the_program};
use std::mem::MaybeUninit;
use std::ptr;

#[cfg(target_feature = "crt-static")]
compile_error!("pirn's feature hook needs glibc as a shared library: build without -C target-feature=+crt-static");

// SAFETY: the loader calls what stands there once, before `main`. It does nothing that needs more than that.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    find_all();
    hook_is_linked(&ALL, wake_late);
    if is_in_the_program() {
        hook_was_loaded_with_the_program();
    }
}

/// Whether this is a part of the program itself, and of no library, which may have been loaded later.
fn is_in_the_program() -> bool {
    // SAFETY: it reads what the kernel has given to the program.
    let headers = unsafe { getauxval(AT_PHDR) } as usize;
    let program = base_of(ptr::with_exposed_provenance(headers));
    program.is_some() && program == base_of(BEGIN as *const c_void)
}

/// Where the file that has this address begins in memory.
fn base_of(address: *const c_void) -> Option<usize> {
    let mut info = MaybeUninit::<Dl_info>::uninit();
    // SAFETY: there is room. It looks the address up, and does not follow it.
    if unsafe { dladdr(address, info.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: it has been written.
    Some(unsafe { info.assume_init_ref() }.dli_fbase.addr())
}
