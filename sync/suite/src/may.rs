//! The shapes of may's types that are not those of std.

use std::time::Duration;

/// may's semaphore: a count that one raises and another waits for.
#[derive(Debug)]
pub struct Semphore(pirn_sync::Semaphore);

impl Semphore {
    /// One with that count.
    pub fn new(count: usize) -> Semphore {
        Semphore(pirn_sync::Semaphore::new(count))
    }

    /// Raises the count.
    pub fn post(&self) {
        self.0.add_permits(1);
    }

    /// Waits until the count is positive, and lowers it.
    ///
    /// # Panics
    /// Never: nobody closes it.
    pub fn wait(&self) {
        self.0.acquire(1).expect("nobody closes it").forget();
    }

    /// The same with a limit. False if the time is over.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.0.acquire_timeout(1, timeout).map(|permit| permit.forget()).is_ok()
    }
}

/// may's flag: it is fired once, and stays so.
#[derive(Debug)]
pub struct SyncFlag(pirn_sync::Event);

impl SyncFlag {
    /// One that has not been fired.
    #[expect(clippy::new_without_default, reason = "as may's")]
    pub fn new() -> SyncFlag {
        SyncFlag(pirn_sync::Event::new())
    }

    /// Fires it.
    pub fn fire(&self) {
        self.0.set();
    }

    /// Waits until it is fired.
    pub fn wait(&self) {
        self.0.wait();
    }

    /// The same with a limit. False if the time is over.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.0.wait_timeout(timeout)
    }
}

/// may's wait group: each clone counts until it is dropped, or waits itself.
#[derive(Clone, Debug)]
pub struct WaitGroup(pirn_sync::Token);

impl WaitGroup {
    /// The first of a group.
    #[expect(clippy::new_without_default, reason = "as may's")]
    pub fn new() -> WaitGroup {
        WaitGroup(pirn_sync::WaitGroup::new().token())
    }

    /// Counts no more, and waits for the others.
    pub fn wait(self) {
        let group = self.0.group().clone();
        drop(self);
        group.wait();
    }
}
