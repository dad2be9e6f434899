//! What every G does between its first run and its end.

#![allow(unsafe_code, reason = "the closure and the result in a record")]

use crate::g::{G, Settled, take_free};
use crate::g_local::{destroy_locals, destroy_values, renew_locals};
use crate::join::{JoinInner, drop_result, tell_waiter, wake_task};
use crate::locals::Locals;
use crate::observe::Growth;
use crate::p::fresh_id;
use crate::shut_down::ShutDown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// What becomes of the result of a G, and what the one that starts it has of it.
pub(crate) trait After<T>: Send {
    /// What the one that starts the G gets.
    type Handle;

    /// The G is going to be started. Its record is not its own yet.
    fn begin(&self, g: &'static G);

    /// For a G that has been started.
    fn handle(g: &'static G) -> Self::Handle;

    /// The closure of the G has ended so. Called on the G, which runs nothing of the user's after this.
    fn end(self, g: &'static G, locals: Locals, result: thread::Result<T>);

    /// There is no G, as its runtime closes: its closure has been dropped, with this result.
    fn refuse(self, result: thread::Result<T>) -> Self::Handle;
}

/// A G that has a handle, and whose end no scope waits for.
pub(crate) struct Unscoped;

impl<T> After<T> for Unscoped {
    type Handle = JoinInner<T>;

    #[inline]
    fn begin(&self, g: &'static G) {
        g.join.init();
    }

    #[inline]
    fn handle(g: &'static G) -> JoinInner<T> {
        JoinInner::new(g)
    }

    #[inline(always)]
    fn end(self, g: &'static G, locals: Locals, result: thread::Result<T>) {
        leave_to_handle(g, locals, result);
    }

    fn refuse(self, result: thread::Result<T>) -> JoinInner<T> {
        handle_without_g(result)
    }
}

/// Drops the closure of a G that never begins. Its destructors may do anything; the caller has set `ending`, so they
/// are not unwound out of a wait.
pub(super) fn drop_unrun<F, T>(f: F) -> thread::Result<T> {
    match catch_unwind(AssertUnwindSafe(|| drop(f))) {
        Ok(()) => Err(Box::new(ShutDown)),
        Err(payload) => Err(payload),
    }
}

/// The body of every G: runs its closure, settles the result, and says that it is done. Nothing unwinds out of it.
///
/// # Safety
/// `start` has put `(F, A)` into the record.
pub(super) unsafe fn body<F, T, A>(g: &'static G)
where
    F: FnOnce() -> T + Send,
    T: Send,
    A: After<T>,
{
    let growth = Growth::measure(g);
    let mut after = None;
    let mut take = || {
        // SAFETY: as the caller promises; it is called once.
        let (f, a) = unsafe { g.storage.take::<(F, A)>() };
        after = Some(a);
        f
    };
    let result: thread::Result<T> = if crate::park::in_closing(g) {
        g.ending.set(true);
        drop_unrun(take())
    } else {
        // Taken out in there, or the frame would have the closure twice, as long as it runs.
        catch_unwind(AssertUnwindSafe(|| __rust_begin_short_backtrace(take())))
    };
    let after = after.expect("it was taken out");
    growth.report(g);
    g.ending.set(true);
    // SAFETY: this is the G itself.
    let locals = unsafe { g.shared() }.setup.locals;
    after.end(g, locals, result);
    // Destroys those that were used since. From here on no code that could use more is called.
    g.is_mute.set(true);
    locals.destroy();
}

/// Calls the closure of a G. Backtraces know by this name where the user's frames begin.
#[inline(never)]
fn __rust_begin_short_backtrace<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    let result = f();
    // Without this the call could become a jump, and this frame would be gone.
    std::hint::black_box(());
    result
}

/// The end of a G that has been given a handle: leaves the result to it, or drops it if the handle has gone.
#[inline(always)]
pub(crate) fn leave_to_handle<T>(g: &'static G, locals: Locals, result: thread::Result<T>) {
    if g.join.is_detached() {
        drop_result(result);
        destroy_locals(g, locals);
    } else {
        // A joiner finds the thread-locals destroyed, as those of a thread.
        destroy_locals(g, locals);
        settle(g, result, locals);
    }
}

/// A handle that gives a result at once. Its record looks like that of a G that has ended, and is for the handle alone: no
/// runtime counts it or shows it.
pub(crate) fn handle_without_g<T>(result: thread::Result<T>) -> JoinInner<T> {
    let g = take_free();
    // SAFETY: the record is free, so nothing else looks at its storage.
    unsafe { g.storage.put(result) };
    g.join.init_ended();
    g.init_ended(fresh_id());
    JoinInner::new(g)
}

/// Leaves the result to the handle, or drops it if the handle has just gone. Inlined: a call here costs a spawn and its
/// join 6 %, with no more instructions.
#[inline(always)]
fn settle<T>(g: &'static G, result: thread::Result<T>, locals: Locals) {
    // SAFETY: the storage is the G's until the result is settled, and the closure has left it.
    unsafe { g.storage.put(result) };
    match g.join.settle() {
        Settled::Kept => {}
        Settled::Detached => {
            // Its destructor may use thread-locals; `body` destroys those. Nothing else of the user's comes after it.
            renew_locals(g, locals);
            // SAFETY: put there above, and the handle has gone without it.
            drop_result(unsafe { g.storage.take::<thread::Result<T>>() });
            destroy_values(g);
        }
        Settled::Awaited(address) => {
            // SAFETY: the word has just been settled, and this is what it says.
            unsafe { tell_waiter(address) };
        }
        Settled::AwaitedByTask(address) => {
            // A waker is the user's code, as a destructor of a result is.
            renew_locals(g, locals);
            // SAFETY: as above.
            unsafe { wake_task(address) };
            destroy_values(g);
        }
    }
}
