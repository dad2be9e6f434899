//! libc's own functions, or what else stands behind those of this crate: found at the first call, and then kept.

#![allow(unsafe_code, reason = "addresses of functions")]

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The function of the type `F` that has that name in libc.
pub(crate) struct Next<F> {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
    is: PhantomData<F>,
}

// SAFETY: it is an address and a name.
unsafe impl<F> Sync for Next<F> {}

impl<F: Copy> Next<F> {
    /// # Safety
    /// The function of that name has the type `F`, a pointer to a function.
    pub(crate) const unsafe fn new(name: &'static CStr) -> Next<F> {
        const { assert!(size_of::<F>() == size_of::<*const ()>()) };
        Next { name, found: AtomicPtr::new(ptr::null_mut()), is: PhantomData }
    }

    /// It.
    #[inline(always)]
    pub(crate) fn get(&self) -> F {
        // Relaxed: it leads to code, which has always been there.
        let found = self.found.load(Ordering::Relaxed);
        let found = if found.is_null() { self.find() } else { found };
        // SAFETY: as `new` was promised.
        unsafe { mem::transmute_copy(&found) }
    }

    /// It may be the first call of the process, before `main`: nothing is allocated, and no lock of ours taken.
    #[cold]
    fn find(&self) -> *mut c_void {
        // SAFETY: a name that ends with a zero.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        if found.is_null() {
            // There is nothing to go on with, and nothing that could be said in any state of the process.
            // SAFETY: it ends the process.
            unsafe { libc::abort() };
        }
        self.found.store(found, Ordering::Relaxed);
        found
    }
}
