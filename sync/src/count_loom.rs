//! A model of the count: a round that is over ends, whatever begins after it. Others are in `wait_group_loom.rs`.

use super::Count;
use crate::lot::Until;
use loom::sync::Arc;
use loom::thread;
use pirn_runtime::internal::{Kind, Reason};

static WAIT: Reason = Reason::new("model.Count", Kind::Event);

/// One begins a round before the last of the round before has told those who wait; and the next round does not end
/// before they return.
#[test]
fn a_round_that_begins_early_keeps_nobody() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let count = Arc::new(Count::new());
        count.add(1);
        let [worker, other] = [count.clone(), count.clone()];
        let worker = thread::spawn(move || assert!(worker.done()));
        let other = thread::spawn(move || {
            let is_over = other.word().is_over();
            if is_over {
                other.add(1);
            }
            is_over
        });
        count.wait(&WAIT, Until::Told);
        worker.join().unwrap();
        if other.join().unwrap() {
            assert!(count.done());
        }
        assert_eq!(count.get(), 0);
    });
}
