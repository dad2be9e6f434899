//! # What lives here
//! Readiness of descriptors, as nouns: a record for each descriptor that something has waited for (`record`, in slabs:
//! `slab`; for those of others `foreign`, by the table `numbers`, with what is believed of them, `belief`), each direction of it with its count of events and its waiters (`side`), who waits (`who`), and the poll of
//! one runtime (`poll`): its epoll, its bell, the `seat` of the one M that waits there, and how often it was asked.
//!
//! # Who may come in
//! `sched`, which polls and decides what to do with those that are ready; `source`, the verbs of waiting; observers.
//! This room decides nothing about scheduling: it returns who became ready.
//!
//! # The argument
//! *No readiness is lost.* The kernel keeps an edge until a poll takes it. Each direction counts its events.
//!
//! ```text
//! an operation                                    a poll that takes an event
//!   seen = the count                                lock
//!   try; the kernel says "would block"              count += 1
//!   lock                                            take all waiters
//!   if the count is not seen: unlock, try again     unlock
//!   push a waiter                                   wake them
//!   unlock; park
//! ```
//! The kernel says "would block" before the descriptor becomes ready, so the event comes after `seen` was read. If it
//! is counted before the lock is taken for the wait, the counts differ, and the operation tries again. If it is counted
//! after that, the waiter is in the list. An event for an earlier edge may be counted in between; that is an attempt in
//! vain. Nothing ever takes readiness away, so several may wait in one direction: an event wakes all of them, and each
//! tries. (A flag that an operation clears before it tries, as Go's, allows one at a time.)
//!
//! *The first wait* adds the descriptor to the epoll. What is ready then is an event, so nothing between the attempt
//! and that is missed. It is watched for both directions, edge-triggered, and never changed.
//!
//! *A read that gets less than it asked for* has got all that a TCP stream had ([`Side::drain`](side::Side::drain)).
//! The next one waits without an attempt, with what the first had seen: what comes after the first read is an event,
//! which changes the count. That saves the system call that says "would block". It holds for bytes. The end of the
//! stream, an error, and urgent data may have come with the same edge as the last bytes, and then no event follows. The
//! event of that edge says so, or a later one does, and from then on a short read says nothing. A thread that finds
//! something by asking the kernel itself takes the mark away, as there may be no epoll that counts.
//!
//! *Nobody has waited to write.* Each event of a socket says that it can be written to, also one for bytes that have come.
//! Such an event is not counted until somebody is about to wait for it ([`Counted`](side::Counted)): most connections
//! never do, and the count is on cache lines that an answer reads. Whoever waits first sets a mark, counts an event
//! itself, and tries again, as do all that have looked before. If the attempt after the mark would block, the kernel
//! takes the event that it waits for after that, so the poll that gets it sees the mark.
//!
//! *Shut* is a bit of the same word, set under the same lock: a waiter sees it, or is in the list that is taken then.
//!
//! *Deadlines.* A waiter is pushed with its deadline: the earlier of its own and the sticky one. Each direction has one
//! timer at most. It is armed under the lock if the waiter's deadline is earlier than the timer's; so the timer is
//! never later than the earliest deadline of a waiter. A firing takes those that are due, and arms the timer for the
//! earliest of the others. An operation that ends in time leaves the timer as it is: so many operations within one
//! timeout cost one timer. Whoever changes the sticky deadline takes all waiters, and they push themselves again.
//!
//! *Who is taken out of the list is woken* by the one that takes it. A waiter that ends its wait for another reason
//! takes itself out, by a number that no other waiter of the direction has had. A wake that comes too late is a token
//! or a wake for no reason, which each wait allows.
//!
//! *An event for an old descriptor* has the old generation and finds nothing. If the record changes hands at this very
//! moment, the new one is told to try in vain.
//!
//! # Invariants
//! 1. Records are never freed. One that is given back has no waiters, no deadline, no timer and no epoll.
//! 2. A record is at one runtime's epoll at a time, or at none. Those that are at one are counted there
//!    ([`Netpoll::registered`]), exactly. Gs of other runtimes wait there too; threads that run no G never do, they ask
//!    the kernel themselves (`source/on_thread.rs`).
//! 3. When a runtime has ended, no record is at its epoll ([`Netpoll::close`]): those that wait are woken, and go on at
//!    the epoll of their own.
//! 4. The record of a number that is not ours (`foreign`) is at an epoll since the first wait, and counted there. It is
//!    given back never, and changes its epoll when the only one that waits is of another runtime. When another descriptor
//!    has the number, or it is at another epoll, it begins anew: nothing is believed, and all that wait look again.
//! 5. While nothing is registered there is no epoll, or nobody asks it.
//!
//! # Locks and ordering
//! A record has three locks, of each side and of its place (`record`). The lock of a place is held over the lock of the
//! poll, and that over the lock of who asks (`poll`). That of a side is held over the lock of a timer heap, in
//! `source`. Under none a waiter is woken or dropped, as that may be the user's code.
//!
//! # Tests
//! `side_loom.rs` models waits against events, deadlines and `shut`, `belief_loom.rs` beliefs against those that change what
//! is believed, `seat_loom.rs` two keepers, one of which leaves;
//! `tests/netpoll.rs`.

mod belief;
#[cfg(not(loom))]
mod foreign;
#[cfg(not(loom))]
mod numbers;
#[cfg(not(loom))]
mod poll;
#[cfg(not(loom))]
mod record;
mod seat;
mod side;
#[cfg(not(loom))]
mod slab;
#[cfg(not(loom))]
mod who;

#[cfg(not(loom))]
pub use foreign::{forget_number, forget_numbers, settings_changed};
#[cfg(not(loom))]
pub use record::Direction;
#[cfg(not(loom))]
pub(crate) use side::{Found, Locked, Look};
#[cfg(not(loom))]
pub(crate) use {
    belief::Believed,
    foreign::{Known, expose, foreign, known},
    poll::{Came, Netpoll},
    record::{Alarm, Armed, Polled, Record, RecordSide},
    slab::{
        by_what, count_taken, count_waiters, find, for_each, for_each_waiting_g, give_back, is_waited_for, prefetch,
        register, take,
    },
    who::{Bell, Who},
};
