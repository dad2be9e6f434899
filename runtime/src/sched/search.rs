//! Ms that search: the mark of an M (`M::searching`) and the count of them (`idle.rs`), which change together here.
//!
//! A search that another thread announces is counted before there is an M for it: it is given to an M, or called off.

#![cfg(not(loom))]

use super::shared::Shared;
use crate::m::M;
use std::sync::atomic::Ordering;

impl Shared {
    /// The calling M begins to search.
    pub(super) fn begin_search(&self, m: &M) {
        m.searching.store(true, Ordering::Relaxed);
        self.idle.begin_search();
    }

    /// The calling M searches no more, if it did. It has to look at every queue afterwards. Only the M itself changes its
    /// mark while it is awake, so no read-modify-write is needed.
    pub(super) fn end_search(&self, m: &M) {
        if m.searching.load(Ordering::Relaxed) {
            m.searching.store(false, Ordering::Relaxed);
            self.idle.end_search();
        } else {
            self.idle.before_last_look();
        }
    }

    /// Counts a search for which the caller is about to wake an M. `Idle::announce` does it too, if there is none.
    pub(super) fn announce_search(&self) {
        self.idle.begin_search();
    }

    /// `m`, which sleeps or has no thread yet, is to carry out the announced search.
    pub(super) fn give_search(&self, m: &M) {
        m.searching.store(true, Ordering::Relaxed);
    }

    /// There is no P, or no M, for the announced search. Under the scheduler's lock: `idle.rs` needs it.
    pub(super) fn call_off_search(&self) {
        self.idle.end_search();
    }
}
