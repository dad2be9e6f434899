//! One of each: a G that computes, one that sleeps, as the main G does, one in a receive, one in a select, one that
//! blocks its thread, one that keeps its thread; seen by scheddetail.
//!
//! ```text
//! PIRN_MAXPROCS=2 PIRN_DEBUG=schedtrace=150,scheddetail=1 cargo run --release --example detail
//! PIRN_MAXPROCS=2 PIRN_DEBUG=schedtrace=150,scheddetail=1,schedfmt=json cargo run --release --example detail
//! ```
//!
//! SCHEDTRACE.md reads the output aloud.

use pirn::GoBuilder;
use pirn::channel::bounded;
use std::thread;
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_millis(400);

fn main() {
    pirn::run(|| {
        let (send, recv) = bounded::<()>(0);
        let (other, recv_other) = (recv.clone(), recv.clone());
        let named = |name: &str| GoBuilder::new().name(name);
        let gs = [
            named("computes").go(|| {
                let began = Instant::now();
                while began.elapsed() < TIME {}
            }),
            named("sleeps").go(|| pirn::sleep(TIME)),
            named("receives").go(move || assert!(recv.recv().is_err(), "nothing is sent")),
            named("selects").go(move || {
                pirn::select! {
                    recv(other) -> _ => {}
                    recv(recv_other) -> _ => {}
                }
            }),
            named("blocks").go(|| thread::sleep(TIME)),
            named("keeps its thread").go(|| {
                let _mine = pirn::lock_os_thread();
                pirn::sleep(TIME);
            }),
        ];
        pirn::sleep(TIME);
        // What waits on the channel sees its end.
        drop(send);
        for g in gs {
            g.join().expect("none of them panics");
        }
        println!("all have ended");
    });
}
