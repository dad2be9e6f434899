//! What a select does with its cases: look, choose one that is ready, or wait at all of them. Of each case it knows
//! only a [`Selectable`](crate::cases::Selectable).
//!
//! A select that finds nothing takes the locks of all its channels, in the order of their addresses, looks again,
//! stands in all lines, and gives the locks back. So when others can find it, it has seen that it cannot complete, and
//! nothing has changed since. While it looks for others, they cannot find it, so two selects never wait for each other
//! to choose. Go's runtime does the same (`selectgo`).

#![allow(unsafe_code, reason = "waiters on stacks that wait")]

use crate::cases::{Case, SELECT};
use crate::core::{Answer, Head, Purpose, Reservation, Side, Ticket, Waiter};
use crate::loom::{checkpoint, has_come, random_below};
use crate::until::{Until, end_of_grace};
use pirn_runtime::internal::{Kind, Reason, on_unwind};
use smallvec::SmallVec;
use std::time::Instant;

/// A select without cases.
pub(crate) static SELECT_NO_CASES: Reason = Reason::new("select (no cases)", Kind::Event);

/// Up to so many cases need no allocation.
pub(crate) const CASES_INLINE: usize = 4;
/// How often a select that does not wait looks without the locks of its channels.
const ROUNDS_WITHOUT_LOCKS: usize = 4;

/// What a select wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    /// The first case that is ready, and not any of them.
    pub(crate) biased: bool,
    /// To know what is ready, and not to do it.
    pub(crate) watch: bool,
}

/// Whether there was a moment at which no case was ready, seen without a list of cases. False if that is not known:
/// then the caller makes the list.
#[inline(always)]
pub(crate) fn was_none_ready<const N: usize>(ends: [Option<(&Head, Side)>; N]) -> bool {
    let mut moments = [0; N];
    for (end, moment) in ends.iter().zip(&mut moments) {
        // A channel of the clock has no lock.
        let Some((head, side)) = end else { return false };
        *moment = head.lock.moment();
        if head.can(*side) {
            return false;
        }
    }
    ends.iter().flatten().zip(moments).all(|((head, _), moment)| head.lock.is_still(moment))
}

/// Chooses a case that is ready now. None: there was a moment at which none was.
pub(crate) fn try_cases(cases: &mut [Case<'_>], want: Want) -> Option<(usize, Reservation)> {
    checkpoint();
    for _ in 0..ROUNDS_WITHOUT_LOCKS {
        if let Some(chosen) = scan(cases, want, &mut Until::now()) {
            return Some(chosen);
        }
        // If no channel has changed since the first look, there was a moment at which no case was ready.
        if cases.iter().all(Case::is_still) {
            return None;
        }
    }
    try_busy_cases(cases, want)
}

/// The same, for channels that change at each look: it holds all locks for one look.
#[cold]
fn try_busy_cases(cases: &mut [Case<'_>], want: Want) -> Option<(usize, Reservation)> {
    let locks = Locks::of(cases);
    loop {
        locks.lock();
        let is_ready = cases.iter().any(Case::seems_ready);
        locks.unlock();
        if !is_ready {
            return None;
        }
        if let Some(chosen) = scan(cases, want, &mut Until::now()) {
            return Some(chosen);
        }
    }
}

/// Chooses one of the cases that seem ready. None: no case is ready, or it is not ready any more.
#[inline]
fn scan(cases: &mut [Case<'_>], want: Want, until: &mut Until) -> Option<(usize, Reservation)> {
    let mut ready = 0;
    for case in &mut *cases {
        ready += usize::from(case.look());
    }
    if ready == 0 { None } else { choose(cases, ready, want, until) }
}

/// Chooses one of the `ready` cases that seemed ready: a random one or, if that is not ready any more, the next one
/// that is.
fn choose(cases: &[Case<'_>], ready: usize, want: Want, until: &mut Until) -> Option<(usize, Reservation)> {
    let mut without = if want.biased || ready == 1 { 0 } else { random_below(ready) };
    let mut left = ready;
    for (i, case) in cases.iter().enumerate().chain(cases.iter().enumerate()) {
        if !case.seemed_ready {
            continue;
        }
        if without > 0 {
            without -= 1;
            continue;
        }
        let reservation = match want.watch {
            true => case.is_ready().then_some(Reservation::Watched),
            false => case.handle.choose(&mut || earliest(cases, until.fix())),
        };
        if let Some(reservation) = reservation {
            return Some((i, reservation));
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
    None
}

/// When a select has to look again, at the latest.
fn earliest(cases: &[Case<'_>], deadline: Option<Instant>) -> Option<Instant> {
    cases.iter().filter_map(|case| case.handle.due()).chain(deadline).min()
}

/// Waits until a case is ready, and chooses it. None: the time is over.
pub(crate) fn wait_cases(cases: &mut [Case<'_>], want: Want, mut until: Until) -> Option<(usize, Reservation)> {
    checkpoint();
    loop {
        if let Some(chosen) = scan(cases, want, &mut until) {
            return Some(chosen);
        }
        let deadline = until.fix();
        // The time is over. It may return without a choice only if at one moment no case was ready.
        if deadline.is_some_and(has_come) {
            return try_cases(cases, want);
        }
        if let Some(chosen) = stand_in_lines(cases, want, deadline) {
            return Some(chosen);
        }
    }
}

/// Stands in the lines of all cases, which were not ready at the last look, and waits. None: look again.
fn stand_in_lines(cases: &[Case<'_>], want: Want, deadline: Option<Instant>) -> Option<(usize, Reservation)> {
    let locks = Locks::of(cases);
    locks.lock();
    if cases.iter().any(Case::has_become_ready) {
        locks.unlock();
        return None;
    }
    let ticket = Ticket::in_several();
    let mut waiters: SmallVec<[Waiter; CASES_INLINE]> = SmallVec::with_capacity(cases.len());
    // Several cases may stand in one line: chance decides which of them is the first there.
    let first = if want.biased { 0 } else { random_below(cases.len()) };
    for i in (first..cases.len()).chain(0..first) {
        // A channel of the clock has no line.
        let Some((head, side)) = cases[i].end else { continue };
        waiters.push(Waiter::new(Purpose::case(i, want.watch)));
        let waiter = &waiters[waiters.len() - 1];
        // SAFETY: the ticket and the waiters stay until `Lined` has taken them out of all lines: there is room for all.
        let waiter = unsafe { waiter.belongs_to(&raw const ticket) };
        // SAFETY: as above.
        unsafe { head.queue(side, waiter) };
    }
    let lined = Lined { ticket: &ticket, waiters: &waiters, cases };
    let unwound = on_unwind(|| lined.unwound());
    locks.unlock();
    let reason = if cases.is_empty() { &SELECT_NO_CASES } else { &SELECT };
    let in_time = ticket.wait(reason, 0, earliest(cases, deadline));
    let answer = if in_time { ticket.told() } else { lined.withdraw() };
    unwound.disarm();
    let chosen = match answer {
        Some(Answer::Selected(i, reservation)) => Some((*i, *reservation)),
        _ => None,
    };
    lined.leave(chosen.map(|(i, _)| i));
    chosen
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

    /// Watchers are told after all locks are unlocked.
    fn unlock(&self) {
        let mut is_watched = false;
        self.0.iter().for_each(|head| is_watched |= head.unlock_quietly());
        if is_watched {
            self.0.iter().for_each(|head| head.tell_watchers());
        }
    }
}

/// A select that stands in lines.
struct Lined<'a, 'c> {
    ticket: &'a Ticket,
    waiters: &'a [Waiter],
    cases: &'a [Case<'c>],
}

impl Lined<'_, '_> {
    /// From here on no operation can claim it. If one has claimed it before, the select has been told (Some), or was
    /// promised a value: then this waits a little longer for the value.
    #[cold]
    fn withdraw(&self) -> Option<&Answer> {
        if self.ticket.claim_one_of_several() {
            return None;
        }
        let in_time = self.ticket.wait(&SELECT, 0, Some(end_of_grace()));
        if !in_time && self.waiters.iter().any(|waiter| self.cases[waiter.data().case].handle.abandon(waiter)) {
            return None;
        }
        // The operation that has claimed it has told it or made a promise in one turn of a lock, and all locks were
        // taken since.
        Some(self.ticket.told().expect("who claims a select tells it, or makes it a promise"))
    }

    /// The G is unwound in the middle of its wait.
    #[cold]
    fn unwound(&self) {
        let mut chosen = None;
        if let Some(Answer::Selected(i, reservation)) = self.withdraw() {
            // SAFETY: it was chosen for this case, and goes no further.
            unsafe { self.cases[*i].handle.release(*reservation) };
            chosen = Some(*i);
        }
        self.leave(chosen);
    }

    /// Leaves the lines. The operation that has told it has taken it out of the line of the chosen case.
    #[inline]
    fn leave(&self, chosen: Option<usize>) {
        for waiter in self.waiters.iter().filter(|waiter| Some(waiter.data().case) != chosen) {
            if let Some((head, side)) = self.cases[waiter.data().case].end {
                head.lock_and_leave(side, waiter);
            }
        }
    }
}
