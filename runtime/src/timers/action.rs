//! What happens when a timer is due.

use crate::g::{G, prefetch_record};
use std::fmt;
use std::sync::Arc;

/// What is done when a timer is due.
pub(crate) enum Action {
    /// Unpark the G with that id.
    Wake(&'static G, u64),
    /// Call it.
    Call(Arc<dyn Fire>),
}

/// A callback at a deadline, without a G: I5 says what it may do.
pub(crate) trait Fire: Send + Sync {
    /// The deadline `when_ns` has passed; it is `now_ns`.
    fn fire(self: Arc<Self>, when_ns: u64, now_ns: u64);

    /// The deadline never comes: the runtime has ended.
    fn end(self: Arc<Self>);
}

impl Action {
    /// Prefetches what [`Action::Wake`] needs.
    pub(crate) fn prefetch(&self) {
        if let Action::Wake(g, _) = self {
            prefetch_record(*g);
        }
    }

    /// The runtime has ended: drops the action.
    pub(crate) fn end(self) {
        if let Action::Call(call) = self {
            call.end();
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Wake(_, id) => write!(f, "Wake(G{id})"),
            Action::Call(_) => f.write_str("Call"),
        }
    }
}
