//! Greets all users at the same time, and waits until all have been greeted.
//!
//! Go: `wg.Add(1)` before each `go`, `defer wg.Done()` in it, `wg.Wait()`. Different here: `WaitGroup::go` does all
//! three and cannot be counted wrongly, also if the function panics. A scope is a wait group whose goroutines may
//! borrow: each one writes into its own place of `lengths`, and the compiler knows that nobody else does.

use pirn::sync::{Mutex, WaitGroup};
use std::sync::Arc;

const USERS: [&str; 5] = ["Ada", "Barbara", "Edsger", "Grace", "Tony"];

pub(crate) fn program() {
    let group = WaitGroup::new();
    let greetings = Arc::new(Mutex::new(Vec::new()));
    for user in USERS {
        let greetings = greetings.clone();
        group.go(move || greetings.lock().push(format!("hello, {user}")));
    }
    group.wait();
    // They come in any order.
    let mut greetings = greetings.lock().clone();
    greetings.sort_unstable();
    println!("{}", greetings.join("; "));

    let mut lengths = [0; USERS.len()];
    pirn::scope(|s| {
        for (user, length) in USERS.iter().zip(&mut lengths) {
            s.go(move || *length = user.len());
        }
    });
    println!("lengths: {lengths:?}");
}
