//! One flight: who waits for it, its context, and its end.

use crate::place::Place;
use pirn_runtime::ShutDown;
use pirn_sync::context::{Cancel, Context, ContextError};
use pirn_sync::{Event, Mutex};
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, OnceLock};

/// See the head of this file.
pub(crate) struct Flight<V> {
    crew: Mutex<Crew>,
    context: Context,
    cancel: Cancel,
    /// It and `is_shared` of the crew are there when `landed` is set.
    outcome: OnceLock<Outcome<V>>,
    landed: Event,
}

/// Who waits for a flight.
struct Crew {
    waiting: usize,
    is_closed: bool,
    /// Whether more than one waited when it was closed, after which nobody comes.
    is_shared: bool,
}

/// How a flight ends.
pub(crate) enum Outcome<V> {
    Value(V),
    Panicked(Panic),
    /// It was not called, as its runtime had been shut down.
    Lost,
}

/// What a panic left, in a form that many can get.
pub(crate) enum Panic {
    Text(&'static str),
    Owned(String),
    ShutDown(ShutDown),
    Other,
}

impl Panic {
    fn of(payload: &(dyn Any + Send)) -> Panic {
        if let Some(text) = payload.downcast_ref::<&'static str>() {
            return Panic::Text(text);
        }
        if let Some(text) = payload.downcast_ref::<String>() {
            return Panic::Owned(text.clone());
        }
        payload.downcast_ref::<ShutDown>().map_or(Panic::Other, |shut_down| Panic::ShutDown(*shut_down))
    }

    /// Panics in the same way. The hook has been called where the flight was.
    fn resume(&self) -> ! {
        match self {
            Panic::Text(text) => resume_unwind(Box::new(*text)),
            Panic::Owned(text) => resume_unwind(Box::new(text.clone())),
            Panic::ShutDown(shut_down) => resume_unwind(Box::new(*shut_down)),
            Panic::Other => resume_unwind(Box::new("a flight panicked with a payload that is no text")),
        }
    }
}

impl<V> Flight<V> {
    /// One more waits, and calls [`wait`](Self::wait) next. False: it is closed.
    pub(crate) fn join(&self) -> bool {
        let mut crew = self.crew.lock();
        if !crew.is_closed {
            crew.waiting += 1;
        }
        !crew.is_closed
    }

    /// Whether all that waited for it have left. Asked before it lands.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.crew.lock().is_closed
    }

    fn land(&self, outcome: Outcome<V>) {
        {
            let mut crew = self.crew.lock();
            crew.is_closed = true;
            crew.is_shared = crew.waiting > 1;
        }
        if self.outcome.set(outcome).is_err() {
            unreachable!("a flight lands once");
        }
        self.landed.set();
        self.cancel.cancel();
    }
}

impl<V: Clone> Flight<V> {
    /// Waits until it lands, or until the context ends. True: more than one waited when it landed.
    ///
    /// # Panics
    /// As the flight; or if it is lost.
    pub(crate) fn wait(&self, context: &Context) -> Result<(V, bool), ContextError> {
        let waiting = Waiting(self);
        self.landed.wait_ctx(context)?;
        drop(waiting);
        match self.outcome.get().expect("it has landed") {
            Outcome::Value(value) => Ok((value.clone(), self.crew.lock().is_shared)),
            Outcome::Panicked(panic) => panic.resume(),
            Outcome::Lost => panic!("a flight could not start: its runtime was shut down"),
        }
    }
}

/// One that waits, until this is dropped.
struct Waiting<'a, V>(&'a Flight<V>);

impl<V> Drop for Waiting<'_, V> {
    fn drop(&mut self) {
        let is_abandoned = {
            let mut crew = self.0.crew.lock();
            crew.waiting -= 1;
            let is_abandoned = crew.waiting == 0 && !crew.is_closed;
            crew.is_closed |= is_abandoned;
            is_abandoned
        };
        if is_abandoned {
            self.0.cancel.cancel_with("nobody waits for this flight any more");
        }
    }
}

/// A flight as a table has it. Two are equal if they are the same flight.
pub(crate) struct FlightRef<V>(Arc<Flight<V>>);

impl<V> FlightRef<V> {
    /// A flight that one waits for: the caller. It has the values of `context`, but not its end.
    pub(crate) fn new(context: &Context) -> FlightRef<V> {
        let (context, cancel) = context.without_cancel().with_cancel();
        FlightRef(Arc::new(Flight {
            crew: Mutex::new(Crew { waiting: 1, is_closed: false, is_shared: false }),
            context,
            cancel,
            outcome: OnceLock::new(),
            landed: Event::new(),
        }))
    }
}

impl<V> Clone for FlightRef<V> {
    fn clone(&self) -> FlightRef<V> {
        FlightRef(self.0.clone())
    }
}

impl<V> PartialEq for FlightRef<V> {
    fn eq(&self, other: &FlightRef<V>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<V> std::ops::Deref for FlightRef<V> {
    type Target = Flight<V>;

    fn deref(&self) -> &Flight<V> {
        &self.0
    }
}

impl<V> fmt::Debug for FlightRef<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("has_landed", &self.landed.is_set()).finish_non_exhaustive()
    }
}

/// Who makes the call of a flight.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pilot {
    /// The first caller, if it cannot give up: it stays until the flight lands.
    Caller,
    /// A G of its own, or a thread.
    Own,
}

impl Pilot {
    /// Makes the call of `f` for a flight, or starts it. `settle` is called just before it lands.
    #[track_caller]
    pub(crate) fn fly<V, F, S>(self, flight: &FlightRef<V>, f: F, settle: S)
    where
        V: Send + Sync + 'static,
        F: FnOnce(&Context) -> V + Send + 'static,
        S: FnOnce(&Outcome<V>) + Send + 'static,
    {
        let landing = Landing { flight: flight.clone(), settle: Some(settle) };
        match self {
            Pilot::Caller => landing.fly(f),
            Pilot::Own => Place::current().start(move || landing.fly(f)),
        }
    }
}

/// A flight that has to land.
struct Landing<V, S: FnOnce(&Outcome<V>)> {
    flight: FlightRef<V>,
    settle: Option<S>,
}

impl<V, S: FnOnce(&Outcome<V>)> Landing<V, S> {
    fn fly(mut self, f: impl FnOnce(&Context) -> V) {
        let result = catch_unwind(AssertUnwindSafe(|| f(&self.flight.context)));
        match result {
            Ok(value) => self.land(Outcome::Value(value)),
            Err(payload) => {
                self.land(Outcome::Panicked(Panic::of(&*payload)));
                // Those that wait have it; the G that flies is unwound from here only if its runtime ends.
                if payload.is::<ShutDown>() {
                    resume_unwind(payload);
                }
                drop(payload);
            }
        }
    }

    fn land(&mut self, outcome: Outcome<V>) {
        if let Some(settle) = self.settle.take() {
            // It calls the user's `Hash` and `Eq`. Whatever they do, the flight lands; the hook has printed the panic.
            _ = catch_unwind(AssertUnwindSafe(|| settle(&outcome)));
            self.flight.land(outcome);
        }
    }
}

impl<V, S: FnOnce(&Outcome<V>)> Drop for Landing<V, S> {
    fn drop(&mut self) {
        self.land(Outcome::Lost);
    }
}
