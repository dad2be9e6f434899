//! What a select does with its cases: look, choose one that is ready, or wait at all of them. Of each case it knows only
//! a [`Handle`].
//!
//! A select that finds nothing takes the locks of all its channels, in the order of their addresses, looks again, stands
//! in all lines, and gives the locks back. So at the moment when it can be found by others it has seen that it can not
//! go on, and nothing has changed since; and while it looks for others it can not itself be found, so two selects never
//! wait for each other to make up their minds. Go's runtime does it so (`selectgo`).

use crate::channel::{Flavor, Receiver, Sender};
use crate::core::{Choice, Head, Locked, Side};
use crate::loom::{WaitReason, checkpoint, has_come, random};
use crate::wait::Until;
use crate::waiter::{Outcome, Ticket, Token, Waiter};
use crate::wake::wake;
use smallvec::SmallVec;
use std::cell::Cell;
use std::ptr;
use std::time::Instant;

/// So many cases need no allocation.
pub(crate) const CASES_INLINE: usize = 4;
/// So often a select that does not wait looks without the locks of its channels.
const ROUNDS_WITHOUT_LOCKS: usize = 4;

/// What is behind a case, as far as its values matter. Each takes the lock, if there is one.
pub(crate) trait Handle {
    /// The channel, and the side of it. None: there is nothing that could be locked.
    fn end(&self) -> Option<(&Head, Side)>;

    /// When it may become ready by itself.
    fn due(&self) -> Option<Instant>;

    /// Chooses the operation if it is ready.
    fn choose(&self) -> Option<Token>;

    /// Undoes what was chosen.
    ///
    /// # Safety
    /// The token is of this handle, and is not used again.
    unsafe fn release(&self, token: Token);
}

/// One of the operations that a select chooses from.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) handle: &'a dyn Handle,
    end: Option<(&'a Head, Side)>,
    /// The number that the user knows it by.
    pub(crate) index: usize,
    /// What the last look saw: whether it was ready, and the number of that moment.
    seemed_ready: bool,
    moment: usize,
}

impl<'a> Case<'a> {
    #[inline]
    pub(crate) fn new<H: Handle>(handle: &'a H, index: usize) -> Case<'a> {
        Case { handle, end: handle.end(), index, seemed_ready: false, moment: 0 }
    }

    /// Whether it is ready: under the lock that is true, without it as far as one sees.
    #[inline]
    fn seems_ready(&self) -> bool {
        match self.end {
            Some((head, side)) => head.can(side),
            None => self.handle.due().is_some_and(has_come),
        }
    }

    /// Whether it is ready, once those have ended that are under way.
    fn is_ready(&self) -> bool {
        let lock = self.end.map(|(head, _)| &head.lock);
        lock.inspect(|lock| lock.lock());
        let is_ready = self.seems_ready();
        lock.inspect(|lock| lock.unlock());
        is_ready
    }

    /// Looks, and keeps what it has seen.
    #[inline]
    fn look(&mut self) -> bool {
        self.moment = self.end.map_or(0, |(head, _)| head.lock.moment());
        self.seemed_ready = self.seems_ready();
        self.seemed_ready
    }

    /// Whether nothing has been done to it since the last look.
    fn is_still(&self) -> bool {
        match self.end {
            Some((head, _)) => head.lock.is_still(self.moment),
            // What was not due then and is not now was not in between; or another has taken it, which is as good.
            None => !self.seems_ready(),
        }
    }

    /// Whether it has become ready since the last look, when it was not. Under the lock that is true, but that a line may
    /// be full of selects that others have claimed already; choosing clears those away.
    #[inline]
    fn has_become_ready(&self) -> bool {
        self.end.is_some_and(|(head, side)| head.lock.moment() != self.moment.wrapping_add(1) && head.can(side))
    }
}

impl<T> Handle for Sender<T> {
    #[inline]
    fn end(&self) -> Option<(&Head, Side)> {
        Some((&self.channel, Side::Sends))
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn choose(&self) -> Option<Token> {
        self.channel.lock().choose_send()
    }

    unsafe fn release(&self, token: Token) {
        // SAFETY: as the caller promises.
        let told = unsafe { self.channel.lock().release(token) };
        wake(told);
    }
}

impl<T> Handle for Receiver<T> {
    #[inline]
    fn end(&self) -> Option<(&Head, Side)> {
        match &self.flavor {
            Flavor::Channel(channel) => Some((channel, Side::Receives)),
            _ => None,
        }
    }

    fn due(&self) -> Option<Instant> {
        match &self.flavor {
            Flavor::Clock(clock, _) => clock.due(),
            _ => None,
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

    unsafe fn release(&self, token: Token) {
        if let Flavor::Channel(channel) = &self.flavor {
            // SAFETY: as the caller promises.
            let told = unsafe { channel.lock().release(token) };
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
    wake(Some(told));
    match ticket.wait_claimed(WaitReason::Select) {
        Outcome::Selected(_) => Some(ticket.token()),
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
pub(crate) fn try_cases(cases: &mut [Case<'_>], want: Want) -> Option<(usize, Token)> {
    checkpoint();
    for _ in 0..ROUNDS_WITHOUT_LOCKS {
        if let Some(chosen) = scan(cases, want) {
            return Some(chosen);
        }
        // If nothing has changed since the first look it was true of all at once.
        if cases.iter().all(Case::is_still) {
            return None;
        }
    }
    try_busy_cases(cases, want)
}

/// The same, where others are so busy that one has to stop them.
#[cold]
fn try_busy_cases(cases: &mut [Case<'_>], want: Want) -> Option<(usize, Token)> {
    let locks = Locks::of(cases);
    loop {
        locks.lock();
        let is_ready = cases.iter().any(Case::seems_ready);
        locks.unlock();
        if !is_ready {
            return None;
        }
        if let Some(chosen) = scan(cases, want) {
            return Some(chosen);
        }
    }
}

/// Chooses one of the cases that seem ready. None: none is, or not any more.
#[inline]
fn scan(cases: &mut [Case<'_>], want: Want) -> Option<(usize, Token)> {
    let mut ready = 0;
    for case in &mut *cases {
        ready += usize::from(case.look());
    }
    if ready == 0 { None } else { choose(cases, ready, want) }
}

/// Chooses one of the `ready` cases that have seemed so: any of them, or else the next ones, once round.
fn choose(cases: &[Case<'_>], ready: usize, want: Want) -> Option<(usize, Token)> {
    let mut without = if want.biased || ready == 1 { 0 } else { any_below(ready) };
    let mut left = ready;
    for (i, case) in cases.iter().enumerate().chain(cases.iter().enumerate()) {
        if !case.seemed_ready {
            continue;
        }
        if without > 0 {
            without -= 1;
            continue;
        }
        let token = if want.watch { case.is_ready().then_some(Token::Watched) } else { case.handle.choose() };
        if let Some(token) = token {
            return Some((i, token));
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
    None
}

/// A number below `n`, each as likely as the others.
#[inline]
fn any_below(n: usize) -> usize {
    // The upper half of the product: no division.
    ((u128::from(random()) * n as u128) >> 64) as usize
}

/// Waits until a case is ready, and chooses it. None: the time is over.
pub(crate) fn wait_cases(cases: &mut [Case<'_>], want: Want, until: Until) -> Option<(usize, Token)> {
    checkpoint();
    let mut deadline = None;
    loop {
        if let Some(chosen) = scan(cases, want) {
            return Some(chosen);
        }
        if deadline.is_none() {
            deadline = until.deadline();
        }
        // Only what was true at one moment is a reason to give up.
        if deadline.is_some_and(has_come) {
            return try_cases(cases, want);
        }
        if let Some(chosen) = stand_in_lines(cases, want, deadline) {
            return Some(chosen);
        }
    }
}

/// Stands in the lines of all cases, which were not ready at the last look, and waits. None: look again.
fn stand_in_lines(cases: &[Case<'_>], want: Want, deadline: Option<Instant>) -> Option<(usize, Token)> {
    let locks = Locks::of(cases);
    locks.lock();
    if cases.iter().any(Case::has_become_ready) {
        locks.unlock();
        return None;
    }
    let ticket = Ticket::new(true);
    let mut waiters: SmallVec<[Waiter; CASES_INLINE]> = SmallVec::with_capacity(cases.len());
    // Several cases may stand in one line: which of them is the first there is chance too.
    let first = if want.biased { 0 } else { any_below(cases.len()) };
    for i in (first..cases.len()).chain(0..first) {
        // Nobody sends to those that have no line.
        let Some((head, side)) = cases[i].end else { continue };
        waiters.push(Waiter::new(i, want.watch));
        let waiter = &waiters[waiters.len() - 1];
        // SAFETY: the ticket and the waiters stay until `Lined` has taken them out of all lines: there is room for all.
        let waiter = unsafe { waiter.belongs_to(&raw const ticket, ptr::null_mut()) };
        // SAFETY: as above.
        unsafe { head.queue(side, waiter) };
    }
    let lined =
        Lined { ticket: &ticket, waiters: &waiters, cases, outcome: Cell::new(None), is_over: Cell::new(false) };
    locks.unlock();
    let due = cases.iter().filter_map(|case| case.handle.due()).chain(deadline).min();
    let in_time = ticket.wait(WaitReason::Select, 0, due);
    let outcome = if in_time { ticket.outcome() } else { lined.give_up() };
    lined.outcome.set(outcome);
    lined.is_over.set(true);
    match outcome {
        Some(Outcome::Selected(i)) => Some((i, ticket.token())),
        _ => None,
    }
}

/// The channels of all cases, each once, in the order in which all selects lock them.
struct Locks<'a>(SmallVec<[&'a Head; CASES_INLINE]>);

impl<'a> Locks<'a> {
    fn of(cases: &[Case<'a>]) -> Locks<'a> {
        let mut heads: SmallVec<[&Head; CASES_INLINE]> = SmallVec::with_capacity(cases.len());
        for (head, _) in cases.iter().filter_map(|case| case.end) {
            let order = head.lock.order();
            if heads.last().is_none_or(|last| last.lock.order() < order) {
                heads.push(head);
            } else if let Err(at) = heads.binary_search_by_key(&order, |head| head.lock.order()) {
                heads.insert(at, head);
            }
        }
        Locks(heads)
    }

    fn lock(&self) {
        self.0.iter().for_each(|head| head.lock.lock());
    }

    /// Those who watch are told when all locks have been given back.
    fn unlock(&self) {
        let mut is_watched = false;
        self.0.iter().for_each(|head| is_watched |= head.unlock_quietly());
        if is_watched {
            self.0.iter().for_each(|head| head.tell_watchers());
        }
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
            if let Some(Outcome::Selected(i)) = self.outcome.get() {
                // SAFETY: it was chosen for this case, and goes no further.
                unsafe { self.cases[i].handle.release(self.ticket.token()) };
            }
        }
        let chosen = match self.outcome.get() {
            // Whoever has told it has taken it out of that line.
            Some(Outcome::Selected(i)) => Some(i),
            _ => None,
        };
        for waiter in self.waiters.iter().filter(|waiter| Some(waiter.case) != chosen) {
            if let Some((head, side)) = self.cases[waiter.case].end {
                head.leave(side, waiter);
            }
        }
    }
}
