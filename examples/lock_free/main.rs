//! A stack and a counter without a lock: many goroutines push, pop and count at the same time, and nothing is lost.
//!
//! Go: `atomic.Pointer` and `CompareAndSwap`, and the garbage collector frees a node when nobody looks at it any more.
//! Different here: there is no garbage collector, so somebody has to know when nobody looks. crossbeam's epochs do:
//! `pin` says that this goroutine looks, and a node that has been taken off is freed when all have stopped that looked
//! then. `stack.rs` has the argument, `model/` tries all orders of its steps, and the bench `lock_free` compares it with
//! a vector under a mutex.
//!
//! Three rules for epochs on goroutines. Do not wait while you are pinned: nothing is freed meanwhile, and the guard
//! must not change its thread. `push` and `pop` do not. Each goroutine that pins takes part in the epochs until it ends,
//! as each has thread-locals of its own, and the epochs look at all of them from time to time: so let some goroutines do
//! much, and not very many one thing each. And measure first: where many use one stack, all exchange the same word, and
//! a mutex may be faster.
//!
//! ```text
//! cargo run --example lock_free
//! ```

mod counter;
mod stack;

use counter::Counter;
use crossbeam_epoch as epoch;
use stack::Stack;
use std::sync::atomic;

/// What the stack and the counter take from `atomic`, by short names.
mod ordering {
    pub(crate) use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
}

const PUSHERS: u64 = 4;
const POPPERS: usize = 4;
const EACH: u64 = 1000;
const TICKETS: u64 = 100;

/// A value that is counted when it is dropped.
struct Value<'a> {
    number: u64,
    dropped: &'a Counter,
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        self.dropped.increment();
    }
}

fn main() {
    pirn::run(|| {
        let (popped, dropped) = (Counter::new(), Counter::new());
        let stack = Stack::new();
        let mut numbers = pirn::scope(|s| {
            for pusher in 0..PUSHERS {
                let (stack, dropped) = (&stack, &dropped);
                s.go(move || (0..EACH).for_each(|n| stack.push(Value { number: pusher * EACH + n, dropped })));
            }
            let poppers = [(); POPPERS].map(|()| s.go(|| pop_all(&stack, &popped)));
            poppers.map(|popper| popper.join().expect("it only pops")).concat()
        });
        numbers.sort_unstable();
        println!("each value popped once: {}", numbers.iter().copied().eq(0..PUSHERS * EACH));
        println!("popped {}, dropped {}", popped.get(), dropped.get());

        (0..3).for_each(|number| stack.push(Value { number, dropped: &dropped }));
        drop(stack);
        println!("dropped with the stack: {}", dropped.get() - PUSHERS * EACH);

        let (sold, asked) = (Counter::new(), Counter::new());
        pirn::scope(|s| {
            for _ in 0..4 {
                s.go(|| {
                    for _ in 0..TICKETS {
                        asked.increment();
                        sold.increment_below(TICKETS);
                    }
                });
            }
        });
        println!("{} tickets sold, {} asked for", sold.get(), asked.get());
    });
}

/// Pops until all have been popped, by whomever.
fn pop_all(stack: &Stack<Value<'_>>, popped: &Counter) -> Vec<u64> {
    let mut numbers = Vec::new();
    while popped.get() < PUSHERS * EACH {
        match stack.pop() {
            Some(value) => {
                popped.increment();
                numbers.push(value.number);
            }
            // The pushers are not as fast.
            None => pirn::yield_now(),
        }
    }
    numbers
}
