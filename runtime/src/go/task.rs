//! A G without a handle: its result goes to the task that it belongs to, where it ends. Nothing is allocated for that.

#![allow(unsafe_code, reason = "a closure that borrows nothing")]

use super::body::After;
use super::builder::GoBuilder;
use super::start::{expect_started, start};
use crate::g::G;
use crate::g_local::{destroy_locals, destroy_values, renew_locals};
use crate::locals::Locals;
use crate::user_code::contain;
use std::fmt;
use std::panic::Location;
use std::thread;

/// What a G without a handle belongs to. It is dropped if no G can be started.
pub trait Task<T>: Send + 'static {
    /// An address by which observers find the G: see `Home::goroutines_tagged`. It is the task's own as long as the task
    /// lives, which no scope and no other kind of task has.
    fn tag(&self) -> usize;

    /// The G has ended so, and its thread-locals have been destroyed. Called on the G; or where it was to be started, if
    /// its runtime closes. Code of the user's is called by way of `ending` only.
    fn end(self, result: thread::Result<T>, ending: Ending);
}

/// The end of a G that is a task.
pub struct Ending(
    /// None: there was no G.
    Option<(&'static G, Locals)>,
);

impl Ending {
    /// Calls or drops what is the user's. The G has new thread-locals meanwhile. A panic ends here.
    #[cold]
    pub fn with_user_code(&self, f: impl FnOnce()) {
        if let Some((g, locals)) = self.0 {
            renew_locals(g, locals);
        }
        contain(f);
        if let Some((g, _)) = self.0 {
            destroy_values(g);
        }
    }

    /// Observers do not find the G any more.
    #[inline]
    pub fn untag(&self) {
        if let Some((g, _)) = self.0 {
            g.set_scope(0);
        }
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ending").field(&self.0.map(|(g, _)| g)).finish()
    }
}

/// Starts a G for a task, as [`GoBuilder::go`] does.
///
/// # Panics
/// As there.
#[track_caller]
pub fn go_task<F, T, K>(builder: GoBuilder, f: F, task: K)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
    K: Task<T>,
{
    let options = expect_started(builder.options(None, Location::caller()));
    // SAFETY: everything is 'static.
    expect_started(unsafe { start(options, f, OfTask(task)) });
}

/// The G belongs to this.
struct OfTask<K>(K);

impl<T, K: Task<T>> After<T> for OfTask<K> {
    type Handle = ();

    #[inline]
    fn begin(&self, g: &'static G) {
        g.join.init_detached();
        g.set_scope(self.0.tag());
    }

    #[inline]
    fn handle(_: &'static G) {}

    #[inline]
    fn end(self, g: &'static G, locals: Locals, result: thread::Result<T>) {
        destroy_locals(g, locals);
        self.0.end(result, Ending(Some((g, locals))));
        g.set_scope(0);
    }

    fn refuse(self, result: thread::Result<T>) {
        self.0.end(result, Ending(None));
    }
}
