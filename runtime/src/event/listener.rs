//! The listener, which hears of every event at the moment when it happens: a test's, and later the recorder.

use super::{Emitter, Event};
use crate::user_code::contain;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

type Listener = Box<dyn Fn(&Event, &Emitter) + Send + Sync>;

/// Whether there is a listener.
static IS_HEARD: AtomicBool = AtomicBool::new(false);

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// From now on `listener` hears of every event in the process, of all runtimes. There can be only one, and it stays. It
/// does not hear of starts, wake-ups and runs of Gs of a runtime that was built before.
///
/// It is called in the middle of the runtime's own work, also under the scheduler's lock, on threads of the runtime and
/// on others. So it must neither park nor call anything of pirn's, and it should be quick. It may take a lock of its
/// own, if no thread holds that lock while it calls pirn. A panic of the listener ends there.
///
/// # Panics
/// If there is a listener already.
pub fn listen(listener: impl Fn(&Event, &Emitter) + Send + Sync + 'static) {
    assert!(LISTENER.set(Box::new(listener)).is_ok(), "somebody listens already");
    // Relaxed: `hear` gets the listener from the OnceLock, which orders it.
    IS_HEARD.store(true, Ordering::Relaxed);
}

/// Whether there is a listener, in one load.
#[inline(always)]
pub(crate) fn is_heard() -> bool {
    IS_HEARD.load(Ordering::Relaxed)
}

/// Passes an event to the listener.
pub(crate) fn hear(event: &Event, emitter: &Emitter) {
    if let Some(listener) = LISTENER.get() {
        // What it panics with has been printed.
        contain(|| listener(event, emitter));
    }
}
