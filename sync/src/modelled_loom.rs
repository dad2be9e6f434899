//! Replacements for the models: pauses and time.

use std::cell::Cell;

/// The scheduler of loom knows which thread waits: any pause lets others run.
pub(crate) fn pause(_: u32) {
    loom::thread::yield_now();
}

loom::thread_local! {
    /// Whether the others, as this thread sees it, have waited for long.
    static ARE_STARVED: Cell<bool> = Cell::new(false);
}

/// In the models a thread has its own opinion on that.
pub(crate) fn are_starved() -> bool {
    ARE_STARVED.with(Cell::get)
}

/// Sets the opinion of this thread.
#[cfg(test)]
pub(crate) fn set_starved(are_starved: bool) {
    ARE_STARVED.with(|starved| starved.set(are_starved));
}

loom::thread_local! {
    static SPINS: std::cell::Cell<bool> = std::cell::Cell::new(false);
}

/// In the models some threads spin.
pub(crate) fn may_spin() -> bool {
    SPINS.with(std::cell::Cell::get)
}

/// This thread spins.
#[cfg(test)]
pub(crate) fn set_spins() {
    SPINS.with(|spins| spins.set(true));
}
