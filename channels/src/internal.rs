//! What the macros expand to, and what `sync` uses. No part of the public API: it may change at any time.

#![doc(hidden)]

#[cfg(not(loom))]
pub use crate::alarm::Alarm;
pub use crate::joined::on_end;
#[cfg(loom)]
pub use crate::loom::{Alarm, keep_alarms, ring_next_alarm, take_alarms_that_are_set};

use crate::cases::Selectable;
use crate::channel::{Flavor, Receiver, Sender};
use crate::choose::SELECT_NO_CASES;
use crate::core::{Head, Side};
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::loom::park_on;
use crate::select::{Select, SelectedOperation};
use crate::until::Until;
use pirn_runtime::internal::Reason;
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

/// A select that is fair.
#[inline]
pub fn fair<'a>() -> Select<'a> {
    Select::new()
}

/// A select that prefers the first case.
#[inline]
pub fn biased<'a>() -> Select<'a> {
    Select::new_biased()
}

/// What a `select!` without cases does.
pub fn wait_for_ever() -> ! {
    loop {
        park_on(&SELECT_NO_CASES, 0);
    }
}

/// Waits for the end of a channel on which nothing is sent, for a reason of the caller's. False: the time is over.
pub fn wait_for_end(receiver: &Receiver<Infallible>, timeout: Option<Duration>, reason: &'static Reason) -> bool {
    let until = timeout.map_or(Until::Ever, Until::For);
    match &receiver.flavor {
        Flavor::Channel(channel) => channel.wait_for_end(until, reason),
        // It never ends.
        _ => receiver.recv_until(until) != Err(RecvTimeoutError::Timeout),
    }
}

/// What a `select!` with nothing but `default(timeout)` does.
#[inline]
pub fn sleep(timeout: Duration) {
    crate::loom::sleep(timeout);
}

/// Whether the case with that number was chosen.
#[inline]
pub fn is_chosen(operation: &Option<SelectedOperation<'_>>, index: usize) -> bool {
    operation.as_ref().is_some_and(|operation| operation.index() == index)
}

/// The operation that was chosen.
#[inline]
pub fn the_chosen<'a>(operation: Option<SelectedOperation<'a>>) -> SelectedOperation<'a> {
    operation.expect("is_chosen has looked")
}

/// Stands for the body of the default in a select that has none.
#[cold]
pub fn none_chosen() -> ! {
    unreachable!("a select without a default ends with one of its cases")
}

/// One case before there is a select: its channel, and the side of it.
pub struct End<'a>(Option<(&'a Head, Side)>);

impl fmt::Debug for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("End { .. }")
    }
}

/// Of a case that receives.
#[inline(always)]
pub fn recv<T>(receiver: &Receiver<T>) -> End<'_> {
    End(receiver.end())
}

/// Of a case that sends.
#[inline(always)]
pub fn send<T>(sender: &Sender<T>) -> End<'_> {
    End(sender.end())
}

/// Whether a select need not be made.
pub mod look {
    use super::End;
    use crate::choose::was_none_ready;
    use crate::loom::checkpoint;

    /// It would wait.
    #[inline(always)]
    pub fn come_what_may<const N: usize>(_: [End<'_>; N]) -> bool {
        false
    }

    /// It would take the default.
    #[inline(always)]
    pub fn at_once<const N: usize>(ends: [End<'_>; N]) -> bool {
        checkpoint();
        was_none_ready(ends.map(|end| end.0))
    }

    /// It would wait.
    #[inline(always)]
    pub fn in_time<const N: usize>(_: [End<'_>; N]) -> bool {
        false
    }
}

/// How a select waits.
pub mod wait {
    use super::{Duration, Select, SelectedOperation};

    /// Waits until a case can complete.
    #[inline]
    pub fn come_what_may<'a>(select: &mut Select<'a>) -> Option<SelectedOperation<'a>> {
        Some(select.select())
    }

    /// Does not wait.
    #[inline]
    pub fn at_once<'a>(select: &mut Select<'a>) -> Option<SelectedOperation<'a>> {
        select.try_select().ok()
    }

    /// Waits for `timeout` at most.
    #[inline]
    pub fn in_time<'a>(select: &mut Select<'a>, timeout: Duration) -> Option<SelectedOperation<'a>> {
        select.select_timeout(timeout).ok()
    }
}

/// The same for one receiver, without a select. Each returns what the case receives; none if nothing came.
pub mod one {
    use super::{Duration, Receiver, RecvError, RecvTimeoutError, TryRecvError};

    /// Waits until something can be received.
    #[inline]
    pub fn come_what_may<T>(receiver: &Receiver<T>) -> Option<Result<T, RecvError>> {
        Some(receiver.recv())
    }

    /// Does not wait.
    #[inline]
    pub fn at_once<T>(receiver: &Receiver<T>) -> Option<Result<T, RecvError>> {
        match receiver.try_recv() {
            Ok(message) => Some(Ok(message)),
            Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
            Err(TryRecvError::Empty) => None,
        }
    }

    /// Waits for `timeout` at most.
    #[inline]
    pub fn in_time<T>(receiver: &Receiver<T>, timeout: Duration) -> Option<Result<T, RecvError>> {
        match receiver.recv_timeout(timeout) {
            Ok(message) => Some(Ok(message)),
            Err(RecvTimeoutError::Disconnected) => Some(Err(RecvError)),
            Err(RecvTimeoutError::Timeout) => None,
        }
    }
}
