//! Stack traces: of the calling G, of one that is parked, of one that blocks its thread; and the names of their
//! functions.
//!
//! # How a parked G is traced
//! A line park is exposed first. Then the G is claimed by its park word, as by an unpark, so no M resumes it; if it had a
//! token while it waited in the line, who exposes it has it already. It is resumed with a tracer, on the thread of the
//! asker; it walks up its own frames on the tracer's stack, and suspends again (`coro.rs`). Then the park word is
//! committed again, as an M does it. If an unpark has come meanwhile, it has left a token, and the G is made ready. The
//! G does not notice.
//!
//! # How a G that blocks its thread is traced
//! Its thread is asked by a signal, and answers from the handler (`os/linux/unwind.rs`).

#![allow(unsafe_code, reason = "a parked G is claimed and resumed to be traced")]

use super::whose::Whose;
use crate::coro::Tracer;
use crate::g::{G, Runnable, Unparked};
use crate::m::emit::emit;
use crate::os::{Frame, frames_of, unwind, with_block};
use crate::park::expose;
use crate::sched::Shared;
use crate::sched::ready::ready;
use crate::stack::{Cache, Class, GStack, Slot, slot_of};
use std::collections::HashMap;

/// The limit of frames; the outermost are left out.
const FRAMES_MAX: usize = 100;

/// Takes and names stack traces; it caches the names.
pub(super) struct Traces {
    tracer: Option<(Tracer, Slot)>,
    names: HashMap<usize, Vec<Symbol>>,
}

/// Where a trace begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartAt {
    /// At the function of pirn's that was called.
    Call,
    /// At its caller.
    Caller,
}

/// A function, or one that was inlined.
struct Symbol {
    /// Its two lines.
    text: String,
    whose: Whose,
    has_file: bool,
}

impl Traces {
    pub(super) fn new() -> Traces {
        // Without memory for a stack to work on, parked Gs have no traces.
        let tracer = Cache::new().take(Class::DEFAULT).ok().map(|slot| {
            // A slot that Gs have used may hold a block of thread-locals at its top, for the next one.
            // SAFETY: the tracer is the only user of the slot until it is dropped, and uses it only while it traces.
            let stack = unsafe { GStack::on(&slot) };
            (Tracer::new(stack, FRAMES_MAX), slot)
        });
        Traces { tracer, names: HashMap::new() }
    }

    /// The trace of the G `id`, if it is parked.
    pub(super) fn of_parked(&mut self, shared: &Shared, g: &'static G, id: u64) -> Option<Vec<Frame>> {
        let (tracer, _) = self.tracer.as_mut()?;
        let runnable = match expose(g) {
            Some(runnable) if g.id() == id => runnable,
            // The record has changed hands.
            Some(runnable) => {
                ready(runnable);
                return None;
            }
            None if g.word.is_parked(id) && g.word.unpark(id) == Unparked::Claimed => {
                // SAFETY: it has just been claimed (g I2).
                unsafe { Runnable::own(g) }
            }
            None => return None,
        };
        // SAFETY: the Runnable says that this is the owner of the G, and a G that is parked has run.
        let coro = unsafe { g.coro() };
        match g.block.get() {
            // SAFETY: the G is owned, and does not run.
            None => unsafe { coro.trace(tracer) },
            Some(block) => {
                // SAFETY: as above.
                let trace = || unsafe { coro.trace(tracer) };
                // SAFETY: as above, so the block is loaded nowhere else; tracing uses no thread-local of the caller's.
                unsafe { with_block(block, trace) };
            }
        }
        // SAFETY: as above.
        let on_its_stack = unsafe { &*g.slot.get() }.as_ref().map(|slot| within(slot.range(), &tracer.frames));
        if !g.word.commit_park(id) {
            let ready = emit!(&shared.counters, Ready { g: id });
            shared.inject_foreign(runnable);
            ready.deliver();
        }
        on_its_stack
    }

    /// The trace of the G that calls.
    pub(super) fn of_caller(g: &'static G) -> Option<Vec<Frame>> {
        let frames = Traces::of_calling_thread();
        // SAFETY: it is the caller's own, which runs.
        unsafe { &*g.slot.get() }.as_ref().map(|slot| within(slot.range(), &frames))
    }

    /// The trace of the thread that calls, which runs no G.
    pub(super) fn of_calling_thread() -> Vec<Frame> {
        let mut frames = Vec::with_capacity(FRAMES_MAX);
        unwind(|frame| {
            frames.push(frame);
            frames.len() < FRAMES_MAX
        });
        frames
    }

    /// The trace of `g`, which blocks the thread `tid`; none if the thread is somewhere else by now.
    pub(super) fn of_thread(tid: i32, g: &'static G) -> Option<Vec<Frame>> {
        let frames = frames_of(tid)?;
        // The frames before it are those of the signal handler, on a stack that is no G's.
        let (range, owner) = frames.iter().find_map(|frame| slot_of(frame.sp))?;
        std::ptr::eq(owner.cast(), g).then(|| within(range, &frames))
    }

    /// Appends a trace, two lines for each function, as Go does. The scheduler's own functions are left out, except the
    /// one that was called, if the trace starts there and it is known.
    pub(super) fn write(&mut self, frames: &[Frame], start: StartAt, text: &mut String) {
        for frame in frames {
            self.names.entry(frame.ip).or_insert_with(|| look_up(frame.ip));
        }
        let symbols: Vec<&Symbol> = frames.iter().flat_map(|frame| &self.names[&frame.ip]).collect();
        own_part(&symbols, start).iter().for_each(|symbol| text.push_str(&symbol.text));
    }
}

/// The functions at an address: those that were inlined, and the one that they were inlined into.
fn look_up(ip: usize) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    backtrace::resolve(std::ptr::without_provenance_mut(ip), |symbol| {
        // Without the hash at its end.
        let name = symbol.name().map_or_else(|| format!("{ip:#x}"), |name| format!("{name:#}"));
        let line = symbol.lineno().unwrap_or(0);
        let file = symbol.filename();
        let place = file.map_or_else(String::new, |file| format!("\t{}:{line}\n", file.display()));
        symbols.push(Symbol {
            text: format!("{name}(...)\n{place}"),
            whose: file.map_or_else(|| Whose::by_name(&name), Whose::by_file),
            has_file: file.is_some(),
        });
    });
    symbols
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some((_, slot)) = self.tracer.take() {
            Cache::new().give(slot);
        }
    }
}

/// The frames that lie on the G's stack: not those of the M that resumed it, nor those of the tracer.
fn within((low, high): (usize, usize), frames: &[Frame]) -> Vec<Frame> {
    frames.iter().filter(|frame| (low..high).contains(&frame.sp)).copied().collect()
}

/// Removes what is around the user's own functions: on the inside how pirn waits, except the function that was called;
/// on the outside how a G begins. If no function is the user's, what remains is the lock of std or the system call that
/// the G is in.
///
/// A user's crate may have a name like ours. So functions of the family count as the user's where they are outermost,
/// and everywhere if there are no others.
fn own_part<'a, 's>(symbols: &'a [&'s Symbol], start: StartAt) -> &'a [&'s Symbol] {
    let count_until = |is: fn(Whose) -> bool| symbols.iter().take_while(|symbol| !is(symbol.whose)).count();
    let is_users = |symbol: &&Symbol| matches!(symbol.whose, Whose::User | Whose::Family);
    let Some(last) = symbols.iter().rposition(is_users) else {
        return &symbols[..count_until(|whose| whose != Whose::Std)];
    };
    let around = match count_until(|whose| whose == Whose::User) {
        all if all == symbols.len() => count_until(|whose| whose == Whose::Family),
        around => around,
    };
    // Of the frames inside the user's, the last one of ours is the function that the user has called. If there is none,
    // the G is in a lock of std or in a system call, and all frames are shown.
    let called = symbols[..around].iter().rposition(|symbol| symbol.whose != Whose::Std).map(|called| match start {
        StartAt::Call if symbols[called].has_file => called,
        // Without debug information it may be another function: the one that was called may be inlined into its caller.
        StartAt::Call | StartAt::Caller => called + 1,
    });
    &symbols[called.unwrap_or(0)..=last]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symbols in short: `p` is the runtime's, `f` the family's, `s` the standard library's, `u` the user's; capitals
    /// have no file.
    fn shown(symbols: &str, start: StartAt) -> String {
        let symbol = |c: char| Symbol {
            text: c.to_string(),
            whose: match c.to_ascii_lowercase() {
                'p' => Whose::Ours,
                'f' => Whose::Family,
                's' => Whose::Std,
                _ => Whose::User,
            },
            has_file: c.is_ascii_lowercase(),
        };
        let symbols: Vec<Symbol> = symbols.chars().map(symbol).collect();
        let all: Vec<&Symbol> = symbols.iter().collect();
        own_part(&all, start).iter().map(|symbol| symbol.text.as_str()).collect()
    }

    #[test]
    fn what_is_around_the_users_functions_is_left_out() {
        use StartAt::{Call, Caller};
        // It waits; it asks; it calls back from std.
        assert_eq!(shown("pspuusp", Call), "puu");
        assert_eq!(shown("pspuusp", Caller), "uu");
        assert_eq!(shown("ppusupspp", Call), "pusu");
        assert_eq!(shown("ppffuusp", Call), "fuu");
        assert_eq!(shown("ppffuusp", Caller), "uu");
        // The user's crate is called as ours are.
        assert_eq!(shown("ppsffsp", Call), "psff");
        assert_eq!(shown("pufsp", Call), "puf");
        // Without debug information.
        assert_eq!(shown("PPUUSP", Call), "UU");
        assert_eq!(shown("SSUSP", Call), "SSU");
        // In a lock of std.
        assert_eq!(shown("ssuusp", Call), "ssuu");
        // None is the user's: `go(park)`, or all of it is a part of another function.
        assert_eq!(shown("ppsp", Call), "");
        assert_eq!(shown("ssppsp", Call), "ss");
        assert_eq!(shown("", Caller), "");
        assert_eq!(shown("SSS", Call), "SSS");
    }
}
