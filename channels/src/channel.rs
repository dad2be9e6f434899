//! The handles: [`Sender`] and [`Receiver`], and what makes them.

use crate::blocking::CHAN_RECEIVE;
use crate::clock::{At, Clock, Tick};
use crate::core::Channel;
use crate::error::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
use crate::loom::{Arc, Ordering, checkpoint, has_come, now, park_on, park_until};
use crate::until::Until;
use pirn_runtime::internal::{Kind, Reason};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// A receive on a channel that never has anything, or nothing more.
static CHAN_RECEIVE_NEVER: Reason = Reason::new("chan receive (never)", Kind::Event);

/// Makes a channel without a limit.
///
/// A send never waits. Memory is the limit: if the receivers may be slower than the senders for long, use [`bounded`].
///
/// ```
/// let (s, r) = pirn::channel::unbounded();
/// s.send("a value").unwrap();
/// assert_eq!(r.recv(), Ok("a value"));
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    make(None)
}

/// Makes a channel that holds `cap` values at most.
///
/// With a capacity of 0 a send and a receive meet: the send is done when a receiver has the value. There are two
/// exceptions. A receiver that is a future, or a selected operation, gives the value back if it is dropped. And a
/// receiver with a timeout may go before a select has completed its send. In both cases the next receiver gets the
/// value.
///
/// ```
/// # pirn::run(|| {
/// let (s, r) = pirn::channel::bounded(0);
/// pirn::go(move || s.send("Hi!").unwrap());
/// assert_eq!(r.recv(), Ok("Hi!"));
/// # });
/// ```
pub fn bounded<T>(cap: usize) -> (Sender<T>, Receiver<T>) {
    make(Some(cap))
}

fn make<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel::new(capacity));
    (Sender { channel: channel.clone() }, Receiver { flavor: Flavor::Channel(channel) })
}

/// Makes a channel that gives one value after `duration`: the time when it was due.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let began = Instant::now();
/// let timeout = pirn::channel::after(Duration::from_millis(5));
/// timeout.recv().unwrap();
/// assert!(began.elapsed() >= Duration::from_millis(5));
/// ```
pub fn after(duration: Duration) -> Receiver<Instant> {
    // What does not fit never comes.
    now().checked_add(duration).map_or_else(never, at)
}

/// Makes a channel that gives one value at the time `when`, or at once if that has passed.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let when = Instant::now() + Duration::from_millis(5);
/// assert_eq!(pirn::channel::at(when).recv(), Ok(when));
/// ```
pub fn at(when: Instant) -> Receiver<Instant> {
    Receiver { flavor: Flavor::Clock(std::sync::Arc::new(At::new(when)), |moment| moment) }
}

/// Makes a channel that gives a value after each `duration`: the time when it was due. A tick that is not received in
/// time puts the following ones off.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let began = Instant::now();
/// let ticks = pirn::channel::tick(Duration::from_millis(2));
/// for _ in 0..3 {
///     ticks.recv().unwrap();
/// }
/// assert!(began.elapsed() >= Duration::from_millis(6));
/// ```
pub fn tick(duration: Duration) -> Receiver<Instant> {
    match now().checked_add(duration) {
        Some(first) => {
            Receiver { flavor: Flavor::Clock(std::sync::Arc::new(Tick::new(duration, first)), |moment| moment) }
        }
        None => never(),
    }
}

/// Makes a channel that never gives a value. Like Go's nil channel, it disables its case of a select.
///
/// ```
/// use pirn::channel::{TryRecvError, never};
///
/// assert_eq!(never::<i32>().try_recv(), Err(TryRecvError::Empty));
/// ```
pub fn never<T>() -> Receiver<T> {
    Receiver { flavor: Flavor::Never }
}

/// The sending side of a channel. Clones send to the same channel; it is closed when the last one is dropped, or by
/// [`close`](Self::close).
///
/// Everything that waits parks a G, and blocks an OS thread.
///
/// ```
/// # pirn::run(|| {
/// let (s1, r) = pirn::channel::unbounded();
/// let s2 = s1.clone();
/// pirn::go(move || s1.send(1).unwrap());
/// pirn::go(move || s2.send(2).unwrap());
/// assert_eq!(r.iter().sum::<i32>(), 3);
/// # });
/// ```
pub struct Sender<T> {
    pub(crate) channel: Arc<Channel<T>>,
}

impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    /// Sends if it can be done without waiting.
    ///
    /// # Errors
    /// `Full` if the channel is, or if it is unbuffered and no receiver waits; `Disconnected` after a close, or if no
    /// receiver is left. Both give the value back.
    ///
    /// ```
    /// use pirn::channel::{TrySendError, bounded};
    ///
    /// let (s, r) = bounded(1);
    /// assert_eq!(s.try_send(1), Ok(()));
    /// assert_eq!(s.try_send(2), Err(TrySendError::Full(2)));
    /// drop(r);
    /// assert_eq!(s.try_send(3), Err(TrySendError::Disconnected(3)));
    /// ```
    #[inline]
    pub fn try_send(&self, msg: T) -> Result<(), TrySendError<T>> {
        self.channel.try_send(msg)
    }

    /// Sends, and waits until there is room, or, if the channel is unbuffered, until a receiver has the value.
    ///
    /// # Errors
    /// The value, if the channel is closed or no receiver is left, even if that happens during the call.
    ///
    /// ```
    /// use pirn::channel::{SendError, bounded};
    ///
    /// let (s, r) = bounded(1);
    /// assert_eq!(s.send(1), Ok(()));
    /// drop(r);
    /// assert_eq!(s.send(2), Err(SendError(2)));
    /// ```
    #[inline(always)]
    pub fn send(&self, msg: T) -> Result<(), SendError<T>> {
        self.channel.send(msg, Until::Ever).map_err(|error| SendError(error.into_inner()))
    }

    /// Sends, and waits for `timeout` at most.
    ///
    /// # Errors
    /// The value, with the reason.
    ///
    /// ```
    /// use pirn::channel::{SendTimeoutError, bounded};
    /// use std::time::Duration;
    ///
    /// let (s, _r) = bounded(0);
    /// assert_eq!(s.send_timeout(1, Duration::from_millis(5)), Err(SendTimeoutError::Timeout(1)));
    /// ```
    pub fn send_timeout(&self, msg: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.channel.send(msg, Until::For(timeout))
    }

    /// Sends, and waits until `deadline` at most.
    ///
    /// # Errors
    /// The value, with the reason.
    pub fn send_deadline(&self, msg: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.channel.send(msg, Until::At(deadline))
    }

    /// Closes the channel for all senders, as if all were dropped: later sends and those that wait give their value
    /// back; receivers get the values in the channel and then see its end. Closing it again does nothing.
    ///
    /// Returns whether this call closed it.
    ///
    /// ```
    /// use pirn::channel::{RecvError, SendError, bounded};
    ///
    /// let (s, r) = bounded(1);
    /// s.send(1).unwrap();
    /// assert!(s.close());
    /// assert_eq!(s.send(2), Err(SendError(2)));
    /// assert_eq!(r.recv(), Ok(1));
    /// assert_eq!(r.recv(), Err(RecvError));
    /// ```
    pub fn close(&self) -> bool {
        checkpoint();
        self.channel.close()
    }

    /// Whether the channel is empty. Unbuffered ones are empty, except for values that were given back, or that a
    /// select has sent to a receiver that had gone.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room in the channel. Unbuffered ones are always full.
    pub fn is_full(&self) -> bool {
        self.capacity().is_some_and(|capacity| self.len() >= capacity)
    }

    /// How many values are in the channel.
    pub fn len(&self) -> usize {
        checkpoint();
        self.channel.len()
    }

    /// How many values it can hold. None: there is no limit.
    pub fn capacity(&self) -> Option<usize> {
        checkpoint();
        self.channel.capacity()
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        checkpoint();
        Arc::ptr_eq(&self.channel, &other.channel)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        // Relaxed: there is one already, and the new handle reaches others in ways that synchronise.
        self.channel.senders_alive.fetch_add(1, Ordering::Relaxed);
        Sender { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // AcqRel: what the others did before they dropped theirs comes before the close.
        if self.channel.senders_alive.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.channel.close();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}

/// The receiving side of a channel. Clones receive from the same channel, each value by one of them.
///
/// Everything that waits parks a G, and blocks an OS thread.
///
/// ```
/// # pirn::run(|| {
/// let (s, r) = pirn::channel::bounded(1);
/// pirn::go(move || {
///     for i in 0..3 {
///         s.send(i).unwrap();
///     }
/// });
/// assert_eq!(r.iter().collect::<Vec<_>>(), [0, 1, 2]);
/// # });
/// ```
pub struct Receiver<T> {
    pub(crate) flavor: Flavor<T>,
}

/// Where a receiver's values come from.
pub(crate) enum Flavor<T> {
    Channel(Arc<Channel<T>>),
    /// The clock; its channels give `Instant`s, so `T` is that.
    Clock(std::sync::Arc<dyn Clock + Send + Sync>, fn(Instant) -> T),
    Never,
}

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    /// Receives if it can be done without waiting. If a select waits to send, this asks it for its value, and waits for
    /// the value for up to 10 ms.
    ///
    /// # Errors
    /// `Empty` if there is no value; `Disconnected` if there will never be one.
    ///
    /// ```
    /// use pirn::channel::{TryRecvError, unbounded};
    ///
    /// let (s, r) = unbounded();
    /// assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
    /// s.send(5).unwrap();
    /// drop(s);
    /// assert_eq!(r.try_recv(), Ok(5));
    /// assert_eq!(r.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match &self.flavor {
            Flavor::Channel(channel) => channel.try_recv(),
            Flavor::Clock(clock, value) => {
                checkpoint();
                clock.take().map(value).ok_or(TryRecvError::Empty)
            }
            Flavor::Never => {
                checkpoint();
                Err(TryRecvError::Empty)
            }
        }
    }

    /// Receives, and waits until there is a value.
    ///
    /// # Errors
    /// If the channel is empty and disconnected, even if that happens during the call.
    ///
    /// ```
    /// use pirn::channel::{RecvError, unbounded};
    ///
    /// let (s, r) = unbounded();
    /// s.send(5).unwrap();
    /// drop(s);
    /// assert_eq!(r.recv(), Ok(5));
    /// assert_eq!(r.recv(), Err(RecvError));
    /// ```
    #[inline(always)]
    pub fn recv(&self) -> Result<T, RecvError> {
        match &self.flavor {
            Flavor::Channel(channel) => channel.recv(Until::Ever).map_err(|_| RecvError),
            _ => self.recv_until(Until::Ever).map_err(|_| RecvError),
        }
    }

    /// Receives, and waits for `timeout` at most. If a select has promised a value by then, up to 10 ms longer.
    ///
    /// # Errors
    /// `Timeout` or `Disconnected`.
    ///
    /// ```
    /// use pirn::channel::{RecvTimeoutError, unbounded};
    /// use std::time::Duration;
    ///
    /// let (_s, r) = unbounded::<i32>();
    /// assert_eq!(r.recv_timeout(Duration::from_millis(5)), Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(Until::For(timeout))
    }

    /// Receives, and waits until `deadline` at most. If a select has promised a value by then, up to 10 ms longer.
    ///
    /// # Errors
    /// `Timeout` or `Disconnected`.
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Until::At(deadline))
    }

    pub(crate) fn recv_until(&self, until: Until) -> Result<T, RecvTimeoutError> {
        match &self.flavor {
            Flavor::Channel(channel) => channel.recv(until),
            Flavor::Clock(clock, value) => recv_moment(&**clock, until.deadline()).map(value),
            Flavor::Never => {
                let deadline = until.deadline();
                wait_for_nothing(deadline);
                Err(RecvTimeoutError::Timeout)
            }
        }
    }

    /// Whether there is nothing to receive. Unbuffered channels are empty, except for values that were given back, or
    /// that a select has sent to a receiver that had gone.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room in the channel. Unbuffered ones are always full.
    pub fn is_full(&self) -> bool {
        self.capacity().is_some_and(|capacity| self.len() >= capacity)
    }

    /// How many values lie in the channel.
    pub fn len(&self) -> usize {
        checkpoint();
        match &self.flavor {
            Flavor::Channel(channel) => channel.len(),
            Flavor::Clock(clock, _) => usize::from(clock.due().is_some_and(has_come)),
            Flavor::Never => 0,
        }
    }

    /// How many values it holds at most. None: there is no limit.
    pub fn capacity(&self) -> Option<usize> {
        checkpoint();
        match &self.flavor {
            Flavor::Channel(channel) => channel.capacity(),
            Flavor::Clock(..) => Some(1),
            Flavor::Never => Some(0),
        }
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        checkpoint();
        match (&self.flavor, &other.flavor) {
            (Flavor::Channel(a), Flavor::Channel(b)) => Arc::ptr_eq(a, b),
            (Flavor::Clock(a, _), Flavor::Clock(b, _)) => std::sync::Arc::ptr_eq(a, b),
            (Flavor::Never, Flavor::Never) => true,
            _ => false,
        }
    }
}

/// Waits for a channel of the clock.
fn recv_moment(clock: &dyn Clock, deadline: Option<Instant>) -> Result<Instant, RecvTimeoutError> {
    checkpoint();
    loop {
        if let Some(moment) = clock.take() {
            return Ok(moment);
        }
        let until = match (clock.due(), deadline) {
            (None, deadline) => {
                wait_for_nothing(deadline);
                return Err(RecvTimeoutError::Timeout);
            }
            (Some(due), Some(deadline)) if deadline < due => {
                wait_for_nothing(Some(deadline));
                return Err(RecvTimeoutError::Timeout);
            }
            (Some(due), _) => due,
        };
        while !has_come(until) {
            park_until(&CHAN_RECEIVE, 0, until);
        }
    }
}

/// Waits until a deadline, or for ever.
fn wait_for_nothing(deadline: Option<Instant>) {
    checkpoint();
    loop {
        match deadline {
            None => park_on(&CHAN_RECEIVE_NEVER, 0),
            Some(deadline) if has_come(deadline) => return,
            Some(deadline) => park_until(&CHAN_RECEIVE_NEVER, 0, deadline),
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        let flavor = match &self.flavor {
            Flavor::Channel(channel) => {
                // Relaxed: as for senders.
                channel.receivers_alive.fetch_add(1, Ordering::Relaxed);
                Flavor::Channel(channel.clone())
            }
            Flavor::Clock(clock, value) => Flavor::Clock(clock.clone(), *value),
            Flavor::Never => Flavor::Never,
        };
        Receiver { flavor }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Flavor::Channel(channel) = &self.flavor
            // AcqRel: as for senders.
            && channel.receivers_alive.fetch_sub(1, Ordering::AcqRel) == 1
        {
            channel.close_and_discard();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}
