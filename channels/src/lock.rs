//! The lock of a channel: a byte, held for some tens of nanoseconds, never while a G waits.

use crate::loom::{AtomicBool, Ordering, pause, yield_thread};
use std::time::Duration;

/// The first wait of who finds it held, in pauses of the CPU; then it doubles. A long one is unfair, and so has who
/// holds it do several operations in a row: that is what makes several Ps on one channel fast.
const PAUSES_MIN: u32 = 16;
const PAUSES_MAX: u32 = 256;
/// So many rounds of pauses before the system is asked to run another thread: the holder may have lost its CPU.
const ROUNDS_PAUSED: u32 = 20;
/// So many rounds before the waiter sleeps.
const ROUNDS_AWAKE: u32 = 60;
const NAP: Duration = Duration::from_micros(20);

/// Unlocked by a plain store, which costs nothing but lets nobody be told; so who waits long sleeps by the clock.
#[derive(Debug)]
pub(crate) struct Lock(AtomicBool);

impl Lock {
    pub(crate) fn new() -> Lock {
        Lock(AtomicBool::new(false))
    }

    /// Takes the lock. The caller gives it back with `unlock` and does nothing in between that could wait or call the
    /// user's code.
    #[inline]
    pub(crate) fn lock(&self) {
        // Acquire: what was done under the lock before (partner: `unlock`).
        if self.0.swap(true, Ordering::Acquire) {
            self.wait();
        }
    }

    /// Gives it back. Only for who has taken it.
    #[inline]
    pub(crate) fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }

    #[cold]
    fn wait(&self) {
        let mut pauses = PAUSES_MIN;
        for round in 0_u32.. {
            match round {
                0..ROUNDS_PAUSED => pause(pauses),
                ROUNDS_PAUSED..ROUNDS_AWAKE => yield_thread(),
                _ => std::thread::sleep(NAP),
            }
            pauses = (pauses * 2).min(PAUSES_MAX);
            if !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::Acquire) {
                return;
            }
        }
    }
}
