//! Who waits for a descriptor.

use crate::g::G;
use crate::os::EventFd;
use crate::os::{Mutex, MutexGuard};
use crate::user_code::contain;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;

/// See the head of this file.
pub(crate) enum Who {
    /// The G with that id.
    G(&'static G, u64),
    /// An async task.
    Task(Waker),
    /// A thread that runs no G. It asks the kernel itself, and hears the bell.
    Thread(Arc<EventFd>),
}

impl Who {
    /// Wakes it if it is no G; a G is for the caller to wake. A panic of a waker ends here.
    pub(crate) fn wake_other(self) -> Result<(), (&'static G, u64)> {
        match self {
            Who::G(g, id) => return Err((g, id)),
            Who::Task(waker) => _ = contain(|| waker.wake()),
            Who::Thread(bell) => bell.ring(),
        }
        Ok(())
    }

    /// Drops one that does not wait any more. A panic of its waker ends here.
    pub(crate) fn discard(self) {
        contain(|| drop(self));
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::G(_, id) => write!(f, "G{id}"),
            Who::Task(_) => f.write_str("task"),
            Who::Thread(_) => f.write_str("thread"),
        }
    }
}

/// A bell for one wait of a thread. There are as many as threads wait at a time.
#[derive(Debug)]
pub(crate) struct Bell(Option<Arc<EventFd>>);

/// Those that nobody uses.
static SPARE: Mutex<Vec<Arc<EventFd>>> = Mutex::new(Vec::new());

fn spare() -> MutexGuard<'static, Vec<Arc<EventFd>>> {
    // A panic under the lock can only be an allocation that failed, before anything was changed.
    SPARE.lock().unwrap_or_else(|e| e.into_inner())
}

impl Bell {
    /// A spare one, or a new one. It may have none inside: the system has no descriptor left.
    pub(crate) fn take() -> Bell {
        let spare = spare().pop();
        Bell(spare.or_else(|| EventFd::new().ok().map(Arc::new)))
    }

    /// It, if there is one.
    pub(crate) fn fd(&self) -> Option<&Arc<EventFd>> {
        self.0.as_ref()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // One who has taken the waiter out may still ring; the next one to use it then looks once more than it needs.
        spare().extend(self.0.take());
    }
}
