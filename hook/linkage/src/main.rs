//! Loads the library and calls it. Nothing here is pirn's.

use std::env::args;
use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::transmute;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_NOW: c_int = 2;

fn main() {
    let path = CString::new(args().nth(1).expect("the path of the library")).expect("it has no zero byte");
    // SAFETY: it is the library beside this one, which may be loaded.
    let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
    assert!(!library.is_null(), "the library cannot be loaded");
    // SAFETY: the library is loaded.
    let function = unsafe { dlsym(library, c"threads_while_gs_sleep".as_ptr()) };
    assert!(!function.is_null(), "the function is not there");
    // SAFETY: that is its type in lib.rs.
    let function = unsafe { transmute::<*mut c_void, extern "C" fn() -> usize>(function) };
    println!("{}", function());
}
