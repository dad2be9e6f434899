//! The user's code in the middle of the runtime's own work: a destructor or a callback whose panic must not spread.

use std::any::Any;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f` and ends its panic here; then there is no result. The panic hook has said what happened.
#[inline]
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).map_err(discard).ok()
}

/// Drops what a panic has left behind, which may panic in its turn.
#[cold]
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // A destructor that panics with a value of its own type could go on so for ever.
        forget(another);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::contain;
    use std::panic::resume_unwind;

    #[test]
    fn a_payload_whose_destructor_panics_ends_here_too() {
        struct Again(u8);
        impl Drop for Again {
            fn drop(&mut self) {
                if self.0 > 0 {
                    resume_unwind(Box::new(Again(self.0 - 1)));
                }
            }
        }
        assert_eq!(contain(|| 1), Some(1));
        assert_eq!(contain(|| -> u8 { resume_unwind(Box::new(Again(0))) }), None);
        assert_eq!(contain(|| -> u8 { resume_unwind(Box::new(Again(3))) }), None);
    }
}
