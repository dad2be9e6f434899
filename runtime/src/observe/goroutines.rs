//! What every G does, and how much stack the caller uses.

#![allow(unsafe_code, reason = "which G calls")]

use super::parties::{Holder, Parties};
use crate::clock::now;
use crate::g::{G, Gid, for_each};
use crate::netpoll::{Polled, by_what};
use crate::park::{checkpoint, current_g};
use crate::probe::Status;
use crate::reason::{Kind, Owner, Party, Reason};
use crate::sched::Shared;
use std::fmt;
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The state of a G.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is ready, and waits for an M.
    Runnable,
    /// It runs.
    Running,
    /// It is parked.
    Waiting,
}

/// One G, as it was at the moment of a look: see [`Runtime::goroutines`](crate::Runtime::goroutines).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Goroutine {
    /// Its number.
    pub id: Gid,
    /// The name that it was given.
    pub name: Option<String>,
    /// Its state.
    pub state: State,
    /// Why it waits, if it does; in Go's word where Go has the same thing.
    pub wait_reason: Option<&'static str>,
    /// How long it has waited, by a clock that may be some milliseconds old.
    pub waiting_for: Option<Duration>,
    /// What it waits on, if the reason does not say all.
    pub waits_on: Option<WaitsOn>,
    /// Who has what it waits on: the G or thread that has locked a lock, if it is known.
    pub held_by: Option<Holder>,
    /// For how long at least that one has had it, if it is known.
    pub held_for: Option<Duration>,
    /// Whether it keeps its thread to itself ([`lock_os_thread`](crate::lock_os_thread)).
    pub is_locked: bool,
    /// Where the call is that started it.
    pub birthplace: Option<&'static Location<'static>>,
    /// The G that started it; none if a thread did, or [`after_func`](crate::time::after_func).
    pub parent: Option<Gid>,
}

/// What a G waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsOn {
    /// The object at this address: the same for all Gs that wait on it.
    Object {
        /// What it is: `chan` is a channel.
        noun: &'static str,
        /// Where it is.
        address: usize,
    },
    /// The end of this G.
    Goroutine(Gid),
    /// The end of the process with this number.
    Process(u32),
    /// The word of memory at this address, by a futex.
    Word(usize),
    /// A descriptor.
    Descriptor {
        /// Its number.
        fd: i32,
        /// What it is, as `tcp`.
        kind: &'static str,
        /// For a socket of the internet: the address of its peer, or if it has none its own.
        address: Option<SocketAddr>,
    },
}

impl fmt::Display for WaitsOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitsOn::Object { noun, address } => write!(f, "{noun} {address:#x}"),
            WaitsOn::Process(id) => write!(f, "process {id}"),
            WaitsOn::Word(address) => write!(f, "{address:#x}"),
            WaitsOn::Goroutine(id) => write!(f, "goroutine {}", id.as_u64()),
            WaitsOn::Descriptor { fd, kind, address: Some(address) } => write!(f, "fd {fd}, {kind} {address}"),
            WaitsOn::Descriptor { fd, kind, address: None } => write!(f, "fd {fd}, {kind}"),
        }
    }
}

impl Goroutine {
    /// The head of a goroutine as Go writes it, so that tools for Go's tracebacks read these: Go's items come first.
    /// `what` is its state if not empty, `extra` comes last.
    pub(super) fn head(&self, what: &str, extra: &str) -> String {
        let what = match self.state {
            _ if !what.is_empty() => what,
            State::Runnable => "runnable",
            State::Running => "running",
            State::Waiting => self.wait_reason.unwrap_or("waiting"),
        };
        let mut head = format!("goroutine {} [{what}", self.id.as_u64());
        let mut item = |item: fmt::Arguments<'_>| head.push_str(&format!(", {item}"));
        let waits = self.waiting_for.unwrap_or_default();
        match waits.as_secs() / 60 {
            0 => {}
            minutes => item(format_args!("{minutes} minutes")),
        }
        if self.is_locked {
            item(format_args!("locked to thread"));
        }
        if let Some(name) = &self.name {
            item(format_args!("{name:?}"));
        }
        match self.waits_on {
            Some(what @ (WaitsOn::Descriptor { .. } | WaitsOn::Process(_) | WaitsOn::Word(_))) => {
                item(format_args!("{what}"))
            }
            Some(what) => item(format_args!("on {what}")),
            None => {}
        }
        if let Some(holder) = &self.held_by {
            let since = self.held_for.map_or_else(String::new, |time| format!(" since {}", lasting(time)));
            item(format_args!("held by {holder}{since}"));
        }
        if self.waiting_for.is_some() {
            item(format_args!("for {}", lasting(waits)));
        }
        head.push_str(extra);
        head.push(']');
        head
    }
}

/// A time in whole milliseconds; it is not known more exactly.
pub(super) fn lasting(time: Duration) -> String {
    match time.as_millis() {
        0 => "<1ms".to_owned(),
        ms => format!("{:?}", Duration::from_millis(ms as u64)),
    }
}

/// The head of a goroutine as Go writes it in a dump: `goroutine 18 [sleep, 2 minutes, "worker", for 134.2s]:`, and
/// where it was created.
impl fmt::Display for Goroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.head("", ""))?;
        match self.birthplace {
            Some(place) => write!(f, "\ncreated at {}:{}", place.file(), place.line()),
            None => Ok(()),
        }
    }
}

/// A G, with its record.
pub(crate) struct SeenG {
    pub(super) g: &'static G,
    pub(crate) public: Goroutine,
    /// Why it waits, if it does.
    pub(crate) reason: Option<&'static Reason>,
    pub(super) status: Status,
}

/// How long a G has waited, by a clock of milliseconds that wraps after 49 days: so does this.
fn waited(now_ms: u32, since_ms: u32) -> Duration {
    /// A G that has parked after the clock was read seems to have parked in the future.
    const AHEAD_MAX_MS: u32 = 3_600_000;
    let ms = now_ms.wrapping_sub(since_ms);
    let is_ahead = ms > u32::MAX - AHEAD_MAX_MS;
    Duration::from_millis(if is_ahead { 0 } else { u64::from(ms) })
}

/// All Gs of a runtime, by number.
pub(crate) fn goroutines(shared: &Shared) -> Vec<Goroutine> {
    list(shared, shared.refresh_clock()).into_iter().map(|seen| seen.public).collect()
}

/// Those of a scope or a task, which is there.
pub(crate) fn goroutines_of(shared: &Shared, scope: usize) -> Vec<Goroutine> {
    let all = list(shared, shared.refresh_clock()).into_iter();
    // A record that has gone to another G since is not of this scope, or has the number of that.
    let of_scope = all.filter(|seen| seen.g.scope() == scope && seen.g.id() == seen.public.id.0);
    of_scope.map(|seen| seen.public).collect()
}

/// All Gs of a runtime, by number, with their records, as at `now_ns`.
pub(crate) fn list(shared: &Shared, now_ns: u64) -> Vec<SeenG> {
    let now_ms = (now_ns.saturating_sub(shared.began_ns()) / 1_000_000) as u32;
    let locked: Vec<u64> = shared.machines().iter().map(|m| m.locked_to.load(Ordering::Relaxed)).collect();
    let mut all = Vec::new();
    let mut owned = Vec::new();
    for_each(|g| {
        let id = g.id();
        if id == 0 || !std::ptr::eq(g.shared_ptr(), shared) {
            return;
        }
        let status = g.status();
        let (state, waits) = match status {
            Status::Runnable => (State::Runnable, None),
            Status::Running => (State::Running, None),
            Status::Waiting => (State::Waiting, Some(g.waiting())),
            Status::Dead => return,
        };
        let reason = waits.and_then(|(reason, _)| reason);
        let what = g.waiting_on();
        let public = Goroutine {
            id: Gid(id),
            name: g.name(),
            state,
            wait_reason: waits.map(|(reason, _)| reason.map_or("", Reason::name)),
            waiting_for: waits.map(|(_, since_ms)| waited(now_ms, since_ms)),
            waits_on: reason.and_then(|reason| waits_on(reason, what)),
            held_by: None,
            held_for: None,
            is_locked: locked.contains(&id),
            birthplace: g.birthplace(),
            parent: g.parent().map(Gid),
        };
        // The record may have changed hands while it was read.
        if g.id() == id {
            owned.extend(reason.and_then(|reason| held(reason, what)).map(|owner| (id, owner)));
            all.push(SeenG { g, public, reason, status });
        }
    });
    all.sort_unstable_by_key(|seen| seen.public.id);
    name_holders(&mut all, &owned);
    all
}

/// Who has what is waited on. Of a G that waits for the end of another, `waits_on` says it.
fn held(reason: &Reason, what: usize) -> Option<Owner> {
    if reason.kind() == Kind::Goroutine { None } else { reason.owner(what) }
}

/// Says of the Gs of which it is known who has what they wait on, and since when.
fn name_holders(all: &mut [SeenG], owned: &[(u64, Owner)]) {
    if owned.is_empty() {
        return;
    }
    let now = now();
    let parties = Parties::find(owned.iter().map(|(_, owner)| owner.party));
    for (id, Owner { party, since }) in owned {
        if let Ok(at) = all.binary_search_by_key(id, |seen| seen.public.id.as_u64()) {
            let seen = &mut all[at].public;
            seen.held_by = parties.holder(*party).cloned();
            seen.held_for = since.map(|since| now.saturating_duration_since(since));
        }
    }
}

fn waits_on(reason: &Reason, what: usize) -> Option<WaitsOn> {
    match reason.kind() {
        _ if what == 0 => None,
        Kind::Object(noun) => Some(WaitsOn::Object { noun, address: what }),
        Kind::Goroutine => match reason.owner(what)?.party {
            Party::G(id) => Some(WaitsOn::Goroutine(Gid(id))),
            Party::Thread(_) => None,
        },
        Kind::Descriptor => {
            let Polled { fd, kind, address } = by_what(what)?.describe()?;
            Some(WaitsOn::Descriptor { fd, kind, address })
        }
        Kind::Process => u32::try_from(what).ok().map(WaitsOn::Process),
        Kind::Word => Some(WaitsOn::Word(what)),
        Kind::Event | Kind::Moment | Kind::Timer | Kind::Scope => None,
    }
}

/// How much of its stack the calling G uses: see [`stack_use`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackUse {
    /// An address in or near the caller's frame.
    pub pointer: usize,
    /// Bytes in use above that.
    pub used_bytes: usize,
    /// Bytes of memory that the stack has got so far, in whole pages.
    pub committed_bytes: usize,
    /// Bytes that it may grow to: what is left of the size class without the guard and, if Gs have thread-locals of
    /// their own, these.
    pub limit_bytes: usize,
}

/// How much of its stack the calling G uses; none on a thread that runs no G. This is a system call, of about a
/// microsecond.
pub fn stack_use() -> Option<StackUse> {
    checkpoint();
    let g = current_g()?;
    // SAFETY: `g` is the caller; its slot is set as long as it runs, and only its M changes it, when it has ended.
    let slot = unsafe { &*g.slot.get() }.as_ref()?;
    let here = 0u8;
    let pointer = (&raw const here).addr();
    Some(StackUse {
        pointer,
        used_bytes: slot.stack_base().saturating_sub(pointer),
        committed_bytes: slot.committed_bytes(),
        limit_bytes: slot.stack_base() - slot.limit(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Duration, waited};

    #[test]
    fn a_wait_is_as_long_when_the_clock_has_wrapped() {
        for (now_ms, since_ms, waited_ms) in
            [(5, 5, 0), (70_000, 10_000, 60_000), (7, 9, 0), (4_000, u32::MAX - 999, 5_000), (u32::MAX, 0, 0)]
        {
            assert_eq!(waited(now_ms, since_ms), Duration::from_millis(waited_ms), "{now_ms} {since_ms}");
        }
    }
}
