//! Models of the wait line: one claim wins, what the claimer did is seen whole, no operation waits for ever, and one
//! that has withdrawn is not touched any more.

use super::{Line, Lock, Ticket, ToldLine, Waiter, on_unwind, wake};
use crate::g::Runs;
use crate::loom::{
    Arc, Mutex, UnsafeCell, model,
    parking::{park_in_lines, park_on},
    thread,
};
use crate::reason::{Kind, Reason};
use loom::sync::Condvar;
use std::time::Instant;

static TEST: Reason = Reason::new("a model waits", Kind::Event);

/// A value that loom watches: no two threads may use it at the same time.
struct Slot(UnsafeCell<usize>);

// SAFETY: what the models check.
unsafe impl Sync for Slot {}

impl Slot {
    fn new() -> Slot {
        Slot(UnsafeCell::new(0))
    }

    fn set(&self, n: usize) {
        // SAFETY: what the models check.
        self.0.with_mut(|slot| unsafe { *slot = n });
    }

    fn get(&self) -> usize {
        // SAFETY: as above.
        self.0.with(|slot| unsafe { *slot })
    }
}

struct Operation {
    ticket: Ticket<usize>,
    slot: Slot,
}

#[test]
fn one_claims_and_is_seen() {
    model(|| {
        let operation = Arc::new(Operation { ticket: Ticket::in_several(), slot: Slot::new() });
        let tellers = [1, 2].map(|n| {
            let operation = operation.clone();
            thread::spawn(move || {
                if operation.ticket.claim() {
                    operation.slot.set(n);
                    // SAFETY: it has just been claimed.
                    unsafe { Ticket::tell(&raw const operation.ticket, n) }.wake();
                }
            })
        });
        assert!(operation.ticket.wait(&TEST, 0, None));
        assert_eq!(operation.ticket.told(), Some(&operation.slot.get()));
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
    });
}

/// The owner of a line: the values that no operation waited for, and the operations that wait for more, with the slots
/// that values go to.
type State = (Vec<usize>, Line<usize, *const Slot>);

#[derive(Clone)]
struct Owner(Arc<Mutex<State>>);

// SAFETY: a slot is used by the claimer of its waiter.
unsafe impl Send for Owner {}

impl Owner {
    fn new() -> Owner {
        Owner(Arc::new(Mutex::new((Vec::new(), Line::new()))))
    }

    /// Gives `n` to the first operation that waits, or to the next that comes.
    fn give(&self, n: usize) {
        let mut state = self.0.lock().unwrap();
        let told = state.1.claim_first().map(|first| {
            // SAFETY: it waits until it is told.
            unsafe { &**first.data() }.set(n);
            first.tell(n)
        });
        if told.is_none() {
            state.0.push(n);
        }
        drop(state);
        wake(told);
    }

    /// Waits for a value, until a deadline if there is one. The ticket and the rest are gone after it.
    fn take(&self, deadline: Option<Instant>) -> Option<usize> {
        let (ticket, slot) = (Ticket::for_caller(), Slot::new());
        let waiter = Waiter::new(&raw const slot);
        let mut state = self.0.lock().unwrap();
        if let Some(n) = state.0.pop() {
            return Some(n);
        }
        // SAFETY: all stay until it is told or has withdrawn.
        let lined = unsafe { waiter.belongs_to(&raw const ticket) };
        // SAFETY: as above.
        unsafe { state.1.push(lined) };
        drop(state);
        let unwound = on_unwind(|| panic!("nothing unwinds in a model"));
        let in_time = ticket.wait(&TEST, 0, deadline);
        unwound.disarm();
        if !in_time && self.0.lock().unwrap().1.remove(&waiter) {
            return None;
        }
        let told = *ticket.told().expect("who claims tells under the lock");
        assert_eq!(slot.get(), told);
        Some(told)
    }

    /// A thread that takes.
    fn taker(&self, deadline: Option<Instant>) -> thread::JoinHandle<Option<usize>> {
        let owner = self.clone();
        thread::spawn(move || {
            let owner = owner;
            owner.take(deadline)
        })
    }
}

#[test]
fn who_stands_in_line_is_told() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let owner = Owner::new();
        let takers = [(); 2].map(|()| owner.taker(None));
        owner.give(1);
        owner.give(2);
        let sum: usize = takers.into_iter().map(|taker| taker.join().unwrap().unwrap()).sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn who_withdraws_has_been_told_or_is_told_no_more() {
    model(|| {
        let owner = Owner::new();
        let taker = owner.taker(Some(Instant::now()));
        owner.give(7);
        let taken = taker.join().unwrap();
        let left = owner.0.lock().unwrap().0.clone();
        assert_eq!(left, if taken.is_some() { vec![] } else { vec![7] });
        assert!(owner.0.lock().unwrap().1.is_empty());
    });
}

#[test]
fn who_withdraws_from_several_lines_claims_its_own_ticket() {
    model(|| {
        let operation = Arc::new(Operation { ticket: Ticket::in_several(), slot: Slot::new() });
        let teller = {
            let operation = operation.clone();
            thread::spawn(move || {
                let claimed = operation.ticket.claim();
                if claimed {
                    operation.slot.set(7);
                    // SAFETY: it has just been claimed.
                    unsafe { Ticket::tell(&raw const operation.ticket, 7) }.wake();
                }
                claimed
            })
        };
        if operation.ticket.claim_one_of_several() {
            operation.slot.set(8);
            assert!(!teller.join().unwrap());
        } else {
            while !operation.ticket.is_told() {
                park_on(&TEST, 0);
            }
            assert_eq!(operation.slot.get(), 7);
            assert!(teller.join().unwrap());
        }
    });
}

/// A line with its lock, and how many stand in it.
struct Locked {
    lock: Lock,
    line: Line<usize>,
    stand: Mutex<usize>,
    all_stand: Condvar,
}

// SAFETY: the lock guards the line.
unsafe impl Sync for Locked {}
// SAFETY: as above.
unsafe impl Send for Locked {}

/// Waits in the line until it is told. Ticket and waiter are gone after it.
fn wait_in(locked: &Locked) -> usize {
    let (ticket, waiter) = (Ticket::for_caller(), Waiter::new(()));
    locked.lock.lock();
    // SAFETY: both stay until it has been told.
    unsafe { locked.line.push(waiter.belongs_to(&raw const ticket)) };
    *locked.stand.lock().unwrap() += 1;
    locked.all_stand.notify_one();
    // SAFETY: the lock is held, and stays; who tells holds it.
    unsafe { ticket.wait_unlocking(&locked.lock, &TEST, 0) };
    ticket.touch();
    *ticket.told().expect("the wait has ended")
}

/// Tries all orders with up to three preemptions: two are told in one turn, and woken after it. Gs that park in the line stay until then, all others
/// only until they are told.
fn told_in_a_turn(are_gs: [bool; 2]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let (stand, all_stand) = (Mutex::new(0), Condvar::new());
        let locked = Arc::new(Locked { lock: Lock::new(), line: Line::new(), stand, all_stand });
        let waiters = are_gs.map(|is_g| {
            let locked = locked.clone();
            thread::spawn(move || {
                if is_g {
                    park_in_lines();
                }
                wait_in(&locked)
            })
        });
        let mut stand = locked.stand.lock().unwrap();
        while *stand < 2 {
            stand = locked.all_stand.wait(stand).unwrap();
        }
        drop(stand);
        let (mut told, mut count) = (ToldLine::new(), 0);
        while count < 2 {
            locked.lock.lock();
            while told.has_room(2)
                && let Some(first) = locked.line.claim_first()
            {
                count += 1;
                told.tell(first, count);
            }
            locked.lock.unlock();
            told.wake(Runs::Last);
        }
        let answers = waiters.map(|waiter| waiter.join().unwrap());
        assert!(answers == [1, 2] || answers == [2, 1], "{answers:?}");
    });
}

#[test]
fn gs_are_told_in_a_turn_and_woken_after_it() {
    told_in_a_turn([true, true]);
}

#[test]
fn a_g_and_a_thread_are_told_in_a_turn_and_woken_after_it() {
    told_in_a_turn([true, false]);
}
