//! The calls that are to come when a branch ends.

use std::collections::BTreeMap;

#[cfg(not(loom))]
use pirn_runtime::internal::Home;

/// A call, and where it is made.
pub(super) struct Call {
    call: Box<dyn FnOnce() + Send>,
    #[cfg(not(loom))]
    home: Option<Home>,
}

impl Call {
    /// A call on the runtime of the caller or, if the caller is on none, on a thread.
    #[track_caller]
    pub(super) fn new(call: impl FnOnce() + Send + 'static) -> Call {
        Call {
            call: Box::new(call),
            #[cfg(not(loom))]
            home: Home::current(),
        }
    }

    /// Starts it, on a G or a thread of its own.
    #[cfg(not(loom))]
    pub(super) fn start(self) {
        match self.home {
            Some(home) => home.go(self.call),
            None => {
                let thread = std::thread::Builder::new().name("pirn-after-func".to_owned());
                // Without a thread it is made here, which is late for the others, but not lost. `spawn` drops what it
                // cannot start, so it is kept outside.
                let place = std::sync::Arc::new(std::sync::Mutex::new(Some(self.call)));
                let inside = place.clone();
                let make = move |place: &std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>| {
                    let call = place.lock().unwrap_or_else(|e| e.into_inner()).take();
                    call.into_iter().for_each(|call| call());
                };
                if thread.spawn(move || make(&inside)).is_err() {
                    make(&place);
                }
            }
        }
    }

    /// A model has no Gs: the call is made at once.
    #[cfg(loom)]
    pub(super) fn start(self) {
        (self.call)();
    }
}

/// The calls of one branch, in the order in which they came.
pub(super) struct Calls {
    calls: BTreeMap<u64, Call>,
    next: u64,
}

impl Calls {
    pub(super) fn new() -> Calls {
        Calls { calls: BTreeMap::new(), next: 0 }
    }

    /// Adds a call. Returns its number.
    pub(super) fn add(&mut self, call: Call) -> u64 {
        self.next += 1;
        self.calls.insert(self.next, call);
        self.next
    }

    pub(super) fn take(&mut self, number: u64) -> Option<Call> {
        self.calls.remove(&number)
    }

    /// Starts all of them.
    pub(super) fn start(self) {
        self.calls.into_values().for_each(Call::start);
    }
}
