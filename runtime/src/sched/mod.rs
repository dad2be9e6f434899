//! # What lives here
//! The scheduler: what all Ms of a runtime share ([`Shared`]), and the verbs that move Gs through it. These verbs
//! call each other, so they share one room:
//!
//! | about | files |
//! | --- | --- |
//! | Gs | `ready` makes one runnable, `run` runs it on an M, `direct` switches from one to the next, `first_run` gives it a stack, `stackless` keeps those that found no stack, `retire` ends it |
//! | Ms | `find` finds the next G, `rest` puts an M to sleep, `wake` wakes one, `search` counts those that search, `machines` starts and ends them, `template` starts their threads, `starved` acts when the system gives no thread |
//! | Ps | `hand_off`: a P changes hands while a G runs |
//! | both | `locked`: Gs that stay with their M |
//! | from outside | `timers`: runs those that are due; `arrivals`: makes ready what waits for descriptors, and for how many Ps; `keeper`: which M sleeps for the next of both; `poller`: where it sleeps, and who else looks |
//! | the way in | `entered` for Gs, `borrow` and `census` for sysmon and observers |
//! | what is shared | `shared`, made of `queues` (what the lock guards: `global`, `idle_lists`, `machines`, `template`), `idle`, `keeper`, `closing`, `coarse_clock`, `sysmon_link`, `stackless`, `warnings`, `setup` |
//!
//! # Who may come in
//! `go` starts Gs, `park` makes them ready, `time` adds timers, `source` registers descriptors, `boot` starts and stops
//! the Ms, `sysmon` helps out, `observe` looks.
//!
//! # Invariants
//! 1. A P is held by one M, or is on the idle list, or is on its way to an M that was woken with it or is being
//!    started, or is with sysmon while sysmon stands in (`starved.rs`). An M that holds a P may lose it while its G
//!    runs (`hand_off.rs`), and then continues without one. A P on its way is a `FreeP`, which cannot be copied.
//! 2. A G that was made visible to other Ps (in a local queue or the global one) has been announced: `idle.rs` argues
//!    that some M looks for it, or that its own M runs it or announces it again. A G in runnext is not visible. Its M
//!    runs it when the current G parks, yields or ends; until then sysmon looks after it.
//! 3. Whoever makes a P idle sees to it that an M wakes for its earliest timer, and for descriptors: an M that finds
//!    nothing becomes the keeper, or makes sure that the keeper wakes early enough (`keeper.rs`), or leaves both to the M of
//!    a P that is held (`rest.rs`, surplus).
//! 4. An M on the idle list, or the keeper, is asleep or about to sleep, and holds no P. Whoever takes it off the
//!    list wakes it, or its deadline does. The keeper is also woken without being replaced, for an earlier timer; and
//!    every M is woken when the runtime stops.
//!
//! # Locks and ordering
//! One lock, the scheduler's (`queues`). It is taken in this room only: other rooms use verbs, or get a `Census` or
//! an `AllAsleep` (`census.rs`). No P's timer lock is taken while it is held, nor the other way round.
//!
//! # Tests
//! `idle_loom.rs` and `keeper_loom.rs` model the two protocols; `tests.rs` tests parts without threads, and
//! `tests/stress.rs` tests all of it.

pub(crate) mod idle;
pub(crate) mod keeper;

mod arrivals;
mod borrow;
mod census;
mod closing;
mod coarse_clock;
pub(crate) mod direct;
mod entered;
mod find;
mod first_run;
mod global;
pub(crate) mod hand_off;
mod idle_lists;
mod locked;
mod machines;
mod poller;
mod queues;
pub(crate) mod ready;
mod rest;
mod retire;
mod run;
mod search;
mod setup;
mod shared;
mod stackless;
mod starved;
mod sysmon_link;
mod template;
mod timers;
mod wake;
mod warnings;

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(not(loom))]
pub(crate) use {entered::Entered, setup::Setup, shared::Shared, sysmon_link::SYSMON_ID, warnings::Warning};
