//! Why a G waits: a [`Reason`] for each place that waits, a `static` in the room or the crate that waits there.
//!
//! The runtime knows reasons only by their addresses. Dumps, scheddetail, reports and events read what they say.

use std::fmt;
use std::ptr;

/// Why a G waits, and for what kind of thing. One `static` for each wait site, or for several that wait in the same
/// way.
pub struct Reason {
    name: &'static str,
    kind: Kind,
    owner: Option<fn(usize) -> Option<u64>>,
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
    /// An object; the address is the object's. This is what dumps call it, as `chan`.
    Object(&'static str),
}

impl Reason {
    /// The word for dumps: Go's, where Go has the same thing. No two reasons have the same.
    pub const fn new(name: &'static str, kind: Kind) -> Reason {
        Reason { name, kind, owner: None }
    }

    /// The same, where one G has what is waited for: `owner` says which, by the address or number that is waited on.
    ///
    /// An observer reads that number and the reason one after the other, and the G may continue in between. So `owner`
    /// must accept any number, and must not read memory at it.
    pub const fn with_owner(self, owner: fn(usize) -> Option<u64>) -> Reason {
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

    /// The number of the G that has what is waited for, if one has it and it is known.
    pub fn owner(&self, what: usize) -> Option<u64> {
        self.owner.and_then(|owner| owner(what))
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
