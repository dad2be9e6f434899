//! Channels and select: crossbeam-channel's API, name for name, with Go's behaviour.

mod cases;
mod channel;
mod clock;
mod core;
mod error;
mod futures;
mod iter;
mod lock;
mod loom;
mod select;
mod select_macro;
mod wait;
mod waiter;

/// What the macros expand to.
#[doc(hidden)]
pub mod internal {
    pub use crate::select_macro::{biased, fair, is_chosen, none_chosen, one, sleep, the_chosen, wait, wait_for_ever};
}

pub use channel::{Receiver, Sender, after, at, bounded, never, tick, unbounded};
pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
pub use futures::{RecvFuture, RecvStream, SendFuture};
pub use iter::{IntoIter, Iter, TryIter};
pub use select::{Select, SelectedOperation};
