//! Builds a runtime.

#![allow(unsafe_code, reason = "a function that asks the caller for a promise")]

use super::env::Settings;
use super::process;
use super::runtime::Runtime;
use crate::config::{MAX_PROCS, STACK_BYTES};
use crate::go::{stack_class, start_chore};
use crate::hooked::{is_linked, must_say_not_hooked};
use crate::locals::Locals;
use crate::observe::Printer;
use crate::os::count_quits;
use crate::probe::{DeadlockReport, complain};
use crate::sched::{Setup, Shared};
use crate::sysmon::{self, Trace};
use crate::timers::NEVER;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

/// Builds a [`Runtime`].
///
/// A setting that the program does not make comes from the environment (`PIRN_MAXPROCS`, `PIRN_STACK`, `PIRN_DEBUG`;
/// SCHEDTRACE.md has them all), and otherwise has a default.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let rt = pirn::Builder::new().procs(2).build()?;
/// assert_eq!(rt.run(|| pirn::maxprocs()), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until build() is called"]
pub struct Builder {
    procs: Option<usize>,
    stack_bytes: Option<usize>,
    max_threads: Option<usize>,
    name: Option<String>,
    thread_name: Option<Arc<dyn Fn(usize) -> String + Send + Sync>>,
    on_start: Option<Arc<dyn Fn() + Send + Sync>>,
    on_stop: Option<Arc<dyn Fn() + Send + Sync>>,
    debug: Option<String>,
    deadlock: DeadlockReport,
    stall: Option<Duration>,
    partial_deadlocks: Option<bool>,
    shared_thread_locals: bool,
    leaves_room: bool,
    hooks: Option<bool>,
    retakes_eagerly: bool,
}

impl Builder {
    /// All settings from the environment or by default.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The number of Ps: how many Gs run at the same time, 1 to 1024. By default `PIRN_MAXPROCS`, or otherwise as many
    /// CPUs as the process may use by its affinity and the quotas of its cgroups.
    pub fn procs(mut self, procs: usize) -> Builder {
        self.procs = Some(procs);
        self
    }

    /// The default limit of a G's stack in bytes: 64 KiB to 1 GiB, rounded up to the next size class. By default
    /// `PIRN_STACK`, or otherwise 256 KiB (1 MiB in debug builds).
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_bytes = Some(bytes);
        self
    }

    /// How many threads may run Gs or be blocked in them, 10,000 by default; at least one more than there are Ps. If
    /// more are needed, because too many Gs block their threads at the same time, the process ends with a report, as in
    /// Go. Threads that are no longer needed end after some seconds.
    pub fn max_threads(mut self, threads: usize) -> Builder {
        self.max_threads = Some(threads);
        self
    }

    /// The runtime's name; `pirn` by default. The names of its threads begin with it.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// The name of the thread of the M with that number. [`build`](Self::build) calls `name` for the first M, on its
    /// caller's thread; for the others a thread of the runtime that runs no Gs calls it. No M starts while `name` runs.
    /// If it panics, the thread has the default name.
    pub fn thread_name(mut self, name: impl Fn(usize) -> String + Send + Sync + 'static) -> Builder {
        self.thread_name = Some(Arc::new(name));
        self
    }

    /// Called on each thread before it runs Gs. It must not panic. At that time the timer slack of the thread is 1 ns,
    /// so that timers are on time; threads that a G starts inherit it.
    pub fn on_thread_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Builder {
        self.on_start = Some(Arc::new(hook));
        self
    }

    /// Called on each thread after its last G. It must not panic.
    pub fn on_thread_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Builder {
        self.on_stop = Some(Arc::new(hook));
        self
    }

    /// The settings of `PIRN_DEBUG`, made by the program. It takes the same list, for example
    /// `schedtrace=1000,dumponexit`, and applies it after that of the environment. SCHEDTRACE.md has the keys.
    pub fn debug(mut self, list: impl Into<String>) -> Builder {
        self.debug = Some(list.into());
        self
    }

    /// What happens when every G waits and nothing can wake one: [`DeadlockReport::Abort`] by default, as in Go.
    ///
    /// It is reported only if it is certain. There is no report as long as something might wake a G:
    ///
    /// - a timer runs, a G waits for a descriptor, or a [`Handle`](crate::Handle) lives;
    /// - a G blocks its thread, if only in a lock of std that another G has;
    /// - the process has any other thread: of a test runner, a logger, another runtime (of pirn or not), whatever it
    ///   does. Threads that wait for one of these Gs in [`Runtime::run`](crate::Runtime::run) or
    ///   [`JoinHandle::join`](crate::JoinHandle::join), or for a lock of `pirn::sync` without a timeout, do not count.
    ///
    /// So there is no report in a `#[test]` or beside another runtime; use [`stall_report`](Self::stall_report) there.
    ///
    /// A signal handler that would unpark a G does not prevent the report, as the runtime cannot see what a handler
    /// does. If the program has such a handler, keep a `Handle`, or turn the report off.
    pub fn deadlock_report(mut self, report: DeadlockReport) -> Builder {
        self.deadlock = report;
        self
    }

    /// Reports, on standard error and as a `tracing` warning, when nothing of this runtime has run for so long although
    /// Gs wait for something other than the clock: which G waits for what, with stacks, and which threads of the
    /// process belong to others. By default `PIRN_DEBUG=stall=SECONDS`, or otherwise never; zero means never.
    ///
    /// Use it where [`deadlock_report`](Self::deadlock_report) cannot be certain: in a `#[test]`, beside another
    /// runtime, in a program with threads of its own, and if a goroutine is blocked in a lock of std. It does not prove
    /// a deadlock: a server without requests stalls too. So choose a time that is longer than any in which nothing
    /// should happen. A goroutine that runs, for example one that a ticker wakes, prevents the report. A stall is
    /// reported once; the next stall is reported only after something has run in between.
    ///
    /// A thread that is blocked in a goroutine gets a SIGURG to report where it is, so a system call in it may fail
    /// with EINTR.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use std::time::Duration;
    /// let rt = pirn::Builder::new().stall_report(Duration::from_secs(10)).build()?;
    /// # drop(rt);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stall_report(mut self, after: Duration) -> Builder {
        self.stall = Some(after);
        self
    }

    /// Whether it is reported, on standard error and as a `tracing` warning, that some Gs or threads wait for each other
    /// for ever while others run: which, for what, and with stacks. By default `PIRN_DEBUG=partialdeadlock=0|1`, or
    /// otherwise yes. The program goes on.
    ///
    /// Such a cycle has at least one lock of `pirn::sync` in it, and may have joins. It is looked for when a wait for a
    /// lock has lasted for a second, and reported once, when it has been seen twice. A wait that has a timeout, or can
    /// be cancelled, ends by itself, so a cycle with one is not reported.
    ///
    /// A lock counts as held by the one that has locked it. So there is a false report if that one has given the guard
    /// to another goroutine, and then waits in a cycle for longer than a second; or if it locks the lock again, which is
    /// reported at once, and says so.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let rt = pirn::Builder::new().partial_deadlock_report(false).build()?;
    /// # drop(rt);
    /// # Ok(())
    /// # }
    /// ```
    pub fn partial_deadlock_report(mut self, is_on: bool) -> Builder {
        self.partial_deadlocks = Some(is_on);
        self
    }

    /// Whether the blocking calls of std, and of other libraries, park the G instead of its thread, in a program that has
    /// the feature `hook`. By default `PIRN_DEBUG=hook=0|1`, or otherwise yes. Without the feature this does nothing, and
    /// so it does with [`shared_thread_locals`](Self::shared_thread_locals): what other libraries keep over a call of theirs
    /// would be another G's afterwards.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let rt = pirn::Builder::new().hook(false).build()?;
    /// # drop(rt);
    /// # Ok(())
    /// # }
    /// ```
    pub fn hook(mut self, is_on: bool) -> Builder {
        self.hooks = Some(is_on);
        self
    }

    /// Takes Ps from all running Gs as often as possible, whatever they do. This is for tests of code that uses the
    /// runtime.
    #[doc(hidden)]
    pub fn retake_eagerly(mut self) -> Builder {
        self.retakes_eagerly = true;
        self
    }

    /// Leaves room in each G for libraries with *static* thread-locals (`-ftls-model=initial-exec`) that are loaded
    /// (`dlopen`) while Gs live. By default `PIRN_DEBUG=libraryroom=1`, or otherwise 144 bytes, which is enough for common
    /// libraries (libgomp has 136, the OpenGL libraries of Mesa less).
    ///
    /// In Gs that began before a library was loaded that needs more, its thread-locals lie in the stack. If such a G
    /// calls it, both are corrupted. The runtime says so on standard error when it notices such a library. Ordinary
    /// thread-locals, and libraries that are linked or are loaded before the first runtime is built, need none of this.
    ///
    /// The room is 1.7 KiB, and costs a page of memory for each G. It is for all runtimes of the process, for Gs that
    /// begin from now on.
    pub fn room_for_libraries(mut self) -> Builder {
        self.leaves_room = true;
        self
    }

    /// Lets Gs use the thread-locals of the thread that runs them, instead of their own. A switch takes some 10 ns
    /// less, and it works where the other mode does not.
    ///
    /// # Safety
    /// At a suspension point a G may continue on another thread. Every function of pirn may be one, even one that only
    /// looks (`current`, `stack_use`, `maxprocs`, `num_goroutines`, `Handle::current`, `goroutines`, `dump`,
    /// `metrics`), `lock_os_thread`, and all of a timer's, its drop included; and so is the return from
    /// [`blocking`](crate::blocking). None is: `Unparker::current`, `unpark`, and to clone or drop a handle, a sender
    /// or a receiver.
    ///
    /// The caller promises that no code that runs on this runtime, its own or what that calls, keeps over a suspension
    /// point
    ///
    /// 1. a reference to a thread-local, or its address: other Gs use that of the old thread now, or it is gone.
    ///    `LOCAL.with(|x| pirn::yield_now())` keeps one. Two Gs that interleave on one thread also see each other's
    ///    thread-locals, so a scoped one (`tracing`'s span stack, `scoped_tls`) is left as the other G set it.
    /// 2. a value that must not change threads, one that is not `Send`: an `Rc`, a
    ///    [`MutexGuard`](std::sync::MutexGuard), a `ThreadRng`, a borrow out of a thread-local. The compiler checks
    ///    what a closure captures, not what lies on the stack when it suspends: unlike in an `async` function nothing
    ///    warns you.
    /// 3. the assumption that it is still on the same thread. Optimised code may keep the address of a thread-local
    ///    over any call, so one function, with all that is inlined into it, must not use a thread-local both before and
    ///    after, not even for plain values. A function for each access helps, if it is `#[inline(never)]` and not
    ///    transparent: an empty `asm!` in it, or `black_box`.
    ///
    /// These are fine: thread-locals that are used only between two suspension points, behind calls that are not
    /// inlined, as the allocator and `println!` use theirs; mutexes that are locked and unlocked without a suspension
    /// in between; and values that are `Send` and have no thread-local behind them. The runtime handles panics: a G
    /// that parks while it unwinds stays with its thread.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// // SAFETY: what runs on this runtime keeps nothing of a thread-local over a suspension.
    /// let runtime = unsafe { pirn::Builder::new().shared_thread_locals() }.build()?;
    /// assert_eq!(runtime.run(|| pirn::go(|| 6 * 7).join().unwrap()), 42);
    /// # Ok(())
    /// # }
    /// ```
    pub unsafe fn shared_thread_locals(mut self) -> Builder {
        self.shared_thread_locals = true;
        self
    }

    /// Starts the runtime.
    ///
    /// It works in a program that is compiled with `panic = "abort"` too, where a G that panics ends the process, as a
    /// thread does, and a shutdown leaves Gs where they wait ([`Runtime::shutdown_timeout`]).
    ///
    /// # Errors
    /// `InvalidInput` for a number that is out of range, for a key or value that [`debug`](Self::debug) does not
    /// accept, which the message names, for a name with a zero byte, or if stack and thread-locals together are larger
    /// than 1 GiB. `Unsupported` if Gs cannot have thread-locals of their own here
    /// ([`shared_thread_locals`](Self::shared_thread_locals) does without), or if this is the child of a fork of a
    /// process that has built a runtime; the message explains both. The system's error if it has no memory or no
    /// thread.
    pub fn build(self) -> io::Result<Runtime> {
        let (mut settings, complaints) = Settings::read();
        complaints.iter().for_each(|line| complain(line));
        let wrong = settings.apply_list(self.debug.as_deref().unwrap_or_default());
        if !wrong.is_empty() {
            return invalid(format!("Builder::debug: {}", wrong.join("; ")));
        }
        process::prepare()?;
        let trace = settings.schedtrace_ms.map(|period_ms| Trace { period_ms, printer: printer(&settings) });
        let setup = self.setup(&settings)?;
        if settings.dumps_on_signal {
            count_quits()?;
        }
        let shared = Shared::new(setup);
        let started = shared.start_template().and_then(|()| shared.start_first_m());
        match started.and_then(|()| sysmon::start(&shared, trace, start_chore)) {
            Ok(sysmon) => Ok(Runtime::new(shared, sysmon)),
            Err(error) => {
                shared.unbuild();
                Err(error)
            }
        }
    }

    fn setup(self, settings: &Settings) -> io::Result<Setup> {
        let procs = match self.procs.or(settings.procs) {
            Some(procs) => procs,
            None => available_parallelism().map_or(1, |n| n.get()).min(MAX_PROCS),
        };
        if !(1..=MAX_PROCS).contains(&procs) {
            return invalid(format!("{procs} procs are out of range: 1 to {MAX_PROCS}"));
        }
        let max_threads = self.max_threads.unwrap_or(10_000);
        if max_threads <= procs {
            return invalid(format!("max_threads is {max_threads}: it must be more than procs, which is {procs}"));
        }
        if self.name.as_ref().is_some_and(|name| name.contains('\0')) {
            return invalid("a runtime's name can not have a zero byte in it".to_owned());
        }
        let locals = if self.shared_thread_locals {
            Locals::Shared
        } else {
            Locals::isolated(self.leaves_room || settings.leaves_room)?
        };
        let room_bytes = locals.room_bytes();
        let is_hooked = is_linked() && self.hooks.or(settings.hooks).unwrap_or(true);
        if is_hooked && self.shared_thread_locals && must_say_not_hooked() {
            complain(NOT_HOOKED);
        }
        let stack_bytes = self.stack_bytes.or(settings.stack_bytes).unwrap_or(STACK_BYTES);
        Ok(Setup {
            procs,
            class: stack_class(stack_bytes, room_bytes)?,
            locals,
            hooked: (is_hooked && !self.shared_thread_locals).then(Box::default),
            room_bytes,
            max_threads,
            deadlock: self.deadlock,
            stall_ns: match self.stall.or(settings.stall_secs.map(Duration::from_secs)) {
                None | Some(Duration::ZERO) => NEVER,
                Some(after) => u64::try_from(after.as_nanos()).unwrap_or(NEVER),
            },
            dumps_on_exit: settings.dumps_on_exit,
            dumps_on_signal: settings.dumps_on_signal,
            names_blockers: settings.names_blockers,
            reports_partial_deadlocks: self.partial_deadlocks.or(settings.partial_deadlocks).unwrap_or(true),
            retakes_eagerly: self.retakes_eagerly,
            width: settings.width.map(|width| width.min(procs)),
            name: self.name.unwrap_or_else(|| "pirn".to_owned()),
            thread_name: self.thread_name,
            on_start: self.on_start,
            on_stop: self.on_stop,
        })
    }
}

const NOT_HOOKED: &str = "pirn: the feature hook does nothing on this runtime, as its goroutines use the thread-locals \
                          of their threads: blocking calls of std block their threads; if you know that, say \
                          Builder::hook(false)";

fn invalid<T>(what: String) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// Prints where the environment asks for it, or to standard error if that fails.
fn printer(settings: &Settings) -> Printer {
    let Settings { format, detail, out, .. } = settings;
    Printer::new(*format, *detail, out.as_deref()).unwrap_or_else(|error| {
        let path = out.as_deref().unwrap_or(Path::new("")).display();
        complain(&format!("pirn: PIRN_DEBUG: schedout={path}: {error}; the lines go to stderr"));
        Printer::new(*format, *detail, None).expect("there is nothing to be opened")
    })
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("procs", &self.procs)
            .field("stack_bytes", &self.stack_bytes)
            .field("max_threads", &self.max_threads)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
