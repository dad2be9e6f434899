//! A bank transfer: a race between a check and what depends on it, and its repair.
//!
//! Go and Python: two threads read a balance, both find enough in it, both withdraw. Different here: without a lock or
//! an atomic it does not compile, so there is no data race. But a lock that is given back between the check and the
//! withdrawal is as wrong as none, and the compiler does not see it. Whoever needs two locks takes them in one order
//! everywhere, or two transfers in opposite directions wait for each other for ever (see `lock_cycle`).

use pirn::sync::{Barrier, Mutex};
use std::sync::atomic::{AtomicBool, Ordering};

struct Bank {
    accounts: [Mutex<i64>; 3],
}

impl Bank {
    fn new(balances: [i64; 3]) -> Bank {
        Bank { accounts: balances.map(Mutex::new) }
    }

    /// WRONG: what it has checked may have changed when it withdraws. It calls `between` in between.
    fn transfer_with_a_race(&self, from: usize, to: usize, amount: i64, between: impl Fn()) -> bool {
        let is_enough = *self.accounts[from].lock() >= amount;
        between();
        if is_enough {
            *self.accounts[from].lock() -= amount;
            *self.accounts[to].lock() += amount;
        }
        is_enough
    }

    /// Keeps both locks from the check to the end. The account with the lower number is locked first.
    fn transfer(&self, from: usize, to: usize, amount: i64) -> bool {
        assert_ne!(from, to, "one account is locked once");
        let mut low = self.accounts[from.min(to)].lock();
        let mut high = self.accounts[from.max(to)].lock();
        let (from, to) = if from < to { (&mut low, &mut high) } else { (&mut high, &mut low) };
        let is_enough = **from >= amount;
        if is_enough {
            **from -= amount;
            **to += amount;
        }
        is_enough
    }

    fn balances(&self) -> [i64; 3] {
        self.accounts.each_ref().map(|account| *account.lock())
    }
}

pub(crate) fn program() {
    // Both have checked before either withdraws. Without the barrier this happens one time in many.
    let bank = Bank::new([100, 0, 0]);
    let both_have_checked = Barrier::new(2);
    let paid = both(|to| {
        bank.transfer_with_a_race(0, to, 100, || {
            both_have_checked.wait();
        })
    });
    println!("race: {paid} of 2 paid, balances {:?}", bank.balances());

    let bank = Bank::new([100, 0, 0]);
    let paid = both(|to| bank.transfer(0, to, 100));
    println!("repaired: {paid} of 2 paid, account 0 has {}", bank.balances()[0]);

    stress();
}

/// Transfers to the accounts 1 and 2 at the same time. Returns how many have been paid.
fn both(transfer: impl Fn(usize) -> bool + Sync) -> usize {
    pirn::scope(|s| {
        let transfer = &transfer;
        let transfers = [1, 2].map(|to| s.go(move || transfer(to)));
        transfers.map(|transfer| transfer.join().expect("it only transfers")).into_iter().filter(|paid| *paid).count()
    })
}

/// Transfers in all directions, while another goroutine looks whether anybody is overdrawn.
fn stress() {
    let bank = Bank::new([1000; 3]);
    let (is_over, overdrawn) = (AtomicBool::new(false), AtomicBool::new(false));
    pirn::scope(|s| {
        s.go(|| {
            while !is_over.load(Ordering::Relaxed) {
                let is_bad = bank.balances().iter().any(|balance| *balance < 0);
                overdrawn.fetch_or(is_bad, Ordering::Relaxed);
                pirn::yield_now();
            }
        });
        let tellers: Vec<_> = (0..6)
            .map(|teller| {
                let bank = &bank;
                s.go(move || {
                    for step in 0..500 {
                        let from = (teller + step) % 3;
                        let to = (from + 1 + teller % 2) % 3;
                        bank.transfer(from, to, 37 * (1 + step as i64 % 20));
                    }
                })
            })
            .collect();
        tellers.into_iter().for_each(|teller| teller.join().expect("it only transfers"));
        is_over.store(true, Ordering::Relaxed);
    });
    let sum: i64 = bank.balances().iter().sum();
    println!("3000 transfers: the sum is {sum}, somebody overdrawn: {}", overdrawn.into_inner());
}
