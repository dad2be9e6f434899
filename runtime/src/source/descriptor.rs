//! What a socket has beside its descriptor: its place in netpoll.

use super::place::wake;
use crate::clock::{now_ns, ns_of};
use crate::m::fork::is_fork;
use crate::netpoll::{Armed, Direction, Found, Locked, Look, Record, RecordSide, Who, for_each, give_back, take};
use crate::park::checkpoint;
use crate::sched::Shared;
use crate::timers::NEVER;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::time::Instant;

/// The place of one descriptor in netpoll. It has none, and costs nothing, until something waits for it, shuts it or
/// sets a deadline. It does not own the descriptor, of which there is one for as long as it lives.
pub struct Source {
    kind: &'static str,
    record: OnceLock<&'static Record>,
}

/// What an operation has seen before it tried.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub(super) direction: Direction,
    /// None: there was no record.
    pub(super) look: Option<Look>,
    is_drained: bool,
}

impl Seen {
    /// Whether an attempt would block: all that there was has been read ([`Source::drained`]), and nothing has come
    /// since. Then wait with this, and look again.
    #[inline]
    pub fn is_drained(&self) -> bool {
        self.is_drained
    }
}

impl Source {
    /// `kind` is what dumps call it, as `tcp`.
    pub const fn new(kind: &'static str) -> Source {
        Source { kind, record: OnceLock::new() }
    }

    /// What dumps call it.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// To be called before each attempt. If that would block, `wait` takes what this returns, and misses nothing that
    /// has happened in between.
    ///
    /// # Errors
    /// `NotConnected` if it was shut; `TimedOut` if the sticky deadline of this direction has passed.
    #[inline]
    pub fn begin(&self, direction: Direction) -> io::Result<Seen> {
        // An operation that never has to wait would not let others run.
        checkpoint();
        let Some(side) = self.record.get().map(|record| record.side(direction)) else {
            return Ok(Seen { direction, look: None, is_drained: false });
        };
        let look = side.look();
        if look.is_shut() || side.sticky_ns() != NEVER {
            check(side, look)?;
        }
        Ok(Seen { direction, look: Some(look), is_drained: side.is_drained(look) })
    }

    /// A read that has seen this got less than it asked for, so there is no more. Only for a plain read of a TCP
    /// stream: one of a Unix stream also stops where descriptors come along, and one that peeks leaves all there.
    #[inline]
    pub fn drained(&self, seen: Seen) {
        if let (Some(record), Some(look)) = (self.record.get(), seen.look) {
            record.side(seen.direction).drain(look);
        }
    }

    /// Sets the deadline of all operations of that direction, those that wait and those that come. One that has passed
    /// ends all of them. None takes it away.
    pub fn set_deadline(&self, direction: Direction, deadline: Option<Instant>) {
        if is_fork() || deadline.is_none() && self.record.get().is_none() {
            return;
        }
        let deadline_ns = deadline.map_or(NEVER, ns_of);
        self.record_or_take(|_| ()).side(direction).set_sticky_ns(deadline_ns).for_each(wake);
    }

    /// Wakes all that wait; they fail, and so does all that comes later.
    pub fn shut(&self) {
        if !is_fork() {
            self.record_or_take(|_| ()).sides().for_each(|side| side.shut().for_each(wake));
        }
    }

    /// Whether it was shut.
    pub fn is_shut(&self) -> bool {
        self.record.get().is_some_and(|record| record.side(Direction::Read).look().is_shut())
    }

    /// Something has happened to the descriptor of which an epoll does not hear: all that wait try again.
    pub fn try_again(&self) {
        if let Some(record) = self.record.get()
            && !is_fork()
        {
            look_again(record);
        }
    }

    /// Takes the descriptor out of netpoll, as it becomes another's, or is closed while a dup of it lives. What waits
    /// for it tries again.
    pub fn forget(&self, fd: BorrowedFd<'_>) {
        if let Some(record) = self.record.get()
            && !is_fork()
        {
            record.unregister(fd);
            look_again(record);
        }
    }

    /// The record and the look for a wait that has seen this. None: others have used the record since, or nothing has
    /// waited in this direction before, so try again.
    pub(super) fn start(&self, seen: Seen) -> Option<(&'static Record, Look)> {
        let direction = seen.direction;
        let Some(look) = seen.look else {
            let mut look = None;
            let record = self.record_or_take(|new| {
                // Nobody else knows it yet, so it is at no epoll, and no event that this may have missed is counted.
                new.begins_to_count(direction);
                look = Some(new.side(direction).look());
            });
            return look.map(|look| (record, look));
        };
        let record = self.record.get().expect("there was a record to look at");
        if record.begins_to_count(direction) {
            record.side(direction).event().for_each(wake);
            return None;
        }
        Some((record, look))
    }

    /// Its record. The first call takes one, which `f` is told before others know it.
    fn record_or_take(&self, f: impl FnOnce(&'static Record)) -> &'static Record {
        self.record.get_or_init(|| {
            let record = take();
            f(record);
            record
        })
    }
}

/// Its waiters try again.
fn look_again(record: &Record) {
    record.sides().for_each(|side| side.event().for_each(wake));
}

/// Whether an operation may be tried, at that look.
fn check(side: &RecordSide, look: Look) -> io::Result<()> {
    if look.is_shut() {
        return Err(shut());
    }
    if side.sticky_ns() <= now_ns() { Err(timed_out()) } else { Ok(()) }
}

/// What a wait returns that has found this.
pub(super) fn result_of(found: Found) -> io::Result<()> {
    match found {
        Found::Event => Ok(()),
        Found::Shut => Err(shut()),
    }
}

/// Under the lock of a side: until when a wait with that deadline lasts; or what it answers, if it must not begin.
pub(super) fn may_wait(
    side: &RecordSide,
    locked: &Locked<'_, Who, Armed>,
    look: Look,
    deadline_ns: u64,
) -> Result<u64, io::Result<()>> {
    if let Some(found) = locked.differs(look) {
        return Err(result_of(found));
    }
    let until_ns = deadline_ns.min(side.sticky_ns());
    if until_ns != NEVER && until_ns <= now_ns() { Err(Err(timed_out())) } else { Ok(until_ns) }
}

#[cold]
fn shut() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "it has been closed")
}

#[cold]
pub(super) fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the deadline has passed")
}

impl Drop for Source {
    fn drop(&mut self) {
        // In a fork, the record is left as it is.
        if let Some(record) = self.record.get()
            && !is_fork()
        {
            give_back(record);
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("kind", &self.kind).field("is_shut", &self.is_shut()).finish_non_exhaustive()
    }
}

/// A runtime has ended, with all its Ms: nothing is registered with it any more. What waited there from elsewhere tries
/// again, and waits elsewhere.
pub(crate) fn leave_runtime(shared: &Shared) {
    let netpoll = shared.netpoll();
    netpoll.close();
    for_each(|record| {
        if record.leave(netpoll) {
            look_again(record);
        }
    });
}
