//! How much memory the stack of a G has gained while it ran.

#![allow(unsafe_code, reason = "which G calls")]

use crate::g::G;
#[cfg(feature = "tracing")]
use crate::m::emit::{emit, is_asked_for};
#[cfg(feature = "tracing")]
use crate::stack::Slot;

/// The kernel adds pages silently, so this compares the beginning of the G with its end, if there is a subscriber. Both
/// are while the G has its thread-locals, which the subscriber uses.
pub(crate) struct Growth {
    #[cfg(feature = "tracing")]
    before: Option<usize>,
}

impl Growth {
    #[inline(always)]
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nobody can listen"))]
    pub(crate) fn measure(g: &'static G) -> Growth {
        Growth {
            #[cfg(feature = "tracing")]
            before: is_asked_for().then(|| committed(g)),
        }
    }

    #[inline(always)]
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nobody can listen"))]
    pub(crate) fn report(self, g: &'static G) {
        #[cfg(feature = "tracing")]
        if let Some(before) = self.before {
            let bytes = committed(g);
            if bytes > before {
                // SAFETY: `g` is the caller, so its runtime is there.
                let counters = &unsafe { g.shared() }.counters;
                emit!(counters, StackGrowth { g: g.id(), from_bytes: before, to_bytes: bytes }).deliver();
            }
        }
    }
}

/// The memory of the caller's stack, in bytes.
#[cfg(feature = "tracing")]
fn committed(g: &'static G) -> usize {
    // SAFETY: `g` is the caller, whose slot is there as long as it runs.
    unsafe { &*g.slot.get() }.as_ref().map_or(0, Slot::committed_bytes)
}
