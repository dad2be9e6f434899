//! A tree of nodes in one table: who is whose child. It knows nothing of what the nodes are.

use slab::Slab;

/// The nodes by their numbers. A number is reused when its node has been removed.
pub(super) struct Tree<N> {
    nodes: Slab<Node<N>>,
}

/// A node, and its place among the children of its parent.
struct Node<N> {
    item: N,
    parent: Option<usize>,
    first_child: Option<usize>,
    next: Option<usize>,
    before: Option<usize>,
}

impl<N> Tree<N> {
    pub(super) fn new() -> Tree<N> {
        Tree { nodes: Slab::new() }
    }

    /// Adds a node, as the first child of its parent. Returns its number.
    pub(super) fn add(&mut self, item: N, parent: Option<usize>) -> usize {
        let next = parent.and_then(|parent| self.nodes[parent].first_child);
        let node = self.nodes.insert(Node { item, parent, first_child: None, next, before: None });
        if let Some(next) = next {
            self.nodes[next].before = Some(node);
        }
        if let Some(parent) = parent {
            self.nodes[parent].first_child = Some(node);
        }
        node
    }

    pub(super) fn get_mut(&mut self, node: usize) -> &mut N {
        &mut self.nodes[node].item
    }

    /// Takes a node out, which has no children. The table keeps the room for the most nodes that it has had, until it is
    /// empty: numbers must not change.
    pub(super) fn remove(&mut self, node: usize) -> N {
        self.unlink(node);
        let removed = self.nodes.remove(node);
        debug_assert!(removed.first_child.is_none());
        if self.nodes.is_empty() && self.nodes.capacity() > KEPT_MAX {
            self.nodes = Slab::new();
        }
        removed.item
    }

    /// Parts a node from its parent.
    fn unlink(&mut self, node: usize) {
        let Node { parent, next, before, .. } = self.nodes[node];
        if let Some(next) = next {
            self.nodes[next].before = before;
        }
        match (before, parent) {
            (Some(before), _) => self.nodes[before].next = next,
            (None, Some(parent)) => self.nodes[parent].first_child = next,
            (None, None) => {}
        }
        let node = &mut self.nodes[node];
        (node.parent, node.next, node.before) = (None, None, None);
    }

    /// Takes a node and all below it apart: afterwards none of them has a parent or a child. Returns them, parents
    /// before their children.
    pub(super) fn take_apart(&mut self, root: usize) -> Vec<usize> {
        self.unlink(root);
        let mut all = vec![root];
        let mut nth = 0;
        while let Some(&node) = all.get(nth) {
            let mut child = self.nodes[node].first_child.take();
            while let Some(node) = child {
                all.push(node);
                let node = &mut self.nodes[node];
                child = node.next;
                (node.parent, node.next, node.before) = (None, None, None);
            }
            nth += 1;
        }
        all
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
        let grandchild = tree.add("e", Some(children[2]));
        let all = tree.take_apart(root);
        assert_eq!(all, [root, children[2], grandchild]);
        let names: Vec<_> = all.into_iter().map(|node| tree.remove(node)).collect();
        assert_eq!(names, ["root", "c", "e"]);
        assert_eq!(tree.len(), 0);
    }

    #[test]
    fn a_part_is_taken_out_and_the_rest_stays() {
        let mut tree = Tree::new();
        let root = tree.add(0, None);
        let [a, b, c] = [1, 2, 3].map(|n| tree.add(n, Some(root)));
        let below = tree.add(4, Some(b));
        assert_eq!(tree.take_apart(b), [b, below]);
        tree.remove(below);
        tree.remove(b);
        assert_eq!(tree.take_apart(root), [root, c, a]);
        assert_eq!(tree.len(), 3);
    }
}
