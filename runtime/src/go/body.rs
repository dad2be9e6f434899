//! What every G does between its first run and its end.

#![allow(unsafe_code, reason = "the closure and the result in a record")]

use crate::g::{G, Settled};
use crate::g_local::{destroy_locals, destroy_values, renew_locals};
use crate::join::{Ended, drop_result, tell_waiter, wake_task};
use crate::locals::Locals;
use crate::observe::Growth;
use crate::shut_down::ShutDown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// What happens when the result of a G has been settled.
pub(crate) trait After: Send {
    /// The G is going to be started. Its record is not its own yet.
    #[inline]
    fn begin(&self, _: &G) {}

    /// Nothing of the user's runs on the G any more.
    #[inline]
    fn end(&self, _: &G) {}

    /// The G has ended in this way.
    fn after(self, ended: Ended);
}

/// A G whose end no scope waits for.
pub(crate) struct Unscoped;

impl After for Unscoped {
    #[inline]
    fn after(self, _: Ended) {}
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
    A: After,
{
    // SAFETY: as the caller promises.
    let (f, after) = unsafe { g.storage.take::<(F, A)>() };
    let growth = Growth::measure(g);
    let result: thread::Result<T> = if crate::park::in_closing(g) {
        g.ending.set(true);
        drop_unrun(f)
    } else {
        catch_unwind(AssertUnwindSafe(|| __rust_begin_short_backtrace(f)))
    };
    growth.report(g);
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
    after.end(g);
    after.after(ended);
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
