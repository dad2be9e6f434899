//! The record of a descriptor.

use super::belief::{Belief, Believed};
use super::numbers::{begin_source, end_source, has_source, lock_number};
use super::poll::Netpoll;
use super::side::{Counted, Look, Side, Taken};
use super::who::Who;
use crate::os::{Mutex, MutexGuard};
use crate::os::{Watch, address_of, kind_of};
use crate::timers::TimerKey;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To read from it, or to accept.
    Read,
    /// To write to it, or to be connected.
    Write,
}

/// The timer of a side, in the heap of some runtime.
pub(crate) struct Armed {
    /// Where it is.
    pub(crate) key: TimerKey,
    /// By whom it is cancelled.
    pub(crate) alarm: Arc<dyn Alarm>,
}

/// Cancels timers.
pub(crate) trait Alarm: Send + Sync {
    /// Cancels the one with that key; it may have fired.
    fn cancel(&self, key: TimerKey);
}

impl Armed {
    /// Cancels it. Not under the lock of a side.
    pub(crate) fn cancel(self) {
        self.alarm.cancel(self.key);
    }
}

/// One direction of a record.
pub(crate) type RecordSide = Side<Who, Armed>;

/// How many cache lines of a record an event touches.
pub(super) const EVENT_LINES: usize = 2;

/// One descriptor that something has waited for. What each event and each wait touch comes first, up to the first waiter
/// of the direction to read: [`EVENT_LINES`].
#[repr(C, align(128))]
pub(crate) struct Record {
    /// Which of its owners has it: the tokens of events have it too.
    generation: AtomicU32,
    /// Its number.
    index: u32,
    /// The poll at whose epoll it is, to compare with; 0 if it is at none. Changed under the lock of `place`.
    at: AtomicUsize,
    /// The descriptor that was added there, or -1. Changed under that lock.
    fd: AtomicI32,
    /// It is for a descriptor of others (`foreign.rs`).
    is_foreign: AtomicBool,
    /// If so, it is kept, and not armed for each event. Changed under the lock of `place`.
    is_kept: AtomicBool,
    /// Whether events of the direction to write are counted. Each event of a socket says that it can be written to.
    counts_writes: Counted,
    /// If it is for one of others, what is believed of each direction.
    beliefs: [Belief; 2],
    sides: [RecordSide; 2],
    place: Mutex<Place>,
}

/// Where a record is, and what kind of thing.
struct Place {
    at: Option<Arc<Netpoll>>,
    kind: &'static str,
    /// Of a descriptor of others: in which directions it is kept.
    kept: [bool; 2],
}

/// A descriptor of others is watched.
pub(crate) struct Watched {
    /// It is the only record at that epoll.
    pub(crate) is_first: bool,
    /// The count of events of the direction from before that: what is ready now is one more.
    pub(crate) look: Look,
    /// What was believed is forgotten, as the record has begun anew.
    pub(crate) anew: Option<[Believed; 2]>,
}

/// A record has begun anew: for another descriptor, or at another epoll.
struct Anew {
    /// Those that have waited.
    left: [Taken<Who>; 2],
    forgotten: [Believed; 2],
}

/// What an observer knows of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Polled {
    pub(crate) fd: RawFd,
    pub(crate) kind: &'static str,
    /// For a socket of the internet: the address of its peer, or if it has none its own.
    pub(crate) address: Option<SocketAddr>,
}

impl Record {
    pub(super) fn free(index: u32) -> Record {
        Record {
            generation: AtomicU32::new(0),
            index,
            at: AtomicUsize::new(0),
            fd: AtomicI32::new(-1),
            is_foreign: AtomicBool::new(false),
            is_kept: AtomicBool::new(false),
            counts_writes: Counted::not_yet(),
            beliefs: [Belief::none(), Belief::none()],
            sides: [Side::new(), Side::new()],
            place: Mutex::new(Place { at: None, kind: "", kept: [false; 2] }),
        }
    }

    /// What a G waits on that waits for it, for observers (`by_what`).
    pub(crate) fn what(&self) -> usize {
        self.index as usize + 1
    }

    /// What waits in that direction.
    #[inline]
    pub(crate) fn side(&self, direction: Direction) -> &RecordSide {
        &self.sides[direction as usize]
    }

    /// Something is about to wait in that direction. True: only now its events begin to be counted (`Counted::begin`).
    pub(crate) fn begins_to_count(&self, direction: Direction) -> bool {
        direction == Direction::Write && self.counts_writes.begin()
    }

    /// Whether an event that says that it can be written to is of use to anybody.
    #[inline]
    pub(crate) fn counts_writes(&self) -> bool {
        self.counts_writes.is_on() || self.is_foreign()
    }

    /// Both directions.
    pub(crate) fn sides(&self) -> impl Iterator<Item = &RecordSide> {
        self.sides.iter()
    }

    pub(super) fn generation(&self) -> u32 {
        // Relaxed: an event that comes as the record changes hands does no harm.
        self.generation.load(Ordering::Relaxed)
    }

    /// What its events are known by.
    fn token(&self) -> u64 {
        u64::from(self.generation()) << 32 | u64::from(self.index)
    }

    /// Whether it is at some epoll.
    #[inline]
    pub(crate) fn is_registered(&self) -> bool {
        // Acquire: whoever sees it sees an epoll that has the descriptor (partner: `register`).
        self.at.load(Ordering::Acquire) != 0
    }

    /// Whether it is at that epoll: a hint.
    pub(crate) fn is_at(&self, poll: &Netpoll) -> bool {
        self.at.load(Ordering::Relaxed) == ptr::from_ref(poll).addr()
    }

    /// The descriptor, or -1 if it is at no epoll: a hint.
    pub(crate) fn fd(&self) -> RawFd {
        self.fd.load(Ordering::Relaxed)
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // A panic under the lock can only be an allocation that failed, before anything was changed.
        self.place.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Adds the descriptor to the epoll of `poll`, if it is at none yet: see [`register`](super::register).
    pub(super) fn register(
        &self,
        fd: BorrowedFd<'_>,
        kind: &'static str,
        poll: &Arc<Netpoll>,
        is_used: impl FnOnce() -> bool,
    ) -> io::Result<bool> {
        let mut place = self.place();
        if place.at.is_some() {
            return Ok(false);
        }
        let number = lock_number(fd.as_raw_fd());
        let is_first = poll.add(fd, self.token(), is_used)?;
        begin_source(fd.as_raw_fd());
        *place = Place { at: Some(poll.clone()), kind, kept: [false; 2] };
        self.fd.store(fd.as_raw_fd(), Ordering::Relaxed);
        // Release: partner is `is_registered`.
        self.at.store(Arc::as_ptr(poll).addr(), Ordering::Release);
        // Now another sees that it is used.
        drop(number);
        Ok(is_first)
    }

    /// It is for a descriptor of others.
    pub(super) fn set_foreign(&self) {
        self.is_foreign.store(true, Ordering::Relaxed);
    }

    /// Whether it is for a descriptor of others.
    #[inline]
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign.load(Ordering::Relaxed)
    }

    /// Whether an event takes the waiters of both directions, as nothing is armed after it, and each arms it again.
    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        // Relaxed: who has just had it kept has had all said again that is ready.
        self.is_foreign() && !self.is_kept.load(Ordering::Relaxed)
    }

    /// What is believed of a direction.
    #[inline]
    pub(crate) fn belief(&self, direction: Direction) -> &Belief {
        &self.beliefs[direction as usize]
    }

    /// Nothing is believed any more. A signal handler may call it. Returns what it is now.
    pub(crate) fn forget(&self) -> [Believed; 2] {
        self.beliefs.each_ref().map(Belief::forget)
    }

    /// Has one event said when something is ready that is waited for: the caller has just put itself into the lists. One
    /// that is kept stays so, and what is ready is said again.
    ///
    /// # Errors
    /// `Unsupported`: a record of ours has the number. It cannot be watched, is closed, there is no epoll, or the runtime has
    /// ended.
    pub(crate) fn arm(&self, fd: RawFd, poll: &Arc<Netpoll>, wake: impl FnMut(Who)) -> io::Result<Watched> {
        self.watch(fd, poll, None, wake)
    }

    /// Has each event of that direction said from now on. The caller has not put itself into the list yet: it does so unless
    /// there are events since the look that this returns.
    ///
    /// # Errors
    /// As [`arm`](Self::arm).
    pub(crate) fn keep(
        &self,
        fd: RawFd,
        poll: &Arc<Netpoll>,
        direction: Direction,
        wake: impl FnMut(Who),
    ) -> io::Result<Watched> {
        self.watch(fd, poll, Some(direction), wake)
    }

    /// `wake` is called without a lock, for those that have to look again.
    fn watch(
        &self,
        fd: RawFd,
        poll: &Arc<Netpoll>,
        kept: Option<Direction>,
        mut wake: impl FnMut(Who),
    ) -> io::Result<Watched> {
        let mut place = self.place();
        let mut anew = None;
        let watched = self.watch_at(&mut place, fd, poll, kept, &mut anew);
        drop(place);
        let forgotten = anew.map(|anew| {
            anew.left.into_iter().for_each(|taken| taken.for_each(&mut wake));
            anew.forgotten
        });
        watched.map(|(is_first, look)| Watched { is_first, look, anew: forgotten })
    }

    /// If nobody else waits for the descriptor, it is at the epoll of `poll` from now on; otherwise it stays where it is.
    fn watch_at(
        &self,
        place: &mut Place,
        fd: RawFd,
        poll: &Arc<Netpoll>,
        kept: Option<Direction>,
        anew: &mut Option<Anew>,
    ) -> io::Result<(bool, Look)> {
        let _number = lock_number(fd);
        if has_source(fd) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // Under the lock of the place: the last to come names all that wait. Who arms is one of them.
        let waiting = self.sides.each_ref().map(Side::waiting);
        let callers = usize::from(kept.is_none());
        if waiting.iter().sum::<usize>() <= callers
            && !self.is_at(poll)
            && let Some(before) = self.take_out(place)
        {
            before.remove_number(fd);
            *anew = Some(self.begin_anew());
        }
        let at = place.at.as_ref().unwrap_or(poll).clone();
        let mut is_there = place.at.is_some();
        let look = loop {
            let is_kept = kept.is_some() || place.kept != [false; 2];
            if is_kept && !is_there && anew.is_none() {
                // It is the first wait, or another descriptor has the number.
                place.kept = [false; 2];
                self.is_kept.store(false, Ordering::Relaxed);
                *anew = Some(self.begin_anew());
                continue;
            }
            let directions = [Direction::Read, Direction::Write].map(|direction| {
                let nth = direction as usize;
                waiting[nth] != 0 || place.kept[nth] || kept == Some(direction)
            });
            let watch = if is_kept { Watch::Always(directions) } else { Watch::Once(directions) };
            // Before the kernel says what is ready.
            let look = self.side(kept.unwrap_or(Direction::Read)).look();
            match at.watch(fd, watch, self.token(), is_there) {
                Ok(()) => {
                    place.kept = directions.map(|is_named| is_named && is_kept);
                    self.is_kept.store(is_kept, Ordering::Relaxed);
                    break look;
                }
                // Either may become so in between, but not for long.
                Err(error) if is_there && error.kind() == io::ErrorKind::NotFound => is_there = false,
                Err(error) if !is_there && error.kind() == io::ErrorKind::AlreadyExists => is_there = true,
                Err(error) => return Err(error),
            }
        };
        let is_new = place.at.is_none();
        if is_new {
            self.fd.store(fd, Ordering::Relaxed);
            // Release: as in `register`.
            self.at.store(Arc::as_ptr(&at).addr(), Ordering::Release);
            place.at = Some(at.clone());
        }
        Ok((is_new && at.has_one_more(), look))
    }

    /// What was known is about another descriptor, or another epoll: its events are not for this one any more.
    fn begin_anew(&self) -> Anew {
        self.generation.fetch_add(1, Ordering::Relaxed);
        // First this: who has believed it then finds that there was an event, or is among those that have waited.
        let forgotten = self.forget();
        Anew { left: self.sides.each_ref().map(Side::begin_anew), forgotten }
    }

    /// Takes the descriptor out of its epoll. Those that wait have to look again: the caller sees to that.
    pub(crate) fn unregister(&self, fd: BorrowedFd<'_>) {
        let mut place = self.place();
        // Who waits for the number arms it when it is out, not between.
        let _number = lock_number(fd.as_raw_fd());
        if let Some(poll) = self.take_out(&mut place) {
            poll.remove(Some(fd));
        }
    }

    /// The runtime of that poll has ended: the record is not there any more. False: it was not there. Those that wait
    /// have to look again.
    pub(crate) fn leave(&self, poll: &Netpoll) -> bool {
        // Under the lock: it may change hands meanwhile.
        let mut place = self.place();
        let is_there = self.is_at(poll);
        if is_there && let Some(poll) = self.take_out(&mut place) {
            poll.remove(None);
        }
        is_there
    }

    fn take_out(&self, place: &mut Place) -> Option<Arc<Netpoll>> {
        self.at.store(0, Ordering::Relaxed);
        let fd = self.fd.swap(-1, Ordering::Relaxed);
        if fd >= 0 && !self.is_foreign() {
            end_source(fd);
        }
        if self.is_foreign() {
            // Before those that wait look again: the caller sees to that.
            let _ = self.forget();
            place.kept = [false; 2];
            self.is_kept.store(false, Ordering::Relaxed);
        }
        place.at.take()
    }

    /// Its owner has gone: as new for the next one.
    pub(super) fn renew(&self) {
        let mut place = self.place();
        let poll = self.take_out(&mut place);
        self.generation.fetch_add(1, Ordering::Relaxed);
        place.kind = "";
        drop(place);
        if let Some(poll) = poll {
            poll.remove(None);
        }
        for side in &self.sides {
            let (left, timer) = side.renew();
            // Async tasks whose futures are not dropped yet. They cannot wait for it any more.
            left.for_each(Who::discard);
            timer.into_iter().for_each(Armed::cancel);
        }
        self.counts_writes.end();
    }

    /// What it is, for observers. None: nothing has waited for it yet.
    pub(crate) fn describe(&self) -> Option<Polled> {
        let (fd, kind) = (self.fd(), self.place().kind);
        // That is a system call, so it is not under the lock. The descriptor may be another's by now: it is only looked
        // at.
        let kind = if self.is_foreign() { kind_of(fd) } else { kind };
        (fd >= 0).then(|| Polled { fd, kind, address: address_of(fd) })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("index", &self.index).field("sides", &self.sides).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g::{give_free, take_free};
    use crate::os::LINE_BYTES;
    use std::mem::offset_of;

    /// There were five. With many connections each of them comes from far.
    #[test]
    fn what_an_event_touches_is_on_two_cache_lines() {
        let record = Record::free(0);
        let g = take_free();
        let mut locked = record.side(Direction::Read).lock();
        let number = locked.push(Who::G(g, 1), u64::MAX);
        let mut end = 0;
        locked.for_each(|who, _| end = ptr::from_ref(who).wrapping_add(1).addr());
        let fields = [
            offset_of!(Record, generation),
            offset_of!(Record, at),
            offset_of!(Record, is_foreign),
            offset_of!(Record, counts_writes),
            end - 1 - ptr::from_ref(&record).addr(),
        ];
        assert!(fields.iter().all(|at| *at < EVENT_LINES * LINE_BYTES), "{fields:?}");
        assert!(locked.remove(number).is_some());
        give_free(g);
    }
}
