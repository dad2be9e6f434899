//! Waking operations that have been told. Never under a lock, as it may run the user's code (I5).

use super::parking::Unparker;
#[cfg(not(loom))]
use crate::g::G;
use crate::g::Runs;
use crate::user_code::contain;
use std::fmt;

/// An operation that was told and may be asleep: it must be woken, after unlocking.
#[must_use = "it sleeps"]
pub struct Told {
    unparker: Unparker,
    /// It was parked in its line, and is this one's.
    is_taken: bool,
}

impl Told {
    /// A G that was taken from its line, or an operation to unpark.
    ///
    /// # Safety
    /// If it is taken, the caller has taken it from its line (`LinePark::take`).
    #[inline(always)]
    pub(super) unsafe fn of(unparker: Unparker, is_taken: bool) -> Told {
        Told { unparker, is_taken }
    }

    /// The G that has to be unparked, and nothing else. None: it is something else.
    #[cfg(not(loom))]
    pub(crate) fn g(&self) -> Option<&'static G> {
        self.unparker.g().filter(|_| !self.is_taken)
    }

    /// Wakes it: a G runs next. A panic of its waker ends here.
    #[inline(always)]
    pub fn wake(self) {
        self.wake_to_run(Runs::Next);
    }

    /// The same, and says when a G runs.
    #[inline(always)]
    pub fn wake_to_run(self, when: Runs) {
        if self.is_taken {
            // SAFETY: as `of` was promised, and this is used up.
            return unsafe { self.unparker.ready(when) };
        }
        contain(|| self.unparker.unpark_to_run(when));
        discard(self.unparker);
    }
}

/// For what waits without a ticket.
impl From<Unparker> for Told {
    #[inline(always)]
    fn from(unparker: Unparker) -> Told {
        Told { unparker, is_taken: false }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.unparker).finish()
    }
}

/// Wakes the operation that another has told, if there is one. This is not inlined: in a receive it made a ping-pong 8
/// % slower, with as many instructions.
#[inline(never)]
pub fn wake(told: Option<Told>) {
    if let Some(told) = told {
        told.wake();
    }
}

/// Drops an unparker that is not needed any more. A panic of its waker ends here.
#[inline]
pub fn discard(unparker: Unparker) {
    contain(|| drop(unparker));
}
