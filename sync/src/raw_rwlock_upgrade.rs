//! The one reader of a [`RawRwLock`] that may become a writer.
//!
//! It is a reader as any other, and has UPGRADABLE beside that. So it costs plain readers and writers nothing: that bit is
//! looked at only where one waits, or is such a reader itself. To become a writer it waits until the others have gone, and
//! keeps what it has meanwhile (`raw_rwlock.rs`, I4).

use crate::holder::me;
use crate::loom::{Ordering, checkpoint};
use crate::lot::{Newcomer, Turn, Until};
use crate::raw_rwlock::{RawRwLock, UPGRADABLE_READ, UPGRADABLE_READS, UPGRADES};
use crate::rwlock_word::{
    READER, UPGRADABLE, UPGRADING, WAITERS, WRITER, has_look, may_read_upgradable, one_more_upgradable, update,
    upgraded,
};
use pirn_runtime::internal::{Kind, Reason};

/// The upgradable reader waits until it is the only one.
static UPGRADE: Reason = Reason::new("sync.RWMutex.Upgrade", Kind::Object("rwlock"));

impl RawRwLock {
    /// Waits to read as the one that may upgrade, for as long as that says.
    pub(crate) fn read_upgradable(&self, until: Until<'_>) -> bool {
        self.try_read_upgradable() || self.wait_to_read_upgradable(until)
    }

    /// Reads as the one that may upgrade, if that is possible at once.
    pub(crate) fn try_read_upgradable(&self) -> bool {
        checkpoint();
        let is_taken = self.try_take_upgradable();
        if is_taken {
            self.holder.store(me(), Ordering::Relaxed);
        }
        is_taken
    }

    fn try_take_upgradable(&self) -> bool {
        let take = |state| may_read_upgradable(state).then(|| one_more_upgradable(state));
        // Acquire: what the last writer has done (partner: each Release that takes WRITER back).
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, take).is_ok()
    }

    #[cold]
    fn wait_to_read_upgradable(&self, until: Until<'_>) -> bool {
        self.look_for_own(&UPGRADABLE_READ, until);
        let is_taken = || self.try_read_upgradable();
        let undo = || self.unlock_upgradable();
        self.wait_to_be_let_in(UPGRADABLE_READS, &UPGRADABLE_READ, until, may_read_upgradable, is_taken, undo)
    }

    /// Gives it back. The caller is the upgradable reader.
    pub(crate) fn unlock_upgradable(&self) {
        self.holder.store(0, Ordering::Relaxed);
        let less = READER | UPGRADABLE;
        // Release: a writer comes after what was read (partner: its Acquire).
        let before = self.state.fetch_sub(less, Ordering::Release);
        if has_look(before.wrapping_sub(less)) {
            self.give_on();
            self.next_may_upgrade();
        }
    }

    /// While others read, another upgradable reader may be the first in the line.
    #[cold]
    fn next_may_upgrade(&self) {
        self.left(&mut Turn::of(self.key()));
    }

    /// The upgradable reader has it to write, once nobody else reads. False if the wait has ended before: then it reads on.
    pub(crate) fn upgrade(&self, until: Until<'_>) -> bool {
        self.try_upgrade() || self.wait_to_upgrade(until)
    }

    /// The upgradable reader has it to write, if nobody else reads.
    pub(crate) fn try_upgrade(&self) -> bool {
        // Acquire: a writer comes after what the others have read (partner: the Release of `unlock_read`).
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, upgraded).is_ok()
    }

    #[cold]
    fn wait_to_upgrade(&self, until: Until<'_>) -> bool {
        let spot = Newcomer::caller(UPGRADES, &UPGRADE).on_stack(until);
        let turn = loop {
            let turn = Turn::of(self.key());
            if self.will_wait(&turn, WAITERS | UPGRADING, 0, |state| upgraded(state).is_some()) {
                break turn;
            }
            drop(turn);
            if self.try_upgrade() {
                return true;
            }
        };
        let left = |turn: &mut Turn| {
            update(&self.state, Ordering::Relaxed, |state| state & !UPGRADING);
            self.left(turn);
        };
        // One that is unwound has its guard still, which is that of a reader.
        turn.wait(&spot, true, until, left, |_| self.downgrade_to_upgradable()).is_some()
    }

    /// One that has it to write is the upgradable reader from now on.
    pub(crate) fn downgrade_to_upgradable(&self) {
        // Release: what was written (partner: the Acquire of a reader). WRITER is set.
        let before = update(&self.state, Ordering::Release, |state| (state + READER - WRITER) | UPGRADABLE);
        if before & WAITERS != 0 {
            self.left(&mut Turn::of(self.key()));
        }
    }

    /// The upgradable reader is one as any other from now on.
    pub(crate) fn downgrade_upgradable(&self) {
        self.holder.store(0, Ordering::Relaxed);
        let before = self.state.fetch_sub(UPGRADABLE, Ordering::Relaxed);
        if has_look(before) {
            self.next_may_upgrade();
        }
    }
}
