//! Model of the ticket: one of those who want it claims it, and what that one did is seen whole.

use super::*;
use crate::loom::Arc;
use loom::cell::UnsafeCell as Watched;
use loom::thread;

struct Operation {
    ticket: Ticket,
    slot: Watched<usize>,
}

// SAFETY: the cells of a ticket pass on with its state, which is what the model checks of the slot.
unsafe impl Send for Operation {}
// SAFETY: as above.
unsafe impl Sync for Operation {}

#[test]
fn one_claims_and_is_seen() {
    loom::model(|| {
        let ticket = Ticket::of(Unparker::current(), true);
        let operation = Arc::new(Operation { ticket, slot: Watched::new(0) });
        let tellers = [1, 2].map(|n| {
            let operation = operation.clone();
            thread::spawn(move || {
                if operation.ticket.claim() {
                    // SAFETY: what the model checks.
                    operation.slot.with_mut(|slot| unsafe { *slot = n });
                    // SAFETY: it has just been claimed. The operation stays, and looks by itself.
                    drop(unsafe { Ticket::tell(&raw const operation.ticket, Outcome::Selected(n)) });
                }
            })
        });
        // As often as it takes for one of them; not more, for loom can not see that this waits.
        for _ in 0..2 {
            if let Some(outcome) = operation.ticket.outcome() {
                // SAFETY: what the model checks.
                let n = operation.slot.with(|slot| unsafe { *slot });
                assert_eq!(outcome, Outcome::Selected(n));
                break;
            }
            thread::yield_now();
        }
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
        assert!(operation.ticket.outcome().is_some());
    });
}
