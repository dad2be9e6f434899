//! Which CPUs a thread may use.

use std::mem::MaybeUninit;

/// Those that the calling thread may use.
pub(crate) fn allowed() -> Vec<usize> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the kernel writes at most the size of the set to where it is.
    let failed = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    assert_eq!(failed, 0, "sched_getaffinity of the own thread fails with more CPUs than a set has only");
    // SAFETY: a set is plain bits, and all were zero before the kernel wrote some.
    let set = unsafe { set.assume_init() };
    // SAFETY: the set has a bit for each of these.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

/// Confines the calling thread, and those that it will start, to `cpus`.
pub(crate) fn confine(cpus: &[usize]) {
    // SAFETY: a set is plain bits; with all zero it is empty.
    let mut set: libc::cpu_set_t = unsafe { MaybeUninit::zeroed().assume_init() };
    for cpu in cpus {
        // SAFETY: it came from a set, so it has a bit in one.
        unsafe { libc::CPU_SET(*cpu, &mut set) };
    }
    // SAFETY: the kernel reads one set.
    let failed = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    assert_eq!(failed, 0, "the thread was allowed to use {cpus:?} before");
}
