//! Where the work of a pattern runs.

use pirn_runtime::internal::Home;
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

    pub(crate) fn home(&self) -> Option<&Home> {
        self.0.as_ref()
    }
}
