//! A table by the number of a descriptor, and for each number how many records of ours are at an epoll with it.

#![allow(unsafe_code, reason = "parts of a table that are never freed")]

use crate::os::{Mutex, MutexGuard};
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// How many numbers a part of a table has, and how many parts there are. Linux gives a process a million descriptors, or
/// more if it is asked to.
const PART: usize = 256;
const PARTS: usize = 1 << 14;

/// A `T` for each number. It is address space alone, until it is used.
pub(super) struct ByNumber<T>([AtomicPtr<[T; PART]>; PARTS]);

impl<T: Default + 'static> ByNumber<T> {
    /// None is there yet.
    pub(super) const fn new() -> ByNumber<T> {
        ByNumber([const { AtomicPtr::new(ptr::null_mut()) }; PARTS])
    }

    /// That of `fd`. None: there are not so many.
    pub(super) fn of(&self, fd: RawFd) -> Option<&T> {
        let fd = usize::try_from(fd).ok()?;
        let place = self.0.get(fd / PART)?;
        // Acquire: whoever finds a part finds what is in it (partner: the exchange in `make`).
        let part = place.load(Ordering::Acquire);
        let part = if part.is_null() { Self::make(place) } else { part };
        // SAFETY: it has been made, and is never freed.
        Some(&unsafe { &*part }[fd % PART])
    }

    /// Makes a part. Not inlined: a part is made in the frame first, if the compiler likes it so.
    #[cold]
    #[inline(never)]
    fn make(place: &AtomicPtr<[T; PART]>) -> *mut [T; PART] {
        let made = Box::into_raw(Box::new(std::array::from_fn(|_| T::default())));
        // Release: partner is the load in `of`, and the Acquire of one that was slower.
        match place.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            Err(other) => {
                // SAFETY: it was made above, and nobody has seen it.
                drop(unsafe { Box::from_raw(made) });
                other
            }
        }
    }

    /// That of `fd`, if it has been asked for before.
    pub(super) fn find(&self, fd: RawFd) -> Option<&T> {
        let fd = usize::try_from(fd).ok()?;
        // Acquire: as in `of`.
        let part = self.0.get(fd / PART)?.load(Ordering::Acquire);
        // SAFETY: it has been made, and is never freed, or it is null.
        unsafe { part.as_ref() }.map(|part| &part[fd % PART])
    }

    /// Calls `f` with those of these numbers that lie in parts which have been made.
    pub(super) fn for_each_in(&self, first: usize, last: usize, f: impl Fn(&T)) {
        for nth in first / PART..=(last / PART).min(PARTS - 1) {
            // Acquire: as in `of`.
            let part = self.0[nth].load(Ordering::Acquire);
            // SAFETY: it has been made, and is never freed, or it is null.
            let Some(part) = (unsafe { part.as_ref() }) else { continue };
            let numbers = (nth * PART..).zip(part);
            numbers.filter(|(number, _)| (first..=last).contains(number)).for_each(|(_, one)| f(one));
        }
    }
}

static SOURCES: ByNumber<AtomicU32> = ByNumber::new();

/// Of the numbers with the same rest. Few come at the same time.
static LOCKS: [Mutex<()>; 256] = [const { Mutex::new(()) }; 256];

/// Held while a descriptor is put into an epoll, or taken out, by its number: so a record of ours, and those that wait for it
/// by the number, do so one after the other, and the second sees what the first has done.
pub(super) fn lock_number(fd: RawFd) -> MutexGuard<'static, ()> {
    LOCKS[fd.unsigned_abs() as usize % LOCKS.len()].lock().unwrap_or_else(|e| e.into_inner())
}

/// A record of ours is at an epoll with that number.
pub(super) fn begin_source(fd: RawFd) {
    if let Some(count) = SOURCES.of(fd) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// It is no longer.
pub(super) fn end_source(fd: RawFd) {
    if let Some(count) = SOURCES.of(fd) {
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether there is one. For certain, if the caller holds the lock of the number.
pub(super) fn has_source(fd: RawFd) -> bool {
    SOURCES.of(fd).is_some_and(|count| count.load(Ordering::Relaxed) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_its_own() {
        static TABLE: ByNumber<AtomicU32> = ByNumber::new();
        let of = |fd| TABLE.of(fd).expect("there are so many");
        of(0).store(1, Ordering::Relaxed);
        of(1_000_000).store(2, Ordering::Relaxed);
        assert_eq!([0, 1, 999_999, 1_000_000].map(|fd| of(fd).load(Ordering::Relaxed)), [1, 0, 0, 2]);
        assert!(TABLE.find(1_000_000).is_some() && TABLE.find(500_000).is_none() && TABLE.find(-1).is_none());
        assert!(TABLE.of(-1).is_none() && TABLE.of(i32::MAX).is_none());
        TABLE.for_each_in(0, 999_999, |one| one.store(3, Ordering::Relaxed));
        TABLE.for_each_in(1_000_001, u32::MAX as usize, |one| one.store(4, Ordering::Relaxed));
        assert_eq!([0, 255, 999_999, 1_000_000].map(|fd| of(fd).load(Ordering::Relaxed)), [3, 3, 3, 2]);
    }

    #[test]
    fn sources_are_counted() {
        let fd = 4_000_000;
        begin_source(fd);
        begin_source(fd);
        end_source(fd);
        assert!(has_source(fd));
        end_source(fd);
        assert!(!has_source(fd));
    }
}
