//! A generator: a function that goes through something by recursion, and whoever wants the values takes them one by one.
//!
//! Go: `func walk(t *Tree) <-chan int` of "A Tour of Go". The walk is an ordinary recursive function that sends from
//! its depths: its stack is a goroutine's, and stays as it is between two values. Who drops the receiver ends the walk:
//! the send fails, and `?` carries that all the way up.
//!
//! ```text
//! cargo run --example generator
//! ```

use pirn::channel::{Receiver, SendError, Sender, bounded};

struct Tree {
    value: u32,
    left: Option<Box<Tree>>,
    right: Option<Box<Tree>>,
}

fn main() {
    pirn::run(|| {
        println!("all: {:?}", values(tree(1, 15)).iter().collect::<Vec<_>>());
        println!("five: {:?}", values(tree(1, 1000)).iter().take(5).collect::<Vec<_>>());
    });
}

/// A search tree with the numbers from `low` to `high`.
fn tree(low: u32, high: u32) -> Option<Box<Tree>> {
    let value = low + (high.checked_sub(low)?) / 2;
    Some(Box::new(Tree { value, left: tree(low, value - 1), right: tree(value + 1, high) }))
}

/// Its values in order.
fn values(tree: Option<Box<Tree>>) -> Receiver<u32> {
    let (s, r) = bounded(0);
    pirn::go(move || walk(&tree, &s).ok());
    r
}

fn walk(tree: &Option<Box<Tree>>, values: &Sender<u32>) -> Result<(), SendError<u32>> {
    if let Some(tree) = tree {
        walk(&tree.left, values)?;
        values.send(tree.value)?;
        walk(&tree.right, values)?;
    }
    Ok(())
}
