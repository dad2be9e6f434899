//! The calls that are to come when a branch ends.

use crate::loom::Unparker;
use pirn_runtime::internal::Runs;
use std::collections::BTreeMap;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(not(loom))]
use pirn_runtime::internal::Home;

/// How far ahead of the next call those that wait are prefetched.
const LOOKAHEAD: usize = 8;

/// What is done when a branch ends.
pub(super) enum Call {
    /// A call of the user's.
    User(UserCall),
    /// Somebody waits.
    Unpark(Unparker),
}

/// A call, and where it is made.
pub(super) struct UserCall {
    call: Box<dyn FnOnce() + Send>,
    #[cfg(not(loom))]
    home: Option<Home>,
}

impl Call {
    /// A call on the runtime of the caller or, if the caller is on none, on a thread.
    #[track_caller]
    pub(super) fn new(call: impl FnOnce() + Send + 'static) -> Call {
        Call::User(UserCall {
            call: Box::new(call),
            #[cfg(not(loom))]
            home: Home::current(),
        })
    }

    /// Starts it, on a G or a thread of its own; or unparks who waits.
    pub(super) fn start(self) {
        match self {
            Call::User(call) => call.start(),
            Call::Unpark(unparker) => unparker.unpark_to_run(Runs::Last),
        }
    }
}

impl UserCall {
    #[cfg(not(loom))]
    fn start(self) {
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
    fn start(self) {
        (self.call)();
    }
}

/// The calls of one branch, in the order in which they came.
#[derive(Default)]
pub(super) struct Calls {
    calls: BTreeMap<u64, Call>,
    next: u64,
}

impl Calls {
    /// Adds a call. Returns its number.
    pub(super) fn add(&mut self, call: Call) -> u64 {
        self.next += 1;
        self.calls.insert(self.next, call);
        self.next
    }

    pub(super) fn take(&mut self, number: u64) -> Option<Call> {
        self.calls.remove(&number)
    }

    /// Starts all of them. A panic ends here: of a call that is made here, or of a destructor of one that is not made.
    pub(super) fn start(self) {
        let mut calls = self.calls.into_values().collect::<Vec<_>>().into_iter();
        while let Some(call) = calls.next() {
            if let Some(Call::Unpark(later)) = calls.as_slice().get(LOOKAHEAD) {
                later.prefetch();
            }
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| call.start())) {
                // It has been printed. To drop it might panic again.
                forget(payload);
            }
        }
    }
}
