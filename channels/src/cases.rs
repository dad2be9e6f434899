//! What a select does with its cases: look, choose one that is ready, or wait at all of them. Of each case it knows only
//! a [`Handle`].
//!
//! A select that finds nothing takes the locks of all its channels, in the order of their addresses, looks again, stands
//! in all lines, and gives the locks back. So at the moment when it can be found by others it has seen that it can not
//! go on, and nothing has changed since; and while it looks for others it can not itself be found, so two selects never
//! wait for each other to make up their minds. Go's runtime does it so (`selectgo`).

use crate::channel::{Flavor, Receiver, Sender};
use crate::core::{Choice, Locked};
use crate::lock::Lock;
use crate::loom::{WaitReason, checkpoint, has_come, random};
use crate::wait::{Until, wake};
use crate::waiter::{Outcome, Ticket, Token, Waiter};
use smallvec::SmallVec;
use std::cell::Cell;
use std::ptr;
use std::time::Instant;

/// So many cases need no allocation.
pub(crate) const CASES_INLINE: usize = 4;
/// So often a select that does not wait looks without the locks of its channels.
const ROUNDS_WITHOUT_LOCKS: usize = 4;

/// One side of a channel, as a select sees it. Methods that say so want its lock, if it has one; the caller gives that
/// back.
pub(crate) trait Handle {
    /// When it may become ready by itself.
    fn due(&self) -> Option<Instant>;

    /// Whether it is ready: under the lock that is true, without it as far as one sees. And the number of this moment.
    fn look(&self) -> (bool, usize);

    /// Whether nothing has been done to the channel since that moment.
    fn is_still(&self, moment: usize) -> bool;

    /// Chooses the operation if it is ready. Takes the lock.
    fn choose(&self) -> Option<Token>;

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
    /// The lock of its channel, if that has one.
    pub(crate) lock: Option<&'a Lock>,
    /// The number that the user knows it by.
    pub(crate) index: usize,
}

impl Case<'_> {
    /// Whether the operation could be done, once those have ended that are under way.
    fn is_ready(&self) -> bool {
        self.lock.inspect(|lock| lock.lock());
        let (ready, _) = self.handle.look();
        self.lock.inspect(|lock| lock.unlock());
        ready
    }
}

impl<T> Handle for Sender<T> {
    fn due(&self) -> Option<Instant> {
        None
    }

    #[inline]
    fn look(&self) -> (bool, usize) {
        let moment = self.channel.lock.moment();
        (self.channel.can_give(), moment)
    }

    fn is_still(&self, moment: usize) -> bool {
        self.channel.lock.is_still(moment)
    }

    fn choose(&self) -> Option<Token> {
        self.channel.lock().choose_send()
    }

    unsafe fn queue(&self, waiter: *const Waiter) {
        // SAFETY: the caller has the lock.
        let channel = unsafe { self.channel.locked() };
        // SAFETY: as the caller promises.
        unsafe { channel.queue_sender(waiter) };
        channel.keep();
    }

    fn leave(&self, waiter: &Waiter) {
        self.channel.lock().leave_senders(waiter);
    }

    fn release(&self, token: Token) {
        let told = self.channel.lock().release(token);
        wake(told);
    }
}

impl<T> Handle for Receiver<T> {
    fn due(&self) -> Option<Instant> {
        match &self.flavor {
            Flavor::Clock(clock, _) => clock.due(),
            _ => None,
        }
    }

    #[inline]
    fn look(&self) -> (bool, usize) {
        match &self.flavor {
            Flavor::Channel(channel) => {
                let moment = channel.lock.moment();
                (channel.can_take(), moment)
            }
            Flavor::Clock(clock, _) => (clock.due().is_some_and(has_come), 0),
            Flavor::Never => (false, 0),
        }
    }

    fn is_still(&self, moment: usize) -> bool {
        match &self.flavor {
            Flavor::Channel(channel) => channel.lock.is_still(moment),
            // What was not due then and is not now was not in between; or another has taken it, which is as good.
            _ => !self.look().0,
        }
    }

    fn choose(&self) -> Option<Token> {
        let channel = match &self.flavor {
            Flavor::Channel(channel) => channel.lock(),
            Flavor::Clock(clock, _) => return clock.take().map(Token::Moment),
            Flavor::Never => return None,
        };
        match channel.choose_receive() {
            Choice::NotReady => None,
            Choice::Chosen(token, told) => {
                drop(channel);
                wake(told);
                Some(token)
            }
            Choice::Claimed(sender) => choose_promised(channel, sender),
        }
    }

    unsafe fn queue(&self, waiter: *const Waiter) {
        let Flavor::Channel(channel) = &self.flavor else { return };
        // SAFETY: the caller has the lock.
        let channel = unsafe { channel.locked() };
        // SAFETY: as the caller promises.
        unsafe { channel.queue_receiver(waiter) };
        channel.keep();
    }

    fn leave(&self, waiter: &Waiter) {
        if let Flavor::Channel(channel) = &self.flavor {
            channel.lock().leave_receivers(waiter);
        }
    }

    fn release(&self, token: Token) {
        if let Flavor::Channel(channel) = &self.flavor {
            let told = channel.lock().release(token);
            wake(told);
        }
    }
}

/// Another select sends, and its value is on the way.
#[cold]
fn choose_promised<T>(channel: Locked<'_, T>, sender: *const Waiter) -> Option<Token> {
    let ticket = Ticket::new(true);
    let waiter = Waiter::new(0, false);
    // SAFETY: both stay until the waiter is told, which is waited for.
    let waiter = unsafe { waiter.belongs_to(&raw const ticket, ptr::null_mut()) };
    let told = channel.promise(sender, waiter);
    drop(channel);
    told.unpark();
    match ticket.wait_claimed(WaitReason::Select) {
        Outcome::Selected(_, token) => Some(token),
        _ => None,
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
    checkpoint();
    for _ in 0..ROUNDS_WITHOUT_LOCKS {
        let mut moments: SmallVec<[usize; CASES_INLINE]> = SmallVec::new();
        if let Some(chosen) = scan(cases, want, |moment| moments.push(moment)) {
            return Some(chosen);
        }
        // If nothing has changed since the first look it was true of all at once.
        if cases.iter().zip(&moments).all(|(case, moment)| case.handle.is_still(*moment)) {
            return None;
        }
    }
    try_busy_cases(cases, want)
}

/// The same, where others are so busy that one has to stop them.
#[cold]
fn try_busy_cases(cases: &[Case<'_>], want: Want) -> Option<(usize, Token)> {
    let locks = Locks::of(cases);
    loop {
        locks.lock();
        let is_ready = cases.iter().any(|case| case.handle.look().0);
        locks.unlock();
        if !is_ready {
            return None;
        }
        if let Some(chosen) = scan(cases, want, |_| {}) {
            return Some(chosen);
        }
    }
}

/// Chooses one of the cases that seem ready. None: none is, or not any more.
#[inline]
fn scan(cases: &[Case<'_>], want: Want, mut seen_at: impl FnMut(usize)) -> Option<(usize, Token)> {
    let mut ready: SmallVec<[usize; CASES_INLINE]> = SmallVec::new();
    for (i, case) in cases.iter().enumerate() {
        let (is_ready, moment) = case.handle.look();
        seen_at(moment);
        if is_ready {
            ready.push(i);
        }
    }
    // Beginning with any of them, once round.
    let first = if want.biased || ready.len() < 2 { 0 } else { random() as usize % ready.len() };
    let in_turn = ready[first..].iter().chain(&ready[..first]);
    in_turn.copied().find_map(|i| {
        let case = &cases[i];
        let token = if want.watch { case.is_ready().then_some(Token::Watched) } else { case.handle.choose() };
        token.map(|token| (i, token))
    })
}

/// Waits until a case is ready, and chooses it. None: the time is over.
pub(crate) fn wait_cases(cases: &[Case<'_>], want: Want, until: Until) -> Option<(usize, Token)> {
    checkpoint();
    let mut deadline = None;
    loop {
        let mut moments: SmallVec<[usize; CASES_INLINE]> = SmallVec::new();
        if let Some(chosen) = scan(cases, want, |moment| moments.push(moment)) {
            return Some(chosen);
        }
        if deadline.is_none() {
            deadline = until.deadline();
        }
        // Only what was true at one moment is a reason to give up.
        if deadline.is_some_and(has_come) {
            return try_cases(cases, want);
        }
        if let Some(Outcome::Selected(i, token)) = stand_in_lines(cases, &moments, want, deadline) {
            return Some((i, token));
        }
    }
}

/// Stands in the lines of all cases, which were not ready at those `moments`, and waits. Anything but a choice: look
/// again.
fn stand_in_lines(cases: &[Case<'_>], moments: &[usize], want: Want, deadline: Option<Instant>) -> Option<Outcome> {
    let ticket = Ticket::new(true);
    let waiters: SmallVec<[Waiter; CASES_INLINE]> = (0..cases.len()).map(|i| Waiter::new(i, want.watch)).collect();
    let locks = Locks::of(cases);
    locks.lock();
    // Something may have changed since we looked. Under the lock a look is true, but that a line may be full of selects
    // that others have claimed already; choosing clears those away.
    let has_changed = |lock: &Lock, moment: usize| lock.moment() != moment.wrapping_add(1);
    let is_ready = |(case, moment): (&Case<'_>, &usize)| {
        case.lock.is_some_and(|lock| has_changed(lock, *moment)) && case.handle.look().0
    };
    if cases.iter().zip(moments).any(is_ready) {
        locks.unlock();
        return None;
    }
    // Several cases may stand in one line: which of them is the first there is chance too.
    let first = if want.biased || cases.len() < 2 { 0 } else { random() as usize % cases.len() };
    for i in (first..cases.len()).chain(0..first) {
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
    let in_time = ticket.wait(WaitReason::Select, 0, due);
    let outcome = if in_time { ticket.outcome() } else { lined.give_up() };
    lined.outcome.set(outcome);
    lined.is_over.set(true);
    outcome
}

/// The locks of all cases, each once, in the order in which all selects take them.
struct Locks<'a>(SmallVec<[&'a Lock; CASES_INLINE]>);

impl<'a> Locks<'a> {
    fn of(cases: &[Case<'a>]) -> Locks<'a> {
        let mut locks: SmallVec<[&Lock; CASES_INLINE]> = cases.iter().filter_map(|case| case.lock).collect();
        if locks.len() > 1 {
            locks.sort_unstable_by_key(|lock| lock.order());
            locks.dedup_by_key(|lock| lock.order());
        }
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
