//! The front door: starting a G.

use crate::coro::Suspend;
use crate::g::{G, Runnable, Settled};
use crate::g_local::{destroy_locals, destroy_values, renew_locals};
use crate::join::{Ended, Handle, JoinHandle, Outcome};
use crate::locals::Locals;
use crate::m::emit::emit;
use crate::m::fork::{error_in_fork, is_fork};
use crate::observe::Growth;
use crate::park::waiter::Waiter;
use crate::park::{checkpoint, current_g, give_way, yield_on_g};
use crate::probe::fatal;
use crate::sched::{Entered, Shared};
use crate::shut_down::ShutDown;
use crate::stack::Class;
use crate::user_code::contain;
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
/// While the runtime shuts down there are no new Gs: the closure is dropped, and [`JoinHandle::join`] returns
/// [`ShutDown`]. So a destructor that starts one does not end the process.
///
/// # Panics
/// If the caller is not on a runtime, or if there is no memory for a stack ([`try_go`] returns these, and a shutdown, as
/// errors).
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
    let place = Place::new(None, Location::caller());
    // SAFETY: everything is 'static.
    JoinHandle::new(expect_started(unsafe { start(place, f, Unscoped) }))
}

/// Starts a G, or says why it can not.
///
/// # Errors
/// `Unsupported` outside of any runtime and in a fork of a process that has one, `BrokenPipe` when the runtime is
/// shutting down, `OutOfMemory` when Gs wait for stacks already. The closure is dropped.
#[inline]
#[track_caller]
pub fn try_go<F, T>(f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let place = Place { when_closing: WhenClosing::Refuse, ..Place::new(None, Location::caller()) };
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
    /// As [`go`], and if the stack size is out of range, or if it and the program's thread-locals are more than 1 GiB
    /// together.
    #[track_caller]
    pub fn go<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let place = expect_started(self.place(None, Location::caller()));
        // SAFETY: everything is 'static.
        JoinHandle::new(expect_started(unsafe { start(place, f, Unscoped) }))
    }

    /// Starts the G, or says why it can not.
    ///
    /// # Errors
    /// As [`try_go`], and `InvalidInput` if the stack size is out of range, or if it and the program's thread-locals
    /// are more than 1 GiB together.
    #[track_caller]
    pub fn try_go<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let place = Place { when_closing: WhenClosing::Refuse, ..self.place(None, Location::caller())? };
        // SAFETY: everything is 'static.
        unsafe { start(place, f, Unscoped) }.map(JoinHandle::new)
    }

    pub(crate) fn place<'a>(
        self,
        shared: Option<&'a Shared>,
        birthplace: &'static Location<'static>,
    ) -> io::Result<Place<'a>> {
        let room_bytes = || match shared {
            Some(shared) => shared.setup.room_bytes,
            None => Entered::new().map_or(0, |entered| entered.shared().setup.room_bytes),
        };
        let class = self.stack_bytes.map(|bytes| stack_class(bytes, room_bytes())).transpose()?;
        Ok(Place { class, name: self.name, ..Place::new(shared, birthplace) })
    }
}

/// The size class for a stack limit, with so much room for thread-locals.
pub(crate) fn stack_class(bytes: usize, room_bytes: usize) -> io::Result<Class> {
    use crate::config::{STACK_BYTES_MAX, STACK_BYTES_MIN};
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    if !(STACK_BYTES_MIN..=STACK_BYTES_MAX).contains(&bytes) {
        return Err(invalid(format!("a stack of {bytes} bytes is out of range: 64 KiB to 1 GiB")));
    }
    Class::fitting(bytes, room_bytes).ok_or_else(|| {
        invalid(format!(
            "a stack of {bytes} bytes and the {room_bytes} bytes that the program's thread-locals take do not fit into \
             1 GiB together: ask for a smaller stack, or make the thread-locals smaller"
        ))
    })
}

/// Where and as what a G starts.
pub(crate) struct Place<'a> {
    /// Its runtime; none is the caller's.
    pub(crate) shared: Option<&'a Shared>,
    pub(crate) class: Option<Class>,
    pub(crate) name: Option<String>,
    pub(crate) birthplace: &'static Location<'static>,
    pub(crate) when_closing: WhenClosing,
}

/// What becomes of a G that is started while its runtime closes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenClosing {
    /// Its closure is dropped at once, and its handle says so.
    Bury,
    /// The caller gets an error.
    Refuse,
    /// It is started all the same, only to drop its closure on a stack of its own.
    Start,
}

impl<'a> Place<'a> {
    /// A G with nothing special about it.
    #[inline]
    pub(crate) fn new(shared: Option<&'a Shared>, birthplace: &'static Location<'static>) -> Place<'a> {
        Place { shared, class: None, name: None, birthplace, when_closing: WhenClosing::Bury }
    }
}

/// What happens when the result of a G has been settled.
pub(crate) trait After: Send {
    /// How the G ended, whoever will hear of that.
    fn after(self, ended: Ended);
}

/// A G that nobody's stack waits for.
pub(crate) struct Unscoped;

impl After for Unscoped {
    #[inline]
    fn after(self, _: Ended) {}
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
    if refuses && place.when_closing != WhenClosing::Start {
        drop(entered);
        return refuse(shared, &place, f, after);
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
    let id = p.fresh_id();
    g.begin(id, shared, body::<F, T, A>, class, place.birthplace, parent);
    if let Some(name) = place.name {
        g.set_name(name);
    }
    let spawned = emit!(p, Spawn { g: id }, if shared.is_heard);
    // SAFETY: this is the G's first and only Runnable.
    let crowded = shared.start_on(p, unsafe { Runnable::own(g) });
    drop(entered);
    let handle = Handle::new(g);
    spawned.deliver();
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
    if is_fork() {
        return Err(error_in_fork());
    }
    // Counted first, and then looked at `closing` once more; who shuts down sets `closing` and then looks at the count.
    // All sequentially consistent: one of the two sees the other.
    let id = crate::p::fresh_id();
    let spawned = emit!(&shared.counters, Spawn { g: id });
    if shared.closing.load(Ordering::SeqCst) && place.when_closing != WhenClosing::Start {
        spawned.deliver();
        emit!(&shared.counters, End { g: id }).deliver();
        return refuse(shared, &place, f, after);
    }
    shared.setup.locals.look_for_own_libraries();
    let g = crate::g::take_free();
    // SAFETY: the record is free, so nobody else looks at its storage.
    unsafe { g.storage.put((f, after)) };
    g.join.begin();
    let class = place.class.unwrap_or(shared.setup.class);
    g.begin(id, shared, body::<F, T, A>, class, place.birthplace, parent);
    if let Some(name) = place.name {
        g.set_name(name);
    }
    // SAFETY: this is the G's first and only Runnable.
    shared.inject_foreign(unsafe { Runnable::own(g) });
    spawned.deliver();
    Ok(Handle::new(g))
}

#[cold]
fn outside() -> io::Error {
    if is_fork() {
        return error_in_fork();
    }
    io::Error::new(
        io::ErrorKind::Unsupported,
        "not on a runtime: call it inside pirn::run(..) or Runtime::run(..), or use Runtime::go or a Handle",
    )
}

/// Starts no G: the runtime closes, or there are no stacks.
#[cold]
fn refuse<F, T, A>(shared: &Shared, place: &Place<'_>, f: F, after: A) -> io::Result<Handle<T>>
where
    F: FnOnce() -> T + Send,
    T: Send,
    A: After,
{
    if !shared.is_closing() {
        return Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            "goroutines wait for stacks already: memory or address space has run out",
        ));
    }
    if place.when_closing == WhenClosing::Refuse {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the runtime is shutting down"));
    }
    let me = current_g();
    let was_ending = me.is_some_and(|g| g.ending.replace(true));
    let result = drop_unrun::<F, T>(f);
    if let Some(g) = me {
        g.ending.set(was_ending);
    }
    let ended = Ended::of(&result);
    // A record as that of a G that has ended, for the handle alone: no runtime counts it or shows it.
    let g = crate::g::take_free();
    // SAFETY: the record is free, so nobody else looks at its storage.
    unsafe { g.storage.put(result) };
    g.join.begin_ended();
    g.bury(crate::p::fresh_id());
    after.after(ended);
    Ok(Handle::new(g))
}

/// Drops the closure of a G that is never begun. Its destructors may do what they like; the caller has said that they are
/// not to be unwound out of a wait (`ending`).
fn drop_unrun<F, T>(f: F) -> Outcome<T> {
    match catch_unwind(AssertUnwindSafe(|| drop(f))) {
        Ok(()) => Err(Box::new(ShutDown)),
        Err(payload) => Err(payload),
    }
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
    let growth = Growth::begin(g);
    let result: Outcome<T> = if crate::park::in_closing(g) {
        g.ending.set(true);
        drop_unrun(f)
    } else {
        catch_unwind(AssertUnwindSafe(|| __rust_begin_short_backtrace(f)))
    };
    growth.end(g);
    let ended = Ended::of(&result);
    g.ending.set(true);
    // SAFETY: this is the G itself.
    let locals = unsafe { g.shared() }.setup.locals;
    if g.join.is_detached() {
        drop_result(result);
        destroy_locals(g, locals);
    } else {
        // A joiner finds the thread-locals destroyed, as those of a thread.
        destroy_locals(g, locals);
        settle(g, result, locals);
    }
    after.after(ended);
    // Those that were used since. From here on nobody calls what could use more.
    g.is_mute.set(true);
    locals.destroy();
}

/// Calls the closure of a G. By this name backtraces know where the user's frames begin.
#[inline(never)]
fn __rust_begin_short_backtrace<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    let result = f();
    // Else the call could become a jump, and this frame would be gone.
    std::hint::black_box(());
    result
}

/// Leaves the result to the handle, or drops it if that has just gone.
#[inline]
fn settle<T>(g: &'static G, result: Outcome<T>, locals: Locals) {
    // SAFETY: the storage is the G's until the result is settled, and the closure has left it.
    unsafe { g.storage.put(result) };
    match g.join.settle() {
        Settled::Kept => {}
        Settled::Detached => {
            // Its destructor may use thread-locals; `body` destroys those. Nothing else of the user's comes after it.
            renew_locals(g, locals);
            // SAFETY: put there above, and the handle has gone without it.
            drop_result(unsafe { g.storage.take::<Outcome<T>>() });
            destroy_values(g);
        }
        Settled::Awaited(address) => {
            // SAFETY: the joiner waits until it is told, and gives up only by taking its address back.
            unsafe { Waiter::tell(std::ptr::with_exposed_provenance(address)) };
        }
    }
}

/// Drops a result that nobody wants.
pub(crate) fn drop_result<T>(result: Outcome<T>) {
    if contain(|| drop(result)).is_none() {
        // As std does for threads: there is nobody left to tell.
        fatal("the result of a goroutine panicked while it was dropped");
    }
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
