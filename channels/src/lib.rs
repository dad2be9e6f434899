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
mod wait;
mod waiter;

pub use channel::{Receiver, Sender, after, at, bounded, never, tick, unbounded};
pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
pub use futures::{RecvFuture, RecvStream, SendFuture};
pub use iter::{IntoIter, Iter, TryIter};
pub use select::{Select, SelectedOperation};
