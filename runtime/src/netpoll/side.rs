//! One direction of a descriptor: how many events there were, who waits, and the timer of those that have deadlines.
//! The door has the argument.

use crate::loom::{AtomicBool, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};
use std::fmt;
use std::mem;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// The bit that says that nothing may wait any more.
const SHUT: u64 = 1;
/// The bit that says that there is more than bytes to read: the end, an error, urgent data.
const SPECIAL: u64 = 2;
/// One event.
const EVENT: u64 = 4;
/// No word is this: 2^62 events do not happen.
const NOT_DRAINED: u64 = u64::MAX;

/// What the word of a side was at a look.
///
/// ```text
///  63                            2      1       0
/// +-------------------------------+---------+------+
/// | the number of events          | special | shut |
/// +-------------------------------+---------+------+
/// ```
/// It wraps after 2^62 events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look(u64);

/// Why a wait must not begin, or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There was an event since the look: try again.
    Event,
    /// It was shut.
    Shut,
}

/// One direction. `W` is who waits, `T` a timer that is armed. What a wait without a deadline touches, and the event that
/// ends it, comes first, up to the first waiter.
#[repr(C)]
pub(crate) struct Side<W, T> {
    /// Changed under the lock.
    word: AtomicU64,
    /// The deadline of all waits. Changed under the lock.
    sticky_ns: AtomicU64,
    /// The word that a read had seen which got all that there was.
    drained_at: AtomicU64,
    /// How many wait, for readers without the lock. Changed under the lock.
    waiting: AtomicU32,
    state: Mutex<State<W, T>>,
}

/// Whether events of a direction are counted. Nothing need be as long as nothing has waited there.
#[derive(Debug)]
pub(crate) struct Counted(AtomicBool);

/// What the lock guards.
#[repr(C)]
struct State<W, T> {
    /// The number of the next waiter, or timer. It is never used again.
    next: u64,
    /// Most often there is one. Only if there is a first, there are more.
    first: Option<Waiting<W>>,
    more: Vec<Waiting<W>>,
    timer: Option<Timer<T>>,
}

struct Waiting<W> {
    number: u64,
    until_ns: u64,
    who: W,
}

/// A timer that is armed.
struct Timer<T> {
    number: u64,
    when_ns: u64,
    timer: T,
}

/// A side whose lock the caller holds.
pub(crate) struct Locked<'a, W, T> {
    side: &'a Side<W, T>,
    state: MutexGuard<'a, State<W, T>>,
}

/// Those that were taken out: the caller wakes them, without the lock.
#[must_use = "they wait until they are woken"]
pub(crate) struct Taken<W> {
    first: Option<Waiting<W>>,
    more: Vec<Waiting<W>>,
}

impl<W, T> Side<W, T> {
    /// Nobody waits.
    pub(crate) fn new() -> Side<W, T> {
        Side {
            word: AtomicU64::new(0),
            sticky_ns: AtomicU64::new(NEVER),
            drained_at: AtomicU64::new(NOT_DRAINED),
            waiting: AtomicU32::new(0),
            state: Mutex::new(State { next: 1, first: None, more: Vec::new(), timer: None }),
        }
    }

    /// Looks, before an operation is tried.
    #[inline]
    pub(crate) fn look(&self) -> Look {
        // Acquire: the attempt comes after this. It has no partner, as the kernel is what is asked.
        Look(self.word.load(Ordering::Acquire))
    }

    /// What is different from that look: a hint, unless the lock is held.
    #[inline]
    pub(crate) fn differs(&self, from: Look) -> Option<Found> {
        let now = self.look();
        if now.is_shut() { Some(Found::Shut) } else { (now != from).then_some(Found::Event) }
    }

    /// The sticky deadline.
    #[inline]
    pub(crate) fn sticky_ns(&self) -> u64 {
        self.sticky_ns.load(Ordering::Relaxed)
    }

    /// How many wait: a hint, unless the lock is held. A G that is parked here was counted before it parked.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed) as usize
    }

    /// A read that has seen this got all that there was.
    #[inline]
    pub(crate) fn drain(&self, seen: Look) {
        // Relaxed: it is a number that only a later look can have, or none.
        self.drained_at.store(seen.0, Ordering::Relaxed);
    }

    /// Something may be there without an event: a thread has seen it in the kernel.
    pub(crate) fn undrain(&self) {
        self.drained_at.store(NOT_DRAINED, Ordering::Relaxed);
    }

    /// Whether a read has got all that there was, and there was no event until that look.
    #[inline]
    pub(crate) fn is_drained(&self, look: Look) -> bool {
        look.0 & SPECIAL == 0 && self.drained_at.load(Ordering::Relaxed) == look.0
    }

    /// There was an event: returns all that wait.
    pub(crate) fn event(&self) -> Taken<W> {
        self.event_with(false)
    }

    /// There was an event, perhaps of more than bytes: returns all that wait.
    pub(crate) fn event_with(&self, is_special: bool) -> Taken<W> {
        let mut locked = self.lock();
        locked.change(|word| word.wrapping_add(EVENT) | if is_special { SPECIAL } else { 0 });
        locked.take_all()
    }

    /// Nothing may wait from now on: returns all that wait.
    pub(crate) fn shut(&self) -> Taken<W> {
        let mut locked = self.lock();
        locked.change(|word| word | SHUT);
        locked.take_all()
    }

    /// Sets the sticky deadline. Returns all that wait: they look again.
    pub(crate) fn set_sticky_ns(&self, sticky_ns: u64) -> Taken<W> {
        let mut locked = self.lock();
        self.sticky_ns.store(sticky_ns, Ordering::Relaxed);
        locked.take_all()
    }

    /// Another descriptor has the number: as an event, and there was nothing special. Returns all that wait.
    pub(crate) fn begin_anew(&self) -> Taken<W> {
        let mut locked = self.lock();
        locked.change(|word| (word & !SPECIAL).wrapping_add(EVENT));
        locked.take_all()
    }

    /// For the next owner of the record: as new, but the numbers and the count go on. Returns what was left.
    pub(crate) fn renew(&self) -> (Taken<W>, Option<T>) {
        let mut locked = self.lock();
        locked.change(|word| (word & !(SHUT | SPECIAL)).wrapping_add(EVENT));
        self.sticky_ns.store(NEVER, Ordering::Relaxed);
        let timer = locked.state.timer.take().map(|timer| timer.timer);
        (locked.take_all(), timer)
    }

    /// Takes the lock.
    pub(crate) fn lock(&self) -> Locked<'_, W, T> {
        // A panic under the lock can only be an allocation that failed, before anything was changed.
        Locked { side: self, state: self.state.lock().unwrap_or_else(|e| e.into_inner()) }
    }
}

impl Counted {
    /// They are not.
    pub(crate) fn not_yet() -> Counted {
        Counted(AtomicBool::new(false))
    }

    /// For one that is about to wait. True: they are counted from now on. Those that came before were not, so the caller
    /// says that there was one ([`Side::event`]), and all that have looked before try again.
    pub(crate) fn begin(&self) -> bool {
        // Relaxed: if it is seen, another has stored it, and says that there was an event. Release, by the swap: partner
        // is `is_on`, after the kernel has passed on by its locks what the next attempt has done there.
        !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::AcqRel)
    }

    /// For a poll that has taken an event.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        // Acquire: partner is `begin`.
        self.0.load(Ordering::Acquire)
    }

    /// The record has another owner, which has not waited yet.
    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Look {
    /// Whether it was shut.
    #[inline]
    pub(crate) fn is_shut(self) -> bool {
        self.0 & SHUT != 0
    }
}

impl<W, T> Locked<'_, W, T> {
    fn change(&mut self, word: impl FnOnce(u64) -> u64) {
        let now = self.side.word.load(Ordering::Relaxed);
        // Release: for a reader without the lock, which sees that its waiter has been or is being taken (`look`).
        self.side.word.store(word(now), Ordering::Release);
    }

    /// What is different from that look.
    pub(crate) fn differs(&self, from: Look) -> Option<Found> {
        self.side.differs(from)
    }

    /// Adds a waiter, and returns its number.
    pub(crate) fn push(&mut self, who: W, until_ns: u64) -> u64 {
        let number = self.number();
        let waiting = Waiting { number, until_ns, who };
        if self.state.first.is_none() {
            self.state.first = Some(waiting);
            self.publish(1);
        } else {
            self.state.more.push(waiting);
            self.publish_all();
        }
        number
    }

    /// Takes the waiter with that number out. None: another has taken it, and wakes it.
    pub(crate) fn remove(&mut self, number: u64) -> Option<W> {
        let state = &mut *self.state;
        let waiting = if state.first.as_ref()?.number == number {
            mem::replace(&mut state.first, state.more.pop())
        } else {
            let at = state.more.iter().position(|waiting| waiting.number == number)?;
            Some(state.more.swap_remove(at))
        };
        self.publish_all();
        waiting.map(|waiting| waiting.who)
    }

    /// Takes all waiters out.
    pub(crate) fn take_all(&mut self) -> Taken<W> {
        let first = self.state.first.take();
        let more = if self.side.waiting() > 1 { mem::take(&mut self.state.more) } else { Vec::new() };
        if first.is_some() {
            self.publish(0);
        }
        Taken { first, more }
    }

    /// The number of a timer that has to be armed for `until_ns`: there is none, or it is later.
    pub(crate) fn must_arm(&mut self, until_ns: u64) -> Option<u64> {
        let is_armed = || self.state.timer.as_ref().is_some_and(|timer| timer.when_ns <= until_ns);
        if until_ns == NEVER || is_armed() { None } else { Some(self.number()) }
    }

    /// A timer with that number has been armed. Returns the one that it replaces, which the caller cancels.
    pub(crate) fn arm(&mut self, number: u64, when_ns: u64, timer: T) -> Option<T> {
        self.state.timer.replace(Timer { number, when_ns, timer }).map(|timer| timer.timer)
    }

    /// The timer with that number fires, or never will. False: it has been replaced, and there is nothing to do.
    pub(crate) fn disarm(&mut self, number: u64) -> bool {
        let is_it = self.state.timer.as_ref().is_some_and(|timer| timer.number == number);
        is_it && self.state.timer.take().is_some()
    }

    /// Takes out those that are due at `now_ns`, and returns the earliest deadline of the others.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> (Taken<W>, u64) {
        let state = &mut *self.state;
        let all = state.first.take().into_iter().chain(mem::take(&mut state.more));
        let (due, mut others): (Vec<_>, Vec<_>) = all.partition(|waiting| waiting.until_ns <= now_ns);
        let earliest_ns = others.iter().map(|waiting| waiting.until_ns).min().unwrap_or(NEVER);
        state.first = others.pop();
        state.more = others;
        self.publish_all();
        (Taken { first: None, more: due }, earliest_ns)
    }

    /// Calls `f` with each waiter and its deadline.
    #[cfg_attr(loom, allow(dead_code, reason = "the models do not ask"))]
    pub(crate) fn for_each(&self, mut f: impl FnMut(&W, u64)) {
        self.state.first.iter().chain(&self.state.more).for_each(|waiting| f(&waiting.who, waiting.until_ns));
    }

    fn number(&mut self) -> u64 {
        self.state.next += 1;
        self.state.next
    }

    fn publish_all(&self) {
        self.publish(usize::from(self.state.first.is_some()) + self.state.more.len());
    }

    fn publish(&self, waiting: usize) {
        self.side.waiting.store(u32::try_from(waiting).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

impl<W> Taken<W> {
    /// Calls `f` with each of them.
    #[inline]
    pub(crate) fn for_each(self, mut f: impl FnMut(W)) {
        if let Some(first) = self.first {
            f(first.who);
        }
        self.more.into_iter().for_each(|waiting| f(waiting.who));
    }
}

impl<W, T> fmt::Debug for Side<W, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Side").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
#[path = "side_loom.rs"]
mod tests;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn names<W>(taken: Taken<W>) -> Vec<W> {
        let mut names = Vec::new();
        taken.for_each(|who| names.push(who));
        names
    }

    #[test]
    fn all_are_taken_once_and_in_order() {
        let side: Side<char, ()> = Side::new();
        let seen = side.look();
        let numbers: Vec<_> = ['a', 'b', 'c', 'd'].map(|who| side.lock().push(who, NEVER)).to_vec();
        assert_eq!(side.waiting(), 4);
        assert_eq!(side.lock().remove(numbers[2]), Some('c'));
        assert_eq!(side.lock().remove(numbers[2]), None);
        assert_eq!(side.lock().remove(numbers[0]), Some('a'));
        assert_eq!(side.waiting(), 2);
        assert_eq!(side.differs(seen), None);
        let mut rest = names(side.event());
        rest.sort_unstable();
        assert_eq!((rest, side.waiting(), side.differs(seen)), (vec!['b', 'd'], 0, Some(Found::Event)));
        assert_eq!(side.lock().remove(numbers[1]), None);
    }

    #[test]
    fn the_timer_is_never_later_than_a_waiter() {
        let side: Side<char, char> = Side::new();
        let mut locked = side.lock();
        locked.push('a', 100);
        let first = locked.must_arm(100).expect("there is no timer");
        assert_eq!(locked.arm(first, 100, 'x'), None);
        // A later one, and none, need no other timer.
        locked.push('b', 200);
        locked.push('c', NEVER);
        assert_eq!((locked.must_arm(200), locked.must_arm(NEVER)), (None, None));
        locked.push('d', 50);
        let second = locked.must_arm(50).expect("it is earlier");
        assert_eq!(locked.arm(second, 50, 'y'), Some('x'));
        // The first fires nevertheless.
        assert!(!locked.disarm(first));
        assert!(locked.disarm(second) && !locked.disarm(second));
        let (due, next) = locked.take_due(60);
        assert_eq!((names(due), next), (vec!['d'], 100));
        let (due, next) = locked.take_due(300);
        assert_eq!((names(due).len(), next), (2, NEVER));
        assert_eq!(names(locked.take_all()), ['c']);
    }

    #[test]
    fn what_is_drained_is_so_until_the_next_event() {
        let side: Side<char, char> = Side::new();
        let seen = side.look();
        assert!(!side.is_drained(seen));
        side.drain(seen);
        assert!(side.is_drained(side.look()));
        let _ = side.event();
        assert!(!side.is_drained(side.look()));
        // Of one that was slow.
        side.drain(seen);
        assert!(!side.is_drained(side.look()));
        side.drain(side.look());
        side.undrain();
        assert!(!side.is_drained(side.look()));
        // From here on a read that gets little says nothing.
        let _ = side.event_with(true);
        side.drain(side.look());
        assert!(!side.is_drained(side.look()));
        let _ = side.renew();
        side.drain(side.look());
        assert!(side.is_drained(side.look()));
        let _ = side.event_with(true);
        side.lock().push('a', NEVER);
        assert_eq!(names(side.begin_anew()), ['a']);
        assert!(!side.is_drained(side.look()));
        side.drain(side.look());
        assert!(side.is_drained(side.look()));
    }

    #[test]
    fn events_are_counted_from_the_first_wait_to_the_next_owner() {
        let counted = Counted::not_yet();
        assert!(!counted.is_on());
        assert!(counted.begin() && counted.is_on());
        assert!(!counted.begin());
        counted.end();
        assert!(!counted.is_on() && counted.begin());
    }

    #[test]
    fn what_was_shut_is_as_new_for_the_next_owner() {
        let side: Side<char, char> = Side::new();
        let _ = side.set_sticky_ns(5);
        let seen = side.look();
        let number = side.lock().push('a', 5);
        let armed = side.lock().must_arm(5).expect("there is no timer");
        side.lock().arm(armed, 5, 'x');
        assert_eq!(names(side.shut()), ['a']);
        assert!(side.look().is_shut() && side.differs(seen) == Some(Found::Shut));
        let (left, timer) = side.renew();
        assert_eq!((names(left), timer), (vec![], Some('x')));
        assert!(!side.look().is_shut() && side.sticky_ns() == NEVER && side.differs(seen) == Some(Found::Event));
        assert_ne!(side.lock().push('b', NEVER), number);
    }
}
