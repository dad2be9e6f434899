//! A branch: what ends together. Its mark, its place in the tree, what is to be told of its end.

#![allow(unsafe_code, reason = "the tree, which the root owns; what is told of an end")]

use super::calls::{Call, Calls};
use super::error::{Cause, ContextError};
use super::lazy_box::LazyBox;
use super::root::TreeOf;
use super::strong::{Strong, Weak};
use super::tree::{Number, Tree};
use crate::loom::{AtomicU32, Mutex, MutexGuard, Ordering};
use pirn_channels::internal::Alarm;
use pirn_channels::{Receiver, Sender, bounded};
use pirn_runtime::internal::{UnsafeCell, has_come};
use std::convert::Infallible;
use std::iter::successors;
use std::mem::take;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Instant;

/// The marks.
const OPEN: u32 = 0;
const CANCELLED: u32 = 1;
const DEADLINE_EXCEEDED: u32 = 2;

/// One branch has this for all contexts that differ in their values only. It is small, as there may be many: to make one
/// costs mostly the page faults of its memory. What an end touches of all comes first, beside the counts.
#[repr(C)]
pub(super) struct Branch {
    mark: AtomicU32,
    /// The word of its number in the tree: 0 if it is in none. It is in there until it is marked. Under the tree's lock.
    node: AtomicU32,
    /// What most branches never need. To make it is an allocation, which may be made under the tree's lock.
    seldom: LazyBox<Seldom>,
    tree: TreeOf<Node>,
    /// Its parent in the tree. A branch with children is there. It is kept until this branch uses the tree no more (I8).
    parent: Option<Strong<Branch>>,
}

/// What the tree has of a branch.
type Node = Weak<Branch>;

/// What is to be done when a branch ends, besides stopping its timer.
#[derive(Default)]
struct ToTell {
    calls: Calls,
    /// There is a channel to be closed.
    has_done: bool,
}

struct Seldom {
    /// It has a deadline of its own, earlier than that of its parent.
    timer: Option<Timer>,
    /// I9 says whose it is.
    to_tell: UnsafeCell<ToTell>,
    /// What the user gave. Set before the mark.
    cause: OnceLock<Cause>,
    /// Made when it is asked for the first time.
    done: OnceLock<Done>,
}

struct Done {
    sender: Sender<Infallible>,
    receiver: Receiver<Infallible>,
}

impl Default for Seldom {
    fn default() -> Seldom {
        let to_tell = UnsafeCell::new(ToTell::default());
        Seldom { timer: None, to_tell, cause: OnceLock::new(), done: OnceLock::new() }
    }
}

// SAFETY: what is to be told is used by one at a time (I9), and may be sent.
unsafe impl Sync for Seldom {}

struct Timer {
    deadline: Instant,
    cause: Option<Cause>,
    bell: Mutex<Set>,
}

/// How the bell of a timer is set.
#[derive(Default)]
struct Set {
    /// None: it is not set yet, or is not needed any more. No alarm is set or dropped under the lock.
    alarm: Option<Alarm>,
    /// How often it was set: an alarm that was set before the last is not kept.
    times: u64,
}

/// A new branch below another one, or at the root of a new tree, with two owners.
pub(super) fn open(
    parent: Option<&Strong<Branch>>,
    deadline: Option<Instant>,
    cause: Option<Cause>,
) -> (Strong<Branch>, Strong<Branch>) {
    // Most have none, so that of those above is not looked for.
    let own = deadline.filter(|own| parent.and_then(|parent| parent.deadline()).is_none_or(|above| *own < above));
    let timer = own.map(|deadline| Timer { deadline, cause, bell: Mutex::default() });
    let seldom = timer.map(|timer| Box::new(Seldom { timer: Some(timer), ..Seldom::default() }));
    // SAFETY: the branch keeps its parent, and so the root, until it uses the tree no more (I8).
    let tree = parent.map_or_else(TreeOf::new, |parent| unsafe { parent.tree.below() });
    let (branch, other, weak) = Strong::two_and_weak(Branch {
        mark: AtomicU32::new(OPEN),
        node: AtomicU32::new(0),
        seldom: LazyBox::new(seldom),
        tree,
        parent: parent.cloned(),
    });
    branch.enter_tree(weak);
    if let (Some(timer), None) = (branch.timer(), branch.error()) {
        Branch::exceed_or_set(&branch, timer);
    }
    (branch, other)
}

impl Branch {
    /// How it has ended, if it has.
    pub(super) fn error(&self) -> Option<ContextError> {
        // Acquire: the cause, and the marks of its ancestors (partner: `mark`).
        match self.mark.load(Ordering::Acquire) {
            OPEN => None,
            CANCELLED => Some(ContextError::Cancelled),
            _ => Some(ContextError::DeadlineExceeded),
        }
    }

    /// What the user gave as the cause of its end.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.error()?;
        self.seldom.get()?.cause.get().cloned()
    }

    /// The earliest deadline, of this branch and those above it: that of the first that has one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mut up = successors(Some(self), |branch| branch.parent.as_deref());
        Some(up.find_map(Branch::timer)?.deadline)
    }

    fn timer(&self) -> Option<&Timer> {
        self.seldom.get()?.timer.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, Tree<Node>> {
        self.tree.lock()
    }

    /// Becomes a child of its parent; if that has ended, ends as that has.
    fn enter_tree(&self, weak: Weak<Branch>) {
        let mut tree = self.lock();
        let parent = match &self.parent {
            None => None,
            Some(parent) => match parent.error() {
                Some(error) => return self.mark(error, parent.cause().as_ref()),
                None => parent.node(),
            },
        };
        let node = tree.add(weak, parent);
        self.node.store(Number::to_word(Some(node)), Ordering::Relaxed);
    }

    /// Its number in the tree. Only under the lock.
    fn node(&self) -> Option<Number> {
        Number::from_word(self.node.load(Ordering::Relaxed))
    }

    /// Calls `f` with what is to be done when it ends, under the lock; or with none, if it has ended.
    fn with_to_tell<R>(&self, f: impl FnOnce(Option<&mut ToTell>) -> R) -> R {
        let _tree = self.lock();
        match self.node() {
            // SAFETY: the lock is held, and it has not ended (I9).
            Some(_) => self.seldom.get_or_make().to_tell.with_mut(|to_tell| f(Some(unsafe { &mut *to_tell }))),
            None => f(None),
        }
    }

    /// Marks it. Only under the lock, and once; its parent first.
    fn mark(&self, error: ContextError, cause: Option<&Cause>) {
        if let Some(cause) = cause {
            // It is set once, as the mark is.
            _ = self.seldom.get_or_make().cause.set(cause.clone());
        }
        let mark = match error {
            ContextError::Cancelled => CANCELLED,
            ContextError::DeadlineExceeded => DEADLINE_EXCEEDED,
        };
        // Release: the cause, and the marks of its ancestors (partner: `error`).
        self.mark.store(mark, Ordering::Release);
    }

    /// Ends it and all below it. False if it has ended before; then all below it have been marked too.
    pub(super) fn end(this: &Strong<Branch>, error: ContextError, cause: Option<&Cause>) -> bool {
        let mut tree = this.lock();
        if this.error().is_some() {
            return false;
        }
        let mut marked = Vec::new();
        if let Some(node) = this.node() {
            tree.take_apart(node, |node| {
                // None: it is being dropped, and takes itself out.
                let Some(branch) = node.upgrade() else { return false };
                branch.mark(error, cause);
                branch.node.store(Number::to_word(None), Ordering::Relaxed);
                marked.push(branch);
                true
            });
        }
        drop(tree);
        // All are told before one of them is dropped: what they own may panic when it is dropped.
        // SAFETY: this has marked them.
        marked.iter().for_each(|branch| unsafe { branch.tell() });
        true
    }

    /// The channel that is closed when it ends.
    pub(super) fn done(&self) -> &Receiver<Infallible> {
        let mut is_new = false;
        let done = self.seldom.get_or_make().done.get_or_init(|| {
            is_new = true;
            let (sender, receiver) = bounded(0);
            Done { sender, receiver }
        });
        if is_new {
            self.with_to_tell(|to_tell| {
                if let Some(to_tell) = to_tell {
                    to_tell.has_done = true;
                }
            });
        }
        // Whoever has ended it may not have come to the channel, or did not know of it.
        if self.error().is_some() {
            done.sender.close();
        }
        &done.receiver
    }

    /// Adds a call for its end, and returns its number. If it has ended, the call comes back.
    pub(super) fn add_call(&self, call: Call) -> Result<u64, Call> {
        self.with_to_tell(|to_tell| match to_tell {
            None => Err(call),
            Some(to_tell) => Ok(to_tell.calls.add(call)),
        })
    }

    /// Takes a call back. None: it has been started, or was taken back before.
    pub(super) fn take_call(&self, number: u64) -> Option<Call> {
        self.with_to_tell(|to_tell| to_tell?.calls.take(number))
    }

    /// Ends it, if its own deadline has passed. If not, has the bell rung then.
    fn exceed_or_set(this: &Strong<Branch>, timer: &Timer) {
        if has_come(timer.deadline) {
            Branch::end(this, ContextError::DeadlineExceeded, timer.cause.as_ref());
        } else {
            Branch::set_timer(this, timer);
        }
    }

    fn set_timer(this: &Strong<Branch>, timer: &Timer) {
        let times = {
            let mut bell = timer.lock();
            bell.times += 1;
            bell.times
        };
        let mut alarm = Alarm::default();
        alarm.set(timer.deadline, &mut Context::from_waker(&Waker::from(Arc::new(Bell(this.downgrade())))));
        let unneeded = {
            let mut bell = timer.lock();
            // It may have rung before this, too early, and have been set once more. And whoever ends the branch takes
            // the alarm out after the mark, under this lock: so one of the two sees the other.
            let is_needed = bell.times == times && this.error().is_none();
            if is_needed { bell.alarm.replace(alarm) } else { Some(alarm) }
        };
        drop(unneeded);
    }

    /// It has ended: the alarm is not needed any more.
    fn stop_timer(&self) {
        let unneeded = self.timer().and_then(|timer| timer.lock().alarm.take());
        drop(unneeded);
    }

    /// Tells all that wait for its end. No lock is held.
    ///
    /// # Safety
    /// The caller has marked it (I9), and calls this once.
    unsafe fn tell(&self) {
        let Some(seldom) = self.seldom.get() else { return };
        // SAFETY: as the caller promises.
        let to_tell = seldom.to_tell.with_mut(|to_tell| take(unsafe { &mut *to_tell }));
        if let Some(done) = seldom.done.get().filter(|_| to_tell.has_done) {
            done.sender.close();
        }
        self.stop_timer();
        to_tell.calls.start();
    }
}

impl Timer {
    fn lock(&self) -> MutexGuard<'_, Set> {
        // Nothing panics under it.
        self.bell.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Rings at a branch's deadline, or earlier for no reason: when its runtime ends.
struct Bell(Weak<Branch>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let Some(branch) = self.0.upgrade() else { return };
        if let Some(timer) = branch.timer() {
            Branch::exceed_or_set(&branch, timer);
        }
    }
}

impl Drop for Branch {
    /// Takes it out of its tree; then those above it, of which it was the last, one after the other, as a chain may be
    /// longer than the stack is deep. Each of them is dropped while its own parent is kept (I8).
    fn drop(&mut self) {
        let node = {
            let mut tree = self.lock();
            self.node().map(|node| tree.remove(node))
        };
        // Its calls are the user's: not under the lock.
        drop(node);
        let mut next = self.parent.take();
        while let Some(mut branch) = next.and_then(Strong::into_inner) {
            next = branch.parent.take();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Branch;

    /// With its counts it takes 40 bytes, which malloc has in 48.
    #[test]
    fn a_branch_is_small() {
        assert_eq!(size_of::<Branch>(), 32);
    }
}
