//! What is believed of the number of a descriptor of others, in one direction, so that a wait need not ask the kernel.
//!
//! # The argument
//! A belief says three things, which the kernel has said before: the descriptor that has the number is at the epoll for this
//! direction, edge-triggered; its operations block; and they have no time limit.
//!
//! *Who changes that by libc's functions takes the belief away* (`hook/src/changes.rs`). Who gives the number up
//! [`forget`](Belief::forget)s it before: another descriptor can have the number only after that. What a descriptor's user
//! sets counts for all its numbers, and nobody knows which they are. So it is counted for the whole process
//! ([`Settings`]), after it is set; a belief of an earlier count is none.
//!
//! ```text
//! who asks                                who sets                      who waits after that
//!   before = the word, count = settings     the kernel sets a flag        if the word has the count of settings:
//!   ask the kernel for the flag             settings += 1                    it is as the kernel said
//!   if the generation is that of before:                                  otherwise ask
//!     the word = believed, count
//! ```
//! If the count of who asks is the later one, it was read after the flag was set, and the kernel has said so. If not, who
//! waits finds another count. The same for the generation, which `forget` changes: who has asked about the descriptor that
//! has gone does not believe it of the next one.
//!
//! *Who changes it by system calls of its own, or in another process, is not heard.* So a belief may be wrong. A wait by
//! belief therefore has a limit (`source/foreign.rs`). Then the belief is forgotten, and the operation begins anew and asks
//! the kernel all of it: whether it would block at all, the flag, the time limit, which it counts from its begin, and the
//! epoll, which says whether it has that descriptor. Only a wait that has asked lasts longer than the limit. So a wrong
//! belief makes a call late, once, and nothing is lost by it.
//!
//! `belief_loom.rs` models it.

use crate::loom::{AtomicU32, AtomicU64, Ordering};
use std::fmt;

/// The number of a stream of which a short read has got all.
const DRAINS: u64 = 1 << 32;
/// What the kernel has said is believed.
const HOLDS: u64 = 1 << 33;
/// One generation.
const GENERATION: u64 = 1 << 34;

/// One direction of a number.
///
/// ```text
///  63                 34      33       32    31               0
/// +---------------------+-------+--------+-------------------+
/// | generation          | holds | drains | count of settings |
/// +---------------------+-------+--------+-------------------+
/// ```
/// Both numbers wrap. Who meets an old one again believes what is wrong, which has its limit.
pub(crate) struct Belief(AtomicU64);

/// What it was at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Believed(u64);

/// How often a user has set something about some descriptor of which no number is known.
pub(crate) struct Settings(AtomicU32);

impl Belief {
    /// Nothing is believed.
    pub(crate) fn none() -> Belief {
        Belief(AtomicU64::new(Believed::NONE.0))
    }

    /// Looks, before the kernel is asked, or not.
    #[inline]
    pub(crate) fn look(&self) -> Believed {
        // Acquire: what was done before it was believed is seen, as that the record is at an epoll (partner: `confirm`).
        Believed(self.0.load(Ordering::Acquire))
    }

    /// The kernel has said it since that look, and since the settings had this count. If the number has been given up
    /// meanwhile it is not believed.
    pub(crate) fn confirm(&self, before: Believed, settings: u32, drains: bool) {
        let word = before.generation() | HOLDS | if drains { DRAINS } else { 0 } | u64::from(settings);
        let is_same = |now| (Believed(now).generation() == before.generation()).then_some(word);
        // Release: partner is `look`. If it fails there is nothing to do.
        let _ = self.0.fetch_update(Ordering::Release, Ordering::Relaxed, is_same);
    }

    /// The number is given up, or stands for something else, or the belief has lasted too long. Returns what it is now. A
    /// signal handler may call it.
    pub(crate) fn forget(&self) -> Believed {
        let next = |now| Some(Believed(now).next().0);
        // AcqRel: what was before comes before what finds that nothing is believed.
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next) {
            Ok(before) | Err(before) => Believed(before).next(),
        }
    }
}

impl Believed {
    /// Of a number that has no record.
    pub(crate) const NONE: Believed = Believed(0);

    fn generation(self) -> u64 {
        self.0 & !(GENERATION - 1)
    }

    /// As `forget` leaves it.
    fn next(self) -> Believed {
        Believed(self.generation().wrapping_add(GENERATION))
    }

    /// Whether it is believed, while the settings have this count.
    #[inline]
    pub(crate) fn holds(self, settings: u32) -> bool {
        self.0 & HOLDS != 0 && self.0 as u32 == settings
    }

    /// Whether a short read gets all that there is.
    #[inline]
    pub(crate) fn drains(self) -> bool {
        self.0 & DRAINS != 0
    }

    /// Whether this came out of that by one [`forget`](Belief::forget).
    pub(crate) fn is_next_of(self, before: Believed) -> bool {
        self == before.next()
    }
}

impl Settings {
    /// None was set.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Settings {
        Settings(AtomicU32::new(0))
    }

    /// None was set.
    #[cfg(loom)]
    pub(crate) fn new() -> Settings {
        Settings(AtomicU32::new(0))
    }

    /// How many, before the kernel is asked, or not.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        // Acquire: the flag was set before (partner: `changed`).
        self.0.load(Ordering::Acquire)
    }

    /// One has been set. A signal handler may call it.
    pub(crate) fn changed(&self) {
        // Release: partner is `count`.
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl fmt::Debug for Belief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Belief").field(&self.look()).finish()
    }
}

#[cfg(all(test, loom))]
#[path = "belief_loom.rs"]
mod tests;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_holds_until_it_is_forgotten_or_something_is_set() {
        let (belief, settings) = (Belief::none(), Settings::new());
        assert!(!belief.look().holds(settings.count()));
        belief.confirm(belief.look(), settings.count(), true);
        assert!(belief.look().holds(settings.count()) && belief.look().drains());
        settings.changed();
        assert!(!belief.look().holds(settings.count()));
        // Asked again.
        belief.confirm(belief.look(), settings.count(), false);
        assert!(belief.look().holds(settings.count()) && !belief.look().drains());
        let before = belief.look();
        assert!(belief.forget().is_next_of(before));
        assert!(!belief.look().holds(settings.count()) && !belief.look().drains());
        // Of one that was slow.
        belief.confirm(before, settings.count(), true);
        assert!(!belief.look().holds(settings.count()));
        assert!(!belief.forget().is_next_of(before));
    }

    #[test]
    fn numbers_wrap() {
        let (belief, settings) = (Belief(AtomicU64::new(u64::MAX)), Settings(AtomicU32::new(u32::MAX)));
        assert!(belief.look().holds(settings.count()));
        settings.changed();
        assert!(!belief.look().holds(settings.count()));
        assert_eq!(belief.forget(), Believed::NONE);
    }
}
