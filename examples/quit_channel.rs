//! A quit channel: a goroutine that sends for as long as somebody wants to have it, and is told to stop by another
//! channel.
//!
//! Go: the Fibonacci example of "A Tour of Go". The select has a send and a receive, and does whichever can go on
//! first. The message of the send is evaluated when it is sent, not before.
//!
//! ```text
//! cargo run --example quit_channel
//! ```

use pirn::channel::{Receiver, Sender, bounded};

fn main() {
    pirn::run(|| {
        let (numbers_in, numbers) = bounded(0);
        let (quit_in, quit) = bounded(0);
        let g = pirn::go(move || fibonacci(&numbers_in, &quit));
        for n in numbers.iter().take(10) {
            println!("{n}");
        }
        quit_in.send(()).expect("it listens until it is told");
        println!("it has sent {} numbers", g.join().expect("it does not panic"));
    });
}

/// Returns how many it has sent.
fn fibonacci(numbers: &Sender<u64>, quit: &Receiver<()>) -> usize {
    let (mut a, mut b) = (0, 1);
    let mut sent = 0;
    loop {
        pirn::select! {
            send(numbers, a) -> result => {
                result.expect("main has the receiver");
                (a, b) = (b, a + b);
                sent += 1;
            }
            recv(quit) -> _ => {
                println!("quit");
                return sent;
            }
        }
    }
}
