//! Models of the stack and the counter of the example `lock_free`: nothing is lost, taken twice, or used after its end.
//!
//! A crate of its own, since the crate `pirn` is not compiled for loom. It is empty without `--cfg loom`.
#![cfg(loom)]

#[cfg(test)]
mod epoch;
#[cfg(test)]
mod models_loom;

#[cfg(test)]
#[path = "../../counter.rs"]
mod counter;
#[cfg(test)]
#[path = "../../stack.rs"]
mod stack;

#[cfg(test)]
use loom::sync::atomic;

#[cfg(test)]
mod ordering {
    pub(crate) use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
}
