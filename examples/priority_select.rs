//! A priority select: what is urgent goes first, whenever both are there.
//!
//! Go has no such select; there it takes two, the first with the urgent channel and a `default`. `select_biased!` takes
//! the first case that can go on. `select!` would take turns at random. A channel that has ended can always go on, so
//! it is exchanged for one on which nothing ever comes, or the other one would never have its turn.
//!
//! ```text
//! cargo run --example priority_select
//! ```

use pirn::channel::{Receiver, bounded, never};

fn main() {
    pirn::run(|| {
        let urgent = filled("urgent");
        let normal = filled("normal");
        drain(urgent, &normal);
    });
}

/// A channel with three messages, that has ended.
fn filled(kind: &str) -> Receiver<String> {
    let (s, r) = bounded(3);
    (1..=3).for_each(|n| s.send(format!("{kind} {n}")).expect("there is room"));
    r
}

fn drain(mut urgent: Receiver<String>, normal: &Receiver<String>) {
    loop {
        pirn::select_biased! {
            recv(urgent) -> message => match message {
                Ok(message) => println!("{message}"),
                Err(_) => urgent = never(),
            },
            recv(normal) -> message => match message {
                Ok(message) => println!("{message}"),
                Err(_) => return,
            },
        }
    }
}
