//! [`WaitGroup`]: one word, the count and the bit [`WAITERS`], by the protocol of `waiting.rs`.
//!
//! The count changes without a turn, but for the step to zero while somebody waits: that is made in a turn, which tells
//! those who stand there. So a group may be used again at once: who waits for the next round came after that turn, or
//! found zero.
//!
//! To add is one addition. If the sum is more than [`COUNT_MAX`] it is taken back, in a turn: meanwhile the last of the
//! others may have been done, who found a count that was not one.

use crate::loom::{Arc, AtomicUsize, Ordering};
use crate::lot::{Turn, Until, key_of};
use crate::waiting::{self, Awaited, Wait};
use pirn_runtime::internal::{Kind, Reason};
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// Somebody waits. Changed only in a turn.
const WAITERS: usize = 1;
/// One that is not done: the count begins above the bit.
const ONE: usize = 2;

/// The highest count. The word has room for what all threads of a process may have added beyond it and not taken back
/// yet: there are fewer than 2^22.
const COUNT_MAX: usize = 1 << 40;

/// What those that wait are told.
const DONE: usize = 0;

/// A G waits until all of a group are done.
static WAIT: Reason = Reason::new("sync.WaitGroup.Wait", Kind::Object("waitgroup"));

/// Waits until some work is done, of goroutines, OS threads or async tasks. It is Go's `sync.WaitGroup`.
///
/// A clone is the same group. The count is that of the work that is not done. [`go`](Self::go) starts a goroutine that
/// counts; a [`token`](Self::token) counts until it is dropped, whoever has it; [`add`](Self::add) and
/// [`done`](Self::done) count by hand.
///
/// A group may be used again at once, also while some of the last round have not returned from their `wait`; and one may
/// add while others wait. A `wait` returns when the count has been zero once since it began. Add before you start what
/// will be done, as `go` does: otherwise a `wait` may come before the `add` and find nothing to wait for.
///
/// A goroutine that is unwound while its runtime shuts down (`pirn::ShutDown`) is done if it
/// was started with `go`, or has a token. A `wait` in such a goroutine unwinds it, and leaves the group as it is.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// pirn::run(|| {
///     let sum = Arc::new(AtomicUsize::new(0));
///     let group = pirn::sync::WaitGroup::new();
///     for n in 0..100 {
///         let sum = sum.clone();
///         group.go(move || sum.fetch_add(n, Ordering::Relaxed));
///     }
///     group.wait();
///     assert_eq!(sum.load(Ordering::Relaxed), 4950);
/// });
/// ```
#[derive(Clone)]
pub struct WaitGroup {
    count: Arc<Count>,
}

/// The word of a group, or of what counts in the same way and has its own reason to wait.
pub(crate) struct Count {
    state: AtomicUsize,
}

/// One waits until a count is zero.
struct Zero<'a> {
    count: &'a Count,
    reason: &'static Reason,
}

impl WaitGroup {
    /// A group with nothing to wait for.
    pub fn new() -> WaitGroup {
        WaitGroup { count: Arc::new(Count::new()) }
    }

    /// Adds `n` to the count.
    ///
    /// # Panics
    /// If the count would be more than 2^40. It stays as it was.
    #[inline]
    #[track_caller]
    pub fn add(&self, n: usize) {
        if !self.count.add(n) {
            panic!("WaitGroup: the count would be too large: {} and {n} more", self.count());
        }
    }

    /// Takes one from the count. At zero, all that wait return.
    ///
    /// # Panics
    /// If the count is zero. It stays zero.
    #[inline]
    #[track_caller]
    pub fn done(&self) {
        let is_done = self.count.done();
        assert!(is_done, "WaitGroup: done was called more often than was added");
    }

    /// Waits until the count is zero. What was done before the calls of `done` has happened then.
    #[inline]
    pub fn wait(&self) {
        waiting::wait(&self.zero(), Until::Told);
    }

    /// Waits until the count is zero, or until `timeout` has passed: then this is false.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        waiting::wait_timeout(&self.zero(), timeout)
    }

    pub(crate) fn wait_within(&self, until: Until<'_>) -> bool {
        waiting::wait(&self.zero(), until)
    }

    #[inline]
    fn zero(&self) -> Zero<'_> {
        Zero { count: &self.count, reason: &WAIT }
    }

    /// As [`wait`](Self::wait), for async tasks. The future may be dropped at any time. One that is forgotten
    /// ([`std::mem::forget`]) after it was polled stays in the line until it is told, which harms nobody.
    ///
    /// ```
    /// let group = pirn::sync::WaitGroup::new();
    /// let token = group.token();
    /// std::thread::spawn(move || drop(token));
    /// pirn::block_on(group.wait_async());
    /// assert_eq!(group.count(), 0);
    /// ```
    pub fn wait_async(&self) -> impl Future<Output = ()> + Send + Sync + '_ {
        Wait::new(self.zero())
    }

    /// Starts a goroutine, as `pirn::go` does, that counts until it ends, by whatever way. It has been
    /// added when this returns. It is done before its handle can be joined.
    ///
    /// # Panics
    /// As `pirn::go`. The count is then as before.
    #[cfg(not(loom))]
    #[track_caller]
    pub fn go<F, T>(&self, f: F) -> pirn_runtime::JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // In this order they are dropped if the goroutine is never run.
        let work = (f, self.token());
        pirn_runtime::go(move || {
            let (f, _token) = work;
            f()
        })
    }

    /// Adds one, until the token is dropped.
    ///
    /// # Panics
    /// As [`add`](Self::add).
    #[track_caller]
    pub fn token(&self) -> Token {
        self.add(1);
        Token { group: self.clone() }
    }

    /// What has been added and is not done: a hint, as it may change at once.
    pub fn count(&self) -> usize {
        self.count.get()
    }
}

impl Count {
    pub(crate) fn new() -> Count {
        Count { state: AtomicUsize::new(0) }
    }

    /// Waits until it is zero, for as long as that says. False if the wait has ended without that.
    pub(crate) fn wait(&self, reason: &'static Reason, until: Until<'_>) -> bool {
        waiting::wait(&Zero { count: self, reason }, until)
    }

    /// A hint, as it may change at once.
    pub(crate) fn get(&self) -> usize {
        self.state.load(Ordering::Relaxed) / ONE
    }

    /// False: the count would be too large.
    #[inline]
    pub(crate) fn add(&self, n: usize) -> bool {
        if n > COUNT_MAX {
            return false;
        }
        // Relaxed: what the others have to see of the caller comes to them with the work.
        if self.state.fetch_add(n * ONE, Ordering::Relaxed) / ONE <= COUNT_MAX - n {
            return true;
        }
        self.take_back(n);
        false
    }

    /// False: the count is zero.
    #[inline]
    pub(crate) fn done(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state != ONE | WAITERS {
            if state < ONE {
                return false;
            }
            // Release: what the caller did (partner: `has_come`, and the Acquire in `take_back`; the steps of others in
            // between go on with it).
            let done = self.state.compare_exchange_weak(state, state - ONE, Ordering::Release, Ordering::Relaxed);
            match done {
                Ok(_) => return true,
                Err(other) => state = other,
            }
        }
        self.take_back(1)
    }

    /// Takes `n` from the count in a turn: it tells those that wait if these are the last. False: the count is less.
    #[cold]
    fn take_back(&self, n: usize) -> bool {
        let turn = Turn::of(key_of(self));
        // Acquire: what all others did, for those who are told (partner: the Release in `done`).
        let done = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| state.checked_sub(n * ONE));
        if done.is_ok_and(|state| state < (n + 1) * ONE) {
            turn.tell_all(DONE, |turn| self.left(turn));
        }
        done.is_ok()
    }

    /// In a turn: some have left the line.
    fn left(&self, turn: &mut Turn) {
        if turn.is_empty() {
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }
}

impl Awaited for Zero<'_> {
    fn reason(&self) -> &'static Reason {
        self.reason
    }

    #[inline]
    fn has_come(&self) -> bool {
        // Acquire: what was done (partner: the Release in `done`).
        self.count.state.load(Ordering::Acquire) < ONE
    }

    fn has_waiters(&self) -> bool {
        self.count.state.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn will_wait(&self) -> bool {
        let wait = |state| (state >= ONE).then_some(state | WAITERS);
        // Acquire: as in `has_come`.
        self.count.state.fetch_update(Ordering::Relaxed, Ordering::Acquire, wait).is_ok()
    }

    fn left(&self, turn: &mut Turn) {
        self.count.left(turn);
    }

    fn key(&self) -> usize {
        key_of(self.count)
    }
}

impl Default for WaitGroup {
    fn default() -> WaitGroup {
        WaitGroup::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.count()).finish()
    }
}

/// One of a [`WaitGroup`] that is not done: see [`WaitGroup::token`]. It is done when it is dropped; a clone is another
/// one.
#[must_use = "it is done at once if the token is not kept"]
pub struct Token {
    group: WaitGroup,
}

impl Token {
    /// The group that it counts in.
    pub fn group(&self) -> &WaitGroup {
        &self.group
    }
}

/// Adds one.
impl Clone for Token {
    fn clone(&self) -> Token {
        self.group.token()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // If somebody called `done` for it, that one was told or will be: a destructor does not panic.
        _ = self.group.count.done();
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("group", &self.group).finish()
    }
}

#[cfg(all(test, loom))]
#[path = "wait_group_loom.rs"]
mod models;
