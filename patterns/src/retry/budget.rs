//! How many retries all calls together may make.

use pirn_sync::Mutex;
use std::fmt;

/// Keeps retries from making an overload worse: they are only a share of all calls. Share one among all calls to one
/// service.
///
/// Each call that succeeds or fails for good pays in a share of a retry, and each retry takes a whole one out. At the
/// beginning there is a reserve, which is also the most that it holds; so a service that is called seldom may be
/// retried too.
///
/// As the retry throttling of gRPC (gRFC A6) and the budgets of Finagle.
///
/// ```
/// use pirn::patterns::retry::Budget;
///
/// // One retry for five calls, and two in reserve.
/// let budget = Budget::new(0.2, 2);
/// assert!(budget.take() && budget.take() && !budget.take());
/// (0..5).for_each(|_| budget.pay_in());
/// assert!(budget.take() && !budget.take());
/// assert_eq!((budget.metrics().granted, budget.metrics().denied), (3, 2));
/// ```
pub struct Budget {
    /// What one call pays in. A whole retry is `RETRY`, so that sums are exact.
    share: u64,
    most: u64,
    state: Mutex<State>,
}

struct State {
    balance: u64,
    metrics: BudgetMetrics,
}

/// What a retry takes out.
const RETRY: u64 = 1_000_000;

/// What a budget has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetMetrics {
    /// Calls that have paid in.
    pub calls: u64,
    /// Retries that it has granted.
    pub granted: u64,
    /// Retries that it has denied.
    pub denied: u64,
}

impl Budget {
    /// A budget of this share of a retry for each call, and a reserve of whole retries. The share is rounded to a
    /// millionth; less than none counts as none.
    pub const fn new(share: f64, reserve: u32) -> Budget {
        let most = reserve as u64 * RETRY;
        let metrics = BudgetMetrics { calls: 0, granted: 0, denied: 0 };
        // A cast saturates, and takes what is no number for zero.
        let share = (share * RETRY as f64 + 0.5) as u64;
        Budget { share, most, state: Mutex::new(State { balance: most, metrics }) }
    }

    /// A call has ended, and pays in its share.
    pub fn pay_in(&self) {
        let mut state = self.state.lock();
        state.metrics.calls += 1;
        state.balance = state.balance.saturating_add(self.share).min(self.most);
    }

    /// Takes a retry out. False: there is none.
    pub fn take(&self) -> bool {
        let mut state = self.state.lock();
        match state.balance.checked_sub(RETRY) {
            Some(balance) => {
                state.balance = balance;
                state.metrics.granted += 1;
                true
            }
            None => {
                state.metrics.denied += 1;
                false
            }
        }
    }

    /// What it has said so far.
    pub fn metrics(&self) -> BudgetMetrics {
        self.state.lock().metrics
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let balance = state.balance as f64 / RETRY as f64;
        f.debug_struct("Budget").field("balance", &balance).field("metrics", &state.metrics).finish_non_exhaustive()
    }
}
