//! Channels and select: crossbeam-channel's API, name for name, with Go's behaviour.
//!
//! Until the channels themselves are there, others stand in for them.

mod select_macro;
mod stand_in;

/// What the macros expand to.
#[doc(hidden)]
pub mod internal {
    pub use crate::select_macro::{biased, fair, is_chosen, none_chosen, one, sleep, the_chosen, wait, wait_for_ever};
}

pub use crossbeam_channel::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
pub use stand_in::{
    IntoIter, Iter, Receiver, RecvFuture, RecvStream, Select, SelectedOperation, SendFuture, Sender, TryIter, after,
    at, bounded, never, tick, unbounded,
};
