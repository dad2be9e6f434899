//! Models of a group's tasks: whatever the order, a wait ends when no task runs, and then finds all that they have left.

use super::{Running, Tasks};
use crate::context::{Context, ContextError};
use crate::loom::now;
use crate::lot::Until;
use loom::thread;
use std::sync::Arc;

/// Tries all orders with up to so many preemptions.
fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(f);
}

/// The task ends so.
fn end(task: Running<u32>, result: Result<(), u32>) {
    task.tasks().hear(Ok(result));
    drop(task.end());
}

/// Starts a task that ends so.
fn task(tasks: &Arc<Tasks<u32>>, result: Result<(), u32>) -> thread::JoinHandle<()> {
    let task = tasks.begin();
    thread::spawn(move || end(task, result))
}

#[test]
fn who_has_waited_finds_the_error_the_end_of_the_context_and_all_permits() {
    model(2, || {
        let (context, cancel) = Context::background().with_cancel();
        let tasks = Arc::new(Tasks::new(Some(cancel)).limited(2));
        let fails = task(&tasks, Err(7));
        let works = task(&tasks, Ok(()));
        assert!(tasks.wait(Until::Told));
        assert_eq!(context.err(), Some(ContextError::Cancelled));
        assert!(tasks.slots.as_ref().unwrap().0.is_empty());
        assert_eq!((tasks.count(), tasks.take_outcome().errors), (0, vec![7]));
        fails.join().unwrap();
        works.join().unwrap();
        // It goes last: loom does not see that the handles of an `Arc` synchronise.
        drop(context);
    });
}

#[test]
fn two_wait_for_one() {
    model(2, || {
        let tasks = Arc::new(Tasks::new(None));
        let ends = task(&tasks, Err(1));
        let other = {
            let tasks = tasks.clone();
            thread::spawn(move || {
                assert!(tasks.wait(Until::Told));
                tasks.take_outcome().errors
            })
        };
        assert!(tasks.wait(Until::Told));
        let mut errors = tasks.take_outcome().errors;
        errors.extend(other.join().unwrap());
        // One of them has it.
        assert_eq!(errors, [1]);
        ends.join().unwrap();
    });
}

#[test]
fn a_task_starts_another_while_somebody_waits() {
    model(2, || {
        let tasks = Arc::new(Tasks::new(None));
        let first = tasks.begin();
        let starts = {
            let tasks = tasks.clone();
            thread::spawn(move || {
                let second = task(&tasks, Err(2));
                end(first, Err(1));
                second
            })
        };
        assert!(tasks.wait(Until::Told));
        let mut errors = tasks.take_outcome().errors;
        errors.sort_unstable();
        assert_eq!(errors, [1, 2], "it has waited for both");
        starts.join().unwrap().join().unwrap();
    });
}

#[test]
fn a_wait_for_some_time() {
    model(2, || {
        let tasks = Arc::new(Tasks::new(None));
        let ends = task(&tasks, Err(1));
        if tasks.wait(Until::Deadline(now())) {
            assert_eq!(tasks.take_outcome().errors, [1]);
        } else {
            // It is a task of the next round as well.
            end(tasks.begin(), Ok(()));
            assert!(tasks.wait(Until::Told));
            assert_eq!(tasks.take_outcome().errors, [1]);
        }
        ends.join().unwrap();
    });
}

#[test]
fn one_waits_before_the_task_has_a_g() {
    model(2, || {
        let tasks = Arc::new(Tasks::<u32>::new(None));
        let task = tasks.begin();
        let waits = {
            let tasks = tasks.clone();
            thread::spawn(move || {
                assert!(tasks.wait(Until::Told));
                tasks.take_outcome().errors
            })
        };
        assert_eq!(tasks.count(), 1);
        end(task, Err(1));
        assert_eq!(waits.join().unwrap(), [1], "it has waited for the task");
    });
}

#[test]
fn a_wait_ends_when_the_only_task_could_not_be_started() {
    model(2, || {
        let tasks = Arc::new(Tasks::<u32>::new(None));
        let task = tasks.begin();
        let waits = {
            let tasks = tasks.clone();
            thread::spawn(move || assert!(tasks.wait(Until::Told)))
        };
        drop(task);
        waits.join().unwrap();
        assert_eq!(tasks.count(), 0);
    });
}
