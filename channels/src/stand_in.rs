//! A stand-in for the channels, to test what surrounds them: slow and simple, one lock for all channels of the process.
#![allow(missing_docs, unnameable_types, reason = "it will be thrown away")]

use crossbeam_channel::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
use pirn_runtime::{Unparker, park, park_timeout, yield_now};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::iter::FusedIterator;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

static WORLD: Mutex<()> = Mutex::new(());
static IDS: AtomicU64 = AtomicU64::new(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn number() -> u64 {
    IDS.fetch_add(1, SeqCst)
}

/// How a waiter was claimed.
const HANDED: usize = 1;
const SLOT: usize = 2;
const ENDED: usize = 3;

struct Wait {
    id: u64,
    /// 0, or the operation and how, plus one.
    claimed: AtomicUsize,
    waker: Mutex<Waker>,
}

impl Wait {
    fn new(waker: Waker) -> Arc<Wait> {
        Arc::new(Wait { id: number(), claimed: AtomicUsize::new(0), waker: Mutex::new(waker) })
    }

    fn claim(&self, op: usize, how: usize) -> bool {
        let won = self.claimed.compare_exchange(0, op * 4 + how, SeqCst, SeqCst).is_ok();
        if won {
            lock(&self.waker).wake_by_ref();
        }
        won
    }

    fn how(&self) -> Option<(usize, usize)> {
        match self.claimed.load(SeqCst) {
            0 => None,
            n => Some((n / 4, n % 4)),
        }
    }
}

struct Entry<T> {
    wait: Arc<Wait>,
    op: usize,
    watch: bool,
    value: Option<T>,
}

struct State<T> {
    cap: Option<usize>,
    queue: VecDeque<T>,
    reserved: usize,
    senders: usize,
    receivers: usize,
    closed: bool,
    sendq: VecDeque<Entry<T>>,
    recvq: VecDeque<Entry<T>>,
    handed: HashMap<u64, T>,
}

struct Chan<T>(Mutex<State<T>>);

enum Got<T> {
    Value(T),
    Promise(u64),
}

enum Place<T> {
    Done,
    /// The message goes to this waiter, or into the queue.
    Full(T),
    Ended(T),
}

fn next<T>(queue: &mut VecDeque<Entry<T>>, how: usize) -> Option<Entry<T>> {
    while let Some(entry) = queue.pop_front() {
        if entry.wait.claim(entry.op, how) && !entry.watch {
            return Some(entry);
        }
    }
    None
}

fn tell<T>(queue: &mut VecDeque<Entry<T>>) {
    queue.retain(|e| !e.watch || !e.wait.claim(e.op, HANDED));
}

impl<T> State<T> {
    fn over(&self) -> bool {
        self.closed || self.receivers == 0
    }

    fn room(&self) -> bool {
        self.cap.is_none_or(|cap| self.queue.len() + self.reserved < cap)
    }

    fn take(&mut self) -> Result<Got<T>, TryRecvError> {
        if let Some(value) = self.queue.pop_front() {
            self.refill();
            return Ok(Got::Value(value));
        }
        if self.cap == Some(0)
            && let Some(entry) = next(&mut self.sendq, HANDED)
        {
            return Ok(entry.value.map_or(Got::Promise(entry.wait.id), Got::Value));
        }
        if (self.closed || self.senders == 0) && self.reserved == 0 {
            return Err(TryRecvError::Disconnected);
        }
        Err(TryRecvError::Empty)
    }

    fn refill(&mut self) {
        while self.room() && self.cap != Some(0) && !self.over() {
            match next(&mut self.sendq, SLOT) {
                Some(Entry { value: Some(value), .. }) => self.push(value),
                Some(_) => self.reserved += 1,
                None => return,
            }
        }
    }

    fn push(&mut self, value: T) {
        match next(&mut self.recvq, HANDED) {
            Some(entry) => _ = self.handed.insert(entry.wait.id, value),
            None => self.queue.push_back(value),
        }
    }

    fn place(&mut self, value: T) -> Place<T> {
        if self.over() {
            return Place::Ended(value);
        }
        if let Some(entry) = next(&mut self.recvq, HANDED) {
            self.handed.insert(entry.wait.id, value);
            return Place::Done;
        }
        if self.room() {
            self.queue.push_back(value);
            return Place::Done;
        }
        Place::Full(value)
    }

    fn end(&mut self) {
        for entry in std::mem::take(&mut self.sendq) {
            if entry.wait.claim(entry.op, ENDED)
                && let Some(value) = entry.value
            {
                self.handed.insert(entry.wait.id, value);
            }
        }
        if self.queue.is_empty() && self.reserved == 0 {
            for entry in std::mem::take(&mut self.recvq) {
                entry.wait.claim(entry.op, ENDED);
            }
        }
    }

    fn remove(&mut self, id: u64) -> Option<T> {
        self.recvq.retain(|e| e.wait.id != id);
        let at = self.sendq.iter().position(|e| e.wait.id == id && e.value.is_some());
        let value = at.and_then(|at| self.sendq.remove(at)).and_then(|e| e.value);
        self.sendq.retain(|e| e.wait.id != id);
        value
    }
}

impl<T> Chan<T> {
    fn handed(&self, id: u64) -> T {
        loop {
            if let Some(value) = lock(&self.0).handed.remove(&id) {
                return value;
            }
            yield_now();
        }
    }
}

/// Parks until `wait` is claimed or the moment has come.
fn sleep_on(wait: &Wait, until: Option<Instant>) {
    while wait.how().is_none() {
        match until {
            None => park(),
            Some(until) => match until.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => park_timeout(left),
                _ => return,
            },
        }
    }
}

struct Clock<T> {
    next: Mutex<Option<Instant>>,
    period: Option<Duration>,
    make: fn(Instant) -> T,
    handed: Mutex<HashMap<u64, T>>,
}

impl<T> Clock<T> {
    fn take(&self) -> Option<T> {
        let mut next = lock(&self.next);
        let due = (*next)?;
        let now = Instant::now();
        if now < due {
            return None;
        }
        *next = self.period.map(|period| now + period);
        Some((self.make)(due))
    }

    fn due(&self) -> bool {
        lock(&self.next).is_some_and(|next| Instant::now() >= next)
    }
}

enum Line<T> {
    Chan(Arc<Chan<T>>),
    Clock(Arc<Clock<T>>),
    Never,
}

pub struct Sender<T>(Arc<Chan<T>>);
pub struct Receiver<T>(Line<T>);

fn make<T>(cap: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let chan = Arc::new(Chan(Mutex::new(State {
        cap,
        queue: VecDeque::new(),
        reserved: 0,
        senders: 1,
        receivers: 1,
        closed: false,
        sendq: VecDeque::new(),
        recvq: VecDeque::new(),
        handed: HashMap::new(),
    })));
    (Sender(chan.clone()), Receiver(Line::Chan(chan)))
}

pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    make(None)
}

pub fn bounded<T>(cap: usize) -> (Sender<T>, Receiver<T>) {
    make(Some(cap))
}

fn clock(next: Option<Instant>, period: Option<Duration>) -> Receiver<Instant> {
    Receiver(Line::Clock(Arc::new(Clock { next: Mutex::new(next), period, make: |i| i, handed: Mutex::default() })))
}

pub fn after(duration: Duration) -> Receiver<Instant> {
    clock(Instant::now().checked_add(duration), None)
}

pub fn at(when: Instant) -> Receiver<Instant> {
    clock(Some(when), None)
}

pub fn tick(duration: Duration) -> Receiver<Instant> {
    clock(Instant::now().checked_add(duration), Some(duration))
}

pub fn never<T>() -> Receiver<T> {
    Receiver(Line::Never)
}

impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Sender<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.0.0)
    }

    pub fn try_send(&self, msg: T) -> Result<(), TrySendError<T>> {
        let _world = lock(&WORLD);
        let mut state = self.state();
        match state.place(msg) {
            Place::Done => {
                tell(&mut state.recvq);
                Ok(())
            }
            Place::Full(msg) => Err(TrySendError::Full(msg)),
            Place::Ended(msg) => Err(TrySendError::Disconnected(msg)),
        }
    }

    pub fn send(&self, msg: T) -> Result<(), SendError<T>> {
        match self.send_until(msg, None) {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Disconnected(msg) | SendTimeoutError::Timeout(msg)) => Err(SendError(msg)),
        }
    }

    pub fn send_timeout(&self, msg: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_until(msg, Instant::now().checked_add(timeout))
    }

    pub fn send_deadline(&self, msg: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_until(msg, Some(deadline))
    }

    /// Sends, or is in the line.
    fn begin(&self, msg: T, waker: impl FnOnce() -> Waker) -> Result<Result<(), T>, Arc<Wait>> {
        let _world = lock(&WORLD);
        let mut state = self.state();
        let value = match state.place(msg) {
            Place::Done => {
                tell(&mut state.recvq);
                return Ok(Ok(()));
            }
            Place::Ended(msg) => return Ok(Err(msg)),
            Place::Full(msg) => msg,
        };
        let wait = Wait::new(waker());
        state.sendq.push_back(Entry { wait: wait.clone(), op: 0, watch: false, value: Some(value) });
        tell(&mut state.recvq);
        Err(wait)
    }

    fn send_until(&self, msg: T, until: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        let wait = match self.begin(msg, || Waker::from(Unparker::current())) {
            Ok(done) => return done.map_err(SendTimeoutError::Disconnected),
            Err(wait) => wait,
        };
        let _cancel = Cancel(|| {
            let _world = lock(&WORLD);
            drop(self.state().remove(wait.id));
        });
        sleep_on(&wait, until);
        let _world = lock(&WORLD);
        let mut state = self.state();
        match wait.how() {
            None => Err(SendTimeoutError::Timeout(state.remove(wait.id).expect("nobody took it"))),
            Some((_, ENDED)) => {
                Err(SendTimeoutError::Disconnected(state.handed.remove(&wait.id).expect("it was given back")))
            }
            Some(_) => Ok(()),
        }
    }

    pub fn send_async(&self, msg: T) -> SendFuture<'_, T> {
        SendFuture { sender: self, msg: Some(msg), wait: None }
    }

    pub fn close(&self) {
        let _world = lock(&WORLD);
        let mut state = self.state();
        state.closed = true;
        state.end();
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_full(&self) -> bool {
        !self.state().room()
    }

    pub fn len(&self) -> usize {
        self.state().queue.len()
    }

    pub fn capacity(&self) -> Option<usize> {
        self.state().cap
    }

    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Runs when what waits is unwound.
struct Cancel<F: FnMut()>(F);

impl<F: FnMut()> Drop for Cancel<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

impl<T> Receiver<T> {
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let promise = match &self.0 {
            Line::Never => return Err(TryRecvError::Empty),
            Line::Clock(clock) => return clock.take().ok_or(TryRecvError::Empty),
            Line::Chan(chan) => {
                let _world = lock(&WORLD);
                let mut state = lock(&chan.0);
                match state.take()? {
                    Got::Value(value) => {
                        tell(&mut state.sendq);
                        return Ok(value);
                    }
                    Got::Promise(id) => id,
                }
            }
        };
        Ok(self.chan().handed(promise))
    }

    fn chan(&self) -> &Chan<T> {
        match &self.0 {
            Line::Chan(chan) => chan,
            _ => unreachable!("a clock hands nothing over"),
        }
    }

    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(None).map_err(|_| RecvError)
    }

    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(deadline))
    }

    fn recv_until(&self, until: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let mut select = Select::new();
        select.recv(self);
        match select.until(until) {
            Some(operation) => operation.recv(self).map_err(|_| RecvTimeoutError::Disconnected),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture { receiver: self, wait: None }
    }

    pub fn stream(&self) -> RecvStream<'_, T> {
        RecvStream(self.recv_async())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_full(&self) -> bool {
        match &self.0 {
            Line::Chan(chan) => !lock(&chan.0).room(),
            Line::Clock(clock) => clock.due(),
            Line::Never => true,
        }
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Line::Chan(chan) => lock(&chan.0).queue.len(),
            Line::Clock(clock) => usize::from(clock.due()),
            Line::Never => 0,
        }
    }

    pub fn capacity(&self) -> Option<usize> {
        match &self.0 {
            Line::Chan(chan) => lock(&chan.0).cap,
            Line::Clock(_) => Some(1),
            Line::Never => Some(0),
        }
    }

    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }

    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        match (&self.0, &other.0) {
            (Line::Chan(a), Line::Chan(b)) => Arc::ptr_eq(a, b),
            (Line::Clock(a), Line::Clock(b)) => Arc::ptr_eq(a, b),
            (Line::Never, Line::Never) => true,
            _ => false,
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.state().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let _world = lock(&WORLD);
        let mut state = self.state();
        state.senders -= 1;
        if state.senders == 0 {
            state.end();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver(match &self.0 {
            Line::Chan(chan) => {
                lock(&chan.0).receivers += 1;
                Line::Chan(chan.clone())
            }
            Line::Clock(clock) => Line::Clock(clock.clone()),
            Line::Never => Line::Never,
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Line::Chan(chan) = &self.0 {
            let left = {
                let _world = lock(&WORLD);
                let mut state = lock(&chan.0);
                state.receivers -= 1;
                if state.receivers > 0 {
                    return;
                }
                state.end();
                std::mem::take(&mut state.queue)
            };
            // One that panics when it is dropped is followed by no other.
            let mut left = std::mem::ManuallyDrop::new(left);
            while let Some(value) = left.pop_front() {
                drop(value);
            }
            drop(std::mem::ManuallyDrop::into_inner(left));
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}

#[derive(Debug)]
pub struct Iter<'a, T>(&'a Receiver<T>);
#[derive(Debug)]
pub struct TryIter<'a, T>(&'a Receiver<T>);
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for Iter<'_, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}
impl<T> FusedIterator for Iter<'_, T> {}
impl<T> Iterator for TryIter<'_, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}
impl<T> Iterator for IntoIter<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}
impl<T> FusedIterator for IntoIter<T> {}
impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

// ---------------------------------------------------------------------------------------------------- futures

#[must_use]
#[derive(Debug)]
pub struct SendFuture<'a, T> {
    sender: &'a Sender<T>,
    msg: Option<T>,
    wait: Option<Arc<Wait>>,
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

impl<T> Unpin for SendFuture<'_, T> {}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(msg) = self.msg.take() {
            return match self.sender.begin(msg, || cx.waker().clone()) {
                Ok(done) => Poll::Ready(done.map_err(SendError)),
                Err(wait) => {
                    self.wait = Some(wait);
                    Poll::Pending
                }
            };
        }
        let _world = lock(&WORLD);
        let wait = self.wait.take().expect("polled after its end");
        match wait.how() {
            None => {
                lock(&wait.waker).clone_from(cx.waker());
                self.wait = Some(wait);
                Poll::Pending
            }
            Some((_, ENDED)) => {
                let msg = self.sender.state().handed.remove(&wait.id).expect("it was given back");
                Poll::Ready(Err(SendError(msg)))
            }
            Some(_) => Poll::Ready(Ok(())),
        }
    }
}

impl<T> Drop for SendFuture<'_, T> {
    fn drop(&mut self) {
        if let Some(wait) = self.wait.take() {
            let _world = lock(&WORLD);
            let mut state = self.sender.state();
            let left = (state.remove(wait.id), state.handed.remove(&wait.id));
            drop((state, _world));
            drop(left);
        }
    }
}

#[must_use]
#[derive(Debug)]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    wait: Option<Arc<Wait>>,
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Line::Chan(chan) = &self.receiver.0 else {
            cx.waker().wake_by_ref();
            yield_now();
            return self.receiver.try_recv().map_or(Poll::Pending, |value| Poll::Ready(Ok(value)));
        };
        let world = lock(&WORLD);
        if let Some(wait) = self.wait.take() {
            match wait.how() {
                None => {
                    lock(&wait.waker).clone_from(cx.waker());
                    self.wait = Some(wait);
                    return Poll::Pending;
                }
                Some((_, HANDED)) => {
                    drop(world);
                    return Poll::Ready(Ok(chan.handed(wait.id)));
                }
                Some(_) => {}
            }
        }
        let mut state = lock(&chan.0);
        match state.take() {
            Ok(Got::Value(value)) => {
                tell(&mut state.sendq);
                Poll::Ready(Ok(value))
            }
            Ok(Got::Promise(id)) => {
                drop((state, world));
                Poll::Ready(Ok(chan.handed(id)))
            }
            Err(TryRecvError::Disconnected) => Poll::Ready(Err(RecvError)),
            Err(TryRecvError::Empty) => {
                let wait = Wait::new(cx.waker().clone());
                state.recvq.push_back(Entry { wait: wait.clone(), op: 0, watch: false, value: None });
                tell(&mut state.sendq);
                drop((state, world));
                self.wait = Some(wait);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        if let (Some(wait), Line::Chan(chan)) = (self.wait.take(), &self.receiver.0) {
            let world = lock(&WORLD);
            lock(&chan.0).remove(wait.id);
            if wait.how().is_some_and(|(_, how)| how == HANDED) {
                drop(world);
                let value = chan.handed(wait.id);
                let _world = lock(&WORLD);
                let mut state = lock(&chan.0);
                match next(&mut state.recvq, HANDED) {
                    Some(entry) => _ = state.handed.insert(entry.wait.id, value),
                    None => state.queue.push_front(value),
                }
            }
        }
    }
}

#[derive(Debug)]
pub struct RecvStream<'a, T>(RecvFuture<'a, T>);

impl<T> futures_core::Stream for RecvStream<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

// ---------------------------------------------------------------------------------------------------- select

#[derive(Clone, Copy, Debug, PartialEq)]
enum Done {
    /// The message is, or will be, under this number.
    From(u64),
    /// The message goes under this number.
    To(u64),
    Slot,
    Ended,
}

trait Case {
    fn attempt(&self, id: u64) -> Option<Done>;
    fn ready(&self) -> bool;
    fn enqueue(&self, wait: &Arc<Wait>, op: usize, watch: bool);
    fn dequeue(&self, id: u64);
    fn due(&self) -> Option<Instant>;
    fn is_send(&self) -> bool;
}

impl<T> Case for Sender<T> {
    fn attempt(&self, _: u64) -> Option<Done> {
        let mut state = self.state();
        if state.over() {
            return Some(Done::Ended);
        }
        if let Some(entry) = next(&mut state.recvq, HANDED) {
            return Some(Done::To(entry.wait.id));
        }
        state.room().then(|| {
            state.reserved += 1;
            Done::Slot
        })
    }

    fn ready(&self) -> bool {
        let state = self.state();
        state.over() || state.room() || state.recvq.iter().any(|e| !e.watch && e.wait.how().is_none())
    }

    fn enqueue(&self, wait: &Arc<Wait>, op: usize, watch: bool) {
        let mut state = self.state();
        state.sendq.push_back(Entry { wait: wait.clone(), op, watch, value: None });
        if !watch {
            tell_others(&mut state.recvq, wait.id);
        }
    }

    fn dequeue(&self, id: u64) {
        self.state().remove(id);
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn is_send(&self) -> bool {
        true
    }
}

fn tell_others<T>(queue: &mut VecDeque<Entry<T>>, id: u64) {
    queue.retain(|e| !e.watch || e.wait.id == id || !e.wait.claim(e.op, HANDED));
}

impl<T> Case for Receiver<T> {
    fn attempt(&self, id: u64) -> Option<Done> {
        match &self.0 {
            Line::Never => None,
            Line::Clock(clock) => {
                lock(&clock.handed).insert(id, clock.take()?);
                Some(Done::From(id))
            }
            Line::Chan(chan) => {
                let mut state = lock(&chan.0);
                match state.take() {
                    Ok(Got::Value(value)) => {
                        state.handed.insert(id, value);
                        tell(&mut state.sendq);
                        Some(Done::From(id))
                    }
                    Ok(Got::Promise(id)) => Some(Done::From(id)),
                    Err(TryRecvError::Disconnected) => Some(Done::Ended),
                    Err(TryRecvError::Empty) => None,
                }
            }
        }
    }

    fn ready(&self) -> bool {
        match &self.0 {
            Line::Never => false,
            Line::Clock(clock) => clock.due(),
            Line::Chan(chan) => {
                let s = lock(&chan.0);
                !s.queue.is_empty()
                    || s.cap == Some(0) && s.sendq.iter().any(|e| !e.watch && e.wait.how().is_none())
                    || (s.closed || s.senders == 0) && s.reserved == 0
            }
        }
    }

    fn enqueue(&self, wait: &Arc<Wait>, op: usize, watch: bool) {
        if let Line::Chan(chan) = &self.0 {
            let mut state = lock(&chan.0);
            state.recvq.push_back(Entry { wait: wait.clone(), op, watch, value: None });
            if !watch {
                tell_others(&mut state.sendq, wait.id);
            }
        }
    }

    fn dequeue(&self, id: u64) {
        if let Line::Chan(chan) = &self.0 {
            lock(&chan.0).remove(id);
        }
    }

    fn due(&self) -> Option<Instant> {
        match &self.0 {
            Line::Clock(clock) => *lock(&clock.next),
            _ => None,
        }
    }

    fn is_send(&self) -> bool {
        false
    }
}

#[derive(Clone, Default)]
pub struct Select<'a> {
    cases: Vec<Option<&'a dyn Case>>,
    biased: bool,
}

// SAFETY: as in crossbeam-channel: everything in a channel is behind locks.
unsafe impl Send for Select<'_> {}
// SAFETY: as above.
unsafe impl Sync for Select<'_> {}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Select { .. }")
    }
}

impl<'a> Select<'a> {
    pub fn new() -> Select<'a> {
        Select::default()
    }

    pub fn new_biased() -> Select<'a> {
        Select { biased: true, ..Select::default() }
    }

    pub fn send<T>(&mut self, s: &'a Sender<T>) -> usize {
        self.cases.push(Some(s));
        self.cases.len() - 1
    }

    pub fn recv<T>(&mut self, r: &'a Receiver<T>) -> usize {
        self.cases.push(Some(r));
        self.cases.len() - 1
    }

    pub fn remove(&mut self, index: usize) {
        assert!(index < self.cases.len(), "index out of bounds; {index} >= {}", self.cases.len());
        assert!(self.cases[index].take().is_some(), "no operation with this index");
    }

    /// The cases from a random one on.
    fn in_order(&self) -> Vec<(usize, &'a dyn Case)> {
        let mut cases: Vec<_> = self.cases.iter().enumerate().filter_map(|(i, c)| Some((i, (*c)?))).collect();
        if !self.biased && cases.len() > 1 {
            let mut n = number().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for i in (1..cases.len()).rev() {
                n ^= n >> 29;
                n = n.wrapping_mul(0xbf58_476d_1ce4_e5b9);
                cases.swap(i, ((n >> 33) as usize) % (i + 1));
            }
        }
        cases
    }

    fn attempt(&self) -> Option<SelectedOperation<'a>> {
        let id = number();
        let (index, done) = self.in_order().into_iter().find_map(|(i, c)| Some((i, c.attempt(id)?)))?;
        Some(SelectedOperation { index, done, case: self.cases[index].expect("it was there"), over: false })
    }

    fn until(&mut self, until: Option<Instant>) -> Option<SelectedOperation<'a>> {
        loop {
            let wait = {
                let _world = lock(&WORLD);
                if let Some(operation) = self.attempt() {
                    return Some(operation);
                }
                if until.is_some_and(|until| Instant::now() >= until) {
                    return None;
                }
                let wait = Wait::new(Waker::from(Unparker::current()));
                self.in_order().into_iter().for_each(|(i, c)| c.enqueue(&wait, i, false));
                wait
            };
            let cases = self.in_order();
            let leave = Cancel(|| {
                let _world = lock(&WORLD);
                cases.iter().for_each(|(_, c)| c.dequeue(wait.id));
            });
            let due = cases.iter().filter_map(|(_, c)| c.due()).chain(until).min();
            sleep_on(&wait, due);
            std::mem::forget(leave);
            let _world = lock(&WORLD);
            cases.iter().for_each(|(_, c)| c.dequeue(wait.id));
            if let Some((index, how)) = wait.how() {
                let case = self.cases[index].expect("it was there");
                let done = match (how, case.is_send()) {
                    (ENDED, _) => Done::Ended,
                    (SLOT, _) => Done::Slot,
                    (_, true) => Done::To(wait.id),
                    _ => Done::From(wait.id),
                };
                return Some(SelectedOperation { index, done, case, over: false });
            }
        }
    }

    fn ready_until(&mut self, until: Option<Instant>) -> Option<usize> {
        loop {
            let (wait, cases) = {
                let _world = lock(&WORLD);
                let cases = self.in_order();
                if let Some((i, _)) = cases.iter().find(|(_, c)| c.ready()) {
                    return Some(*i);
                }
                if until.is_some_and(|until| Instant::now() >= until) {
                    return None;
                }
                let wait = Wait::new(Waker::from(Unparker::current()));
                cases.iter().for_each(|(i, c)| c.enqueue(&wait, *i, true));
                (wait, cases)
            };
            sleep_on(&wait, cases.iter().filter_map(|(_, c)| c.due()).chain(until).min());
            let _world = lock(&WORLD);
            cases.iter().for_each(|(_, c)| c.dequeue(wait.id));
        }
    }

    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        let _world = lock(&WORLD);
        self.attempt().ok_or(TrySelectError)
    }

    pub fn select(&mut self) -> SelectedOperation<'a> {
        self.until(None).expect("it waits for ever")
    }

    pub fn select_timeout(&mut self, timeout: Duration) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.until(Instant::now().checked_add(timeout)).ok_or(SelectTimeoutError)
    }

    pub fn select_deadline(&mut self, deadline: Instant) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.until(Some(deadline)).ok_or(SelectTimeoutError)
    }

    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.ready_until(Some(Instant::now())).ok_or(TryReadyError)
    }

    pub fn ready(&mut self) -> usize {
        assert!(self.cases.iter().any(Option::is_some), "no operations have been added to `Select`");
        self.ready_until(None).expect("it waits for ever")
    }

    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.ready_until(Instant::now().checked_add(timeout)).ok_or(ReadyTimeoutError)
    }

    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.ready_until(Some(deadline)).ok_or(ReadyTimeoutError)
    }
}

#[must_use]
pub struct SelectedOperation<'a> {
    index: usize,
    done: Done,
    case: &'a dyn Case,
    over: bool,
}

impl SelectedOperation<'_> {
    pub fn index(&self) -> usize {
        self.index
    }

    pub fn send<T>(mut self, s: &Sender<T>, msg: T) -> Result<(), SendError<T>> {
        let same = std::ptr::eq(std::ptr::from_ref(self.case).cast::<()>(), std::ptr::from_ref(s).cast());
        assert!(same, "passed a sender that wasn't selected");
        self.over = true;
        let _world = lock(&WORLD);
        match self.done {
            Done::To(id) => _ = s.state().handed.insert(id, msg),
            Done::Slot => {
                let mut state = s.state();
                state.reserved -= 1;
                state.push(msg);
                state.refill();
                tell(&mut state.recvq);
                if state.closed {
                    state.end();
                }
            }
            _ => return Err(SendError(msg)),
        }
        Ok(())
    }

    pub fn recv<T>(mut self, r: &Receiver<T>) -> Result<T, RecvError> {
        let same = std::ptr::eq(std::ptr::from_ref(self.case).cast::<()>(), std::ptr::from_ref(r).cast());
        assert!(same, "passed a receiver that wasn't selected");
        self.over = true;
        match (self.done, &r.0) {
            (Done::From(id), Line::Chan(chan)) => Ok(chan.handed(id)),
            (Done::From(id), Line::Clock(clock)) => lock(&clock.handed).remove(&id).ok_or(RecvError),
            _ => Err(RecvError),
        }
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectedOperation { .. }")
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        assert!(self.over, "dropped `SelectedOperation` without completing the operation");
    }
}
