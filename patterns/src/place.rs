//! Where the work of a pattern runs: on the runtime of whoever has asked for it; without one, on threads of its own.
//!
//! # Work that cannot be started is dropped
//! A runtime that shuts down starts nothing more, and the system may have no thread. Then the work is dropped, and
//! whoever waits for it is told by that drop, and panics. It is not the one that starts the work that panics: it need
//! not be the one that waits (others have joined a flight, a job of a pool is handed in by anybody), and it is between
//! two halves of what it does, so that a panic of its own would leave the others waiting for ever.

use pirn_channels::Sender;
use pirn_runtime::internal::Home;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// The runtime of whoever has made this; without one, work runs on threads.
#[derive(Debug)]
pub(crate) struct Place(Option<Home>);

impl Place {
    #[track_caller]
    pub(crate) fn current() -> Place {
        Place(Home::current())
    }

    /// Starts `f` on a G of the runtime, or on a thread of its own. If that is not possible any more, `f` is dropped.
    pub(crate) fn start(&self, f: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Some(home) => home.go(f),
            // A thread that cannot be had drops `f`, too.
            None => drop(thread::Builder::new().name("pirn-patterns".to_owned()).spawn(f)),
        }
    }

    /// Starts `f`, and sends how it ends. There is room for that in the channel, or a receiver.
    pub(crate) fn call<T, F>(&self, to: Sender<End<T>>, f: F)
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let reply = Reply(Some(to));
        self.start(move || {
            let result = catch_unwind(AssertUnwindSafe(f));
            reply.send(result.map_or_else(End::Panicked, End::Returned));
        });
    }

    pub(crate) fn home(&self) -> Option<&Home> {
        self.0.as_ref()
    }
}

/// How a call has ended that ran beside its caller.
#[derive(Debug)]
pub(crate) enum End<T> {
    Returned(T),
    Panicked(Box<dyn Any + Send>),
    /// It could not be started.
    Lost,
}

impl<T> End<T> {
    /// What it has returned.
    ///
    /// # Panics
    /// As the call has; or if it could not be started.
    #[track_caller]
    pub(crate) fn value(self) -> T {
        match self {
            End::Returned(value) => value,
            End::Panicked(payload) => resume_unwind(payload),
            End::Lost => panic!("a call could not start: there is no thread for it, or its runtime was shut down"),
        }
    }
}

/// Sends one end. If this is dropped before, the call is lost.
struct Reply<T>(Option<Sender<End<T>>>);

impl<T> Reply<T> {
    fn send(mut self, end: End<T>) {
        self.send_first(end);
    }

    fn send_first(&mut self, end: End<T>) {
        if let Some(to) = self.0.take() {
            // Nobody may wait for it any more.
            drop(to.send(end));
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.send_first(End::Lost);
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Place};
    use pirn_channels::bounded;
    use pirn_runtime::Builder;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn what_cannot_be_started_is_lost_to_whoever_waits() {
        let runtime = Builder::new().procs(1).build().expect("a runtime");
        let place = runtime.run(Place::current);
        let (to, ends) = bounded(1);
        place.call(to.clone(), || 7);
        assert_eq!(ends.recv().expect("it ends").value(), 7);
        place.call(to.clone(), || std::panic::resume_unwind(Box::new("the call breaks")));
        assert!(matches!(ends.recv(), Ok(End::Panicked(payload)) if payload.is::<&str>()));
        drop(runtime);
        place.call(to, || unreachable!("nothing runs it"));
        let lost = ends.recv().expect("it is told");
        assert!(matches!(lost, End::Lost));
        assert!(catch_unwind(AssertUnwindSafe(|| lost.value())).is_err());
    }
}
