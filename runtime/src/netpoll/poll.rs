//! The poll of one runtime: its epoll, made when the first descriptor is registered, the bell of who waits there, and
//! how often it was asked.

use super::seat::Seat;
use crate::config::LATELY_NS;
use crate::os::{Epoll, EventFd, PollEvent, PollEvents, Watch};
use crate::os::{Mutex, MutexGuard};
use crate::probe::exit_with_report;
use crossbeam_utils::CachePadded;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, TryLockError};

/// The token of the bell. No record has it: there are not so many.
const BELL: u64 = u64::MAX;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Netpoll {
    /// Read by all that look for work.
    hints: CachePadded<Hints>,
    state: Mutex<State>,
    /// What is asked, while there is an epoll: a copy of what `state` has. Whoever asks without waiting has this lock,
    /// so there is one of them at a time, and it takes no other.
    asked: CachePadded<Mutex<Option<Arc<Open>>>>,
    /// When it was asked last, without counting one that waits just now.
    asked_ns: AtomicU64,
    /// When it had events last.
    had_ns: AtomicU64,
    polls: AtomicU64,
    events: AtomicU64,
}

#[derive(Debug)]
struct Hints {
    /// How many records are at its epoll.
    registered: AtomicUsize,
    /// Of the keeper, which waits in it.
    seat: Seat,
}

#[derive(Debug)]
enum State {
    /// No descriptor has been registered yet.
    Unmade,
    Open(Arc<Open>),
    /// The runtime has ended.
    Closed,
}

#[derive(Debug)]
struct Open {
    epoll: Epoll,
    bell: EventFd,
}

impl Open {
    /// It has room for events on its stack, 1.5 KiB. Inlined, it would have that in the frame of each first wait, and an
    /// idle connection one page more.
    #[cold]
    #[inline(never)]
    fn make() -> io::Result<Arc<Open>> {
        let open = Open { epoll: Epoll::new()?, bell: EventFd::new()? };
        open.epoll.add_bell(&open.bell, BELL)?;
        Ok(Arc::new(open))
    }

    /// The epoll has refused to add a descriptor.
    #[cold]
    #[inline(never)]
    fn add_again(
        &self,
        error: &io::Error,
        fd: BorrowedFd<'_>,
        token: u64,
        is_used: impl FnOnce() -> bool,
    ) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::AlreadyExists if is_used() => Err(io::Error::new(io::ErrorKind::AlreadyExists, USED)),
            io::ErrorKind::AlreadyExists => self.epoll.change(fd, token).map_err(|error| explained(&error, UNWATCHED)),
            // EPERM.
            io::ErrorKind::PermissionDenied => Err(io::Error::new(io::ErrorKind::Unsupported, UNPOLLABLE)),
            _ => Err(explained(error, UNWATCHED)),
        }
    }

    /// If there is no epoll any more, whatever waits would wait for ever, and who asks would ask again without a pause.
    fn wait(&self, came: &mut Came, timeout_ns: Option<u64>) {
        if let Err(error) = self.epoll.wait(&mut came.0, timeout_ns) {
            exit_with_report(&format!("{LOST}: {error}"));
        }
    }
}

/// What a poll has brought.
#[derive(Debug)]
pub(crate) struct Came(PollEvents);

impl Came {
    /// Nothing.
    pub(crate) fn new() -> Came {
        Came(PollEvents::new())
    }

    /// Whether it is nothing. The bell is nothing that has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The events of descriptors.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PollEvent> {
        self.0.iter().filter(|event| event.token != BELL)
    }
}

impl Netpoll {
    /// Nothing is registered, so there is no epoll.
    pub(crate) fn new() -> Arc<Netpoll> {
        let hints = Hints { registered: AtomicUsize::new(0), seat: Seat::new() };
        Arc::new(Netpoll {
            hints: CachePadded::new(hints),
            state: Mutex::new(State::Unmade),
            asked: CachePadded::new(Mutex::new(None)),
            asked_ns: AtomicU64::new(0),
            had_ns: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            events: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock can only be an allocation that failed, before anything was changed.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// How many descriptors are registered. Whoever has seen the first one be registered, or takes a lock after that
    /// one, sees it here.
    #[inline(always)]
    pub(crate) fn registered(&self) -> usize {
        self.hints.registered.load(Ordering::Relaxed)
    }

    /// Whether somebody waits in it.
    pub(crate) fn has_waiter(&self) -> bool {
        self.hints.seat.is_taken()
    }

    /// When somebody asked it last.
    pub(crate) fn asked_ns(&self) -> u64 {
        self.asked_ns.load(Ordering::Relaxed)
    }

    /// Whether it has had events lately: a hint.
    pub(crate) fn has_had_events(&self, now_ns: u64) -> bool {
        now_ns < self.had_ns.load(Ordering::Relaxed).saturating_add(LATELY_NS)
    }

    /// It has had events at `now_ns`.
    pub(crate) fn had_events(&self, now_ns: u64) {
        self.had_ns.store(now_ns, Ordering::Relaxed);
    }

    /// How often it was asked, and how many events it had.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.polls.load(Ordering::Relaxed), self.events.load(Ordering::Relaxed))
    }

    fn open(&self) -> Option<Arc<Open>> {
        match &*self.lock() {
            State::Open(open) => Some(open.clone()),
            State::Unmade | State::Closed => None,
        }
    }

    fn open_or_make(&self) -> io::Result<Arc<Open>> {
        let mut state = self.lock();
        match &*state {
            State::Open(open) => Ok(open.clone()),
            State::Closed => Err(io::Error::new(io::ErrorKind::NotConnected, ENDED)),
            State::Unmade => self.make(&mut state),
        }
    }

    /// Not inlined, as all that is done once or never on the way of a first wait: each idle connection has the deepest of its
    /// frames.
    #[cold]
    #[inline(never)]
    fn make(&self, state: &mut State) -> io::Result<Arc<Open>> {
        let open = Open::make().map_err(|error| explained(&error, "the runtime gets no epoll"))?;
        *state = State::Open(open.clone());
        self.set_asked(Some(open.clone()));
        Ok(open)
    }

    /// Adds a descriptor for a record, and says whether it is the only one. The caller holds the record's lock. The
    /// epoll may have the descriptor, as its record has gone without having taken it out; unless it `is_used` by
    /// another.
    pub(super) fn add(&self, fd: BorrowedFd<'_>, token: u64, is_used: impl FnOnce() -> bool) -> io::Result<bool> {
        let open = self.open_or_make()?;
        if let Err(error) = open.epoll.add(fd, token) {
            open.add_again(&error, fd, token, is_used)?;
        }
        // SeqCst as all that changes it: the one that makes it 1 tells the keeper, and does so by a lock.
        Ok(self.hints.registered.fetch_add(1, Ordering::SeqCst) == 0)
    }

    /// Has a descriptor of others watched, which is there, or is not.
    pub(super) fn watch(&self, fd: RawFd, watch: Watch, token: u64, is_there: bool) -> io::Result<()> {
        self.open_or_make()?.epoll.watch(fd, watch, token, is_there)
    }

    /// One is watched that was not there. Returns whether it is the only one.
    pub(super) fn has_one_more(&self) -> bool {
        // SeqCst: as in `add`.
        self.hints.registered.fetch_add(1, Ordering::SeqCst) == 0
    }

    /// A record has left; the descriptor too, if it is still that record's.
    pub(super) fn remove(&self, fd: Option<BorrowedFd<'_>>) {
        if let Some((fd, open)) = fd.zip(self.open()) {
            open.epoll.remove(fd);
        }
        self.hints.registered.fetch_sub(1, Ordering::SeqCst);
    }

    /// The record of a number has left for another epoll.
    pub(super) fn remove_number(&self, fd: RawFd) {
        if let Some(open) = self.open() {
            open.epoll.remove_number(fd);
        }
        self.remove(None);
    }

    /// Where one has to sit to wait.
    pub(crate) fn seat(&self) -> &Seat {
        &self.hints.seat
    }

    /// Waits for events, `timeout_ns` at most, or until the bell rings. For the one that has the seat.
    pub(crate) fn wait(&self, came: &mut Came, timeout_ns: Option<u64>) {
        let Some(open) = self.open() else { return };
        open.wait(came, timeout_ns);
        if came.0.iter().any(|event| event.token == BELL) {
            open.bell.silence();
        }
        self.count(came);
    }

    /// Asks for events without waiting, unless somebody else does, or waits.
    pub(crate) fn ask(&self, came: &mut Came, now_ns: u64) {
        if self.has_waiter() {
            return;
        }
        let asked = match self.asked.try_lock() {
            Ok(asked) => asked,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if let Some(open) = &*asked {
            open.wait(came, Some(0));
            self.count(came);
            self.has_asked(now_ns);
            if !came.is_empty() {
                self.had_events(now_ns);
            }
        }
    }

    /// Changes what is asked. It waits for somebody who asks just now. The caller has the lock of `state`.
    fn set_asked(&self, open: Option<Arc<Open>>) {
        *self.asked.lock().unwrap_or_else(|e| e.into_inner()) = open;
    }

    /// It was asked at `now_ns`.
    pub(crate) fn has_asked(&self, now_ns: u64) {
        self.asked_ns.store(now_ns, Ordering::Relaxed);
    }

    fn count(&self, came: &Came) {
        self.polls.fetch_add(1, Ordering::Relaxed);
        if !came.is_empty() {
            self.events.fetch_add(came.iter().count() as u64, Ordering::Relaxed);
        }
    }

    /// Ends the wait of the keeper, or its next one.
    pub(crate) fn ring(&self) {
        if let Some(open) = self.open() {
            open.bell.ring();
        }
    }

    /// The runtime has ended: nobody asks any more, and nothing is registered from here on. The caller takes the
    /// records out that are here.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        *state = State::Closed;
        self.set_asked(None);
    }

    /// Calls `f` while somebody asks.
    #[cfg(test)]
    pub(crate) fn while_asked(&self, f: impl FnOnce()) {
        let asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
        f();
        drop(asked);
    }
}

const ENDED: &str = "the runtime has ended, so its goroutines cannot wait for descriptors";
const USED: &str = "something else of the process waits for this descriptor already: share it, or dup the descriptor";
const UNPOLLABLE: &str = "epoll cannot watch this kind of file, as a regular file or a directory";
const UNWATCHED: &str = "the descriptor cannot be watched";

const LOST: &str = "the runtime cannot ask its epoll for events any more: something in the program has closed a \
                    descriptor that is not its own, or has forbidden the system call";

/// The same kind of error, with what it was about.
fn explained(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
