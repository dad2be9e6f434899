//! Producer and consumers: how they learn that nothing more comes, by a sentinel or by the end of the channel.
//!
//! Python: `queue.put(None)`, once for each consumer. Different here: dropping the last sender ends the channel for all
//! receivers, however many there are, so there is nothing to count. The type of a sentinel is an `Option`, so it cannot
//! be taken for a value.

use pirn::channel::{Receiver, bounded};

const CONSUMERS: usize = 2;
const ROOM: usize = 5;
const VALUES: std::ops::RangeInclusive<u64> = 1..=100;

pub(crate) fn program() {
    let (queue_in, queue) = bounded(ROOM);
    pirn::go(move || {
        let sentinels = [None; CONSUMERS];
        VALUES.map(Some).chain(sentinels).for_each(|value| queue_in.send(value).expect("somebody consumes"));
    });
    let sum = consume(&queue, |queue| std::iter::from_fn(|| queue.recv().expect("a sentinel comes before")).sum());
    println!("with {CONSUMERS} sentinels: {sum}, left in the queue: {}", queue.len());

    let (queue_in, queue) = bounded(ROOM);
    pirn::go(move || VALUES.for_each(|value| queue_in.send(value).expect("somebody consumes")));
    let sum = consume(&queue, |queue| queue.iter().sum());
    println!("with the end of the channel: {sum}");
}

/// What all consumers together have added up.
fn consume<T: Send>(queue: &Receiver<T>, consumer: fn(&Receiver<T>) -> u64) -> u64 {
    pirn::scope(|s| {
        let consumers = [(); CONSUMERS].map(|()| s.go(move || consumer(queue)));
        consumers.map(|consumer| consumer.join().expect("it only adds")).iter().sum()
    })
}
