//! Who waits for whom: what the records of Gs say, threads in a `join` or `run`, and what crates above know.

use crate::g::{G, for_each};
use crate::join::{WaitingThread, all_waiting_threads, join_of};
use crate::netpoll::for_each_waiting_g;
use crate::probe::Status;
use crate::reason::{Party, Reason};
use crate::sched::Shared;
use crate::timers::{Action, NEVER};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// One wait, as a crate above knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Who waits.
    pub party: Party,
    /// Why.
    pub reason: &'static Reason,
    /// What it waits on, as it is given to the reason's owner.
    pub what: usize,
    /// Since when.
    pub since: Instant,
    /// It may end though nobody gives what is waited for: it has a timeout, or can be cancelled.
    pub may_end: bool,
}

/// What a crate above knows of waits. Its functions are called on any thread, at any time, under no lock of the
/// runtime. They must not wait for long, nor call code of the user's.
#[derive(Clone, Copy, Debug)]
pub struct WaitSource {
    /// Since when the longest wait lasts for something that somebody has, of Gs and threads; none if nobody waits.
    /// sysmon asks often, so it is cheap; it may be a little wrong.
    pub longest: fn() -> Option<Instant>,
    /// Calls the function with each wait of a thread that runs no G, also for what nobody has, unless the thread has
    /// been told already: the deadlock report relies on it. Waits of Gs should be among them, for `since` and `may_end`:
    /// what their records say is less exact, and a runtime knows no timeouts of another's Gs.
    pub each: fn(&mut dyn FnMut(Wait)),
}

static SOURCES: Mutex<Vec<WaitSource>> = Mutex::new(Vec::new());

fn lock_sources() -> MutexGuard<'static, Vec<WaitSource>> {
    // Nothing panics under it but an allocation that fails, before anything was changed.
    SOURCES.lock().unwrap_or_else(|e| e.into_inner())
}

/// A copy of the list: under its lock nothing of others is called.
fn sources() -> Vec<WaitSource> {
    lock_sources().clone()
}

/// Adds what a crate above knows, for the rest of the process.
pub fn add_waits(source: WaitSource) {
    lock_sources().push(source);
}

/// Since when the longest wait lasts that crates above know of.
pub(crate) fn longest_wait() -> Option<Instant> {
    sources().iter().filter_map(|source| (source.longest)()).min()
}

/// The waits of threads that crates above know of, by their numbers.
pub(crate) fn thread_waits() -> Vec<(i32, Wait)> {
    let mut waits = Vec::new();
    let mut add = |wait: Wait| match wait.party {
        Party::Thread(tid) => waits.push((tid, wait)),
        Party::G(_) => {}
    };
    sources().iter().for_each(|source| (source.each)(&mut add));
    waits.sort_unstable_by_key(|(tid, _)| *tid);
    waits
}

/// When a wait began. It says only whether it is still the same wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Began {
    /// By the coarse clock of the G's runtime, in milliseconds: its record says so.
    Ms(u32),
    /// A crate above says so.
    At(Instant),
    /// It is the only one of its kind.
    Once,
}

/// That one party waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(super) who: Party,
    /// Who has what it waits for.
    pub(super) owner: Party,
    pub(super) reason: &'static Reason,
    pub(super) what: usize,
    pub(super) began: Began,
    /// It may end by itself.
    pub(super) may_end: bool,
    /// It is a G of another runtime.
    pub(super) is_foreign: bool,
}

impl Link {
    /// That a party waits for what it has itself.
    pub(super) fn to_oneself(who: Party, reason: &'static Reason, what: usize) -> Link {
        Link { who, owner: who, reason, what, began: Began::Once, may_end: false, is_foreign: false }
    }
}

/// All waits of the process for what somebody has, by who waits. It looks at every G, always in the same order, and
/// then at threads.
pub(super) fn links(shared: &Shared) -> HashMap<Party, Link> {
    let mut links = HashMap::new();
    for_each(|g| {
        if let Some(link) = link_of(shared, g) {
            links.insert(link.who, link);
        }
    });
    for thread in all_waiting_threads().iter().filter(|thread| thread.is_stuck()) {
        let WaitingThread { tid, g, .. } = *thread;
        let (who, owner) = (Party::Thread(tid), Party::G(g));
        let (reason, what) = join_of(g);
        links.insert(who, Link { who, owner, reason, what, began: Began::Once, may_end: false, is_foreign: false });
    }
    // All are listed before the owner of any is asked for: `cycles` needs that order.
    let mut listed = Vec::new();
    sources().iter().for_each(|source| (source.each)(&mut |wait| listed.push(wait)));
    for Wait { party: who, reason, what, since, may_end } in listed {
        if let Party::G(_) = who {
            if let Some(link) = links.get_mut(&who).filter(|link| (link.reason, link.what) == (reason, what)) {
                (link.began, link.may_end) = (Began::At(since), may_end);
            }
        } else if let Some(owner) = reason.owner(what) {
            let (owner, began) = (owner.party, Began::At(since));
            links.insert(who, Link { who, owner, reason, what, began, may_end, is_foreign: false });
        }
    }
    links
}

/// What a G waits for, if somebody has it.
fn link_of(shared: &Shared, g: &'static G) -> Option<Link> {
    let look = || (g.id(), g.status(), g.waiting(), g.waiting_on());
    let seen = look();
    let (id, status, (reason, since_ms), what) = seen;
    let reason = reason.filter(|_| id != 0 && status == Status::Waiting)?;
    let owner = reason.owner(what)?.party;
    let is_foreign = !std::ptr::eq(g.shared_ptr(), shared);
    // The G may have continued while it was read.
    (look() == seen).then_some(Link {
        who: Party::G(id),
        owner,
        reason,
        what,
        began: Began::Ms(since_ms),
        may_end: false,
        is_foreign,
    })
}

/// The Gs that a timer of their runtime will wake: they sleep, or wait with a timeout.
pub(crate) fn woken_by_clock(shared: &Shared) -> HashSet<u64> {
    let mut woken = HashSet::new();
    for p in &shared.ps {
        p.timers.for_each(|action| {
            if let Action::Wake(_, id) = action {
                woken.insert(*id);
            }
        });
    }
    for_each_waiting_g(|g, id, until_ns| {
        if until_ns != NEVER && std::ptr::eq(g.shared_ptr(), shared) {
            woken.insert(id);
        }
    });
    woken
}
