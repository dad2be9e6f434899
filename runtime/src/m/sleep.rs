//! How an M sleeps, and how it is woken: its thread parks only here. The keeper sleeps by way of the poller
//! (`sched/poller.rs`), which uses this too, or waits for events in its place ([`Sleep::poll`]).
//!
//! # The protocol
//! ```text
//! a thread that wakes the M                   the M
//!   change what it waits for                    look at what it waits for: if it has come, go on
//!   wake: leave a token                         sleep: take the token, or wait for one, or for the deadline
//!                                               look again, whatever has ended the sleep
//! ```
//! An M waits for a P in its hand ([`M::hand`](super::M::hand)), for the end of the runtime, and as the keeper for an
//! earlier deadline.
//!
//! # The argument
//! There is one token, that of std's `thread::park` (for an M that polls, `wake_word.rs` has the argument): a wake that
//! comes before the sleep is kept, and ends it at once. The wake comes after the change (a Release of the token), and
//! the sleep that takes it comes before the next look (an Acquire), so the M sees the change. A token that an earlier
//! wake has left only makes the M look once more than it needs.
//!
//! A token is lost if other code takes it: a user's `thread::park` on that thread uses the same one. That cannot
//! happen between the wake and the M's next sleep: an M that rests runs no user code until it goes on, and then it
//! has seen what the wake was for. A wake that comes late, when the M runs a G again, ends a `thread::park` of that G
//! for no reason, as std allows.
//!
//! An M that has no thread yet, or whose thread has not registered, cannot be woken, and need not be: it is in no
//! list of sleepers, and its thread looks at what it waits for before it sleeps for the first time. The thread that
//! ends the runtime wakes all Ms again and again.
//!
//! The models are those of the keeper (`sched/keeper_loom.rs`) and of the word (`wake_word_loom.rs`).

#![cfg(not(loom))]

use super::wake_word::{WakeBy, WakeWord};
use crate::clock::park_thread;
use std::sync::OnceLock;
use std::thread::{self, Thread};

/// The sleep of one thread.
#[derive(Debug)]
pub(super) struct Sleep {
    thread: OnceLock<Thread>,
    word: WakeWord,
}

/// Wakes a thread, also when its M is gone already.
#[derive(Debug)]
pub(crate) struct Wake(Option<Thread>);

impl Sleep {
    /// The sleep of a thread that is not known yet.
    pub(super) fn new() -> Sleep {
        Sleep { thread: OnceLock::new(), word: WakeWord::new() }
    }

    /// The calling thread is the one that sleeps.
    pub(super) fn set_thread(&self) {
        // It is set once: only the M's own first lines call this.
        let _ = self.thread.set(thread::current());
    }

    /// Sleeps until it is woken, or until `until_ns`, or for no reason: the caller looks again.
    pub(super) fn sleep(&self, until_ns: u64) {
        debug_assert_eq!(self.thread.get().map(Thread::id), Some(thread::current().id()), "only its own thread sleeps");
        park_thread(until_ns);
        self.word.end_sleep();
    }

    /// Sleeps in `poll`, which waits for events and the poller's bell. It is not called if a wake came before.
    pub(super) fn poll(&self, poll: impl FnOnce()) {
        if self.word.begin_poll() {
            poll();
            self.word.end_sleep();
        }
    }

    /// Whether it sleeps so: a hint.
    pub(super) fn polls(&self) -> bool {
        self.word.polls()
    }

    /// Wakes it, or makes its next sleep return at once. If it polls, the caller rings the bell.
    pub(super) fn wake(&self) -> WakeBy {
        let by = self.word.wake();
        if by == WakeBy::Unpark
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
        by
    }

    /// Wakes it later. It is never the keeper then.
    pub(super) fn to_wake(&self) -> Wake {
        Wake(self.thread.get().cloned())
    }
}

impl Wake {
    /// As [`Sleep::wake`].
    pub(crate) fn wake(self) {
        if let Some(thread) = self.0 {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{NEVER, now_ns};
    use std::sync::Arc;

    fn of_this_thread() -> Sleep {
        let sleep = Sleep::new();
        sleep.set_thread();
        sleep
    }

    #[test]
    fn a_wake_before_the_sleep_ends_it() {
        let sleep = of_this_thread();
        assert_eq!(sleep.wake(), WakeBy::Unpark);
        sleep.sleep(NEVER);
        // A `Wake` that was made before, and is used when the M may be gone.
        let wake = sleep.to_wake();
        wake.wake();
        sleep.sleep(NEVER);
    }

    #[test]
    fn a_sleeper_is_woken_by_another_thread() {
        let sleep = Arc::new(of_this_thread());
        let other = sleep.clone();
        let waker = thread::spawn(move || _ = other.wake());
        sleep.sleep(NEVER);
        waker.join().unwrap();
    }

    #[test]
    fn a_sleep_ends_at_its_deadline() {
        let sleep = of_this_thread();
        let until_ns = now_ns() + 2_000_000;
        while now_ns() < until_ns {
            sleep.sleep(until_ns);
        }
        // It is over already.
        sleep.sleep(until_ns);
    }

    #[test]
    fn a_wake_ends_a_poll_by_the_bell() {
        let sleep = of_this_thread();
        assert!(!sleep.polls());
        let mut by = None;
        sleep.poll(|| {
            assert!(sleep.polls());
            by = Some(sleep.wake());
            assert_eq!(sleep.wake(), WakeBy::Unpark);
        });
        assert_eq!(by, Some(WakeBy::Bell));
        // One that came before is kept.
        assert_eq!(sleep.wake(), WakeBy::Unpark);
        sleep.poll(|| unreachable!("it was woken"));
    }

    #[test]
    fn who_has_no_thread_is_not_woken() {
        let sleep = Sleep::new();
        assert_eq!(sleep.wake(), WakeBy::Unpark);
        sleep.to_wake().wake();
    }
}
