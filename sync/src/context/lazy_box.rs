//! A box that is made when it is needed, in one word.

#![allow(unsafe_code, reason = "the box behind a pointer")]

use crate::loom::{AtomicPtr, Ordering};
use std::marker::PhantomData;
use std::ptr;

/// It is made once, and stays until this is dropped.
pub(super) struct LazyBox<T> {
    /// Null: it has not been made yet. Otherwise it came from a box.
    place: AtomicPtr<T>,
    owns: PhantomData<Box<T>>,
}

impl<T> LazyBox<T> {
    /// It may have been made.
    pub(super) fn new(made: Option<Box<T>>) -> LazyBox<T> {
        LazyBox { place: AtomicPtr::new(made.map_or(ptr::null_mut(), Box::into_raw)), owns: PhantomData }
    }

    /// What is in it, if it has been made.
    pub(super) fn get(&self) -> Option<&T> {
        // Acquire: what it was made with (partner: `make`).
        // SAFETY: it is there until this is dropped.
        unsafe { self.place.load(Ordering::Acquire).as_ref() }
    }
}

impl<T: Default> LazyBox<T> {
    /// What is in it. It is made if it has not been.
    pub(super) fn get_or_make(&self) -> &T {
        self.get().unwrap_or_else(|| self.make())
    }

    #[cold]
    fn make(&self) -> &T {
        let made = Box::into_raw(Box::<T>::default());
        // Release: what it was made with. Acquire: the same of another one (partners: these, and `get`).
        let place = self.place.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire);
        let there = place.map_or_else(
            |there| {
                // SAFETY: nobody else has it.
                drop(unsafe { Box::from_raw(made) });
                there
            },
            |_| made,
        );
        // SAFETY: as in `get`.
        unsafe { &*there }
    }
}

impl<T> Drop for LazyBox<T> {
    fn drop(&mut self) {
        // Relaxed: this has been synchronised with all who used it.
        let place = self.place.load(Ordering::Relaxed);
        if !place.is_null() {
            // SAFETY: it came from a box, and nobody uses it any more.
            drop(unsafe { Box::from_raw(place) });
        }
    }
}
