//! What a job and its handle share.

use super::error::JobError;
use pirn_sync::context::{Cancel, Context};
use pirn_sync::{Event, Mutex};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How far a job has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Waits,
    Runs,
    /// It was cancelled before it began.
    Cancelled,
    Done,
}

type Callback = Box<dyn FnOnce() + Send>;

struct State<T> {
    phase: Phase,
    /// The end, until it is taken.
    end: Option<Result<T, JobError>>,
    callbacks: Vec<Callback>,
}

pub(super) struct Cell<T> {
    state: Mutex<State<T>>,
    /// Set after the end was written.
    pub(super) done: Event,
    pub(super) context: Context,
    pub(super) cancel: Cancel,
}

impl<T> Cell<T> {
    pub(super) fn new((context, cancel): (Context, Cancel)) -> Cell<T> {
        let state = State { phase: Phase::Waits, end: None, callbacks: Vec::new() };
        Cell { state: Mutex::new(state), done: Event::new(), context, cancel }
    }

    pub(super) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// It begins. False: it was cancelled.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.state.lock();
        if state.phase == Phase::Waits {
            state.phase = Phase::Runs;
        }
        state.phase == Phase::Runs
    }

    /// Its end. One that has ended stays as it is.
    pub(super) fn finish(&self, end: Result<T, JobError>) {
        self.end(Phase::Done, end, |phase| matches!(phase, Phase::Waits | Phase::Runs));
    }

    /// Cancels it if it has not begun. Whether it is cancelled.
    pub(super) fn cancel(&self) -> bool {
        self.end(Phase::Cancelled, Err(JobError::Cancelled), |phase| phase == Phase::Waits) == Phase::Cancelled
    }

    /// Writes an end if it may come in this phase. Returns the phase.
    fn end(&self, new: Phase, end: Result<T, JobError>, may: impl FnOnce(Phase) -> bool) -> Phase {
        let (callbacks, phase, unneeded) = {
            let mut state = self.state.lock();
            if may(state.phase) {
                state.phase = new;
                state.end = Some(end);
                (mem::take(&mut state.callbacks), new, None)
            } else {
                (Vec::new(), state.phase, Some(end))
            }
        };
        drop(unneeded);
        if phase == new {
            self.done.set();
            callbacks.into_iter().for_each(call);
        }
        phase
    }

    /// Has `f` called at the end; now, if that has come.
    pub(super) fn on_done(&self, f: Callback) {
        {
            let mut state = self.state.lock();
            if !state.has_ended() {
                state.callbacks.push(f);
                return;
            }
        }
        call(f);
    }

    /// The end, which has come. Once.
    pub(super) fn take(&self) -> Result<T, JobError> {
        self.state.lock().end.take().expect("an end is taken once, when it has come")
    }
}

impl<T> State<T> {
    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Cancelled | Phase::Done)
    }
}

/// Calls a callback. A panic of it is printed, and ends here: who runs the job has nothing to do with it.
fn call(f: Callback) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        // To drop it might panic again.
        mem::forget(payload);
    }
}
