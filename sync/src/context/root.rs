//! The tree of a root, with its lock. All branches below use it, and only the root owns it: each keeps its parent, and so
//! the root. Counted for each branch it would be one locked instruction more for each context.

#![allow(unsafe_code, reason = "a tree that another one owns")]

use super::tree::Tree;
use crate::loom::{Mutex, MutexGuard};
use std::num::NonZero;
use std::ptr::NonNull;

/// The tree of a branch, in one word, as there may be many: the address of the tree, and a bit that is set for the root.
pub(super) struct TreeOf<N>(NonNull<Mutex<Tree<N>>>);

/// The tree's address leaves room for the bit.
const ROOT: usize = 1;

// SAFETY: as of the `Mutex`: nodes are sent, and are shared by way of its lock only.
unsafe impl<N: Send> Send for TreeOf<N> {}
// SAFETY: as above.
unsafe impl<N: Send> Sync for TreeOf<N> {}

impl<N> TreeOf<N> {
    /// A new tree, for its root.
    pub(super) fn new() -> TreeOf<N> {
        const { assert!(align_of::<Mutex<Tree<N>>>() > ROOT) };
        let tree = NonNull::from(Box::leak(Box::new(Mutex::new(Tree::new()))));
        TreeOf(tree.map_addr(|address| address | ROOT))
    }

    /// The same tree, for a branch below.
    ///
    /// # Safety
    /// The root lives as long as what this returns is used.
    pub(super) unsafe fn below(&self) -> TreeOf<N> {
        TreeOf(self.tree())
    }

    fn tree(&self) -> NonNull<Mutex<Tree<N>>> {
        let address = |address: NonZero<usize>| NonZero::new(address.get() & !ROOT).expect("a tree has an address");
        self.0.map_addr(address)
    }

    fn is_root(&self) -> bool {
        self.0.addr().get() & ROOT != 0
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Tree<N>> {
        let tree = self.tree();
        // SAFETY: the root is there, as the caller of `below` promises; or this is the root's.
        let tree = unsafe { tree.as_ref() };
        // Nothing panics under it: an allocation that fails ends the process.
        tree.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl<N> Drop for TreeOf<N> {
    fn drop(&mut self) {
        if self.is_root() {
            // SAFETY: it came from a box, and all that were below it have gone.
            drop(unsafe { Box::from_raw(self.tree().as_ptr()) });
        }
    }
}
