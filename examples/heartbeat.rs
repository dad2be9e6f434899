//! Heartbeats: a goroutine that works says from time to time that it lives, and a supervisor notices when it does not.
//!
//! Go: a `time.Tick` and a select with `default`, as in Cox-Buday's "Concurrency in Go". The pulse goes into a channel
//! with room for one and is left out if it is full: the worker never waits for its supervisor.
//!
//! ```text
//! cargo run --example heartbeat
//! ```

use pirn::channel::{Receiver, Sender, bounded, tick};
use std::time::Duration;

const PULSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_millis(500);

fn main() {
    pirn::run(|| {
        let (pulses_in, pulses) = bounded(1);
        let (stop, stopped) = bounded::<()>(0);
        pirn::go(move || work(&pulses_in, &stopped));
        for beat in 1..=3 {
            pulses.recv_timeout(PATIENCE).expect("it lives");
            println!("heartbeat {beat}");
        }
        stop.send(()).expect("it listens");
        // One may be on its way.
        while pulses.recv_timeout(PATIENCE).is_ok() {}
        println!("no heartbeat for 500 ms: it is stuck");
    });
}

/// Beats until it is told to get stuck.
fn work(pulses: &Sender<()>, stopped: &Receiver<()>) {
    let clock = tick(PULSE);
    loop {
        pirn::select! {
            recv(clock) -> _ => pirn::select! {
                send(pulses, ()) -> result => result.expect("the supervisor listens"),
                default => {} // the last one has not been taken yet
            },
            recv(stopped) -> _ => pirn::select! {}, // for ever
        }
    }
}
