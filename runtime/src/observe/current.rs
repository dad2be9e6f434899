//! The calling G, for the user.

use crate::g::Gid;
use crate::park::{checkpoint, current_g};
use std::fmt;
use std::panic::Location;

/// The calling G: see [`current`].
#[derive(Clone, PartialEq, Eq)]
pub struct Current {
    id: Gid,
    name: Option<String>,
    birthplace: &'static Location<'static>,
}

/// The calling G; none on a thread that runs no G. A panic hook finds out by it which G panics: std knows no name of a
/// G.
///
/// ```
/// assert!(pirn::current().is_none());
/// ```
pub fn current() -> Option<Current> {
    checkpoint();
    let g = current_g()?;
    Some(Current { id: Gid(g.id()), name: g.name(), birthplace: g.birthplace()? })
}

/// The number of the calling G; none on a thread that runs no G. This takes no lock and allocates nothing, so it may be
/// called everywhere: in a logger, or in code that keeps something for each G.
///
/// ```
/// assert!(pirn::current_gid().is_none());
/// # pirn::run(|| {
/// let g = pirn::go(pirn::current_gid);
/// let id = g.id();
/// assert_eq!(g.join().unwrap(), Some(id));
/// # });
/// ```
#[inline]
pub fn current_gid() -> Option<Gid> {
    current_g().map(|g| Gid(g.id()))
}

impl Current {
    /// Its number.
    pub fn id(&self) -> Gid {
        self.id
    }

    /// Its name, if [`GoBuilder::name`](crate::GoBuilder::name) gave it one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the call is that started it.
    pub fn birthplace(&self) -> &'static Location<'static> {
        self.birthplace
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
