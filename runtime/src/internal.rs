//! What pirn's other crates wait with, and what its tests set. This is no part of the public API: it may change at any
//! time. Models have it too, except what asks for the caller's runtime.

#![doc(hidden)]
#![allow(unsafe_code, reason = "a closure that borrows nothing")]

#[cfg(loom)]
use crate::loom::parking;
#[cfg(not(loom))]
use crate::park as parking;

#[cfg(not(loom))]
pub use crate::event::{Emitter, Event, listen};
pub use crate::g::{LineLock, Runs};
#[cfg(not(loom))]
pub use crate::g_local::GLocal;
pub use crate::loom::{Arc, AtomicBool, AtomicIsize, AtomicPtr, AtomicU32, AtomicUsize, Ordering, UnsafeCell, fence};
pub use crate::reason::{Kind, Owner, Party, Reason};
pub use crate::wait::{Claimed, Line, Lock, OnUnwind, Ticket, Told, ToldLine, Waiter, discard, on_unwind, wake};
pub use parking::{Unparker, checkpoint, has_come, now, now_ns, park_on, park_until, party_word};

#[cfg(loom)]
pub use parking::{give_way, may_spin, random_below, sleep};
#[cfg(not(loom))]
pub use {
    crate::chores::{call_later, run_due},
    crate::clock::{SetClock, set_seed},
    crate::go::{Ending, Task, builder_at, go_task},
    crate::hooked::{
        Call, Hooked, hook_is_linked, hook_was_loaded_with_the_program, leave_to_sysmon, wake_from_anywhere,
    },
    crate::m::current::m_number,
    crate::m::fork::is_fork,
    crate::netpoll::{forget_number, forget_numbers, settings_changed},
    crate::observe::{Wait, WaitSource, add_waits, report_self_wait},
    crate::p::{SHORT_ID_BITS, latest_id_like},
    crate::source::{Began, Direction, Evidence, Glance, Place, Seen, Source},
    crate::time::sleep,
    caller::{Home, around_forks, call_at, descriptor_records, give_way, has_timers, may_spin, random_below, warn},
};

/// What depends on the runtime that the caller runs on.
#[cfg(not(loom))]
mod caller {
    use crate::clock;
    use crate::coro::Suspend;
    use crate::go::{StartOptions, Unscoped, start};
    use crate::netpoll;
    use crate::observe::{Goroutine, goroutines, goroutines_of};
    use crate::os::on_fork;
    use crate::park;
    use crate::sched::{Entered, Shared};
    use crate::scope::Scope;
    use crate::time::{self, AfterFunc};
    use std::fmt;
    use std::io;
    use std::panic::Location;
    use std::sync::Arc;
    use std::time::Instant;

    /// The caller's runtime, for a call that may come later. Unlike a [`Handle`](crate::Handle) it does not say that Gs
    /// may come from outside, so the deadlock check goes on.
    pub struct Home(Arc<Shared>, &'static Location<'static>);

    impl Home {
        /// The runtime that the caller runs on. What is started on it later was born where this is called.
        #[track_caller]
        pub fn current() -> Option<Home> {
            Some(Home(Entered::new()?.shared().arc(), Location::caller()))
        }

        /// Starts `f` as a G, from anywhere. If that is not possible any more, `f` is dropped.
        pub fn go<F>(&self, f: F)
        where
            F: FnOnce() + Send + 'static,
        {
            // SAFETY: everything is 'static.
            drop(unsafe { start(StartOptions::new(Some(&self.0), self.1), f, Unscoped) });
        }
    }

    impl Home {
        /// Its Gs: see [`Handle::goroutines`](crate::Handle::goroutines).
        pub fn goroutines(&self) -> Vec<Goroutine> {
            park::checkpoint();
            goroutines(&self.0)
        }

        /// Those of them that are in a scope and have not ended.
        pub fn goroutines_of(&self, scope: &Scope<'_, '_>) -> Vec<Goroutine> {
            self.goroutines_tagged(scope.address())
        }

        /// Those of them that belong to a task with that tag and have not ended.
        pub fn goroutines_tagged(&self, tag: usize) -> Vec<Goroutine> {
            park::checkpoint();
            goroutines_of(&self.0, tag)
        }
    }

    impl fmt::Debug for Home {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Home").field("name", &self.0.setup.name).finish()
        }
    }

    /// Starts `f` as a G at a moment: see [`after_func`](crate::time::after_func).
    #[track_caller]
    pub fn call_at<F>(moment: Instant, f: F) -> AfterFunc
    where
        F: FnOnce() + Send + 'static,
    {
        time::call_at(|| clock::ns_of(moment), f)
    }

    /// Has these run around each `fork`, on the thread that forks: before it, and after it in the parent and in the child.
    /// What runs in the child must be signal-safe.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn around_forks(
        before: extern "C" fn(),
        in_parent: extern "C" fn(),
        in_child: extern "C" fn(),
    ) -> io::Result<()> {
        on_fork(Some((before, in_parent)), in_child)
    }

    /// Whether the caller runs on a runtime whose timers it may use: one that does not close.
    pub fn has_timers() -> bool {
        Entered::new().is_some_and(|entered| !entered.shared().is_closing())
    }

    /// Whether the caller should try again for some hundred nanoseconds before it parks: others run at the same time,
    /// and nothing waits for its P. As `sync_runtime_canSpin` of Go. On a thread that runs no G this is true.
    pub fn may_spin() -> bool {
        let Some(entered) = Entered::new() else { return true };
        entered.p().is_some_and(|p| entered.shared().may_spin(p))
    }

    /// Leaves a warning, of one line, to sysmon, which prints it and tells a subscriber. On a thread that runs no G nothing
    /// is said, and this is false.
    pub fn warn(what: String) -> bool {
        let Some(entered) = Entered::new() else { return false };
        entered.shared().warn(what);
        true
    }

    /// How many descriptors of the process, of all runtimes, have a record in netpoll.
    pub fn descriptor_records() -> usize {
        netpoll::count_taken()
    }

    /// A G goes behind the others of its P; another caller's turn is left as it is. This never unwinds.
    pub fn give_way() {
        if let Some(g) = park::current_g() {
            park::give_way(g, Suspend::Yield);
        }
    }

    /// A random number below `n`, good enough to be fair.
    #[inline]
    pub fn random_below(n: usize) -> usize {
        if let Some(entered) = Entered::new()
            && let Some(p) = entered.p()
        {
            return p.random_below(n);
        }
        clock::random_below(n)
    }
}
