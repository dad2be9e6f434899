//! The operations for async tasks. A task waits in the same line as Gs and threads.
//!
//! A future may be dropped at any time, and the drop does not wait: a value that it has received and not given out goes
//! back; if one was promised to it, the sender finds that the receiver has gone.

#![allow(unsafe_code, reason = "waiters in futures that wait")]

#[cfg(not(loom))]
use crate::alarm::Alarm;
use crate::channel::{Flavor, Receiver, Sender};
use crate::core::{Answer, Channel, Given, Left, Side, Taken, Ticket};
use crate::error::{RecvError, SendError};
#[cfg(loom)]
use crate::loom::Alarm;
use crate::loom::{Unparker, checkpoint};
use crate::operation::Operation;
use futures_core::Stream;
use pirn_runtime::internal::{discard, wake};
use std::fmt;
use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

impl<T> Operation<T> {
    /// The answer, if it has been told. Otherwise `waker` is woken when it is.
    fn poll(&self, channel: &Channel<T>, waker: &Waker) -> Poll<Answer> {
        if let Some(answer) = self.ticket.told() {
            return Poll::Ready(*answer);
        }
        // Cloning and dropping a waker run the user's code, so neither is done under the lock.
        let new = Unparker::from(waker.clone());
        let locked = channel.lock();
        let answer = self.ticket.told().copied();
        let unneeded = match answer {
            Some(_) => new,
            // SAFETY: the lock is held, and the operation is the caller.
            None => unsafe { self.ticket.replace_unparker(new) },
        };
        drop(locked);
        discard(unneeded);
        answer.map_or(Poll::Pending, Poll::Ready)
    }
}

/// What [`Sender::send_async`] returns: resolves when the value is sent.
///
/// If it is dropped before that, it may have sent the value already, because a receiver has taken it or it went into
/// the buffer; otherwise it drops the value.
#[must_use = "futures do nothing unless they are polled"]
pub struct SendFuture<'a, T> {
    sender: &'a Sender<T>,
    value: Option<T>,
    operation: Option<Operation<T>>,
}

// SAFETY: what the line has of it is used under the channel's lock; the value may be sent.
unsafe impl<T: Send> Send for SendFuture<'_, T> {}
// SAFETY: by a shared reference nothing is used of it: only its name is printed.
unsafe impl<T: Send> Sync for SendFuture<'_, T> {}

impl<T> Sender<T> {
    /// As [`send`](Self::send), for async tasks.
    ///
    /// ```
    /// let (s, r) = pirn::channel::bounded(1);
    /// pirn::block_on(async {
    ///     s.send_async(1).await.unwrap();
    ///     assert_eq!(r.recv_async().await, Ok(1));
    /// });
    /// ```
    pub fn send_async(&self, msg: T) -> SendFuture<'_, T> {
        SendFuture { sender: self, value: Some(msg), operation: None }
    }
}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        checkpoint();
        // SAFETY: the operation is moved neither here nor below.
        let this = unsafe { self.get_unchecked_mut() };
        let channel = &*this.sender.channel;
        if let Some(operation) = &this.operation {
            let answer = ready!(operation.poll(channel, cx.waker()));
            if !matches!(answer, Answer::Done) {
                // SAFETY: a sender whose value was not taken has it.
                this.value = Some(unsafe { operation.value() });
            }
            this.operation = None;
            match answer {
                Answer::Done => return Poll::Ready(Ok(())),
                Answer::Closed => {
                    return Poll::Ready(Err(SendError(this.value.take().expect("it has come back"))));
                }
                _ => {}
            }
        }
        // Outside of the lock, as above.
        let unparker = Unparker::from(cx.waker().clone());
        let value = this.value.take().expect("a future is not polled after its end");
        let locked = channel.lock();
        match locked.give(value) {
            Given::Done(told) => {
                drop(locked);
                wake(told);
                discard(unparker);
                Poll::Ready(Ok(()))
            }
            Given::Closed(value) => {
                drop(locked);
                discard(unparker);
                Poll::Ready(Err(SendError(value)))
            }
            Given::Full(value) => {
                let operation = this.operation.insert(Operation::new(Ticket::of(unparker), MaybeUninit::new(value)));
                // SAFETY: the future is pinned, and takes the operation out of the line when it is dropped.
                let waiter = unsafe { operation.prepare() };
                // SAFETY: as above.
                unsafe { locked.senders.push(waiter) };
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for SendFuture<'_, T> {
    fn drop(&mut self) {
        let Some(operation) = &self.operation else { return };
        let left = self.sender.channel.lock().leave(Side::Sends, &operation.waiter);
        if !matches!(left, Left::Answered(Answer::Done)) {
            // SAFETY: a sender whose value was not taken has it.
            drop(unsafe { operation.value() });
        }
    }
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendFuture { .. }")
    }
}

/// What [`Receiver::recv_async`] returns: resolves to a value, or to the end of the channel.
///
/// If it is dropped before that, it has received nothing.
#[must_use = "futures do nothing unless they are polled"]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    operation: Option<Operation<T>>,
    alarm: Alarm,
}

// SAFETY: as for `SendFuture`.
unsafe impl<T: Send> Send for RecvFuture<'_, T> {}
// SAFETY: as for `SendFuture`.
unsafe impl<T: Send> Sync for RecvFuture<'_, T> {}

impl<T> Receiver<T> {
    /// As [`recv`](Self::recv), for async tasks.
    ///
    /// From a channel of the clock ([`after`](crate::after), [`tick`](crate::tick)) a task that is polled on a
    /// goroutine receives by a timer of its runtime. Elsewhere the first such receive starts a thread for all of them.
    ///
    /// It is safe to drop the future, for example in a `select!`: the next receiver gets a value that it has not
    /// returned. The value stays in the channel until then, even in an unbuffered one.
    ///
    /// ```
    /// # pirn::run(|| {
    /// let (s, r) = pirn::channel::bounded(0);
    /// pirn::go(move || s.send("from a goroutine").unwrap());
    /// pirn::block_on(async { assert_eq!(r.recv_async().await, Ok("from a goroutine")) });
    /// # });
    /// ```
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture { receiver: self, operation: None, alarm: Alarm::default() }
    }

    /// The values as a [`Stream`], which ends when the channel is empty and disconnected.
    ///
    /// ```
    /// # use futures_core::Stream;
    /// use std::future::poll_fn;
    /// use std::pin::pin;
    ///
    /// let (s, r) = pirn::channel::unbounded();
    /// s.send(1).unwrap();
    /// drop(s);
    /// let mut values = pin!(r.stream());
    /// pirn::block_on(async {
    ///     assert_eq!(poll_fn(|cx| values.as_mut().poll_next(cx)).await, Some(1));
    ///     assert_eq!(poll_fn(|cx| values.as_mut().poll_next(cx)).await, None);
    /// });
    /// ```
    pub fn stream(&self) -> RecvStream<'_, T> {
        RecvStream { next: self.recv_async() }
    }
}

impl<T> RecvFuture<'_, T> {
    fn poll_channel(&mut self, channel: &Channel<T>, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        if let Some(operation) = &self.operation {
            let answer = ready!(operation.poll(channel, cx.waker()));
            // SAFETY: it was put there.
            let value = matches!(answer, Answer::Done).then(|| unsafe { operation.value() });
            self.operation = None;
            match answer {
                Answer::Retry => {}
                _ => return Poll::Ready(value.ok_or(RecvError)),
            }
        }
        // Outside of the lock, as above.
        let unparker = Unparker::from(cx.waker().clone());
        let locked = channel.lock();
        let claimed = match locked.take() {
            Taken::Value(value, told) => {
                drop(locked);
                wake(told);
                discard(unparker);
                return Poll::Ready(Ok(value));
            }
            Taken::Closed => {
                drop(locked);
                discard(unparker);
                return Poll::Ready(Err(RecvError));
            }
            Taken::Empty => None,
            Taken::Claimed(sender) => Some(sender),
        };
        let operation = self.operation.insert(Operation::new(Ticket::of(unparker), MaybeUninit::uninit()));
        // SAFETY: the future is pinned, and takes the operation out of the line when it is dropped.
        let waiter = unsafe { operation.prepare() };
        match claimed {
            Some(sender) => {
                // SAFETY: as above; it leaves the promise then.
                let told = unsafe { locked.promise(sender, waiter) };
                drop(locked);
                told.wake();
            }
            // SAFETY: as above.
            None => unsafe { locked.receivers.push(waiter) },
        }
        Poll::Pending
    }
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        checkpoint();
        // SAFETY: the operation is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        match &this.receiver.flavor {
            Flavor::Channel(channel) => this.poll_channel(channel, cx),
            Flavor::Clock(clock, value) => {
                if let Some(moment) = clock.take() {
                    return Poll::Ready(Ok(value(moment)));
                }
                if let Some(due) = clock.due() {
                    this.alarm.set(due, cx);
                }
                Poll::Pending
            }
            Flavor::Never => Poll::Pending,
        }
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        let (Some(operation), Flavor::Channel(channel)) = (&self.operation, &self.receiver.flavor) else { return };
        let locked = channel.lock();
        let told = match locked.leave(Side::Receives, &operation.waiter) {
            // SAFETY: it was put there.
            Left::Answered(Answer::Done) => locked.give_back(unsafe { operation.value() }),
            Left::Promised => {
                locked.abandon(&operation.waiter);
                None
            }
            _ => None,
        };
        drop(locked);
        wake(told);
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecvFuture { .. }")
    }
}

/// What [`Receiver::stream`] returns.
#[must_use = "streams do nothing unless they are polled"]
pub struct RecvStream<'a, T> {
    next: RecvFuture<'a, T>,
}

impl<T> Stream for RecvStream<'_, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // SAFETY: the future in it is pinned as the stream is. It may be polled again after its end: it begins anew.
        let next = unsafe { self.map_unchecked_mut(|stream| &mut stream.next) };
        next.poll(cx).map(Result::ok)
    }
}

impl<T> fmt::Debug for RecvStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecvStream { .. }")
    }
}
