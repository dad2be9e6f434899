//! Treiber's stack: a linked list whose head is exchanged by compare-and-swap.
//!
//! # Why it is right
//! 1. A node belongs to who pushes it until the exchange that puts it at the head. From then on its `next` is not
//!    written any more.
//! 2. The exchange in [`Stack::push`] releases what has been written into the node; the load in [`Stack::pop`] acquires
//!    it. The exchanges in `pop` may be relaxed: the head is changed only by exchanges, and those continue the release
//!    sequence of every push before them. So who finds a node at the head sees it whole, whoever has put it there.
//! 3. The value belongs to who has taken its node off the head. One exchange succeeds, so it is taken once.
//! 4. A node is used only while it lives. Another pop may still look at one that has been taken off. So it is not freed
//!    but retired: the epochs free it when all guards have been dropped that were there when it was retired. Whoever
//!    pins later cannot find it any more.
//! 5. For the same reason `pop` may compare addresses. Its danger has a name, ABA: the head is A, somebody pops A and B,
//!    frees both, and gets the memory of A for a new node and pushes that; an exchange of A for B would succeed and put
//!    the freed B at the head. While a guard is held the address of A is not used again.
//!
//! `model/` tries all orders with loom: 2, 3 and 4, and what happens without 4.

use super::epoch::{self, Atomic, Owned};
use super::ordering::{Acquire, Relaxed, Release};
use std::mem::ManuallyDrop;
use std::ptr;

/// A stack for any number of goroutines and threads, none of which ever waits for another.
#[derive(Debug)]
pub(crate) struct Stack<T> {
    head: Atomic<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    /// Not dropped with the node: it has been taken out before.
    value: ManuallyDrop<T>,
    next: Atomic<Node<T>>,
}

// SAFETY: values are moved through it, from one thread to another; nobody gets a reference to one inside (3).
unsafe impl<T: Send> Sync for Stack<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Stack<T> {}

impl<T> Stack<T> {
    pub(crate) fn new() -> Stack<T> {
        Stack { head: Atomic::null() }
    }

    pub(crate) fn push(&self, value: T) {
        let mut node = Owned::new(Node { value: ManuallyDrop::new(value), next: Atomic::null() });
        let guard = epoch::pin();
        loop {
            let head = self.head.load(Relaxed, &guard);
            node.next.store(head, Relaxed);
            // Release: the load of the head in `pop`.
            match self.head.compare_exchange(head, node, Release, Relaxed, &guard) {
                Ok(_) => return,
                Err(error) => node = error.new,
            }
        }
    }

    pub(crate) fn pop(&self) -> Option<T> {
        let guard = epoch::pin();
        loop {
            // Acquire: the exchange in `push`.
            let head = self.head.load(Acquire, &guard);
            // SAFETY: the guard keeps it alive (4), and its writes are seen (2).
            let node = unsafe { head.as_ref() }?;
            let next = node.next.load(Relaxed, &guard);
            if self.head.compare_exchange(head, next, Relaxed, Relaxed, &guard).is_ok() {
                // SAFETY: the node has been taken off here, so nobody else reads the value (3).
                let value = unsafe { ptr::read(&node.value) };
                // SAFETY: no new pop finds it, and it is retired once (4).
                unsafe { guard.defer_destroy(head) };
                return Some(ManuallyDrop::into_inner(value));
            }
        }
    }
}

impl<T> Drop for Stack<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
