//! What every G does, and how much stack the caller uses.

use crate::g::{Gid, for_each};
use crate::os::{Residency, Span};
use crate::park::current_g;
use crate::probe::Status;
use crate::sched::Shared;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// Where a G is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It waits for its turn.
    Runnable,
    /// It runs.
    Running,
    /// It is parked.
    Waiting,
}

/// One G, as it was when somebody looked: see [`Runtime::goroutines`](crate::Runtime::goroutines).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Goroutine {
    /// Its number.
    pub id: Gid,
    /// The name that it was given.
    pub name: Option<String>,
    /// Where it is.
    pub state: State,
    /// Why it waits, if it does; Go's word where Go has the same thing.
    pub wait_reason: Option<&'static str>,
    /// How long it has waited, by a clock that may be some milliseconds old.
    pub waiting_for: Option<Duration>,
    /// Where the call stands that started it.
    pub birthplace: Option<&'static Location<'static>>,
}

/// As Go heads a goroutine in a dump: `goroutine 18 [sleep, 2 minutes]:`.
impl fmt::Display for Goroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.state {
            State::Runnable => "runnable",
            State::Running => "running",
            State::Waiting => self.wait_reason.unwrap_or("waiting"),
        };
        write!(f, "goroutine {}", self.id.as_u64())?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, " [{what}")?;
        let minutes = self.waiting_for.map_or(0, |d| d.as_secs() / 60);
        if minutes > 0 {
            write!(f, ", {minutes} minutes")?;
        }
        f.write_str("]:")?;
        match self.birthplace {
            Some(place) => write!(f, "\ncreated at {}:{}", place.file(), place.line()),
            None => Ok(()),
        }
    }
}

/// All Gs of a runtime.
pub(crate) fn goroutines(shared: &Shared) -> Vec<Goroutine> {
    let now_ms = (shared.refresh_clock().saturating_sub(shared.began_ns) / 1_000_000) as u32;
    let mut all = Vec::new();
    for_each(|g| {
        let id = g.id();
        if id == 0 || !std::ptr::eq(g.shared_ptr(), shared) {
            return;
        }
        let (state, waits) = match g.status() {
            Status::Runnable => (State::Runnable, None),
            Status::Running => (State::Running, None),
            Status::Waiting => (State::Waiting, Some(g.waiting())),
            Status::Dead => return,
        };
        let seen = Goroutine {
            id: Gid(id),
            name: g.name(),
            state,
            wait_reason: waits.map(|(reason, _)| reason.name()),
            waiting_for: waits
                .map(|(_, since_ms)| Duration::from_millis(u64::from(now_ms.wrapping_sub(since_ms).min(now_ms)))),
            birthplace: g.birthplace(),
        };
        // The record may have changed hands while it was read.
        if g.id() == id {
            all.push(seen);
        }
    });
    all.sort_unstable_by_key(|g| g.id);
    all
}

/// How much of its stack the calling G uses: see [`stack_use`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackUse {
    /// About where the caller's frame lies.
    pub pointer: usize,
    /// Bytes in use above that.
    pub used_bytes: usize,
    /// Bytes of memory that the stack has got so far, in whole pages.
    pub committed_bytes: usize,
    /// Bytes that it may grow to.
    pub limit_bytes: usize,
}

/// How much of its stack the calling G uses; none on a thread that runs no G. It asks the system, which takes about a
/// microsecond.
pub fn stack_use() -> Option<StackUse> {
    let g = current_g()?;
    // SAFETY: `g` is the caller; its slot is set as long as it runs, and only its M changes it, when it has ended.
    let slot = unsafe { &*g.slot.get() }.as_ref()?;
    let here = 0u8;
    let pointer = (&raw const here).addr();
    let whole = Span { start: slot.limit(), bytes: slot.base() - slot.limit() };
    Some(StackUse {
        pointer,
        used_bytes: slot.base().saturating_sub(pointer),
        committed_bytes: Residency::open().bytes(page_span(whole)),
        limit_bytes: whole.bytes,
    })
}

/// The whole pages that a range lies in.
fn page_span(span: Span) -> Span {
    let page = crate::os::page_bytes();
    let start = span.start & !(page - 1);
    let end = (span.start + span.bytes).next_multiple_of(page);
    Span { start, bytes: end - start }
}
