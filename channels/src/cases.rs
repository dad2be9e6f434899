//! What a select does with its cases: look, choose one that is ready, or wait at all of them. Of each case it knows only
//! a [`Handle`].
//!
//! A select that finds nothing takes the locks of all its channels, in the order of their addresses, looks again, stands
//! in all lines, and gives the locks back. So at the moment when it can be found by others it has seen that it can not
//! go on, and nothing has changed since; and while it looks for others it can not itself be found, so two selects never
//! wait for each other to make up their minds. Go's runtime does it so (`selectgo`).

use crate::channel::{Flavor, Receiver, Sender};
use crate::core::{CAN_GIVE, CAN_TAKE, Offered, Taken};
use crate::lock::Lock;
use crate::loom::{Unparker, WaitReason, random};
use crate::wait::{Until, wake};
use crate::waiter::{Outcome, Ticket, Token, Waiter};
use smallvec::SmallVec;
use std::cell::Cell;
use std::ptr;
use std::time::Instant;

/// So many cases need no allocation.
pub(crate) const CASES_INLINE: usize = 4;

/// One side of a channel, as a select sees it. Methods that say so want its lock, if it has one; the caller gives that
/// back.
pub(crate) trait Handle {
    fn lock(&self) -> Option<&Lock>;

    /// When it may become ready by itself.
    fn due(&self) -> Option<Instant>;

    /// Whether it is worth while to take the lock, and a number that is another one when something has changed.
    fn look(&self) -> (bool, usize);

    /// Chooses the operation if it is ready.
    ///
    /// # Safety
    /// The caller has the lock.
    unsafe fn choose(&self) -> Choice;

    /// Has the sender that `choose` has claimed give its value to `waiter`.
    ///
    /// # Safety
    /// The caller has the lock, as it had it when it chose; the waiter stays until it is told.
    unsafe fn promise(&self, sender: *const Waiter, waiter: *const Waiter) -> Unparker;

    /// Stands in the line.
    ///
    /// # Safety
    /// The caller has the lock; the waiter stays until it is out of the line.
    unsafe fn queue(&self, waiter: *const Waiter);

    /// Leaves the line. Takes the lock.
    fn leave(&self, waiter: &Waiter);

    /// Undoes what was chosen. Takes the lock.
    fn release(&self, token: Token);
}

/// One of the operations that a select chooses from.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) handle: &'a dyn Handle,
    /// The number that the user knows it by.
    pub(crate) index: usize,
}

/// What came of choosing.
pub(crate) enum Choice {
    NotReady,
    Chosen(Token, Option<Unparker>),
    /// A select that wants to send.
    Claimed(*const Waiter),
}

impl<T> Handle for Sender<T> {
    fn lock(&self) -> Option<&Lock> {
        Some(&self.channel.lock)
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn look(&self) -> (bool, usize) {
        let hint = self.channel.hint();
        (hint & CAN_GIVE != 0, hint)
    }

    unsafe fn choose(&self) -> Choice {
        // SAFETY: the caller has the lock.
        let mut state = unsafe { self.channel.locked() };
        let offered = state.offer();
        state.keep();
        match offered {
            Offered::Chosen(token) => Choice::Chosen(token, None),
            Offered::Full => Choice::NotReady,
        }
    }

    unsafe fn promise(&self, _: *const Waiter, _: *const Waiter) -> Unparker {
        unreachable!("a send claims no sender")
    }

    unsafe fn queue(&self, waiter: *const Waiter) {
        // SAFETY: the caller has the lock.
        let mut state = unsafe { self.channel.locked() };
        // SAFETY: as the caller promises.
        unsafe { state.queue_sender(waiter) };
        state.keep();
    }

    fn leave(&self, waiter: &Waiter) {
        self.channel.lock().senders.remove(waiter);
    }

    fn release(&self, token: Token) {
        let told = self.channel.lock().release(token);
        wake(told);
    }
}

impl<T> Handle for Receiver<T> {
    fn lock(&self) -> Option<&Lock> {
        match &self.flavor {
            Flavor::Channel(channel) => Some(&channel.lock),
            _ => None,
        }
    }

    fn due(&self) -> Option<Instant> {
        match &self.flavor {
            Flavor::Clock(clock, _) => clock.due(),
            _ => None,
        }
    }

    fn look(&self) -> (bool, usize) {
        match &self.flavor {
            Flavor::Channel(channel) => {
                let hint = channel.hint();
                (hint & CAN_TAKE != 0, hint)
            }
            Flavor::Clock(clock, _) => (clock.due().is_some_and(|due| Instant::now() >= due), 0),
            Flavor::Never => (false, 0),
        }
    }

    unsafe fn choose(&self) -> Choice {
        let channel = match &self.flavor {
            Flavor::Channel(channel) => channel,
            Flavor::Clock(clock, _) => {
                return clock.take().map_or(Choice::NotReady, |moment| Choice::Chosen(Token::Moment(moment), None));
            }
            Flavor::Never => return Choice::NotReady,
        };
        // SAFETY: the caller has the lock.
        let mut state = unsafe { channel.locked() };
        let choice = match state.take() {
            Taken::Value(value, told) => Choice::Chosen(state.stage(value), told),
            Taken::Closed => Choice::Chosen(Token::Closed, None),
            Taken::Empty => Choice::NotReady,
            Taken::Claimed(sender) => Choice::Claimed(sender),
        };
        state.keep();
        choice
    }

    unsafe fn promise(&self, sender: *const Waiter, waiter: *const Waiter) -> Unparker {
        let Flavor::Channel(channel) = &self.flavor else { unreachable!("nobody sends to the clock") };
        // SAFETY: the caller has the lock.
        let mut state = unsafe { channel.locked() };
        let told = state.promise(sender, waiter);
        state.keep();
        told
    }

    unsafe fn queue(&self, waiter: *const Waiter) {
        let Flavor::Channel(channel) = &self.flavor else { return };
        // SAFETY: the caller has the lock.
        let mut state = unsafe { channel.locked() };
        // SAFETY: as the caller promises.
        unsafe { state.queue_receiver(waiter) };
        state.keep();
    }

    fn leave(&self, waiter: &Waiter) {
        if let Flavor::Channel(channel) = &self.flavor {
            channel.lock().receivers.remove(waiter);
        }
    }

    fn release(&self, token: Token) {
        if let Flavor::Channel(channel) = &self.flavor {
            let told = channel.lock().release(token);
            wake(told);
        }
    }
}

/// What a select wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    /// The first case that is ready, and not any of them.
    pub(crate) biased: bool,
    /// To know what is ready, and not to do it.
    pub(crate) watch: bool,
}

/// Chooses a case that is ready now. None: there was a moment at which none was.
pub(crate) fn try_cases(cases: &[Case<'_>], want: Want) -> Option<(usize, Token)> {
    loop {
        let seen: SmallVec<[(bool, usize); CASES_INLINE]> = cases.iter().map(|case| case.handle.look()).collect();
        let ready = seen.iter().filter(|(ready, _)| *ready).count();
        if ready > 0 {
            if let Some(chosen) = choose_from(cases, want, &seen, ready) {
                return Some(chosen);
            }
        } else if cases.len() < 2 || cases.iter().zip(&seen).all(|(case, seen)| case.handle.look().1 == seen.1) {
            // Nothing has changed since the first look, so it was true of all at once.
            return None;
        }
    }
}

/// Chooses one of the cases that seemed ready.
fn choose_from(cases: &[Case<'_>], want: Want, seen: &[(bool, usize)], ready: usize) -> Option<(usize, Token)> {
    // Beginning with any of them, once round.
    let skipped = if want.biased || ready < 2 { 0 } else { random() as usize % ready };
    let candidates = || (0..cases.len()).filter(|i| seen[*i].0);
    for i in candidates().skip(skipped).chain(candidates().take(skipped)) {
        if want.watch {
            return Some((i, Token::Watched));
        }
        if let Some(Outcome::Selected(i, token)) = choose(cases[i].handle, i) {
            return Some((i, token));
        }
    }
    None
}

/// Chooses one case if it is ready.
fn choose(handle: &dyn Handle, i: usize) -> Option<Outcome> {
    if let Some(lock) = handle.lock() {
        lock.lock();
    }
    let unlock = || {
        if let Some(lock) = handle.lock() {
            lock.unlock();
        }
    };
    // SAFETY: the lock has just been taken.
    match unsafe { handle.choose() } {
        Choice::NotReady => {
            unlock();
            None
        }
        Choice::Chosen(token, told) => {
            unlock();
            wake(told);
            Some(Outcome::Selected(i, token))
        }
        Choice::Claimed(sender) => {
            let ticket = Ticket::new(true);
            let waiter = Waiter::new(i, false);
            // SAFETY: both stay until the waiter is told, which is waited for.
            let waiter = unsafe { waiter.belongs_to(&raw const ticket, ptr::null_mut()) };
            // SAFETY: the lock is still held.
            let told = unsafe { handle.promise(sender, waiter) };
            unlock();
            told.unpark();
            Some(ticket.wait_claimed(WaitReason::Select))
        }
    }
}

/// Waits until a case is ready, and chooses it. None: the time is over.
pub(crate) fn wait_cases(cases: &[Case<'_>], want: Want, until: Until) -> Option<(usize, Token)> {
    let mut deadline = None;
    loop {
        if let Some(chosen) = try_cases(cases, want) {
            return Some(chosen);
        }
        if deadline.is_none() {
            deadline = until.deadline();
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return None;
        }
        if let Some(Outcome::Selected(i, token)) = stand_in_lines(cases, want, deadline) {
            return Some((i, token));
        }
    }
}

/// Stands in the lines of all cases and waits. Anything but a choice: look again.
fn stand_in_lines(cases: &[Case<'_>], want: Want, deadline: Option<Instant>) -> Option<Outcome> {
    let ticket = Ticket::new(true);
    let waiters: SmallVec<[Waiter; CASES_INLINE]> = (0..cases.len()).map(|i| Waiter::new(i, want.watch)).collect();
    let locks = Locks::of(cases);
    locks.lock();
    // Something may have changed since we looked. Under the lock the hints are true, but that a line may be full of
    // selects that others have claimed already; choosing clears those away.
    if cases.iter().any(|case| case.handle.lock().is_some() && case.handle.look().0) {
        locks.unlock();
        return None;
    }
    // Several cases may stand in one line: which of them is the first there is chance too.
    let first = if want.biased || cases.len() < 2 { 0 } else { random() as usize % cases.len() };
    for n in 0..cases.len() {
        let i = (first + n) % cases.len();
        let (case, waiter) = (&cases[i], &waiters[i]);
        // SAFETY: the ticket and the waiters stay until `Lined` has taken them out of all lines.
        let waiter = unsafe { waiter.belongs_to(&raw const ticket, ptr::null_mut()) };
        // SAFETY: the locks are held, and as above.
        unsafe { case.handle.queue(waiter) };
    }
    locks.unlock();
    let lined =
        Lined { ticket: &ticket, waiters: &waiters, cases, outcome: Cell::new(None), is_over: Cell::new(false) };
    let due = cases.iter().filter_map(|case| case.handle.due()).chain(deadline).min();
    let in_time = ticket.wait(WaitReason::Select, due);
    let outcome = if in_time { ticket.outcome() } else { lined.give_up() };
    lined.outcome.set(outcome);
    lined.is_over.set(true);
    match outcome {
        // It was told in the middle of what makes it ready, if that was not for another.
        Some(Outcome::Selected(i, Token::Watched)) if !is_ready(cases[i].handle) => None,
        _ => outcome,
    }
}

/// Whether an operation could be done, once those have ended that are under way.
fn is_ready(handle: &dyn Handle) -> bool {
    let lock = handle.lock();
    lock.inspect(|lock| lock.lock());
    let (ready, _) = handle.look();
    lock.inspect(|lock| lock.unlock());
    ready
}

/// The locks of all cases, each once, in the order in which all selects take them.
struct Locks<'a>(SmallVec<[&'a Lock; CASES_INLINE]>);

impl<'a> Locks<'a> {
    fn of(cases: &[Case<'a>]) -> Locks<'a> {
        let mut locks: SmallVec<[&Lock; CASES_INLINE]> = cases.iter().filter_map(|case| case.handle.lock()).collect();
        locks.sort_unstable_by_key(|lock| ptr::from_ref(*lock));
        locks.dedup_by_key(|lock| ptr::from_ref(*lock));
        Locks(locks)
    }

    fn lock(&self) {
        self.0.iter().for_each(|lock| lock.lock());
    }

    fn unlock(&self) {
        self.0.iter().for_each(|lock| lock.unlock());
    }
}

/// A select that stands in lines, until this is dropped.
struct Lined<'a, 'c> {
    ticket: &'a Ticket,
    waiters: &'a [Waiter],
    cases: &'a [Case<'c>],
    outcome: Cell<Option<Outcome>>,
    /// It has not waited to the end if this is not set: the G is being unwound.
    is_over: Cell<bool>,
}

impl Lined<'_, '_> {
    /// Nobody may claim it any more; if somebody has, it waits for what comes of that.
    #[cold]
    fn give_up(&self) -> Option<Outcome> {
        (!self.ticket.claim()).then(|| self.ticket.wait_claimed(WaitReason::Select))
    }
}

impl Drop for Lined<'_, '_> {
    fn drop(&mut self) {
        if !self.is_over.get() {
            self.outcome.set(self.give_up());
            if let Some(Outcome::Selected(i, token)) = self.outcome.get() {
                self.cases[i].handle.release(token);
            }
        }
        let chosen = match self.outcome.get() {
            // Whoever has told it has taken it out of that line.
            Some(Outcome::Selected(i, _)) => Some(i),
            _ => None,
        };
        for (i, (case, waiter)) in self.cases.iter().zip(self.waiters).enumerate() {
            if Some(i) != chosen {
                case.handle.leave(waiter);
            }
        }
    }
}
