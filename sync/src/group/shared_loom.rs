//! Models of the end of a task group: the first error counts, and what comes of the end of the context does not.

use super::Shared;
use crate::context::Context;
use loom::thread;
use std::sync::Arc;

/// Tries all orders with up to three preemptions.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

/// A task that fails when it sees that the context has ended, and works otherwise.
fn gives_up(shared: &Arc<Shared<u32>>) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || {
        _ = shared.run(|| if shared.context.err().is_some() { Err(2) } else { Ok(()) });
    })
}

#[test]
fn an_error_that_comes_of_an_error_does_not_count() {
    model(|| {
        let shared = Arc::new(Shared::new(&Context::background()));
        let task = gives_up(&shared);
        assert!(shared.run(|| Err::<(), _>(1)).is_none());
        assert!(shared.context.err().is_some());
        task.join().unwrap();
        assert_eq!(shared.finish().0, Some(1));
    });
}

#[test]
fn an_error_that_comes_of_a_cancel_does_not_count() {
    model(|| {
        let shared = Arc::new(Shared::new(&Context::background()));
        let task = gives_up(&shared);
        shared.cancel();
        task.join().unwrap();
        assert_eq!(shared.finish().0, None);
    });
}

#[test]
fn one_of_two_errors_counts() {
    model(|| {
        let shared = Arc::new(Shared::new(&Context::background()));
        let other = {
            let shared = shared.clone();
            thread::spawn(move || assert!(shared.run(|| Err::<(), _>(1)).is_none()))
        };
        assert!(shared.failed::<()>(2, false).is_none());
        other.join().unwrap();
        assert!(matches!(shared.finish().0, Some(1 | 2)));
        assert!(shared.finish().0.is_none());
    });
}
