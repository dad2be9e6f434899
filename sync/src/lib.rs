//! Locks, wait groups, semaphores, contexts and task groups, for goroutines, OS threads and async tasks alike.
//!
//! The modules are floors: each uses only those below it.

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

pub mod group; // Gs that end together: `ErrGroup`, `task_group`, `gather`, `race`
pub mod context; // `Context`: cancellation, deadlines and values, from parent to child
mod loom; // the locks of std, or those of loom

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
