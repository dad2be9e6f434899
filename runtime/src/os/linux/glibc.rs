//! What is found of glibc at run time: symbols, its tables for debuggers, and what the kernel has registered.

use std::ffi::{CStr, c_void};
use std::io;
use std::mem::transmute_copy;
use std::ptr;

/// Whether Valgrind runs the program: it puts a library of its own into each.
pub(super) fn is_under_valgrind() -> bool {
    std::fs::read_to_string("/proc/self/maps").is_ok_and(|maps| maps.contains("/vgpreload_core"))
}

pub(super) fn missing<T>(what: impl Into<String>) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, what.into()))
}

pub(super) fn symbol(name: &CStr) -> io::Result<*mut c_void> {
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if found.is_null() {
        let name = name.to_string_lossy();
        return missing(format!("the C library has no {name} (it has to be glibc, linked dynamically)"));
    }
    Ok(found)
}

/// A function of the C library.
///
/// # Safety
/// `F` is the type of a pointer to it.
pub(super) unsafe fn function<F>(name: &CStr) -> io::Result<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    let found = symbol(name)?;
    // SAFETY: as the caller promises.
    Ok(unsafe { transmute_copy(&found) })
}

/// A word of one of glibc's tables for debuggers: a size, or the bits, count and offset of a field.
pub(super) fn table(name: &CStr, word: usize) -> io::Result<u32> {
    let found = symbol(name)?.cast::<u32>();
    // SAFETY: those tables have three words, sizes one.
    Ok(unsafe { found.wrapping_add(word).read() })
}

/// The address of the calling thread's robust list, and the offset in it.
pub(super) fn robust_list() -> io::Result<(usize, usize)> {
    let (mut head, mut len) = (ptr::null_mut::<usize>(), 0_usize);
    // SAFETY: both are valid to be written.
    let answer = unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
    if answer != 0 || head.is_null() {
        return missing("the C library has registered no robust list");
    }
    // SAFETY: the kernel gave back what the C library had registered: three words.
    let offset = unsafe { head.wrapping_add(1).read() };
    Ok((head.expose_provenance(), offset))
}

/// Where the rseq area lies, if this glibc has one.
pub(super) fn rseq_offset() -> Option<isize> {
    let found = symbol(c"__rseq_offset").ok()?;
    // SAFETY: glibc declares it as const ptrdiff_t.
    Some(unsafe { found.cast::<isize>().read() })
}
