//! The front door: starting a G.

use crate::coro::Suspend;
use crate::g::{G, Gid, Runnable, Settled};
use crate::join::{Handle, JoinHandle, Outcome};
use crate::locals::Locals;
use crate::m::current::{self, event};
use crate::park::waiter::Waiter;
use crate::park::{checkpoint, current_g, give_way, yield_on_g};
use crate::probe::fatal;
use crate::sched::{Entered, Shared};
use crate::shut_down::ShutDown;
use crate::stack::Class;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::Ordering;
use std::thread::panicking;

/// Starts a G on the runtime that the caller runs on.
///
/// It takes no stack before it runs for the first time. Dropping the handle detaches the G; what it returns, or what
/// it panics with, is in the handle. A G that starts very many others may be made to let them run in between: `go` is
/// a point where the caller can move to another thread.
///
/// # Panics
/// If the caller is not on a runtime, if the runtime is shutting down, or if there is no memory for a stack
/// ([`try_go`] returns these as errors).
///
/// ```
/// # pirn::run(|| {
/// let answer = pirn::go(|| 6 * 7);
/// assert_eq!(answer.join().unwrap(), 42);
/// # });
/// ```
#[inline]
#[track_caller]
pub fn go<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    expect_started(try_go(f))
}

/// Starts a G, or says why it can not.
///
/// # Errors
/// `Unsupported` outside of any runtime, `BrokenPipe` when the runtime is shutting down, `OutOfMemory` when Gs wait for
/// stacks already. The closure is dropped.
#[inline]
#[track_caller]
pub fn try_go<F, T>(f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let place =
        Place { shared: None, class: None, name: None, birthplace: Location::caller(), even_when_closing: false };
    // SAFETY: everything is 'static.
    unsafe { start(place, f, Unscoped) }.map(JoinHandle::new)
}

#[inline]
#[track_caller]
pub(crate) fn expect_started<T>(started: io::Result<T>) -> T {
    match started {
        Ok(started) => started,
        Err(error) => not_started(&error),
    }
}

#[cold]
#[track_caller]
fn not_started(error: &io::Error) -> ! {
    panic!("go: {error}");
}

/// Starts a G that has a name or a stack limit of its own.
///
/// ```
/// # pirn::run(|| {
/// let g = pirn::GoBuilder::new().name("sieve").stack_size(16 << 20).go(|| {
///     pirn::current().unwrap().name().unwrap().to_owned()
/// });
/// assert_eq!(g.join().unwrap(), "sieve");
/// # });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing until go() is called"]
pub struct GoBuilder {
    name: Option<String>,
    stack_bytes: Option<usize>,
}

impl GoBuilder {
    /// Neither name nor limit.
    pub fn new() -> GoBuilder {
        GoBuilder::default()
    }

    /// The name that dumps, panics and overflow reports show.
    pub fn name(mut self, name: impl Into<String>) -> GoBuilder {
        self.name = Some(name.into());
        self
    }

    /// How large the stack may become, in bytes: 64 KiB to 1 GiB, rounded up to the next size class (64 KiB, then four
    /// times as much each). It costs only what the G uses of it.
    pub fn stack_size(mut self, bytes: usize) -> GoBuilder {
        self.stack_bytes = Some(bytes);
        self
    }

    /// Starts the G.
    ///
    /// # Panics
    /// As [`go`], and if the stack size is out of range.
    #[track_caller]
    pub fn go<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        expect_started(self.try_go(f))
    }

    /// Starts the G, or says why it can not.
    ///
    /// # Errors
    /// As [`try_go`], and `InvalidInput` if the stack size is out of range.
    #[track_caller]
    pub fn try_go<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let place = self.place(None, Location::caller())?;
        // SAFETY: everything is 'static.
        unsafe { start(place, f, Unscoped) }.map(JoinHandle::new)
    }

    pub(crate) fn place<'a>(
        self,
        shared: Option<&'a Shared>,
        birthplace: &'static Location<'static>,
    ) -> io::Result<Place<'a>> {
        let class = self.stack_bytes.map(stack_class).transpose()?;
        Ok(Place { shared, class, name: self.name, birthplace, even_when_closing: false })
    }
}

/// The size class for a stack limit.
pub(crate) fn stack_class(bytes: usize) -> io::Result<Class> {
    use crate::config::{STACK_BYTES_MAX, STACK_BYTES_MIN};
    let class = (STACK_BYTES_MIN..=STACK_BYTES_MAX).contains(&bytes).then(|| Class::fitting(bytes)).flatten();
    class.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a stack of {bytes} bytes is out of range: 64 KiB to 1 GiB"),
        )
    })
}

/// Where and as what a G starts.
pub(crate) struct Place<'a> {
    /// Its runtime; none is the caller's.
    pub(crate) shared: Option<&'a Shared>,
    pub(crate) class: Option<Class>,
    pub(crate) name: Option<String>,
    pub(crate) birthplace: &'static Location<'static>,
    /// It is started whatever happens: if the runtime closes, only to be dropped on a stack of its own.
    pub(crate) even_when_closing: bool,
}

/// What happens when the result of a G has been settled.
pub(crate) trait After: Send {
    /// The G has a result, or has panicked and nobody will hear of it.
    fn after(self, unheard_panic: bool);
}

/// A G that nobody's stack waits for.
pub(crate) struct Unscoped;

impl After for Unscoped {
    #[inline]
    fn after(self, _: bool) {}
}

/// Starts a G.
///
/// # Safety
/// What `f`, `T` and `after` borrow lives until `after` has been called.
#[inline]
pub(crate) unsafe fn start<F, T, A>(place: Place<'_>, f: F, after: A) -> io::Result<Handle<T>>
where
    F: FnOnce() -> T + Send,
    T: Send,
    A: After,
{
    let entered = Entered::new();
    let p = match place.shared {
        None => entered.as_ref().and_then(Entered::p),
        Some(shared) => entered.as_ref().and_then(|e| e.p_of(shared)),
    };
    let shared = match place.shared {
        Some(shared) => shared,
        None => match entered.as_ref() {
            Some(e) => e.shared(),
            None => return Err(outside()),
        },
    };
    let refuses = shared.is_closing() || shared.has_stalled.load(Ordering::Relaxed);
    if refuses && !place.even_when_closing {
        return Err(refusal(shared));
    }
    let parent = entered.as_ref().and_then(|e| e.m().g()).map_or(0, G::id);
    // An M that runs no G does not keep a runtime that shuts down from counting itself empty; a G that runs does.
    let Some(p) = p.filter(|_| entered.as_ref().is_some_and(Entered::on_g)) else {
        drop(entered);
        let started = start_foreign(shared, place, parent, f, after);
        checkpoint();
        return started;
    };
    let g = p.free_gs().take();
    // SAFETY: the record is free, so nobody else looks at its storage.
    unsafe { g.storage.put((f, after)) };
    g.join.begin();
    let class = place.class.unwrap_or(shared.setup.class);
    g.begin(p.fresh_id(), shared, body::<F, T, A>, class, place.birthplace, parent);
    if let Some(name) = place.name {
        g.set_name(name);
    }
    p.count_spawned();
    // SAFETY: this is the G's first and only Runnable.
    let crowded = shared.start_on(p, unsafe { Runnable::own(g) });
    drop(entered);
    let handle = Handle::new(g);
    event!("spawn", g = handle.id().as_u64());
    if crowded {
        let_others_run();
    }
    checkpoint();
    Ok(handle)
}

/// The caller fills queues faster than they are emptied: it lets the others run, so that their records and stacks are
/// used again while they are in the cache (measured: a burst of a million 84 -> 24 ns each).
#[cold]
fn let_others_run() {
    if let Some(g) = current_g()
        && !panicking()
    {
        give_way(g, Suspend::YieldGlobal);
    }
}

/// Starts a G from a thread that holds no P of that runtime.
#[cold]
fn start_foreign<F, T, A>(shared: &Shared, place: Place<'_>, parent: u64, f: F, after: A) -> io::Result<Handle<T>>
where
    F: FnOnce() -> T + Send,
    T: Send,
    A: After,
{
    // Counted first, and then looked at `closing` once more; who shuts down sets `closing` and then looks at the count.
    // All sequentially consistent: one of the two sees the other.
    shared.foreign_spawned.fetch_add(1, Ordering::SeqCst);
    if shared.closing.load(Ordering::SeqCst) && !place.even_when_closing {
        shared.foreign_retired.fetch_add(1, Ordering::Release);
        return Err(refusal(shared));
    }
    let g = crate::g::take_free();
    // SAFETY: the record is free, so nobody else looks at its storage.
    unsafe { g.storage.put((f, after)) };
    g.join.begin();
    let class = place.class.unwrap_or(shared.setup.class);
    g.begin(crate::p::fresh_id(), shared, body::<F, T, A>, class, place.birthplace, parent);
    if let Some(name) = place.name {
        g.set_name(name);
    }
    let handle = Handle::new(g);
    // SAFETY: this is the G's first and only Runnable.
    shared.inject_foreign(unsafe { Runnable::own(g) });
    event!("spawn", g = handle.id().as_u64());
    Ok(handle)
}

#[cold]
fn outside() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "not on a runtime: call it inside pirn::run(..) or Runtime::run(..), or use Runtime::go or a Handle",
    )
}

#[cold]
fn refusal(shared: &Shared) -> io::Error {
    if shared.is_closing() {
        return io::Error::new(io::ErrorKind::BrokenPipe, "the runtime is shutting down");
    }
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        "goroutines wait for stacks already: memory or address space has run out",
    )
}

/// What every G does: runs its closure, settles the result, says that it is done. Nothing unwinds out of it.
///
/// # Safety
/// `start` has put `(F, A)` into the record.
unsafe fn body<F, T, A>(g: &'static G)
where
    F: FnOnce() -> T + Send,
    T: Send,
    A: After,
{
    // SAFETY: as the caller promises.
    let (f, after) = unsafe { g.storage.take::<(F, A)>() };
    let result: Outcome<T> = if crate::park::in_closing(g) {
        // It was never begun. Its closure's destructors may do what they like.
        match catch_unwind(AssertUnwindSafe(|| drop(f))) {
            Ok(()) => Err(Box::new(ShutDown)),
            Err(payload) => Err(payload),
        }
    } else {
        catch_unwind(AssertUnwindSafe(f))
    };
    g.ending.set(true);
    // SAFETY: this is the G itself.
    let locals = unsafe { g.shared() }.setup.locals;
    let unheard_panic = if g.join.is_detached() {
        let panicked = drop_result(result);
        locals.destroy();
        panicked
    } else {
        // A joiner finds the thread-locals destroyed, as those of a thread.
        locals.destroy();
        settle(g, result, locals)
    };
    after.after(unheard_panic);
}

/// Leaves the result to the handle, or drops it if that has just gone. Returns whether a panic was dropped.
#[inline]
fn settle<T>(g: &'static G, result: Outcome<T>, locals: Locals) -> bool {
    // SAFETY: the storage is the G's until the result is settled, and the closure has left it.
    unsafe { g.storage.put(result) };
    match g.join.settle() {
        Settled::Kept => false,
        Settled::Detached => {
            // Its destructor may use thread-locals; `begin` in `sched/run.rs` destroys those.
            let m = current::machine();
            locals.renew();
            current::set_machine(m);
            // SAFETY: put there above, and the handle has gone without it.
            drop_result(unsafe { g.storage.take::<Outcome<T>>() })
        }
        Settled::Awaited(address) => {
            // SAFETY: the joiner waits until it is told, and gives up only by taking its address back.
            unsafe { Waiter::tell(std::ptr::with_exposed_provenance(address)) };
            false
        }
    }
}

/// Drops a result that nobody wants. Returns whether it was a panic.
pub(crate) fn drop_result<T>(result: Outcome<T>) -> bool {
    let panicked = result.as_ref().is_err_and(|payload| !payload.is::<ShutDown>());
    if catch_unwind(AssertUnwindSafe(|| drop(result))).is_err() {
        // As std does for threads: there is nobody left to tell.
        fatal("the result of a goroutine panicked while it was dropped");
    }
    panicked
}

/// Lets other Gs run: the caller goes to the end of its P's queue.
///
/// On an OS thread it is [`std::thread::yield_now`]. A G that computes for long need not call it.
///
/// ```
/// pirn::yield_now();
/// ```
#[inline(always)]
pub fn yield_now() {
    match current_g() {
        Some(g) => yield_on_g(g, Suspend::Yield),
        None => std::thread::yield_now(),
    }
}

/// Who calls: see [`current`].
#[derive(Clone, PartialEq, Eq)]
pub struct Current {
    id: Gid,
    name: Option<String>,
    birthplace: &'static Location<'static>,
}

/// The G that calls, none on a thread that runs no G.
///
/// ```
/// assert!(pirn::current().is_none());
/// ```
pub fn current() -> Option<Current> {
    checkpoint();
    let g = current_g()?;
    Some(Current { id: Gid(g.id()), name: g.name(), birthplace: g.birthplace()? })
}

impl Current {
    /// Its number.
    pub fn id(&self) -> Gid {
        self.id
    }

    /// Its name, if [`GoBuilder::name`] gave it one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the call stands that started it.
    pub fn birthplace(&self) -> &'static Location<'static> {
        self.birthplace
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
