//! How a G waits for descriptors that are not ours, by their numbers: armed, kept, or by what is believed of it
//! (`netpoll/foreign.rs` has the argument).

#![allow(unsafe_code, reason = "which G calls")]

use super::place::{Place, wake};
use super::wait::arm_for_g;
use crate::clock::now_ns;
use crate::g::G;
use crate::netpoll::{Believed, Direction, Known, Look, Record, Who, foreign, known};
use crate::sched::Shared;
use crate::timers::NEVER;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// How long a call waits by what is believed, without having asked the kernel. That is by how much a call is late at most if
/// it is wrong, which happens only to those who change a descriptor by system calls of their own. A wait that lasts longer asks
/// the kernel; so do, with 50 ms, all waits of 10,000 connections that send 80,000 messages a second together, which costs
/// 13 % of their messages. A timer of that length for each descriptor that is busy costs little.
const BELIEF_NS: u64 = 200_000_000;

/// When a wait began.
#[derive(Clone, Copy, Debug)]
pub struct Began(u64);

impl Began {
    /// Now.
    #[inline]
    pub fn now() -> Began {
        Began(now_ns())
    }

    /// How long ago that is.
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(now_ns().saturating_sub(self.0))
    }

    /// Whether that is longer than a call waits by what is believed.
    pub fn is_long_ago(self) -> bool {
        now_ns() >= self.until_ns()
    }

    fn until_ns(self) -> u64 {
        self.0.saturating_add(BELIEF_NS)
    }
}

/// What an operation knows of its descriptor before an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    fd: RawFd,
    direction: Direction,
    known: Known,
    is_believed: bool,
}

impl Glance {
    /// For the G `g`, which is the caller.
    #[inline]
    pub(crate) fn new(g: &'static G, fd: RawFd, direction: Direction) -> Glance {
        let known = known(fd, direction);
        let is_here = |(record, _): (&Record, Look)| record.is_at(shared_of(g).netpoll());
        let is_believed = known.believed.holds(known.settings) && known.at.is_some_and(is_here);
        Glance { fd, direction, known, is_believed }
    }

    /// Whether it may be waited for without asking the kernel: operations block, without a time limit, and the epoll has it.
    #[inline]
    pub fn is_believed(&self) -> bool {
        self.is_believed
    }

    /// Whether an attempt would block: a read has got all that there was, and nothing has come since.
    #[inline]
    pub fn is_drained(&self) -> bool {
        let is_drained = |(record, look): (&Record, Look)| record.side(self.direction).is_drained(look);
        self.drains() && self.known.at.is_some_and(is_drained)
    }

    /// A plain read after this look got less than it asked for.
    #[inline]
    pub fn drained(&self) {
        if let Some((record, look)) = self.known.at
            && self.drains()
        {
            record.side(self.direction).drain(look);
        }
    }

    fn drains(&self) -> bool {
        self.is_believed && self.known.believed.drains()
    }

    /// Parks the G `g`, which is the caller, until there is an event since the look, until the wait, which began then, is
    /// too long, or for no reason. `park` is as for [`wait_for_foreign`].
    pub(crate) fn wait(&self, g: &'static G, began: Began, park: impl FnOnce(usize)) {
        if let Some((record, look)) = self.known.at {
            wait_in_list(g, (record, self.direction), look, began.until_ns(), park);
        }
    }

    /// As [`wait`](Self::wait), when the kernel has been asked after this look, and has said that it is a socket and that an
    /// attempt would block: it is asked to keep it, and the wait has no limit. This returns what may be believed if it was
    /// short. The operation has no time limit if it is to be believed.
    ///
    /// # Errors
    /// As [`wait_for_foreign`].
    pub(crate) fn wait_kept(&self, g: &'static G, park: impl FnOnce(usize)) -> io::Result<Option<Evidence>> {
        let (record, shared) = (foreign(self.fd)?, shared_of(g));
        let watched = record.keep(self.fd, shared.netpoll(), self.direction, wake)?;
        if watched.is_first {
            shared.has_registered();
        }
        let before = self.known.believed;
        let before = match watched.anew {
            // By this wait alone, or the number has been given up since the look.
            Some(forgotten) => Some(forgotten[self.direction as usize]).filter(|now| now.is_next_of(before)),
            None => Some(before),
        };
        wait_in_list(g, (record, self.direction), watched.look, NEVER, park);
        Ok(before.map(|before| Evidence { record, direction: self.direction, before, settings: self.known.settings }))
    }

    /// It is believed no longer.
    pub fn forget(&self) {
        if let Some((record, _)) = self.known.at {
            let _ = record.forget();
        }
    }
}

/// What the kernel has said of a descriptor.
#[derive(Debug)]
pub struct Evidence {
    record: &'static Record,
    direction: Direction,
    before: Believed,
    settings: u32,
}

impl Evidence {
    /// It is believed from now on, unless it has changed meanwhile. If it `drains`, a read that gets less than it asked for
    /// has got all.
    pub fn believe(self, drains: bool) {
        self.record.belief(self.direction).confirm(self.before, self.settings, drains);
    }
}

fn shared_of(g: &'static G) -> &'static Shared {
    // SAFETY: `g` is the caller, so its runtime is there.
    unsafe { g.shared() }
}

/// Parks the G in the list of a direction, unless there has been an event since the look.
fn wait_in_list(
    g: &'static G,
    (record, direction): (&'static Record, Direction),
    look: Look,
    until_ns: u64,
    park: impl FnOnce(usize),
) {
    let side = record.side(direction);
    let mut place = Place::default();
    let mut locked = side.lock();
    if locked.differs(look).is_some() {
        return;
    }
    place.put((record, direction), locked.push(Who::G(g, g.id()), until_ns));
    if until_ns == NEVER {
        drop(locked);
    } else {
        arm_for_g(g, locked, (record, direction), until_ns, look);
    }
    park(record.what());
    if side.differs(look).is_some() {
        // Whoever has changed it takes all waiters.
        place.was_taken();
    }
}

/// Has `park` called while the G `g`, which is the caller, is woken when one of these is ready, or for no reason. `park` is
/// given the number that says to observers what is waited for, and does not unwind.
///
/// # Errors
/// `Unsupported` for one that is waited for by a [`Source`](super::Source); what the system says of one that cannot be
/// watched, as a regular file, or that is closed. Then `park` was not called.
pub(crate) fn wait_for_foreign(
    g: &'static G,
    wanted: &[(RawFd, Direction)],
    park: impl FnOnce(usize),
) -> io::Result<()> {
    let shared = shared_of(g);
    let mut what = 0;
    // They leave at the end. Most often there is one. Nothing is allocated for them while some are in lists: an allocator
    // may have to wait.
    let (mut first, mut more) = (Place::default(), Vec::with_capacity(wanted.len().saturating_sub(1)));
    for (nth, (fd, direction)) in wanted.iter().enumerate() {
        let record = foreign(*fd)?;
        let place = if nth == 0 {
            what = record.what();
            &mut first
        } else {
            more.push(Place::default());
            more.last_mut().expect("it was pushed")
        };
        let number = record.side(*direction).lock().push(Who::G(g, g.id()), NEVER);
        place.put((record, *direction), number);
        if record.arm(*fd, shared.netpoll(), wake)?.is_first {
            shared.has_registered();
        }
    }
    park(what);
    Ok(())
}
