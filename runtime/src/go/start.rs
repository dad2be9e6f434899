//! Starting a G: on the caller's P, from a thread that holds none, or not at all.

#![allow(unsafe_code, reason = "the closure and the result in a record")]

use super::body::{After, Unscoped, body, drop_unrun};
use crate::coro::Suspend;
use crate::g::{G, Runnable};
use crate::join::JoinHandle;
use crate::m::emit::emit;
use crate::m::fork::{error_in_fork, is_fork};
use crate::p::fresh_id;
use crate::park::{checkpoint, current_g, give_way};
use crate::sched::{Entered, Shared};
use crate::stack::Class;
use std::io;
use std::panic::Location;
use std::thread::panicking;

/// Starts a G on the runtime that the caller runs on.
///
/// The new G takes no stack before it runs for the first time. Dropping the handle detaches the G; what it returns, or
/// what it panics with, is in the handle. A G that starts very many others may have to let them run in between: so in
/// `go` the caller can move to another thread.
///
/// While the runtime shuts down there are no new Gs: the closure is dropped, and [`JoinHandle::join`] returns
/// [`ShutDown`](crate::ShutDown). So a destructor that starts one does not end the process.
///
/// # Panics
/// If the caller is not on a runtime, or if there is no memory for a stack ([`try_go`] returns these, and a shutdown,
/// as errors).
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
    let options = StartOptions::new(None, Location::caller());
    // SAFETY: everything is 'static.
    JoinHandle::new(expect_started(unsafe { start(options, f, Unscoped) }))
}

/// Starts a G, or says why it cannot.
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
    let options = StartOptions { when_closing: WhenClosing::Refuse, ..StartOptions::new(None, Location::caller()) };
    // SAFETY: everything is 'static.
    unsafe { start(options, f, Unscoped) }.map(JoinHandle::new)
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

/// Where a G starts, and with what.
pub(crate) struct StartOptions<'a> {
    /// Its runtime; the caller's if there is none.
    pub(crate) shared: Option<&'a Shared>,
    pub(crate) class: Option<Class>,
    pub(crate) name: Option<String>,
    /// It has room for all libraries that it may load.
    pub(crate) leaves_room: bool,
    pub(crate) birthplace: &'static Location<'static>,
    pub(crate) when_closing: WhenClosing,
}

/// What happens to a G that is started while its runtime closes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenClosing {
    /// Its closure is dropped at once, and its handle says so.
    DropClosure,
    /// The caller gets an error.
    Refuse,
    /// It is started all the same, only to drop its closure on a stack of its own.
    Start,
}

impl<'a> StartOptions<'a> {
    /// The options of a plain G.
    #[inline]
    pub(crate) fn new(shared: Option<&'a Shared>, birthplace: &'static Location<'static>) -> StartOptions<'a> {
        StartOptions {
            shared,
            class: None,
            name: None,
            leaves_room: false,
            birthplace,
            when_closing: WhenClosing::DropClosure,
        }
    }
}

/// Starts a G.
///
/// # Safety
/// What `f`, `T` and `after` borrow lives until `after` has been told of the end, and dropped.
#[inline]
pub(crate) unsafe fn start<F, T, A>(options: StartOptions<'_>, f: F, after: A) -> io::Result<A::Handle>
where
    F: FnOnce() -> T + Send,
    T: Send,
    A: After<T>,
{
    let entered = Entered::new();
    let p = match options.shared {
        None => entered.as_ref().and_then(Entered::p),
        Some(shared) => entered.as_ref().and_then(|e| e.p_of(shared)),
    };
    let shared = match options.shared {
        Some(shared) => shared,
        None => match entered.as_ref() {
            Some(e) => e.shared(),
            None => return Err(outside()),
        },
    };
    let refuses = shared.is_closing() || shared.has_stackless();
    if refuses && options.when_closing != WhenClosing::Start {
        drop(entered);
        return refuse(shared, &options, f, after);
    }
    let parent = entered.as_ref().and_then(|e| e.m().g()).map_or(0, G::id);
    // A runtime that shuts down waits for a G that runs, but not for an M that runs no G.
    let Some(p) = p.filter(|_| entered.as_ref().is_some_and(Entered::on_g)) else {
        drop(entered);
        let started = start_foreign(shared, options, parent, f, after);
        checkpoint();
        return started;
    };
    let g = p.free_gs().take();
    after.begin(g);
    // SAFETY: the record is free, so nothing else looks at its storage.
    unsafe { g.storage.put((f, after)) };
    let class = options.class.unwrap_or(shared.setup.class);
    let id = p.fresh_id();
    g.init(id, shared, body::<F, T, A>, class, options.birthplace, parent);
    if let Some(name) = options.name {
        g.set_name(name);
    }
    if options.leaves_room {
        g.leaves_room.set(true);
    }
    let spawned = emit!(p, Spawn { g: id }, if shared.is_heard);
    // SAFETY: this is the G's first and only Runnable.
    let crowded = shared.start_on(p, unsafe { Runnable::own(g) });
    drop(entered);
    let handle = A::handle(g);
    spawned.deliver();
    if crowded {
        let_others_run();
    }
    checkpoint();
    Ok(handle)
}

/// The caller fills queues faster than they are emptied. It lets the others run, so that their records and stacks are
/// reused while they are in the cache (measured: a burst of a million takes 24 ns each instead of 84).
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
fn start_foreign<F, T, A>(
    shared: &Shared,
    options: StartOptions<'_>,
    parent: u64,
    f: F,
    after: A,
) -> io::Result<A::Handle>
where
    F: FnOnce() -> T + Send,
    T: Send,
    A: After<T>,
{
    if is_fork() {
        return Err(error_in_fork());
    }
    // This counts the G first, and then loads `closing` once more; a shutdown sets `closing` and then loads the count.
    // All are sequentially consistent, so one of the two sees the other.
    let id = fresh_id();
    let spawned = emit!(&shared.counters, Spawn { g: id });
    if shared.is_closing_for_sure() && options.when_closing != WhenClosing::Start {
        // The closing thread waits until as many have ended: not for a subscriber.
        let ended = emit!(&shared.counters, End { g: id });
        spawned.deliver();
        ended.deliver();
        return refuse(shared, &options, f, after);
    }
    shared.setup.locals.look_for_own_libraries();
    let g = crate::g::take_free();
    after.begin(g);
    // SAFETY: the record is free, so nothing else looks at its storage.
    unsafe { g.storage.put((f, after)) };
    let class = options.class.unwrap_or(shared.setup.class);
    g.init(id, shared, body::<F, T, A>, class, options.birthplace, parent);
    if let Some(name) = options.name {
        g.set_name(name);
    }
    if options.leaves_room {
        g.leaves_room.set(true);
    }
    // SAFETY: this is the G's first and only Runnable.
    shared.inject_foreign(unsafe { Runnable::own(g) });
    spawned.deliver();
    Ok(A::handle(g))
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
fn refuse<F, T, A>(shared: &Shared, options: &StartOptions<'_>, f: F, after: A) -> io::Result<A::Handle>
where
    F: FnOnce() -> T + Send,
    T: Send,
    A: After<T>,
{
    if !shared.is_closing() {
        return Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            "goroutines wait for stacks already: memory or address space has run out",
        ));
    }
    if options.when_closing == WhenClosing::Refuse {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the runtime is shutting down"));
    }
    let me = current_g();
    let was_ending = me.is_some_and(|g| g.ending.replace(true));
    let result = drop_unrun::<F, T>(f);
    if let Some(g) = me {
        g.ending.set(was_ending);
    }
    Ok(after.refuse(result))
}
