//! What runs when the program is loaded: libc's functions are found, and the runtimes that are built later learn that the
//! hooks are there.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a function in the table of those that the loader calls")]

use crate::calls::ALL;
use crate::futexes::wake_late;
use crate::next::find_all;
use crate::reads::read;
use libc::{RTLD_DEFAULT, c_int, c_void, dlsym, size_t, ssize_t};
use pirn_runtime::internal::{hook_is_linked, hook_was_loaded_with_the_program};
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
    if comes_first() {
        hook_was_loaded_with_the_program();
    }
}

/// Whether a call of a program leads here, and not to libc, as in a library that was loaded later.
fn comes_first() -> bool {
    // SAFETY: a name that ends with a zero.
    let found = unsafe { dlsym(RTLD_DEFAULT, c"read".as_ptr()) };
    ptr::eq(found, read as unsafe extern "C" fn(c_int, *mut c_void, size_t) -> ssize_t as *const c_void)
}
