//! [`Once`]: one word by the protocol of `waiting.rs`, and who runs the initialiser.
//!
//! ```text
//!   INCOMPLETE --begin--> RUNNING --end--> COMPLETE
//!       ^                    |`--panic--> POISONED --begin, by force--> RUNNING
//!       `-----unwound--------'
//!   and WAITERS: somebody waits for the end of RUNNING, or for COMPLETE; changed only in a turn
//! ```
//! The initialiser runs between two steps, under no lock. Whoever ends RUNNING tells all that wait, and they look again.
//! Who waits for COMPLETE only is told too often by that, and waits again.
//!
//! `runner` is written by the one that runs, after it has begun and before it ends. So who reads its own name there runs
//! an initialiser that calls the same `Once`. It is the whole number, which no other ever has.

#![allow(unsafe_code, reason = "an observer looks at a `Once` that somebody waits for")]

use crate::loom::{AtomicU32, AtomicUsize, Ordering, checkpoint};
use crate::lot::{Turn, Until, key_of};
use crate::waiting::{self, Awaited, Wait};
use pirn_runtime::internal::{Kind, Owner, Party, Reason, party_word};
use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

const INCOMPLETE: u32 = 0;
const POISONED: u32 = 1;
const RUNNING: u32 = 2;
const COMPLETE: u32 = 3;
/// The states above.
const STATE: u32 = 3;
/// Somebody waits. Changed only in a turn.
const WAITERS: u32 = 1 << 2;

/// What those that wait are told.
const LOOK_AGAIN: usize = 0;

/// A G waits until another has run an initialiser.
static WAIT: Reason = Reason::new("sync.Once.Do", Kind::Object("once")).with_owner(owner);

/// Runs something once, for goroutines, OS threads and async tasks that may all want it: [`std::sync::Once`]. A
/// goroutine that waits for another one's initialiser parks, and its thread runs others.
///
/// The initialiser runs under no lock, and may wait. If it panics, the `Once` is poisoned, as std's: later calls panic,
/// but for [`call_once_force`](Self::call_once_force) and [`wait_force`](Self::wait_force). If it is unwound because the
/// runtime of its goroutine shuts down (`pirn::ShutDown`), that is no panic: the next caller runs its own.
///
/// A call in an async task that has to wait blocks the thread that polls it. Tasks have
/// [`OnceLock::get_or_init_async`](crate::OnceLock::get_or_init_async).
///
/// ```
/// use pirn::sync::Once;
///
/// static START: Once = Once::new();
///
/// pirn::run(|| {
///     let gs: Vec<_> = (0..10).map(|_| pirn::go(|| START.call_once(|| println!("once")))).collect();
///     gs.into_iter().for_each(|g| g.join().unwrap());
///     assert!(START.is_completed());
/// });
/// ```
pub struct Once {
    state: AtomicU32,
    /// The word of the party that runs the initialiser, or 0.
    runner: AtomicUsize,
}

/// A panic leaves a state that says so.
impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

/// What becomes of a `Once` whose initialiser panics.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum AfterPanic {
    Poison,
    /// As if it had not been called.
    Forget,
}

/// In which states one waits: a bit for each.
#[derive(Clone, Copy)]
pub(crate) struct States(u32);

/// While another one runs its initialiser.
const WHILE_RUNNING: States = States(1 << RUNNING);
/// Until one has run to its end, or panicked.
const UNTIL_ENDED: States = States(1 << INCOMPLETE | 1 << RUNNING);
/// Until one has run to its end.
pub(crate) const UNTIL_COMPLETE: States = States(1 << INCOMPLETE | 1 << RUNNING | 1 << POISONED);

/// What a wait waits for: another state than these.
pub(crate) struct OtherState<'a> {
    once: &'a Once,
    waits_in: States,
}

impl Once {
    /// One that nobody has called.
    #[cfg(not(loom))]
    pub const fn new() -> Once {
        Once { state: AtomicU32::new(INCOMPLETE), runner: AtomicUsize::new(0) }
    }

    /// One that nobody has called.
    #[cfg(loom)]
    pub fn new() -> Once {
        Once { state: AtomicU32::new(INCOMPLETE), runner: AtomicUsize::new(0) }
    }

    /// Runs `f`, unless this or another call has run; waits if another one runs. When this returns, one has run, and what
    /// it did has happened.
    ///
    /// # Panics
    /// If `f` panics; if an initialiser has panicked before; if it is called by its own initialiser.
    #[inline]
    #[track_caller]
    pub fn call_once(&self, f: impl FnOnce()) {
        if !self.is_completed() {
            self.call_poisoning(false, |_| f());
        }
    }

    /// The same, also if an initialiser has panicked before: `f` is told by [`OnceState::is_poisoned`].
    ///
    /// # Panics
    /// If `f` panics; if it is called by its own initialiser.
    #[inline]
    #[track_caller]
    pub fn call_once_force(&self, f: impl FnOnce(&OnceState)) {
        if !self.is_completed() {
            self.call_poisoning(true, f);
        }
    }

    /// Whether an initialiser has run to its end.
    #[inline]
    pub fn is_completed(&self) -> bool {
        // Acquire: what the initialiser did (partner: the Release in `end`).
        self.state.load(Ordering::Acquire) & STATE == COMPLETE
    }

    /// Waits until an initialiser has run to its end. This does not call one.
    ///
    /// # Panics
    /// If an initialiser panics; if it is called by the initialiser.
    #[track_caller]
    pub fn wait(&self) {
        while !self.is_completed() {
            if self.state.load(Ordering::Relaxed) & STATE == POISONED {
                poisoned();
            }
            self.check_recursion();
            waiting::wait(&self.waits_in(UNTIL_ENDED), Until::Told);
        }
    }

    /// The same, also if one panics: then this waits for the next.
    ///
    /// # Panics
    /// If it is called by the initialiser.
    #[track_caller]
    pub fn wait_force(&self) {
        while !self.is_completed() {
            self.check_recursion();
            waiting::wait(&self.waits_in(UNTIL_COMPLETE), Until::Told);
        }
    }

    #[track_caller]
    fn call_poisoning(&self, is_forced: bool, f: impl FnOnce(&OnceState)) {
        let f = |state: &OnceState| {
            f(state);
            Ok::<(), Infallible>(())
        };
        match self.call(is_forced, AfterPanic::Poison, f) {
            Ok(()) => (),
            Err(never) => match never {},
        }
    }

    /// Runs `f`, unless one has run. If `f` returns an error, or is unwound, it is as if it had not been called, but for
    /// a panic after which it is poisoned.
    #[cold]
    #[track_caller]
    pub(crate) fn call<E>(
        &self,
        is_forced: bool,
        after_panic: AfterPanic,
        f: impl FnOnce(&OnceState) -> Result<(), E>,
    ) -> Result<(), E> {
        checkpoint();
        loop {
            let state = self.state.load(Ordering::Acquire);
            match state & STATE {
                COMPLETE => return Ok(()),
                POISONED if !is_forced => poisoned(),
                RUNNING => {
                    self.check_recursion();
                    waiting::wait(&self.waits_in(WHILE_RUNNING), Until::Told);
                }
                found => {
                    let begun = state & WAITERS | RUNNING;
                    // Acquire: what an earlier initialiser did before it panicked (partner: the Release in `end`).
                    if self.state.compare_exchange(state, begun, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                        return self.run(found == POISONED, after_panic, f);
                    }
                }
            }
        }
    }

    /// Runs `f`: the caller has begun.
    fn run<E>(
        &self,
        is_poisoned: bool,
        after_panic: AfterPanic,
        f: impl FnOnce(&OnceState) -> Result<(), E>,
    ) -> Result<(), E> {
        self.runner.store(party_word() as usize, Ordering::Relaxed);
        let result = catch_unwind(AssertUnwindSafe(|| f(&OnceState { is_poisoned })));
        self.runner.store(0, Ordering::Relaxed);
        let before = if is_poisoned { POISONED } else { INCOMPLETE };
        match result {
            Ok(result) => {
                self.end(if result.is_ok() { COMPLETE } else { before });
                result
            }
            Err(payload) => {
                let is_panic = after_panic == AfterPanic::Poison && !is_shut_down(&*payload);
                self.end(if is_panic { POISONED } else { before });
                resume_unwind(payload)
            }
        }
    }

    /// Begins to run an initialiser, for a task; waits while another one runs. None: one has run.
    pub(crate) async fn begin_async(&self) -> Option<Running<'_>> {
        checkpoint();
        loop {
            let state = self.state.load(Ordering::Acquire);
            match state & STATE {
                COMPLETE => return None,
                RUNNING => Wait::new(self.waits_in(WHILE_RUNNING)).await,
                before => {
                    let begun = state & WAITERS | RUNNING;
                    // Acquire: what an earlier initialiser did before it was dropped (partner: the Release in `end`).
                    if self.state.compare_exchange(state, begun, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                        return Some(Running { once: self, before });
                    }
                }
            }
        }
    }

    /// Ends RUNNING, and tells those that wait.
    fn end(&self, state: u32) {
        // Release: what the initialiser did (partner: `is_completed`, `call`).
        if self.state.compare_exchange(RUNNING, state, Ordering::Release, Ordering::Relaxed).is_err() {
            let mut turn = Turn::of(key_of(self));
            // In a turn WAITERS does not change. Release: as above.
            self.state.store(state | WAITERS, Ordering::Release);
            turn.tell_all(LOOK_AGAIN, |turn| self.left(turn));
        }
    }

    #[track_caller]
    fn check_recursion(&self) {
        if self.runner.load(Ordering::Relaxed) == party_word() as usize {
            panic!("the initialiser asks for what it initialises: it would wait for itself for ever");
        }
    }

    pub(crate) fn waits_in(&self, waits_in: States) -> OtherState<'_> {
        OtherState { once: self, waits_in }
    }

    /// In a turn: some have left the line.
    fn left(&self, turn: &mut Turn) {
        if turn.is_empty() {
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }
}

/// The initialiser of a task runs. If this is dropped it is as if it had not begun. Who runs it is not known.
pub(crate) struct Running<'a> {
    once: &'a Once,
    before: u32,
}

impl Running<'_> {
    /// It has run to its end.
    pub(crate) fn complete(mut self) {
        self.before = COMPLETE;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.once.end(self.before);
    }
}

impl Awaited for OtherState<'_> {
    fn reason(&self) -> &'static Reason {
        &WAIT
    }

    fn has_come(&self) -> bool {
        let state = self.once.state.load(Ordering::Relaxed) & STATE;
        self.waits_in.0 >> state & 1 == 0
    }

    fn has_waiters(&self) -> bool {
        self.once.state.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn will_wait(&self) -> bool {
        let wait = |state: u32| (self.waits_in.0 >> (state & STATE) & 1 != 0).then_some(state | WAITERS);
        self.once.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wait).is_ok()
    }

    fn left(&self, turn: &mut Turn) {
        self.once.left(turn);
    }

    fn key(&self) -> usize {
        key_of(self.once)
    }
}

/// Who runs the initialiser of the `Once` at `key`, if somebody waits there for that.
fn owner(key: usize) -> Option<Owner> {
    let turn = Turn::of(key);
    if !turn.is_borrowed(|want| want.reason == &WAIT) {
        return None;
    }
    // SAFETY: somebody borrows it and waits in this turn, so it is there (lot I3).
    let once = unsafe { &*ptr::with_exposed_provenance::<Once>(key) };
    Party::from_word(once.runner.load(Ordering::Relaxed) as u64).map(Owner::of)
}

/// Whether a goroutine was unwound because its runtime shuts down.
#[cfg(not(loom))]
fn is_shut_down(payload: &(dyn Any + Send)) -> bool {
    payload.is::<pirn_runtime::ShutDown>()
}

/// No runtime closes in a model.
#[cfg(loom)]
fn is_shut_down(_: &(dyn Any + Send)) -> bool {
    false
}

#[cold]
#[track_caller]
fn poisoned() -> ! {
    panic!("Once instance has previously been poisoned");
}

impl Default for Once {
    fn default() -> Once {
        Once::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("is_completed", &self.is_completed()).finish_non_exhaustive()
    }
}

/// What [`Once::call_once_force`] tells the initialiser.
#[derive(Debug)]
pub struct OnceState {
    is_poisoned: bool,
}

impl OnceState {
    /// Whether an initialiser has panicked before.
    pub fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }
}

#[cfg(all(test, loom))]
#[path = "once_loom.rs"]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Once, key_of, owner};
    use pirn_runtime::internal::{Owner, Party, party_word};
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn who_runs_the_initialiser_is_its_owner_while_somebody_waits() {
        let once = Once::new();
        let (ran_by, runner) = channel();
        let (end, ended) = channel();
        thread::scope(|scope| {
            let once = &once;
            scope.spawn(move || {
                once.call_once(|| {
                    ran_by.send(Party::from_word(party_word())).expect("it listens");
                    ended.recv().expect("it is told");
                });
            });
            let runner = runner.recv().expect("it runs").expect("a party");
            assert_eq!(owner(key_of(once)), None, "nobody waits");
            scope.spawn(|| once.wait());
            while owner(key_of(once)).is_none() {
                thread::yield_now();
            }
            assert_eq!(owner(key_of(once)), Some(Owner::of(runner)));
            assert_eq!(owner(key_of(once) + 1), None, "another address");
            end.send(()).expect("it waits for that");
        });
        assert_eq!(owner(key_of(&once)), None);
    }

    #[test]
    fn one_that_nobody_runs_has_no_owner() {
        let once = Once::new();
        thread::scope(|scope| {
            scope.spawn(|| once.wait());
            while once.state.load(super::Ordering::Relaxed) & super::WAITERS == 0 {
                thread::yield_now();
            }
            assert_eq!(owner(key_of(&once)), None);
            once.call_once(|| ());
        });
    }
}
