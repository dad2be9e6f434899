//! ReusableBarrier: eight goroutines add up a list together, round after round, with one barrier.
//!
//! Each has a place in the list. In a round it adds the number that stands `step` places before its own; `step` doubles,
//! and after three rounds each place has the sum of all up to it. A round has two meetings: all have read before one
//! writes, and all have written before one reads. So the barrier is used six times, at once again each time.
//!
//! Look at the leader's line: it is always the list of one round, never a mix of two.
//!
//! ```text
//! cargo run --example reusable_barrier
//! ```

use pirn::sync::{Barrier, Mutex};

const PLACES: usize = 8;

fn main() {
    let barrier = Barrier::new(PLACES);
    let list = Mutex::new([1_u64, 2, 3, 4, 5, 6, 7, 8]);
    pirn::run(|| {
        pirn::scope(|s| {
            for place in 0..PLACES {
                let (barrier, list) = (&barrier, &list);
                s.go(move || add_up(place, barrier, list));
            }
        });
    });
}

fn add_up(place: usize, barrier: &Barrier, list: &Mutex<[u64; PLACES]>) {
    let mut step = 1;
    while step < PLACES {
        let other = place.checked_sub(step).map_or(0, |other| list.lock()[other]);
        barrier.wait();
        list.lock()[place] += other;
        // Nobody writes before the leader is at the next meeting.
        if barrier.wait().is_leader() {
            println!("step {step}: {:?}", *list.lock());
        }
        step *= 2;
    }
}
