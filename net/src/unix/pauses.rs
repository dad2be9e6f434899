//! Waits of which no poll is told (unix I2).

use pirn_runtime::internal::{now, sleep};
use std::io;
use std::time::{Duration, Instant};

/// Pauses get longer as long as they are in vain.
const PAUSE_MIN: Duration = Duration::from_micros(50);
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// Calls `attempt` until it does not say that it would block, with pauses in between; until a moment at most, and only
/// once if it is not to wait.
pub(super) fn with_pauses<R>(
    until: Option<Instant>,
    is_nonblocking: bool,
    mut attempt: impl FnMut() -> io::Result<R>,
) -> io::Result<R> {
    let mut pause = PAUSE_MIN;
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !is_nonblocking => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            done => return done,
        }
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(now()));
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        sleep(pause.min(left));
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
