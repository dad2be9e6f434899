//! What the clones of a descriptor have in common: the timeouts and whether it is non-blocking for the user. It is made
//! when it is needed first: most sockets need none.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// No timeout.
const NEVER: u64 = 0;

/// The part that each clone has.
#[derive(Debug, Default)]
pub(crate) struct Shared(OnceLock<Arc<Settings>>);

/// In std this is in the kernel, with what the descriptor stands for, so clones share it.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    has_clones: AtomicBool,
    pub(crate) is_nonblocking: AtomicBool,
    /// A listener has been closed, by this clone or another.
    pub(crate) is_closed: AtomicBool,
    pub(crate) read_timeout: Timeout,
    pub(crate) write_timeout: Timeout,
}

impl Shared {
    /// The same for a clone.
    pub(crate) fn for_clone(&self) -> Shared {
        let settings = self.0.get_or_init(Arc::default);
        settings.has_clones.store(true, Ordering::Relaxed);
        Shared(OnceLock::from(settings.clone()))
    }

    /// Whether there is, or has been, a clone.
    pub(crate) fn has_clones(&self) -> bool {
        self.get().is_some_and(|settings| settings.has_clones.load(Ordering::Relaxed))
    }

    /// For changes.
    pub(crate) fn made(&self) -> &Settings {
        self.0.get_or_init(Arc::default)
    }

    /// None has been changed yet if there are none.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Settings> {
        self.0.get().map(|settings| &**settings)
    }
}

/// How long an operation may wait. In nanoseconds; a longer one than 584 years is one of 584 years.
#[derive(Debug, Default)]
pub(crate) struct Timeout(AtomicU64);

impl Timeout {
    pub(crate) fn get(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            NEVER => None,
            ns => Some(Duration::from_nanos(ns)),
        }
    }

    /// None for no timeout; it is not nought.
    pub(crate) fn set(&self, timeout: Option<Duration>) {
        let ns = timeout.map_or(NEVER, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        self.0.store(ns, Ordering::Relaxed);
    }
}
