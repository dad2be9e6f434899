//! A tree of nodes in one table: who is whose child. It knows nothing of what the nodes are.

use slab::Slab;
use std::num::NonZero;

/// The nodes by their numbers. A number is reused when its node has been removed.
pub(super) struct Tree<N> {
    nodes: Slab<Node<N>>,
}

/// The number of a node: its place in the table, and one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(NonZero<u32>);

impl Number {
    fn of(place: usize) -> Number {
        let number = u32::try_from(place + 1).ok().and_then(NonZero::new);
        Number(number.expect("a tree has less than 2^32 nodes"))
    }

    fn place(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The number as a word; 0 is none.
    pub(super) fn to_word(number: Option<Number>) -> u32 {
        number.map_or(0, |number| number.0.get())
    }

    pub(super) fn from_word(word: u32) -> Option<Number> {
        NonZero::new(word).map(Number)
    }
}

/// A node, and its place among the children of its parent. It is small, as there may be many.
struct Node<N> {
    item: N,
    parent: Option<Number>,
    first_child: Option<Number>,
    next: Option<Number>,
    before: Option<Number>,
}

impl<N> Tree<N> {
    pub(super) fn new() -> Tree<N> {
        Tree { nodes: Slab::new() }
    }

    fn node(&mut self, number: Number) -> &mut Node<N> {
        &mut self.nodes[number.place()]
    }

    /// Adds a node, as the first child of its parent. Returns its number.
    pub(super) fn add(&mut self, item: N, parent: Option<Number>) -> Number {
        let next = parent.and_then(|parent| self.node(parent).first_child);
        let node = Number::of(self.nodes.insert(Node { item, parent, first_child: None, next, before: None }));
        if let Some(next) = next {
            self.node(next).before = Some(node);
        }
        if let Some(parent) = parent {
            self.node(parent).first_child = Some(node);
        }
        node
    }

    /// Takes a node out, which has no children. The table keeps the room for the most nodes that it has had, until it is
    /// empty: numbers must not change.
    pub(super) fn remove(&mut self, node: Number) -> N {
        self.unlink(node);
        let removed = self.nodes.remove(node.place());
        debug_assert!(removed.first_child.is_none());
        self.give_back();
        removed.item
    }

    /// Gives the room of a large table back, if it is empty.
    fn give_back(&mut self) {
        if self.nodes.is_empty() && self.nodes.capacity() > KEPT_MAX {
            self.nodes = Slab::new();
        }
    }

    /// Parts a node from its parent.
    fn unlink(&mut self, node: Number) {
        let Node { parent, next, before, .. } = *self.node(node);
        if let Some(next) = next {
            self.node(next).before = before;
        }
        match (before, parent) {
            (Some(before), _) => self.node(before).next = next,
            (None, Some(parent)) => self.node(parent).first_child = next,
            (None, None) => {}
        }
        let node = self.node(node);
        (node.parent, node.next, node.before) = (None, None, None);
    }

    /// Takes a node and all below it apart: afterwards none of them has a parent or a child. Calls `is_taken` for each,
    /// for parents before their children, and removes those for which it is true. Each node is visited once.
    pub(super) fn take_apart(&mut self, root: Number, mut is_taken: impl FnMut(&mut N) -> bool) {
        self.unlink(root);
        // The first nodes of rows of children.
        let mut rows = vec![root];
        while let Some(first) = rows.pop() {
            let mut row = Some(first);
            while let Some(number) = row {
                let node = self.node(number);
                row = node.next;
                rows.extend(node.first_child.take());
                (node.parent, node.next, node.before) = (None, None, None);
                if is_taken(&mut node.item) {
                    self.nodes.remove(number.place());
                }
            }
        }
        self.give_back();
    }

    /// How many nodes there are.
    #[cfg(all(test, not(loom)))]
    fn len(&self) -> usize {
        self.nodes.len()
    }
}

/// An empty table with room for more nodes than this is given back.
const KEPT_MAX: usize = 64;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Tree;

    #[test]
    fn children_come_and_go_in_any_order() {
        let mut tree = Tree::new();
        let root = tree.add("root", None);
        let children = ["a", "b", "c", "d"].map(|name| tree.add(name, Some(root)));
        for nth in [1, 0, 3] {
            tree.remove(children[nth]);
        }
        tree.add("e", Some(children[2]));
        let mut names = Vec::new();
        tree.take_apart(root, |name| {
            names.push(*name);
            true
        });
        assert_eq!(names, ["root", "c", "e"]);
        assert_eq!(tree.len(), 0);
    }

    #[test]
    fn a_part_is_taken_out_and_the_rest_stays() {
        let mut tree = Tree::new();
        let root = tree.add(0, None);
        let [a, b, c] = [1, 2, 3].map(|n| tree.add(n, Some(root)));
        let below = tree.add(4, Some(b));
        let mut seen = Vec::new();
        tree.take_apart(b, |n| {
            seen.push(*n);
            *n == 2
        });
        // One that was not taken is there, alone.
        assert_eq!((tree.len(), tree.remove(below)), (4, 4));
        tree.take_apart(root, |n| {
            seen.push(*n);
            false
        });
        assert_eq!(seen, [2, 4, 0, 3, 1]);
        assert_eq!(tree.len(), 3);
        for node in [a, c, root] {
            tree.remove(node);
        }
        assert_eq!(tree.len(), 0);
    }
}
