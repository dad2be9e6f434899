//! [`WaitGroup`]: a count that is shared (`count.rs`).

use crate::count::Count;
use crate::loom::Arc;
use crate::lot::Until;
use pirn_runtime::internal::{Kind, Reason};
use std::fmt;
use std::future::Future;
use std::time::Duration;

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

impl WaitGroup {
    /// A group with nothing to wait for.
    pub fn new() -> WaitGroup {
        WaitGroup { count: Arc::new(Count::new()) }
    }

    /// Adds `n` to the count.
    ///
    /// # Panics
    /// If the count would be more than 2^38. It stays as it was.
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
    /// If the count is zero. It stays zero. If another one adds and is done at this very moment, that `done` may find the
    /// count at zero and panic in the place of this one. So a panic here says that somebody was done too often, and not who.
    #[inline]
    #[track_caller]
    pub fn done(&self) {
        let is_done = self.count.done();
        assert!(is_done, "WaitGroup: done was called more often than was added");
    }

    /// Waits until the count is zero. What was done before the calls of `done` has happened then.
    #[inline]
    pub fn wait(&self) {
        self.count.wait(&WAIT, Until::Told);
    }

    /// Waits until the count is zero, or until `timeout` has passed: then this is false.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.count.wait_timeout(&WAIT, timeout)
    }

    pub(crate) fn wait_within(&self, until: Until<'_>) -> bool {
        self.count.wait(&WAIT, until)
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
        self.count.wait_async(&WAIT)
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
