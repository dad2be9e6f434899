//! The values that belong to one G, of any types.

#![cfg(not(loom))]

use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;

/// Values by the addresses of their keys.
#[derive(Default)]
pub(crate) struct Values(Vec<(usize, Rc<dyn Any>)>);

/// Where they lie: nothing, until there is one.
pub(crate) struct OwnValues(Cell<Option<Box<Values>>>);

impl OwnValues {
    /// None.
    pub(crate) const fn new() -> OwnValues {
        OwnValues(Cell::new(None))
    }

    /// The one with that address. It is shared, so that the place is free while it is used.
    pub(crate) fn find(&self, key: usize) -> Option<Rc<dyn Any>> {
        let values = self.0.take()?;
        let found = values.0.iter().find(|(of, _)| *of == key).map(|(_, value)| value.clone());
        self.0.set(Some(values));
        found
    }

    /// Adds one.
    pub(crate) fn add(&self, key: usize, value: Rc<dyn Any>) {
        let mut values = self.0.take().unwrap_or_default();
        values.0.push((key, value));
        self.0.set(Some(values));
    }

    /// Whether there may be one.
    #[inline(always)]
    pub(crate) fn is_used(&self) -> bool {
        // SAFETY: the place belongs to its owner alone, and no reference into it is kept.
        unsafe { &*self.0.as_ptr() }.is_some()
    }

    /// Takes them all out, the last one first.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = Rc<dyn Any>> + use<> {
        self.0.take().map(|values| values.0).into_iter().flatten().rev().map(|(_, value)| value)
    }
}
