//! What the stack uses of crossbeam-epoch, for loom: a node that is retired ends at the first moment at which it may.
//!
//! crossbeam frees later than that. So what is right here is right with it, as far as it keeps its promise: a node ends
//! when all guards have been dropped that were there when it was retired. The end of a node is a flag that every access
//! looks at; its memory is given back when the order has been tried.

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicPtr, Ordering};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A node, and whether it has ended.
pub(crate) struct Block<T> {
    value: T,
    /// Of std: it is no part of what is modelled.
    has_ended: AtomicBool,
}

/// What is done with a node. Its type is not known here.
struct Retired {
    node: *mut (),
    end: unsafe fn(*mut ()),
    free: unsafe fn(*mut ()),
    /// The guards that may look at it.
    guards: Vec<usize>,
}

// SAFETY: under loom all threads of a model are one.
unsafe impl Send for Retired {}

#[derive(Default)]
struct Epochs {
    guards: Vec<usize>,
    next_guard: usize,
    retired: Vec<Retired>,
    ended: Vec<Retired>,
    /// The mistake: nodes end when they are retired.
    ends_at_once: bool,
}

loom::lazy_static! {
    static ref EPOCHS: Mutex<Epochs> = Mutex::new(Epochs::default());
}

impl Epochs {
    /// Ends what no guard may look at.
    fn collect(&mut self) {
        let (ended, retired): (Vec<_>, _) = self.retired.drain(..).partition(|node| node.guards.is_empty());
        self.retired = retired;
        for node in &ended {
            // SAFETY: nothing is freed before all this is dropped.
            unsafe { (node.end)(node.node) };
        }
        self.ended.extend(ended);
    }
}

impl Drop for Epochs {
    fn drop(&mut self) {
        for node in self.retired.drain(..).chain(self.ended.drain(..)) {
            // SAFETY: loom drops it after all threads; each node is in one of the lists, once.
            unsafe { (node.free)(node.node) };
        }
    }
}

/// What happens without epochs.
pub(crate) fn end_at_once() {
    EPOCHS.lock().unwrap().ends_at_once = true;
}

/// Says that this thread looks, until it is dropped.
pub(crate) struct Guard(usize);

pub(crate) fn pin() -> Guard {
    let mut epochs = EPOCHS.lock().unwrap();
    let guard = epochs.next_guard;
    epochs.next_guard += 1;
    epochs.guards.push(guard);
    Guard(guard)
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A model that fails ends here, too.
        let Ok(mut epochs) = EPOCHS.lock() else { return };
        epochs.guards.retain(|guard| *guard != self.0);
        for node in &mut epochs.retired {
            node.guards.retain(|guard| *guard != self.0);
        }
        epochs.collect();
    }
}

impl Guard {
    /// # Safety
    /// Who pins later does not find the node, and it is retired once.
    pub(crate) unsafe fn defer_destroy<T>(&self, node: Shared<'_, T>) {
        /// # Safety
        /// The node has not been freed.
        unsafe fn end<T>(node: *mut ()) {
            // SAFETY: the caller's promise.
            let block = unsafe { &*node.cast::<Block<T>>() };
            block.has_ended.store(true, Relaxed);
        }
        /// # Safety
        /// Nobody uses the node any more.
        unsafe fn free<T>(node: *mut ()) {
            // SAFETY: `Owned::new` has made it, and the caller's promise.
            drop(unsafe { Box::from_raw(node.cast::<Block<T>>()) });
        }
        let mut epochs = EPOCHS.lock().unwrap();
        let guards = if epochs.ends_at_once { Vec::new() } else { epochs.guards.clone() };
        epochs.retired.push(Retired { node: node.0.cast(), end: end::<T>, free: free::<T>, guards });
        epochs.collect();
    }
}

/// A node that nobody else has.
pub(crate) struct Owned<T>(Box<Block<T>>);

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Owned<T> {
        Owned(Box::new(Block { value, has_ended: AtomicBool::new(false) }))
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// A node that others may have.
pub(crate) struct Shared<'g, T>(*mut Block<T>, PhantomData<&'g Guard>);

impl<T> Copy for Shared<'_, T> {}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'g, T> Shared<'g, T> {
    /// # Safety
    /// It is null, or a node whose writes are seen.
    pub(crate) unsafe fn as_ref(&self) -> Option<&'g T> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: nothing is freed before the end of the model.
        let block = unsafe { &*self.0 };
        assert!(!block.has_ended.load(Relaxed), "a node is used after its end");
        Some(&block.value)
    }
}

/// What an [`Atomic`] may be set to.
pub(crate) trait Pointer<T> {
    fn into_raw(self) -> *mut Block<T>;
    /// # Safety
    /// It comes from `into_raw`, and is used once.
    unsafe fn from_raw(raw: *mut Block<T>) -> Self;
}

impl<T> Pointer<T> for Owned<T> {
    fn into_raw(self) -> *mut Block<T> {
        Box::into_raw(self.0)
    }

    unsafe fn from_raw(raw: *mut Block<T>) -> Self {
        // SAFETY: the caller's promise.
        Owned(unsafe { Box::from_raw(raw) })
    }
}

impl<T> Pointer<T> for Shared<'_, T> {
    fn into_raw(self) -> *mut Block<T> {
        self.0
    }

    unsafe fn from_raw(raw: *mut Block<T>) -> Self {
        Shared(raw, PhantomData)
    }
}

/// What could not be put in its place.
pub(crate) struct NotExchanged<P> {
    pub(crate) new: P,
}

/// A word that is null or points to a node.
#[derive(Debug)]
pub(crate) struct Atomic<T>(AtomicPtr<Block<T>>);

impl<T> Atomic<T> {
    pub(crate) fn null() -> Atomic<T> {
        Atomic(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn load<'g>(&self, ordering: Ordering, _: &'g Guard) -> Shared<'g, T> {
        Shared(self.0.load(ordering), PhantomData)
    }

    pub(crate) fn store<P: Pointer<T>>(&self, new: P, ordering: Ordering) {
        self.0.store(new.into_raw(), ordering);
    }

    pub(crate) fn compare_exchange<'g, P: Pointer<T>>(
        &self,
        current: Shared<'_, T>,
        new: P,
        success: Ordering,
        failure: Ordering,
        _: &'g Guard,
    ) -> Result<Shared<'g, T>, NotExchanged<P>> {
        let new = new.into_raw();
        match self.0.compare_exchange(current.0, new, success, failure) {
            Ok(_) => Ok(Shared(new, PhantomData)),
            // SAFETY: it was made of it above, and is not in the word.
            Err(_) => Err(NotExchanged { new: unsafe { P::from_raw(new) } }),
        }
    }
}
