//! Waking operations that have been told. Never under a lock, as it may run the user's code (I5).

use super::parking::Unparker;
use crate::user_code::contain;
use std::fmt;

/// An operation that was told and may be asleep: it must be woken, after unlocking.
#[must_use = "it sleeps"]
pub struct Told(Unparker);

impl Told {
    /// Wakes it. A panic of its waker ends here.
    #[inline(always)]
    pub fn wake(self) {
        contain(|| self.0.unpark());
        discard(self.0);
    }
}

/// For what waits without a ticket.
impl From<Unparker> for Told {
    #[inline(always)]
    fn from(unparker: Unparker) -> Told {
        Told(unparker)
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.0).finish()
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
