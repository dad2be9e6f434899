//! Whether new Gs may still start: whether the runtime closes, and how many handles there are.

#![cfg(not(loom))]

use super::shared::Shared;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Closing {
    /// There are no new Gs, and a G that parks is unwound.
    has_begun: AtomicBool,
    /// How many [`Handle`](crate::Handle)s there are. It cannot overflow: each has an `Arc` of the runtime, which
    /// aborts before.
    handles: AtomicUsize,
}

impl Closing {
    /// A runtime that is open, without handles.
    pub(super) fn new() -> Closing {
        Closing { has_begun: AtomicBool::new(false), handles: AtomicUsize::new(0) }
    }
}

impl Shared {
    /// From now on there are no new Gs, and those that park are unwound.
    pub(crate) fn begin_closing(&self) {
        // SeqCst: partner is `is_closing_for_sure`. The caller looks at the count of Gs after this.
        self.closing.has_begun.store(true, Ordering::SeqCst);
    }

    /// Whether Gs are unwound instead of parked.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.has_begun.load(Ordering::Acquire)
    }

    /// As `is_closing`, for a caller that has counted its new G before: either it sees that the runtime closes, or the
    /// closing thread sees its G (partner: `begin_closing`).
    pub(crate) fn is_closing_for_sure(&self) -> bool {
        self.closing.has_begun.load(Ordering::SeqCst)
    }

    /// There is one more handle.
    pub(crate) fn add_handle(&self) {
        // SeqCst, here and below: partner is `has_handles`, by which the deadlock check sees a handle that was made
        // before its Ms fell asleep.
        self.closing.handles.fetch_add(1, Ordering::SeqCst);
    }

    /// There is one less.
    pub(crate) fn drop_handle(&self) {
        self.closing.handles.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether there is a handle, by which Gs may be started.
    pub(crate) fn has_handles(&self) -> bool {
        self.closing.handles.load(Ordering::SeqCst) != 0
    }
}
