//! Why a G waits: a [`Reason`] for each place that waits, a `static` in the room or the crate that waits there.
//!
//! The runtime knows reasons only by their addresses. Dumps, scheddetail, reports and events read what they say.

use std::fmt;
use std::ptr;
use std::time::Instant;

/// Why a G waits, and for what kind of thing. One `static` for each wait site, or for several that wait in the same
/// way.
pub struct Reason {
    name: &'static str,
    kind: Kind,
    owner: Option<fn(usize) -> Option<Owner>>,
}

/// What kind of thing is waited for. It says what the address or number that a G waits on means, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something that has only a name.
    Event,
    /// A moment, which comes by itself.
    Moment,
    /// A timer, which fires by itself while it is pending.
    Timer,
    /// The end of a G; the number is the G's.
    Goroutine,
    /// The end of each G of a scope; the address is the scope's, and their records have it too.
    Scope,
    /// A descriptor; the number is that of its record (`netpoll`).
    Descriptor,
    /// The end of a process; the number is the process's.
    Process,
    /// A word of memory, of which nothing is known but its address.
    Word,
    /// An object; the address is the object's. This is what dumps call it, as `chan`.
    Object(&'static str),
}

impl Reason {
    /// The word for dumps: Go's, where Go has the same thing. No two reasons have the same.
    pub const fn new(name: &'static str, kind: Kind) -> Reason {
        Reason { name, kind, owner: None }
    }

    /// The same, where one party has what is waited for: `owner` says which, by the address or number that is waited
    /// on.
    ///
    /// An observer calls `owner`, on any thread and at any time, but under no lock of the runtime. It reads the number
    /// and the reason one after the other, and the G may continue in between. So `owner` must accept any number, and
    /// must not read memory at it. It must not wait for long.
    pub const fn with_owner(self, owner: fn(usize) -> Option<Owner>) -> Reason {
        Reason { owner: Some(owner), ..self }
    }

    /// The word for dumps.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What kind of thing is waited for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether one party has what is waited for.
    pub fn has_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// Who has what is waited for, if it is known.
    pub fn owner(&self, what: usize) -> Option<Owner> {
        self.owner.and_then(|owner| owner(what))
    }
}

/// Who waits, or has what others wait for: a G, or a thread that runs no G.
///
/// As a word it is for a lock that keeps its holder in itself:
///
/// ```text
///  63                                           3     2     1     0
/// +----------------------------------------------+--------+--------+
/// | the number of the G, or of the thread        | thread | unused |
/// +----------------------------------------------+--------+--------+
/// ```
/// 0 is nobody. The two low bits are 0: the lock may use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The G with that number.
    G(u64),
    /// The thread with that number of the kernel's.
    Thread(i32),
}

const UNUSED_BITS: u32 = 2;
const THREAD: u64 = 1 << UNUSED_BITS;
const NUMBER_AT: u32 = UNUSED_BITS + 1;

impl Party {
    /// It as a word.
    #[inline]
    pub const fn to_word(self) -> u64 {
        match self {
            Party::G(id) => id << NUMBER_AT,
            Party::Thread(tid) => ((tid as u32 as u64) << NUMBER_AT) | THREAD,
        }
    }

    /// The party that a word stands for; the unused bits may have any values. None: nobody.
    #[inline]
    pub const fn from_word(word: u64) -> Option<Party> {
        match word >> NUMBER_AT {
            0 => None,
            tid if word & THREAD != 0 => Some(Party::Thread(tid as i32)),
            id => Some(Party::G(id)),
        }
    }
}

/// As reports name it.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::G(id) => write!(f, "goroutine {id}"),
            Party::Thread(tid) => write!(f, "thread {tid}"),
        }
    }
}

/// Who has what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Who it is.
    pub party: Party,
    /// Since when at least it has it, if that is known.
    pub since: Option<Instant>,
}

impl Owner {
    /// That party; since when is not known.
    pub const fn of(party: Party) -> Owner {
        Owner { party, since: None }
    }
}

/// A reason is its `static`.
impl PartialEq for Reason {
    fn eq(&self, other: &Reason) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for Reason {}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Party, UNUSED_BITS};

    #[test]
    fn a_party_is_a_word_and_leaves_two_bits() {
        for party in [Party::G(1), Party::G((1 << 61) - 1), Party::Thread(1), Party::Thread(i32::MAX)] {
            let word = party.to_word();
            assert_eq!(word.trailing_zeros().min(UNUSED_BITS), UNUSED_BITS, "{party}");
            for bits in 0..1 << UNUSED_BITS {
                assert_eq!(Party::from_word(word | bits), Some(party), "{bits}");
                assert_eq!(Party::from_word(bits), None);
            }
        }
    }
}
