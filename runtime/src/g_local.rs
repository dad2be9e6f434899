//! What belongs to each G, and its end: thread-locals (in the isolated mode), and [`GLocal`]s in both modes.
//!
//! A context or a span is a value per G. In the isolated mode a thread-local is one already; in the shared mode it is
//! not. So a [`GLocal`] lies in the G's record, in both modes. At the end of a G its `GLocal`s are destroyed first,
//! then its thread-locals; then its joiner is told. Values that destructors make meanwhile are destroyed too.

#![cfg(not(loom))]

use crate::g::{G, OwnValues};
use crate::locals::Locals;
use crate::m::current;
use crate::m::emit::may_be_asked_for;
use crate::park::current_g;
use crate::probe::fatal;
use crate::user_code::contain;
use std::any::Any;
use std::fmt;
use std::mem::forget;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

thread_local! {
    /// The values of a thread that runs no G.
    static OF_THREAD: OwnValues = const { OwnValues::new() };
}

/// How often values are destroyed that destructors have made meanwhile, as for the keys of POSIX threads. What is left
/// after that leaks.
const ROUNDS_MAX: usize = 4;

/// A value per G, and per thread that runs no G.
///
/// It is made when it is first asked for, and destroyed when the G ends, before its thread-locals are, and before its
/// joiner is told. It stays valid over a suspension, whichever thread the G continues on. Code of the runtime's that
/// runs on no G, such as a timer's callback, has that of its thread.
///
/// It has to be a `static`. A `const` does not compile: the compiler could give each use of it an address of its own.
///
/// ```compile_fail,E0716
/// use pirn::internal::GLocal;
///
/// const NUMBER: GLocal<u32> = GLocal::new(|| 7);
/// assert_eq!(NUMBER.with(|number| *number), 7);
/// ```
pub struct GLocal<T: 'static> {
    make: fn() -> T,
    /// Never read. Without a field of this kind a `const` would compile: the compiler would make a `static` of each
    /// use.
    _has_one_address: AtomicBool,
}

impl<T: 'static> GLocal<T> {
    /// Makes one whose value `make` makes for each G. It has to be a `static`, as it is known by its address.
    pub const fn new(make: fn() -> T) -> GLocal<T> {
        GLocal { make, _has_one_address: AtomicBool::new(false) }
    }

    /// Calls `f` with the caller's own.
    ///
    /// # Panics
    /// If the thread-locals of the caller are being destroyed, or are gone.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.try_with(f).expect("no value of a G is used while its thread-locals are destroyed, or after")
    }

    /// Calls `f` with the caller's own, unless the thread-locals of the caller are being destroyed, or are gone.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Option<R> {
        let value = self.value()?;
        Some(f(value.downcast_ref().expect("what lies at this address is of this type")))
    }

    /// Never inlined: on a thread it has the address of a thread-local, which must not be kept over a suspension.
    #[inline(never)]
    fn value(&'static self) -> Option<Rc<dyn Any>> {
        match current_g() {
            Some(g) if g.is_mute.get() => None,
            Some(g) => Some(self.find_or_make(&g.values)),
            None => OF_THREAD.try_with(|values| self.find_or_make(values)).ok(),
        }
    }

    fn find_or_make(&'static self, values: &OwnValues) -> Rc<dyn Any> {
        let key = ptr::from_ref(self).addr();
        if let Some(value) = values.find(key) {
            return value;
        }
        let made: Rc<dyn Any> = Rc::new((self.make)());
        // `make` may have asked for the value, and so made it, meanwhile.
        values.find(key).unwrap_or_else(|| {
            values.add(key, made.clone());
            made
        })
    }
}

impl<T: 'static> fmt::Debug for GLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GLocal").finish_non_exhaustive()
    }
}

/// Destroys what the calling G has of its own. A subscriber uses thread-locals: if there may be one, the G gets new
/// ones for the events that are still to be delivered.
#[inline]
pub(crate) fn destroy_locals(g: &'static G, locals: Locals) {
    if g.values.is_used() {
        destroy_values(g);
    }
    g.is_mute.set(true);
    locals.destroy();
    if may_be_asked_for() {
        renew_locals(g, locals);
    }
}

/// Gives the calling G new thread-locals instead of those that have been destroyed, if they have been.
#[cold]
pub(crate) fn renew_locals(g: &'static G, locals: Locals) {
    if g.is_mute.get() {
        let m = current::machine();
        locals.renew();
        current::set_machine(m);
        g.is_mute.set(false);
    }
}

/// Destroys the values of the calling G, and those that their destructors make.
#[cold]
pub(crate) fn destroy_values(g: &'static G) {
    let values = &g.values;
    for _ in 0..ROUNDS_MAX {
        for value in values.take_all() {
            if contain(|| drop(value)).is_none() {
                // As std does for thread-locals.
                fatal("a value of a goroutine's own panicked while it was dropped");
            }
        }
        if !values.is_used() {
            return;
        }
    }
    values.take_all().for_each(forget);
}
