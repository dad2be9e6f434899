//! A task group: tasks that end together. If one fails, the others are cancelled, and nothing is left running.
//!
//! Python: `async with asyncio.TaskGroup()`; Kotlin and Swift have it too. Different here: the tasks borrow what is on
//! the stack of the caller. Python throws `CancelledError` into a task at its next `await`; here a task is told by its
//! context, and says itself where it can stop. What a task has counted until then is not lost.

use pirn::channel::bounded;
use pirn::group::task_group;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) fn program() {
    let words = ["three", "short", "words"];
    let total = task_group(|tasks| {
        let lengths = words.each_ref().map(|word| tasks.go(|_| Ok::<_, String>(word.len())));
        Ok(lengths.into_iter().map(|length| length.join().expect("none fails")).sum::<usize>())
    });
    println!("no task fails: {total:?}");

    let stopped = AtomicUsize::new(0);
    let (steps_in, steps) = bounded(1);
    let result = task_group(|tasks| {
        for _ in 0..3 {
            let steps_in = steps_in.clone();
            let stopped = &stopped;
            tasks.go(move |context| {
                // Steps until the context ends.
                while context.sleep(Duration::from_millis(1)).is_ok() {
                    _ = steps_in.try_send(());
                }
                stopped.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
        }
        tasks.go(|_| {
            steps.recv().expect("they step");
            Err::<(), _>("out of paper".to_owned())
        });
        Ok(())
    });
    println!("one task fails: {result:?}; others that have stopped: {}", stopped.into_inner());
}
