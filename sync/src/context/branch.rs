//! A branch: what ends together. Its mark, its place in the tree, what is to be told of its end.

use super::calls::{Call, Calls};
use super::error::{Cause, ContextError};
use super::tree::Tree;
use crate::loom::{AtomicUsize, Mutex, MutexGuard, Ordering};
use pirn_channels::internal::Alarm;
use pirn_channels::{Receiver, Sender, bounded};
use pirn_runtime::internal::has_come;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Instant;

/// The marks.
const OPEN: usize = 0;
const CANCELLED: usize = 1;
const DEADLINE_EXCEEDED: usize = 2;

/// A branch that is in no tree.
const NOWHERE: usize = usize::MAX;

/// One branch has this for all contexts that differ in their values only.
pub(super) struct Branch {
    mark: AtomicUsize,
    /// What the user gave. Set before the mark.
    cause: OnceLock<Cause>,
    /// The earliest deadline, of this branch and those above it.
    deadline: Option<Instant>,
    /// The deadline is its own, earlier than its parent's, so it has a timer.
    timer: Option<Box<Timer>>,
    /// Made when it is asked for the first time.
    done: OnceLock<Done>,
    /// Its number in the tree. It is in there until it is marked. Under the tree's lock.
    node: AtomicUsize,
    tree: Arc<Mutex<Tree<Node>>>,
    /// Its parent in the tree. A branch with children is there.
    parent: Option<Arc<Branch>>,
}

/// What the tree has of a branch.
struct Node {
    branch: Weak<Branch>,
    calls: Calls,
    /// There is a channel to be closed.
    has_done: bool,
}

struct Done {
    sender: Sender<Infallible>,
    receiver: Receiver<Infallible>,
}

struct Timer {
    cause: Option<Cause>,
    /// None: it is not set yet, or is not needed any more. No alarm is set or dropped under this lock.
    alarm: Mutex<Option<Alarm>>,
}

/// A branch that has just been marked, and whom to tell.
struct Marked {
    branch: Arc<Branch>,
    calls: Calls,
    has_done: bool,
}

/// A new branch below another one, or at the root of a new tree.
pub(super) fn open(parent: Option<&Arc<Branch>>, deadline: Option<Instant>, cause: Option<Cause>) -> Arc<Branch> {
    let inherited = parent.and_then(|parent| parent.deadline);
    let own = deadline.filter(|own| inherited.is_none_or(|inherited| *own < inherited));
    let branch = Arc::new(Branch {
        mark: AtomicUsize::new(OPEN),
        cause: OnceLock::new(),
        deadline: own.or(inherited),
        timer: own.map(|_| Box::new(Timer { cause, alarm: Mutex::new(None) })),
        done: OnceLock::new(),
        node: AtomicUsize::new(NOWHERE),
        tree: parent.map_or_else(|| Arc::new(Mutex::new(Tree::new())), |parent| parent.tree.clone()),
        parent: parent.cloned(),
    });
    branch.enter_tree();
    if let Some(deadline) = own.filter(|_| branch.error().is_none()) {
        if has_come(deadline) {
            branch.exceed();
        } else {
            branch.set_timer(deadline);
        }
    }
    branch
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
        self.cause.get().cloned()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn lock(&self) -> MutexGuard<'_, Tree<Node>> {
        // Nothing panics under it but an allocation that fails, before anything was changed.
        self.tree.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Becomes a child of its parent; if that has ended, ends as that has.
    fn enter_tree(self: &Arc<Branch>) {
        let mut tree = self.lock();
        let parent = match &self.parent {
            None => None,
            Some(parent) => match parent.error() {
                Some(error) => return self.mark(error, parent.cause.get()),
                None => Some(parent.node.load(Ordering::Relaxed)),
            },
        };
        let node = tree.add(Node { branch: Arc::downgrade(self), calls: Calls::new(), has_done: false }, parent);
        self.node.store(node, Ordering::Relaxed);
    }

    /// Marks it. Only under the lock, and once; its parent first.
    fn mark(&self, error: ContextError, cause: Option<&Cause>) {
        if let Some(cause) = cause {
            // It is set once, as the mark is.
            _ = self.cause.set(cause.clone());
        }
        let mark = match error {
            ContextError::Cancelled => CANCELLED,
            ContextError::DeadlineExceeded => DEADLINE_EXCEEDED,
        };
        // Release: the cause, and the marks of its ancestors (partner: `error`).
        self.mark.store(mark, Ordering::Release);
    }

    /// Ends it and all below it. False if it has ended before; then all below it have been marked too.
    pub(super) fn end(self: &Arc<Branch>, error: ContextError, cause: Option<&Cause>) -> bool {
        let mut tree = self.lock();
        if self.error().is_some() {
            return false;
        }
        let nodes = tree.take_apart(self.node.load(Ordering::Relaxed));
        let mut marked = Vec::with_capacity(nodes.len());
        for node in nodes {
            // None: it is being dropped, and takes itself out.
            if let Some(branch) = tree.get_mut(node).branch.upgrade() {
                branch.mark(error, cause);
                branch.node.store(NOWHERE, Ordering::Relaxed);
                let Node { calls, has_done, .. } = tree.remove(node);
                marked.push(Marked { branch, calls, has_done });
            }
        }
        drop(tree);
        marked.into_iter().for_each(Marked::tell);
        true
    }

    /// The channel that is closed when it ends.
    pub(super) fn done(&self) -> &Receiver<Infallible> {
        let mut is_new = false;
        let done = self.done.get_or_init(|| {
            is_new = true;
            let (sender, receiver) = bounded(0);
            Done { sender, receiver }
        });
        if is_new {
            let mut tree = self.lock();
            if self.error().is_none() {
                tree.get_mut(self.node.load(Ordering::Relaxed)).has_done = true;
            }
        }
        // Whoever has ended it may not have come to the channel, or did not know of it.
        if self.error().is_some() {
            done.sender.close();
        }
        &done.receiver
    }

    /// Adds a call for its end, and returns its number. If it has ended, the call comes back.
    pub(super) fn add_call(&self, call: Call) -> Result<u64, Call> {
        let mut tree = self.lock();
        match self.error() {
            Some(_) => Err(call),
            None => Ok(tree.get_mut(self.node.load(Ordering::Relaxed)).calls.add(call)),
        }
    }

    /// Takes a call back. None: it has been started, or was taken back before.
    pub(super) fn take_call(&self, number: u64) -> Option<Call> {
        let mut tree = self.lock();
        match self.error() {
            Some(_) => None,
            None => tree.get_mut(self.node.load(Ordering::Relaxed)).calls.take(number),
        }
    }

    /// Its own deadline has passed.
    fn exceed(self: &Arc<Branch>) {
        let cause = self.timer.as_ref().and_then(|timer| timer.cause.as_ref());
        self.end(ContextError::DeadlineExceeded, cause);
    }

    /// Has the bell rung at its own deadline.
    fn set_timer(self: &Arc<Branch>, deadline: Instant) {
        let mut alarm = Alarm::default();
        alarm.set(deadline, &mut Context::from_waker(&Waker::from(Arc::new(Bell(Arc::downgrade(self))))));
        let unneeded = self.put_alarm(Some(alarm));
        drop(unneeded);
    }

    /// Puts another alarm there. Returns what is not needed: the old one, or the new one if it has ended meanwhile.
    fn put_alarm(&self, alarm: Option<Alarm>) -> Option<Alarm> {
        let mut place = self.timer.as_ref()?.alarm.lock().unwrap_or_else(|e| e.into_inner());
        // Whoever ends it takes the alarm out after the mark, under this lock: so one of the two sees the other.
        if self.error().is_some() && alarm.is_some() {
            return alarm;
        }
        std::mem::replace(&mut *place, alarm)
    }
}

/// Rings at a branch's deadline, or earlier for no reason: when its runtime ends.
struct Bell(Weak<Branch>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let Some(branch) = self.0.upgrade() else { return };
        match branch.deadline {
            Some(deadline) if !has_come(deadline) => branch.set_timer(deadline),
            _ => branch.exceed(),
        }
    }
}

impl Marked {
    /// Tells all that wait for its end. No lock is held.
    fn tell(self) {
        let Marked { branch, calls, has_done } = self;
        if let Some(done) = branch.done.get().filter(|_| has_done) {
            done.sender.close();
        }
        drop(branch.put_alarm(None));
        calls.start();
    }
}

impl Drop for Branch {
    /// Takes it out of its tree; then those above it, of which it was the last, one after the other, as a chain may be
    /// longer than the stack is deep.
    fn drop(&mut self) {
        let node = {
            let mut tree = self.lock();
            let node = self.node.load(Ordering::Relaxed);
            (node != NOWHERE).then(|| tree.remove(node))
        };
        // Its calls are the user's: not under the lock.
        drop(node);
        let mut next = self.parent.take();
        while let Some(mut branch) = next.and_then(Arc::into_inner) {
            next = branch.parent.take();
        }
    }
}
