//! The first panic of the tasks of a group.

use std::any::Any;
use std::mem::forget;
use std::ops::DerefMut;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic has left.
pub(super) type Payload = Box<dyn Any + Send>;

/// Keeps a payload if the place has none, and ends the guard of the place. Then it drops a payload that is not the first: it
/// may have a destructor of the user's, and that may panic again.
pub(super) fn keep_first<G: DerefMut>(
    mut guard: G,
    place: impl FnOnce(&mut G::Target) -> &mut Option<Payload>,
    payload: Payload,
) {
    let place = place(&mut guard);
    let unneeded = if place.is_none() { place.replace(payload) } else { Some(payload) };
    drop(guard);
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(unneeded))) {
        forget(another);
    }
}
