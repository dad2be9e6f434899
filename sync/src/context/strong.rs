//! An `Arc` of which several are made at once: a new context has two handles, and its tree knows it weakly. With std's
//! `Arc` that would be two locked instructions more for each context.
//!
//! # The counts
//! `strong` counts those that own the value, `weak` those that keep the memory: each [`Weak`], and one for all [`Strong`]
//! together. The value is dropped when `strong` becomes 0, which it does once: an upgrade adds one only while it is not 0.
//! Then the one of all `Strong` goes. The memory is freed when `weak` becomes 0. Each goes with Release, and the last
//! with Acquire: so all that others did to the value, or saw of the counts, comes before.

#![allow(unsafe_code, reason = "the value behind the counts")]

use crate::loom::{AtomicU32, Ordering};
use pirn_runtime::internal::UnsafeCell;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, forget};
use std::ops::Deref;
use std::ptr::NonNull;

/// Owns a value together with others.
pub(super) struct Strong<T>(NonNull<Inner<T>>, PhantomData<Inner<T>>);

/// Keeps the memory of a value, which may have been dropped.
pub(super) struct Weak<T>(NonNull<Inner<T>>);

/// In this order: the counts are on one line with what the value has first, mostly.
#[repr(C)]
struct Inner<T> {
    strong: AtomicU32,
    weak: AtomicU32,
    /// Nobody borrows it while it is taken out or dropped: then there are no owners.
    value: UnsafeCell<ManuallyDrop<T>>,
}

/// More than this are there only if very many were forgotten: each child is a handle of its parent, and takes some 100 bytes.
const MAX: u32 = i32::MAX as u32;

// SAFETY: as of an `Arc`: the value is shared, and the last one drops it.
unsafe impl<T: Send + Sync> Send for Strong<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Strong<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Weak<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Weak<T> {}

fn add(count: &AtomicU32) {
    // Relaxed: the caller has one already.
    if count.fetch_add(1, Ordering::Relaxed) > MAX {
        // There is room for as many again, and no thread leaves one counted, so the count never comes round.
        count.fetch_sub(1, Ordering::Relaxed);
        panic!("a context has {MAX} handles at most; some may have been forgotten");
    }
}

impl<T> Strong<T> {
    /// A value with two owners, and one that only keeps the memory.
    pub(super) fn two_and_weak(value: T) -> (Strong<T>, Strong<T>, Weak<T>) {
        let value = UnsafeCell::new(ManuallyDrop::new(value));
        let inner = Inner { strong: AtomicU32::new(2), weak: AtomicU32::new(2), value };
        let inner = NonNull::from(Box::leak(Box::new(inner)));
        (Strong(inner, PhantomData), Strong(inner, PhantomData), Weak(inner))
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: the memory is there while `strong` is not 0.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn downgrade(&self) -> Weak<T> {
        add(&self.inner().weak);
        Weak(self.0)
    }

    /// The value, if this was its last owner.
    pub(super) fn into_inner(this: Strong<T>) -> Option<T> {
        let (inner, is_last) = (this.0, this.is_last());
        forget(this);
        if !is_last {
            return None;
        }
        // The one of all `Strong`.
        let weak = Weak(inner);
        // SAFETY: this was the last owner, and the value is read once.
        let value = weak.inner().value.with_mut(|value| unsafe { value.read() });
        drop(weak);
        Some(ManuallyDrop::into_inner(value))
    }

    /// This owns the value no longer. Whether it was the last: then the value is the caller's.
    fn is_last(&self) -> bool {
        // Release: what was done to the value. Acquire: what others did (partner: the same, of the others).
        self.inner().strong.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl<T> Clone for Strong<T> {
    fn clone(&self) -> Strong<T> {
        add(&self.inner().strong);
        Strong(self.0, PhantomData)
    }
}

impl<T> Deref for Strong<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: there is an owner, so nobody changes it.
        self.inner().value.with(|value| unsafe { &*value })
    }
}

impl<T> Drop for Strong<T> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_last() {
            return;
        }
        // The one of all `Strong`: the memory goes after the value, also if that panics.
        let weak = Weak(self.0);
        // SAFETY: this was the last owner.
        let value = weak.inner().value.with_mut(|value| unsafe { &mut *value });
        // SAFETY: as above, and it is dropped once.
        unsafe { ManuallyDrop::drop(value) };
    }
}

impl<T> Weak<T> {
    fn inner(&self) -> &Inner<T> {
        // SAFETY: this keeps the memory.
        unsafe { self.0.as_ref() }
    }

    /// One more owner, if the value is still there.
    pub(super) fn upgrade(&self) -> Option<Strong<T>> {
        let one_more = |strong| (strong != 0).then(|| strong + 1);
        // Relaxed: whoever has given this has given the value; nothing is learned from the count.
        self.inner().strong.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Strong(self.0, PhantomData))
    }
}

impl<T> Drop for Weak<T> {
    #[inline]
    fn drop(&mut self) {
        // As `is_last`, for the memory.
        if self.inner().weak.fetch_sub(1, Ordering::AcqRel) == 1 {
            // For the models: the memory goes, with what was there.
            self.inner().value.with_mut(|_| ());
            // SAFETY: it came from a box, and nobody keeps it any more; the value has gone.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

#[cfg(all(test, loom))]
#[path = "strong_loom.rs"]
mod models;
