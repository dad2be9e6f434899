//! Who has what others wait for, and what they are called.

use crate::g::{Gid, for_each};
use crate::os::thread_name;
use crate::reason::Party;
use std::collections::HashMap;
use std::fmt;

/// Who has what a G waits for: see [`Goroutine::held_by`](crate::Goroutine::held_by).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// A G.
    #[non_exhaustive]
    Goroutine {
        /// Its number.
        id: Gid,
        /// The name that it was given.
        name: Option<String>,
        /// Whether it has ended, and has not given back what it held.
        has_ended: bool,
    },
    /// A thread that runs no G.
    #[non_exhaustive]
    Thread {
        /// The kernel's number of the thread.
        id: i32,
        /// What the kernel calls it. None if it has ended.
        name: Option<String>,
    },
}

/// As dumps name it: `goroutine 12 "job"`, `thread 1234 "main"`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (party, name, has_ended) = match self {
            Holder::Goroutine { id, name, has_ended } => (Party::G(id.as_u64()), name, *has_ended),
            Holder::Thread { id, name } => (Party::Thread(*id), name, name.is_none()),
        };
        write!(f, "{party}")?;
        match name {
            _ if has_ended => f.write_str(" (ended)"),
            Some(name) => write!(f, " {name:?}"),
            None => Ok(()),
        }
    }
}

/// Some parties, with their names.
pub(super) struct Parties(HashMap<Party, Holder>);

impl Parties {
    /// These. It looks at all Gs of the process once, if a G is among them.
    pub(super) fn find(wanted: impl Iterator<Item = Party>) -> Parties {
        let unnamed = |party| match party {
            Party::G(id) => Holder::Goroutine { id: Gid(id), name: None, has_ended: true },
            Party::Thread(id) => Holder::Thread { id, name: None },
        };
        let mut all: HashMap<Party, Holder> = wanted.map(|party| (party, unnamed(party))).collect();
        if all.keys().any(|party| matches!(party, Party::G(_))) {
            for_each(|g| {
                let id = g.id();
                if let Some(holder) = all.get_mut(&Party::G(id))
                    && !g.join.has_result()
                {
                    *holder = Holder::Goroutine { id: Gid(id), name: g.name(), has_ended: false };
                }
            });
        }
        for holder in all.values_mut() {
            if let Holder::Thread { id, name } = holder {
                *name = thread_name(*id);
            }
        }
        Parties(all)
    }

    /// One of them.
    pub(super) fn holder(&self, party: Party) -> Option<&Holder> {
        self.0.get(&party)
    }
}
