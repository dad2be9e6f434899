//! Select with a default and with a timeout: look whether there is something, or wait for it, but not for ever.
//!
//! Go: `select` with `default:`, and with `case <-time.After(d):`. `default(timeout)` is the cheaper form of the
//! latter: it needs no channel. Both forms are shown. A value that comes too late for one select is there for the next.
//!
//! ```text
//! cargo run --example select_timeout
//! ```

use pirn::channel::{after, bounded};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(10);

fn main() {
    pirn::run(|| {
        let (start, started) = bounded::<()>(0);
        let (answers_in, answers) = bounded::<u32>(0);
        pirn::go(move || {
            started.recv().expect("main says when");
            pirn::sleep(SHORT);
            answers_in.send(42).expect("main listens");
        });

        pirn::select! {
            recv(answers) -> answer => println!("too early: {answer:?}"),
            default => println!("nothing yet"),
        }
        pirn::select! {
            recv(answers) -> answer => println!("too early: {answer:?}"),
            default(SHORT) => println!("nothing for 10 ms"),
        }
        start.send(()).expect("it waits for that");
        pirn::select! {
            recv(answers) -> answer => println!("the answer is {}", answer.expect("it was sent")),
            recv(after(LONG)) -> _ => println!("nothing for 10 s"),
        }
    });
}
