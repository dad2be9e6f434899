//! What destructors wait for at channels while their runtime closes: the clock, and Gs that are unwound too.

mod crew;

use crew::common::{Countdown, runtime};
use pirn_channels::{Receiver, RecvTimeoutError, Sender, after, bounded, select, tick};
use pirn_runtime::{go, park};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(1);

/// Waits in its destructor, and notes that it came to the end of it.
struct Waits {
    others: Receiver<u8>,
    full: Sender<u8>,
    came: Arc<AtomicBool>,
}

impl Drop for Waits {
    fn drop(&mut self) {
        let (_kept, nothing) = bounded::<u8>(0);
        assert_eq!(nothing.recv_timeout(MOMENT), Err(RecvTimeoutError::Timeout));
        select! {
            recv(nothing) -> _ => unreachable!("nobody sends"),
            default(MOMENT) => {}
        }
        after(MOMENT).recv().expect("it gives one");
        let ticks = tick(MOMENT);
        assert_eq!(ticks.iter().take(3).count(), 3);
        // The others are unwound, and their ends of the channels are dropped.
        assert!(self.others.recv().is_err());
        assert!(self.full.send(2).is_err());
        self.came.store(true, Ordering::Release);
    }
}

#[test]
fn what_a_destructor_waits_for_at_shutdown_ends() {
    for procs in [1, 2] {
        let house = runtime(procs);
        let (came, ready) = (Arc::new(AtomicBool::new(false)), Countdown::new(2));
        let (sender, others) = bounded(0);
        let (full, receiver) = bounded(1);
        full.send(1).expect("there is room");
        let waits = Waits { others, full, came: came.clone() };
        let (begun, begins) = (ready.clone(), ready.clone());
        let keeper = house.go(move || {
            let _ends = (sender, receiver);
            begun.done();
            loop {
                park();
            }
        });
        let unwound = house.go(move || {
            let _waits = waits;
            begins.done();
            go(park).join().expect("nobody unparks it");
        });
        ready.wait();
        house.close();
        assert!(came.load(Ordering::Acquire));
        let results: [std::thread::Result<()>; 2] = [keeper.join(), unwound.join()];
        assert!(results.into_iter().all(|result| result.is_err()));
    }
}
