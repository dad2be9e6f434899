//! A runtime, and the handles to it.

#![allow(unsafe_code, reason = "`Runtime::run`, whose closure borrows")]

use crate::config::{DROP_TIMEOUT_NS, UNWINDS};
use crate::go::{GoBuilder, StartOptions, Unscoped, WhenClosing, expect_started, start};
use crate::join::JoinHandle;
use crate::m::fork::is_fork;
use crate::observe::{Goroutine, Metrics, dump, goroutines, metrics};
use crate::park::checkpoint;
use crate::sched::{Entered, Shared};
use crate::sysmon::Sysmon;
use std::fmt;
use std::io;
use std::panic::{Location, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A runtime: Ps, the Ms that run Gs on them, and sysmon.
///
/// Dropping it shuts it down: Gs that wait are unwound. The drop waits, for a second at most, for Gs that do not park
/// or that wait in a destructor: see [`shutdown_timeout`](Self::shutdown_timeout).
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let rt = pirn::Builder::new().build()?;
/// let sum = rt.run(|| {
///     let gs: Vec<_> = (0..10).map(|i| pirn::go(move || i * i)).collect();
///     gs.into_iter().map(|g| g.join().unwrap()).sum::<u64>()
/// });
/// assert_eq!(sum, 285);
/// # Ok(())
/// # }
/// ```
pub struct Runtime {
    shared: Arc<Shared>,
    sysmon: Option<Sysmon>,
}

impl Runtime {
    pub(super) fn new(shared: Arc<Shared>, sysmon: Sysmon) -> Runtime {
        Runtime { shared, sysmon: Some(sysmon) }
    }

    /// Runs `f` as a G and waits for its result. A calling G parks, an OS thread sleeps. The other Gs continue.
    ///
    /// # Panics
    /// With the payload of `f` if it panics; if the runtime is shut down meanwhile; if there is no memory for stacks;
    /// and in the child of a fork of a process that has built a runtime.
    #[track_caller]
    pub fn run<F, R>(&self, f: F) -> R
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let options = expect_started(GoBuilder::new().name("main").options(Some(&self.shared), Location::caller()));
        // It is the G that loads libraries, in most programs that do.
        let options = StartOptions { leaves_room: true, ..options };
        // SAFETY: the result is waited for below, whatever happens, so what `f` borrows lives.
        let handle = expect_started(unsafe { start(options, f, Unscoped) });
        match handle.join_uninterruptibly() {
            Ok(result) => result,
            Err(payload) if UNWINDS => resume_unwind(payload),
            // Without unwinding, a panic of `f` has ended the process, so this is a shutdown.
            Err(_) => panic!("Runtime::run: the runtime has been shut down"),
        }
    }

    /// Starts a G from any thread. Dropping the handle detaches it. While the runtime shuts down, it does the same as
    /// [`go`](crate::go): the handle reports that there is no new G.
    ///
    /// # Panics
    /// If there is no memory for stacks, and in the child of a fork of a process that has built a runtime.
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        expect_started(go_on(&self.shared, GoBuilder::new(), WhenClosing::DropClosure, f, Location::caller()))
    }

    /// A handle with which other threads and async code start Gs.
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone())
    }

    /// Every G that has been started and has not ended, with what it does. Nothing is stopped for this, so a G that
    /// ends or starts meanwhile may be missing or not.
    pub fn goroutines(&self) -> Vec<Goroutine> {
        checkpoint();
        goroutines(&self.shared)
    }

    /// Every G that has been started and has not ended, with what it does and its stack, in the shape of Go's
    /// tracebacks.
    ///
    /// For a waiting G it shows the stack: at most 100 frames, without pirn's own. For a running G it shows the M, the
    /// P, and for how long, if that is known. For the calling G, and for one that blocks its thread, it shows both.
    /// Each waiting G is held for some microseconds while its stack is walked. A blocked thread gets a SIGURG, so a
    /// system call in it may fail with EINTR.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let rt = pirn::Builder::new().build()?;
    /// let g = pirn::GoBuilder::new().name("idler");
    /// rt.handle().try_go_with(g, || loop { pirn::park() })?;
    /// # rt.run(|| pirn::sleep(std::time::Duration::from_millis(10)));
    /// assert!(rt.dump().contains("[park, \"idler\""));
    /// # Ok(())
    /// # }
    /// ```
    pub fn dump(&self) -> String {
        checkpoint();
        dump(&self.shared)
    }

    /// The state of the runtime as plain numbers, and what has happened in it so far. It takes some microseconds, and
    /// for [`Metrics::stack_bytes`] some 30 more for each MiB of stacks: cheap enough for once a second.
    pub fn metrics(&self) -> Metrics {
        checkpoint();
        metrics(&self.shared)
    }

    /// Shuts down, and waits until every G has ended.
    ///
    /// As [`shutdown_timeout`](Self::shutdown_timeout) without a limit. It never returns if a G computes for ever, or
    /// if a destructor waits for something that never comes. In a program that is compiled with `panic = "abort"` it
    /// waits only until all Gs that live are parked, and in the child of a fork it returns at once.
    pub fn shutdown(self) {
        self.shutdown_timeout(Duration::MAX);
    }

    /// Shuts down. From now on there are no new Gs. Gs that have not begun are dropped. Gs that park, or are parked,
    /// are unwound by a panic with [`ShutDown`](crate::ShutDown), so that their destructors run. It waits for Gs that
    /// run, but not longer than `timeout`. True if all have ended. A G that has not is left whole, with its thread: it
    /// continues if it can, and nothing that it uses is freed.
    ///
    /// A destructor is not unwound: the shutdown waits for it, until the timeout. So timers still fire, and other Gs
    /// still send, or drop their ends of a channel. But what only the G itself could provide does not come, for example
    /// on a channel of which it holds both ends.
    ///
    /// | a G is in | it is | in a destructor, while it unwinds or ends |
    /// | --- | --- | --- |
    /// | `join`, `block_on`, a channel, a select, `yield_now` | unwound | continues when it has what it waits for |
    /// | `sleep`, a `Timer` or `Ticker`, a timeout, a clock's channel | unwound | waits for its time |
    /// | `park`, `park_timeout` | unwound | soon returns for no reason, as a park may: check again |
    /// | the end of a `scope` | unwound, after the Gs of the scope | waits for them and returns |
    /// | `run` of another runtime | waited for, as the other G may borrow from it | the same |
    /// | `blocking`, a system call, a lock of std | waited for | the same |
    /// | `go`, `Handle::go`, `Scope::go` | given a handle that says `ShutDown`; the closure is dropped | the same |
    ///
    /// As with every panic, a std mutex that a G holds when it is unwound is poisoned.
    ///
    /// In a program that is compiled with `panic = "abort"` nothing can be unwound: Gs that park, or are parked, are
    /// left whole where they wait, and this returns false if there are any. A thread that waits for one of them in
    /// [`run`](Self::run) or [`join`](crate::JoinHandle::join) waits for ever.
    ///
    /// In the child of a fork it does nothing and returns false.
    ///
    /// # Panics
    /// On a G of this very runtime, which cannot wait for its own end. (Dropping the runtime there shuts it down in the
    /// background.)
    #[track_caller]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> bool {
        assert!(!self.is_mine(), "shutdown: a goroutine can not wait for the end of its own runtime");
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.stop(timeout_ns)
    }

    fn stop(&mut self, timeout_ns: u64) -> bool {
        if is_fork() {
            // Its threads are the parent's.
            std::mem::forget(self.sysmon.take());
            return false;
        }
        self.sysmon.take().is_none_or(|sysmon| self.shared.shut_down(sysmon, timeout_ns))
    }

    fn is_mine(&self) -> bool {
        Entered::new().is_some_and(|e| std::ptr::eq(e.shared(), &*self.shared))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !self.is_mine() {
            self.stop(DROP_TIMEOUT_NS);
            return;
        }
        // A G drops its own runtime: another thread waits for the end.
        let Some(sysmon) = self.sysmon.take() else { return };
        let shared = self.shared.clone();
        self.shared.dump_on_exit();
        self.shared.begin_closing();
        let name = format!("{}-shutdown", shared.setup.name);
        let waiting = std::thread::Builder::new().name(name).spawn(move || shared.shut_down(sysmon, DROP_TIMEOUT_NS));
        if let Err(error) = waiting {
            self.shared.warn_no_thread(&error);
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("name", &self.shared.setup.name).finish_non_exhaustive()
    }
}

fn go_on<F, T>(
    shared: &Shared,
    builder: GoBuilder,
    when_closing: WhenClosing,
    f: F,
    birthplace: &'static Location<'static>,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let options = StartOptions { when_closing, ..builder.options(Some(shared), birthplace)? };
    // SAFETY: everything is 'static.
    unsafe { start(options, f, Unscoped) }.map(JoinHandle::new)
}

/// Starts Gs on a runtime from any thread, also from async code. Cheap to clone.
///
/// It does not keep the runtime running: after the shutdown there are no new Gs.
pub struct Handle(Arc<Shared>);

impl Clone for Handle {
    fn clone(&self) -> Handle {
        Handle::new(self.0.clone())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.drop_handle();
    }
}

impl Handle {
    /// One more handle: its owner may start Gs.
    fn new(shared: Arc<Shared>) -> Handle {
        shared.add_handle();
        Handle(shared)
    }

    /// The runtime that the caller runs on.
    pub fn current() -> Option<Handle> {
        checkpoint();
        Some(Handle::new(Entered::new()?.shared().arc()))
    }

    /// Starts a G. Dropping the handle detaches it. When the runtime has been shut down, or is shutting down, it does
    /// the same as [`go`](crate::go): the handle reports that there is no new G.
    ///
    /// # Panics
    /// If there is no memory for stacks, and in the child of a fork of a process that has built a runtime.
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        expect_started(go_on(&self.0, GoBuilder::new(), WhenClosing::DropClosure, f, Location::caller()))
    }

    /// As [`Runtime::dump`].
    pub fn dump(&self) -> String {
        checkpoint();
        dump(&self.0)
    }

    /// As [`Runtime::metrics`].
    pub fn metrics(&self) -> Metrics {
        checkpoint();
        metrics(&self.0)
    }

    /// As [`Runtime::goroutines`].
    pub fn goroutines(&self) -> Vec<Goroutine> {
        checkpoint();
        goroutines(&self.0)
    }

    /// Starts a G with a name or a stack limit of its own, or returns the reason why it cannot.
    ///
    /// # Errors
    /// As [`GoBuilder::try_go`].
    #[track_caller]
    pub fn try_go_with<F, T>(&self, builder: GoBuilder, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        go_on(&self.0, builder, WhenClosing::Refuse, f, Location::caller())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("name", &self.0.setup.name).finish_non_exhaustive()
    }
}

/// The number of Ps of the runtime that the caller runs on; outside of any, how many CPUs the process may use.
pub fn maxprocs() -> usize {
    checkpoint();
    match Entered::new() {
        Some(entered) => entered.shared().ps.len(),
        None => std::thread::available_parallelism().map_or(1, |n| n.get()),
    }
}

/// How many Gs of the runtime that the caller runs on have been started and have not ended; outside of any, 0.
///
/// A G counts until its M has taken its stack back, which is a moment after a `join`, a scope or a group was told that it
/// has ended. So right after one of them has returned, the G may still count.
pub fn num_goroutines() -> usize {
    checkpoint();
    Entered::new().map_or(0, |entered| entered.shared().live_gs() as usize)
}
