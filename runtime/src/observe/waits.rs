//! Who waits for whom: what the records of Gs say, threads in a `join` or `run`, and what crates above know.

use crate::g::{G, for_each};
use crate::join::{WaitingThread, all_waiting_threads, join_of};
use crate::netpoll::for_each_waiting_g;
use crate::os::{Mutex, MutexGuard};
use crate::probe::Status;
use crate::reason::{Kind, Party, Reason};
use crate::sched::Shared;
use crate::timers::{Action, NEVER};
use std::collections::{HashMap, HashSet};

/// One wait, as a crate above knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Who waits.
    pub party: Party,
    /// Why.
    pub reason: &'static Reason,
    /// What it waits on, as it is given to the reason's owner.
    pub what: usize,
    /// Since when, in nanoseconds on the runtime's clock.
    pub since_ns: u64,
    /// It may end though nobody gives what is waited for: it has a timeout, or can be cancelled.
    pub may_end: bool,
}

/// What a crate above knows of waits. Its functions are called on any thread, at any time, under no lock of the
/// runtime. They must not wait for long, nor call code of the user's.
#[derive(Clone, Copy, Debug)]
pub struct WaitSource {
    /// Since when the longest wait lasts for something that somebody has, of Gs and threads; none if nobody waits.
    /// sysmon asks often, so it is cheap; it may be a little wrong.
    pub longest: fn() -> Option<u64>,
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
pub(crate) fn longest_wait() -> Option<u64> {
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
    At(u64),
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

/// All waits of the process for what others have, by who waits.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Of those that wait for one other.
    one: HashMap<Party, Link>,
    /// Of those that wait for the ends of several: those that wait among these.
    several: HashMap<Party, Vec<Link>>,
}

impl Links {
    /// All that wait. In the order of their numbers if that matters: where one waits for several, it decides which
    /// cycle is found, and two looks have to find the same.
    pub(super) fn parties(&self) -> Vec<Party> {
        let mut parties: Vec<_> = self.one.keys().chain(self.several.keys()).copied().collect();
        if !self.several.is_empty() {
            parties.sort_unstable();
        }
        parties
    }

    /// The nth wait of one.
    pub(super) fn nth(&self, who: Party, nth: usize) -> Option<&Link> {
        match self.one.get(&who) {
            one @ Some(_) => one.filter(|_| nth == 0),
            None => self.several.get(&who)?.get(nth),
        }
    }

    /// Adds what the waits for scopes are for: the ends of `members`, by their scopes' addresses.
    fn add_scopes(&mut self, waits: Vec<Link>, mut members: HashMap<usize, Vec<Party>>) {
        for wait in waits {
            let mut owners = members.remove(&wait.what).unwrap_or_default();
            owners.sort_unstable();
            self.several.insert(wait.who, owners.into_iter().map(|owner| Link { owner, ..wait }).collect());
        }
    }
}

#[cfg(test)]
impl FromIterator<Link> for Links {
    fn from_iter<I: IntoIterator<Item = Link>>(all: I) -> Links {
        let mut links = Links::default();
        for link in all {
            let several = links.several.entry(link.who).or_default();
            several.push(link);
        }
        links
    }
}

/// Finds them. It looks at every G, always in the same order, and then at threads.
pub(super) fn links(shared: &Shared) -> Links {
    let mut links = Links::default();
    let (mut scopes, mut members) = (Vec::new(), HashMap::<usize, Vec<Party>>::new());
    for_each(|g| {
        let Some((wait, scope)) = wait_of(shared, g) else { return };
        if scope != 0 {
            members.entry(scope).or_default().push(wait.who);
        }
        if wait.reason.kind() == Kind::Scope {
            scopes.push(wait);
        } else if let Some(owner) = wait.reason.owner(wait.what) {
            links.one.insert(wait.who, Link { owner: owner.party, ..wait });
        }
    });
    links.add_scopes(scopes, members);
    for thread in all_waiting_threads().iter().filter(|thread| thread.is_stuck()) {
        let WaitingThread { tid, g, .. } = *thread;
        let (who, owner) = (Party::Thread(tid), Party::G(g));
        let (reason, what) = join_of(g);
        links.one.insert(who, Link { who, owner, reason, what, began: Began::Once, may_end: false, is_foreign: false });
    }
    // All are listed before the owner of any is asked for: `cycles` needs that order.
    let mut listed = Vec::new();
    sources().iter().for_each(|source| (source.each)(&mut |wait| listed.push(wait)));
    for Wait { party: who, reason, what, since_ns, may_end } in listed {
        if let Party::G(_) = who {
            if let Some(link) = links.one.get_mut(&who).filter(|link| (link.reason, link.what) == (reason, what)) {
                (link.began, link.may_end) = (Began::At(since_ns), may_end);
            }
        } else if let Some(owner) = reason.owner(what) {
            let (owner, began) = (owner.party, Began::At(since_ns));
            links.one.insert(who, Link { who, owner, reason, what, began, may_end, is_foreign: false });
        }
    }
    links
}

/// What a G waits for, as if it had that itself; and the scope that waits for it, or 0.
fn wait_of(shared: &Shared, g: &'static G) -> Option<(Link, usize)> {
    let look = || (g.id(), g.status(), g.waiting(), g.waiting_on(), g.scope());
    let seen = look();
    let (id, status, (reason, since_ms), what, scope) = seen;
    let reason = reason.filter(|_| id != 0 && status == Status::Waiting)?;
    let is_foreign = !std::ptr::eq(g.shared_ptr(), shared);
    let (who, began) = (Party::G(id), Began::Ms(since_ms));
    // The G may have continued while it was read.
    (look() == seen).then_some((Link { who, owner: who, reason, what, began, may_end: false, is_foreign }, scope))
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
