//! A store for shared limits in the memory of one process: for tests, and to see what a store does.

use super::algorithm::Refused;
use super::shared::{Quota, Store};
use pirn_runtime::internal::now;
use pirn_sync::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// A [`Store`] in memory. It forgets keys whose buckets are full again whenever their number has doubled.
#[derive(Debug)]
pub struct MemoryStore {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By key, in nanoseconds since the beginning.
    owed_until_ns: HashMap<String, u64>,
    sweep_at: usize,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore { began: now(), state: Mutex::new(State { owed_until_ns: HashMap::new(), sweep_at: 64 }) }
    }

    /// How many keys it has a number for.
    pub fn len(&self) -> usize {
        self.state.lock().owed_until_ns.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    fn step(
        &self,
        key: &str,
        quota: Quota,
        n: u64,
        wait_max: Duration,
    ) -> Result<Result<Duration, Refused>, Infallible> {
        let as_ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut state = self.state.lock();
        // Under the lock, so that the clock does not go back from step to step. The keys are strings: no user's code.
        let now_ns = as_ns(now().saturating_duration_since(self.began));
        let owed_until_ns = state.owed_until_ns.get(key).copied().unwrap_or(0);
        let (kept, wait) = match quota.step(owed_until_ns, now_ns, n, as_ns(wait_max)) {
            Ok(stepped) => stepped,
            Err(refused) => return Ok(Err(refused)),
        };
        match state.owed_until_ns.get_mut(key) {
            Some(owed) => *owed = kept,
            None => _ = state.owed_until_ns.insert(key.to_owned(), kept),
        }
        if state.owed_until_ns.len() > state.sweep_at {
            state.owed_until_ns.retain(|_, owed| *owed > now_ns);
            state.sweep_at = (2 * state.owed_until_ns.len()).max(64);
        }
        Ok(Ok(wait))
    }
}
