//! ProducerConsumer: a buffer with room for five, and those that wait for room and for something in it.
//!
//! Go: a `sync.Cond` each for "not full" and "not empty" (most would take a channel, which is this). Each wait unlocks
//! the mutex while it waits, and looks at the condition again after it. Nothing is lost, and the buffer never has more
//! than its room.
//!
//! ```text
//! cargo run --example producer_consumer
//! ```

use pirn::sync::{Condvar, Mutex};
use std::collections::VecDeque;

const ROOM: usize = 5;
const PRODUCERS: u64 = 3;
const CONSUMERS: usize = 2;
const EACH: u64 = 1000;

#[derive(Default)]
struct Buffer {
    state: Mutex<State>,
    not_full: Condvar,
    not_empty: Condvar,
}

#[derive(Default)]
struct State {
    values: VecDeque<u64>,
    fullest: usize,
    is_closed: bool,
}

impl Buffer {
    fn put(&self, value: u64) {
        let mut state = self.state.lock();
        self.not_full.wait_while(&mut state, |state| state.values.len() == ROOM);
        state.values.push_back(value);
        state.fullest = state.fullest.max(state.values.len());
        self.not_empty.notify_one();
    }

    /// None when all has been taken, and nothing will come.
    fn take(&self) -> Option<u64> {
        let mut state = self.state.lock();
        self.not_empty.wait_while(&mut state, |state| state.values.is_empty() && !state.is_closed);
        let value = state.values.pop_front();
        self.not_full.notify_one();
        value
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
        self.not_empty.notify_all();
    }
}

fn main() {
    pirn::run(|| {
        let buffer = &Buffer::default();
        let (mut taken, mut sum) = (0, 0);
        pirn::scope(|s| {
            let consumers: Vec<_> = (0..CONSUMERS)
                .map(|_| {
                    s.go(|| std::iter::from_fn(|| buffer.take()).fold((0, 0), |(n, sum), value| (n + 1, sum + value)))
                })
                .collect();
            let producers: Vec<_> =
                (0..PRODUCERS).map(|p| s.go(move || (0..EACH).for_each(|n| buffer.put(p * EACH + n)))).collect();
            producers.into_iter().for_each(|producer| producer.join().expect("it only puts"));
            buffer.close();
            for consumer in consumers {
                let (n, values) = consumer.join().expect("it only takes");
                taken += n;
                sum += values;
            }
        });
        println!("taken: {taken}, their sum is right: {}", sum == (0..PRODUCERS * EACH).sum::<u64>());
        println!("never more than {} in the buffer", buffer.state.lock().fullest);
    });
}
