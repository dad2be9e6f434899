//! SafeCounter: a map that many goroutines count in, under a mutex.
//!
//! Go: "A Tour of Go", `sync.Mutex`. In Rust the mutex has the map inside, so nobody can forget to lock it, and the guard
//! unlocks it by itself. A thousand Gs wait for it on two threads.
//!
//! ```text
//! cargo run --example safe_counter
//! ```

use pirn::sync::Mutex;
use std::collections::HashMap;

/// How often each word was seen.
#[derive(Default)]
struct SafeCounter {
    counts: Mutex<HashMap<&'static str, u32>>,
}

impl SafeCounter {
    fn add(&self, word: &'static str) {
        *self.counts.lock().entry(word).or_default() += 1;
    }

    fn get(&self, word: &str) -> u32 {
        self.counts.lock().get(word).copied().unwrap_or_default()
    }
}

fn main() {
    let counter = SafeCounter::default();
    pirn::run(|| {
        pirn::scope(|s| {
            for n in 0..1000 {
                let counter = &counter;
                s.go(move || counter.add(if n % 4 == 0 { "somekey" } else { "another" }));
            }
        });
        println!(
            "somekey: {}, another: {}, none: {}",
            counter.get("somekey"),
            counter.get("another"),
            counter.get("none")
        );
    });
}
