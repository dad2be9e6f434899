//! Stack memory: where the stacks of Gs come from, where they go, and what happens at their end.
//!
//! # What lives here
//!
//! - `class`: the eight sizes a stack can have, and the arithmetic of their layout.
//! - `arena`: one reservation of address space per class, process-wide and shared by all runtimes; made on
//!   first use, opened piece by piece, never given back. Its free lists are here too.
//! - `slot`: one stack of an arena, as a move-only handle; and what a coroutine needs to know of it.
//! - `cache`: a P's own free slots, so that taking a stack is a pop from an array.
//! - `scavenge`: gives the memory of free slots back to the system.
//! - `fault`: tells a stack overflow from other faults, reports it, and aborts.
//! - `error`: why there is no stack.
//!
//! ```text
//! a class's arena:
//!   | lead-in | slot 0 | slot 1 | ... armed ... | opened, not armed | reserved ......... | tail |
//!                                               ^ frontier, moves up in steps of 64 MiB
//! a slot (addresses grow to the right, the stack grows to the left):
//!   | guard   | usable ...... a page appears when it is touched ......... | room, or colour |
//!   ^ start   ^ limit()                                      stack_base() ^                 ^ end()
//! ```
//!
//! A slot's life. Only "out" has an owner. [`Slot::set_room`] sets aside a room at the top, which stays until the
//! scavenger's caller ends it ([`EndRoom`](scavenge::EndRoom)); no trim touches its kept bytes. A small room is part of
//! the size of the class, as the guard is; a large one is added to the size that was asked for ([`Class::fitting`]).
//! When more than 32 slots of a class are needed, new ones come with their top page.
//!
//! ```text
//!   virgin --32 guards in one call--> P's cache <--take, give--> out (a G runs or waits there)
//!                                      |     ^
//!                           spill, age |     | refill, in this order
//!                                      v     |
//!              WARM (any pages) --idle--> TOP (one page) --surplus--> TRIMMED (no pages)
//! ```
//!
//! # Who may come in
//!
//! `p` keeps a [`Cache`]; `coro` and `g` keep [`Slot`]s and make [`GStack`]s of them; `sysmon` calls
//! [`scavenge()`]; `boot` calls [`install_overflow_report`] and [`scavenge_all`]; `observe` reads [`resident_bytes`]
//! and [`slots_out`], and finds a G by a place in its stack ([`slot_of`]). The tests alone read `stats`.
//!
//! # Invariants
//!
//! - I1. A slot is in one place: a list of its arena, one cache, or one [`Slot`] handle. Handles are not
//!   copied, and a forgotten handle keeps its slot out of use for ever: that is how a suspended stack is left
//!   whole.
//! - I2. The guard of a slot is in place before its handle exists, and stays. A stack never runs into its
//!   neighbour unnoticed, as long as code touches its frames in steps of at most the guard (Rust probes every
//!   page).
//! - I3. Advice for a whole reservation (no core dump, huge pages or not) is given before its first page is touched,
//!   and a slot holds nothing but the stack itself. So a class stays a handful of mappings.
//! - I4. Only memory of slots in WARM and TOP is given back, by the one scavenger that has taken them off their list.
//!   No G runs on them meanwhile, and nothing in them is needed, except the kept bytes at the top. Before it gives all of
//!   a slot back, it has the user of the room end it, if that can be.
//! - I5. `first_slot` and `records` of an arena are written once, under its lock, before its first slot exists. So code
//!   that holds a slot has seen them, and reads them `Relaxed`.
//! - I6. A record names the G that owns the slot, or nothing. Giving a slot back clears it.
//! - I7. The room of a slot changes only while it has no G: when one is about to begin there, or in the scavenger's
//!   hands (I4). So where a stack begins does not change while it is in use.
//!
//! # Locks and ordering
//!
//! One lock per class, held for a few pushes, or for the 15 us that arming 32 slots takes; one lock for the scavenger,
//! taken before a class's lock: [`scavenge()`] only tries it, [`scavenge_all`] waits for it. Nothing else is locked
//! inside them. A slot passes from thread to thread through these locks or with its G, so the stack's contents need no
//! ordering here. The fault handler takes no lock: it pairs `Acquire` loads of `first_slot` (`Arena::find`) with the
//! `Release` store in `Arena::reserve`, and of a record's owner (`owner_of`) with the `Release` store in
//! `Slot::set_owner`.
//!
//! # Tests
//!
//! `stack/tests.rs`. Tests that must die or need a process of their own run the test binary again.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "memory of stacks")]

mod arena;
mod cache;
mod class;
mod error;
mod fault;
mod scavenge;
mod slot;

#[cfg(test)]
pub(crate) use arena::{owner_of, stats};
pub(crate) use arena::{resident_bytes, slot_of, slots_out};
pub(crate) use cache::Cache;
pub(crate) use class::Class;
pub(crate) use error::StackError;
pub(crate) use fault::{FaultWriter, install_overflow_report};
pub(crate) use scavenge::{More, scavenge, scavenge_all};
pub(crate) use slot::{GStack, Slot, any_slot_in_use, stack_base_at};

#[cfg(test)]
mod tests;
