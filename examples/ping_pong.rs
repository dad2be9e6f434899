//! Ping-pong: two goroutines and a ball that goes to and fro over two unbuffered channels.
//!
//! Go: the table of Andrew Gerrand's talk, with a channel for each direction. An unbuffered send is a rendezvous, so
//! there is never more than one hit at a time, and the lines come in order. Who receives the last ball leaves the
//! table; the other one's channel ends then, and it leaves too.
//!
//! ```text
//! cargo run --example ping_pong
//! ```

use pirn::channel::{Receiver, Sender, bounded};

const LAST: u32 = 6;

fn main() {
    pirn::run(|| {
        let (to_ping, ping_side) = bounded(0);
        let (to_pong, pong_side) = bounded(0);
        let first = to_ping.clone();
        let ping = pirn::go(move || play("ping", &ping_side, to_pong));
        let pong = pirn::go(move || play("pong", &pong_side, to_ping));
        first.send(1).expect("ping is there");
        drop(first);
        ping.join().expect("ping does not panic");
        pong.join().expect("pong does not panic");
    });
}

fn play(name: &str, balls: &Receiver<u32>, other_side: Sender<u32>) {
    for ball in balls {
        println!("{name} {ball}");
        if ball == LAST {
            break;
        }
        other_side.send(ball + 1).expect("the other one plays until the last ball");
    }
    println!("{name} leaves");
    // Its channel ends here.
    drop(other_side);
}
