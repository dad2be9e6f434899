//! Model of the section: the M and a borrower never have the P-local data at the same time.

use super::*;
use crate::loom::{model, thread};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

struct Local {
    section: Section,
    data: UnsafeCell<u32>,
}

#[test]
fn m_and_borrower_exclude_each_other() {
    model(|| {
        let local = Arc::new(Local { section: Section::new(), data: UnsafeCell::new(0) });
        let other = local.clone();
        let borrower = thread::spawn(move || {
            if let Some(_borrowed) = other.section.borrow() {
                // SAFETY: what the model checks.
                other.data.with_mut(|d| unsafe { *d += 1 });
                return 1;
            }
            0
        });
        for _ in 0..2 {
            // SAFETY: what the model checks.
            local.data.with_mut(|d| unsafe { *d += 1 });
            local.section.leave();
            local.section.enter();
        }
        let borrows = borrower.join().unwrap();
        // SAFETY: the borrower is gone.
        local.data.with(|d| assert_eq!(unsafe { *d }, 2 + borrows));
    });
}
