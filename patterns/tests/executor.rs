//! Executors and jobs. Python's tests of `concurrent.futures` (CPython's main of 2025,
//! `Lib/test/test_concurrent_futures`, PSF licence) by name, without their `test_`:
//!
//! | Python | here |
//! | --- | --- |
//! | ExecutorTest: submit | `python_submit` |
//! | map, map_exception, map_timeout | `python_map`, `python_map_exception`, `python_map_timeout` |
//! | map_close | `python_executor_map_current_future_cancel` |
//! | map_buffersize and the eight with more in their names | `ParallelMap`, in `parallel.rs` |
//! | shutdown_race_issue12456 | `python_hang_issue12364` |
//! | no_stale_references, free_reference | `python_no_stale_references`, `python_free_reference` |
//! | max_workers_negative | `an_executor_of_no_workers_is_a_mistake` |
//! | ThreadPoolExecutorTest: map_submits_without_iteration | `python_map_submits_without_iteration` |
//! | saturation, idle_thread_reuse | `python_saturation`, `python_idle_thread_reuse` |
//! | executor_map_current_future_cancel | `python_executor_map_current_future_cancel` |
//! | ExecutorShutdownTest: run_after_shutdown | `python_run_after_shutdown` |
//! | hang_issue12364 | `python_hang_issue12364` |
//! | hang_gh94440 | `python_hang_gh94440` |
//! | cancel_futures, cancel_futures_wait_false | `python_cancel_futures` |
//! | ThreadPoolShutdownTest: threads_terminate, context_manager_shutdown | `python_hang_issue12364` |
//! | del_shutdown, shutdown_no_wait | `python_del_shutdown` |
//! | WaitTests: first_completed, first_completed_some_already_completed | `python_first_completed` |
//! | all_completed, timeout | `python_all_completed` |
//! | pending_calls_race | `python_pending_calls_race` |
//! | AsCompletedTests: no_timeout, future_times_out | `python_as_completed` |
//! | free_reference_yielded_future | `python_free_reference` |
//! | FutureTests: done_callback_with_result, _with_exception, _with_cancel | `python_done_callback` |
//! | done_callback_raises, _raises_already_succeeded | `python_done_callback` |
//! | done_callback_already_successful, _already_failed, _already_cancelled | `python_done_callback` |
//! | repr | `python_repr` |
//! | cancel, cancelled, done, running | `python_cancel` |
//! | result_with_timeout, _with_success, _with_cancel, exception_with_timeout, _with_success | `python_result` |
//!
//! Left out: `submit_keyword`, `swallows_falsey_exceptions`, `class_str`, which are about Python; `default_workers`, as
//! there is no default; `thread_names_assigned`, `thread_names_default`, as there is no name to give;
//! `interpreter_shutdown`, `submit_after_interpreter_shutdown`, `hang_gh83386`, as there is no interpreter;
//! `hang_global_shutdown_lock`, `process_fork_from_a_threadpool`, and the tests of pools of processes; `20369`,
//! `duplicate_futures`, as a handle is there once; `first_exception` and the two with more in their names, which are
//! `ErrGroup` and `try_parallel_map`; `multiple_set_result`, `multiple_set_exception`, `get_snapshot`, as nobody sets a
//! result from outside; `correct_timeout_exception_msg`.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Census, eventually, on_gs};
use pirn_channels::{Sender, bounded, unbounded};
use pirn_patterns::executor::Executor;
use pirn_patterns::job::{Job, JobError, as_completed, wait_all, wait_any};
use pirn_patterns::pool::{Refusal, SubmitError};
use pirn_runtime::block_on;
use pirn_sync::Event;
use pirn_sync::context::{Context, ContextError};
use std::panic::{catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(2);

/// A job that waits until the sender is dropped, and returns `value`.
fn waits<T: Send + 'static>(executor: &Executor, value: T) -> (Job<T>, Sender<()>) {
    let (gate, opens) = bounded::<()>(0);
    let job = executor.submit(move |_| {
        _ = opens.recv();
        value
    });
    (job.expect("it is open"), gate)
}

fn breaks<T>(what: &'static str) -> T {
    resume_unwind(Box::new(what))
}

#[test]
fn python_submit() {
    on_gs(|| {
        let executor = Executor::new(2);
        assert_eq!(executor.submit(|_| 2_u32.pow(8)).expect("it is open").result().expect("it returns"), 256);
    });
}

#[test]
fn python_map() {
    on_gs(|| {
        let executor = Executor::new(3);
        let powers = executor.map(0..10, |_, n| 2_u32.pow(n)).expect("it is open");
        assert_eq!(powers.len(), 10);
        assert!(powers.map(Result::unwrap).eq((0..10).map(|n| 2_u32.pow(n))));
    });
}

#[test]
fn python_map_exception() {
    on_gs(|| {
        let executor = Executor::new(2);
        let mut results =
            executor.map([1, 0, 2], |_, n| if n == 0 { breaks("zero") } else { 10 / n }).expect("it is open");
        assert_eq!(results.next().expect("the first").expect("it returns"), 10);
        let error = results.next().expect("the second").expect_err("it panics");
        assert_eq!(error.to_string(), "the job panicked: zero");
        assert_eq!(results.next().expect("the third").expect("it returns"), 5);
        assert!(results.next().is_none());
    });
}

#[test]
fn python_map_timeout() {
    on_gs(|| {
        let executor = Executor::new(2);
        let mut results = executor
            .map([false, true], |context, waits| if waits { Some(context.wait()) } else { None })
            .expect("it is open");
        assert!(matches!(results.next_ctx(&Context::background()), Ok(Some(Ok(None)))));
        let (context, _cancel) = Context::background().with_timeout(SOON);
        assert!(matches!(results.next_ctx(&context), Err(ContextError::DeadlineExceeded)));
        // The drop of the results ends the call that waits.
    });
}

#[test]
fn python_map_submits_without_iteration() {
    on_gs(|| {
        let (called_in, called) = unbounded();
        let executor = Executor::new(2);
        let results = executor.map(0..5, move |_, n| called_in.send(n).expect("it listens")).expect("it is open");
        let mut all: Vec<_> = (0..5).map(|_| called.recv().expect("it is called")).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        drop(results);
    });
}

#[test]
fn python_no_stale_references() {
    on_gs(|| {
        let census = Census::default();
        let (argument, value) = (census.count(), Arc::new(census.count()));
        let executor = Executor::new(1);
        let job = executor.submit(move |_| {
            let _argument = &argument;
            value
        });
        let job = job.expect("it is open");
        // A worker that is idle keeps nothing of the job.
        eventually("only the result lives", || census.living() == 1);
        drop(job.result());
        assert_eq!(census.living(), 0);
        // A result that nobody takes goes with the handle.
        let value = Arc::new(census.count());
        drop(executor.submit(move |_| value).expect("it is open"));
        eventually("nothing lives", || census.living() == 0);
    });
}

/// Neither the results of a map nor the jobs that have ended are kept by what gives them out.
#[test]
fn python_free_reference() {
    on_gs(|| {
        let census = Census::default();
        let executor = Executor::new(2);
        let values: Vec<_> = (0..10).map(|_| census.count()).collect();
        let mut results = executor.map(values, |_, value| Arc::new(value)).expect("it is open");
        for left in (0..10).rev() {
            drop(results.next().expect("one more").expect("it returns"));
            assert_eq!(census.living(), left);
        }
        let jobs: Vec<_> =
            (0..10).map(|_| Arc::new(census.count())).map(|value| executor.submit(move |_| value)).collect();
        let mut ended = as_completed(jobs.into_iter().map(|job| job.expect("it is open")));
        for left in (0..10).rev() {
            drop(ended.next().expect("one more").1.expect("it returns"));
            assert_eq!(census.living(), left);
        }
    });
}

#[test]
fn python_saturation() {
    on_gs(|| {
        let executor = Executor::new(4);
        let jobs: Vec<_> = (0..15 * 4).map(|_| waits(&executor, ())).collect();
        eventually("as many run as may", || executor.metrics().running == 4);
        assert_eq!((executor.metrics().workers, executor.metrics().queued), (4, 56));
        for (job, gate) in jobs {
            drop(gate);
            job.result().expect("it returns");
        }
        executor.shutdown();
        assert_eq!(executor.metrics().completed, 60);
    });
}

#[test]
fn python_idle_thread_reuse() {
    on_gs(|| {
        let executor = Executor::new(4);
        for n in 0..10 {
            assert_eq!(executor.submit(move |_| n).expect("it is open").result().expect("it returns"), n);
            eventually("the worker is idle", || executor.metrics().idle == 1);
        }
        assert_eq!(executor.metrics().workers, 1);
    });
}

#[test]
fn python_executor_map_current_future_cancel() {
    on_gs(|| {
        let executor = Executor::new(1);
        let (begins_in, begins) = unbounded();
        let mut results = executor
            .map(0..5, move |context, n| {
                begins_in.send(n).expect("it listens");
                if n > 0 {
                    context.wait();
                }
                n
            })
            .expect("it is open");
        assert_eq!(results.next().expect("the first").expect("it returns"), 0);
        // The second runs or will; nobody waits for it. The others never begin.
        drop(results);
        executor.shutdown();
        assert!(begins.try_iter().all(|n| n < 2));
        assert!(executor.metrics().cancelled >= 3);
    });
}

#[test]
fn python_run_after_shutdown() {
    on_gs(|| {
        let executor = Executor::new(2);
        executor.shutdown();
        let Err(SubmitError { why, f }) = executor.submit(|_| 7) else { panic!("it is closed") };
        assert_eq!((why, f(&Context::background())), (Refusal::Closed, 7));
        assert_eq!(executor.map([1], |_, n| n).expect_err("it is closed"), Refusal::Closed);
    });
}

#[test]
fn python_hang_issue12364() {
    on_gs(|| {
        let executor = Executor::new(5);
        let jobs: Vec<_> = (0..50).map(|n| executor.submit(move |_| n).expect("it is open")).collect();
        executor.shutdown();
        assert_eq!(executor.metrics().workers, 0);
        assert!(jobs.iter().all(Job::is_done));
        assert!(jobs.into_iter().map(|job| job.result().expect("it returns")).eq(0..50));
    });
}

#[test]
fn python_hang_gh94440() {
    on_gs(|| {
        for _ in 0..100 {
            let executor = Executor::new(1);
            executor.submit(|_| ()).expect("it is open").result().expect("it returns");
            // Whether it has begun or not: what was cancelled does not hold up the shutdown.
            executor.submit(|_| ()).expect("it is open").cancel();
            executor.shutdown();
            let figures = executor.metrics();
            assert_eq!((figures.workers, figures.completed + figures.cancelled), (0, 2));
        }
    });
}

#[test]
fn python_cancel_futures() {
    on_gs(|| {
        let executor = Executor::new(2);
        let jobs: Vec<_> = (0..50).map(|_| executor.submit(|context| context.wait()).expect("it is open")).collect();
        eventually("two run", || executor.metrics().running == 2);
        drop(executor.shutdown_now());
        executor.shutdown();
        let (ran, not): (Vec<_>, Vec<_>) = jobs.into_iter().map(Job::result).partition(Result::is_ok);
        assert_eq!((ran.len(), not.len()), (2, 48));
        assert!(not.iter().all(|result| matches!(result, Err(JobError::Dropped))));
    });
}

#[test]
fn python_del_shutdown() {
    on_gs(|| {
        let executor = Executor::new(5);
        let results = executor.map(-5..5_i32, |_, n| n.abs()).expect("it is open");
        drop(executor);
        assert!(results.map(Result::unwrap).eq((-5..5_i32).map(i32::abs)));
    });
}

#[test]
fn python_first_completed() {
    on_gs(|| {
        let executor = Executor::new(2);
        let ((first, first_gate), (second, second_gate)) = (waits(&executor, 1), waits(&executor, 2));
        let jobs = [first, second];
        let (soon, _cancel) = Context::background().with_timeout(SOON);
        assert_eq!(wait_any(&soon, &jobs), Err(ContextError::DeadlineExceeded));
        drop(second_gate);
        assert_eq!(wait_any(&Context::background(), &jobs), Ok(1));
        // Some have ended already.
        assert_eq!(wait_any(&Context::background(), &jobs), Ok(1));
        drop(first_gate);
    });
}

#[test]
fn python_all_completed() {
    on_gs(|| {
        let executor = Executor::new(2);
        let ((first, first_gate), (second, second_gate)) = (waits(&executor, 1), waits(&executor, 2));
        let jobs = [first, second];
        drop(first_gate);
        let (soon, _cancel) = Context::background().with_timeout(SOON);
        assert_eq!(wait_all(&soon, &jobs), Err(ContextError::DeadlineExceeded));
        drop(second_gate);
        assert_eq!(wait_all(&Context::background(), &jobs), Ok(()));
        assert!(jobs.iter().all(Job::is_done));
    });
}

#[test]
fn python_pending_calls_race() {
    on_gs(|| {
        let executor = Executor::new(8);
        let gate = Arc::new(Event::new());
        let jobs: Vec<_> = (0..100)
            .map(|_| {
                let gate = gate.clone();
                executor.submit(move |_| gate.wait()).expect("it is open")
            })
            .collect();
        gate.set();
        assert_eq!(wait_all(&Context::background(), &jobs), Ok(()));
        assert!(jobs.iter().all(Job::is_done));
    });
}

#[test]
fn python_as_completed() {
    on_gs(|| {
        let executor = Executor::new(3);
        let (jobs, mut gates): (Vec<_>, Vec<_>) = (0..3).map(|n| waits(&executor, n)).unzip();
        let mut ended = as_completed(jobs);
        let (soon, _cancel) = Context::background().with_timeout(SOON);
        assert_eq!(ended.next_ctx(&soon).expect_err("none has ended"), ContextError::DeadlineExceeded);
        for nth in [2, 0, 1] {
            gates[nth] = bounded(0).0;
            let (place, value) = ended.next().expect("one has ended");
            assert_eq!((place, value.expect("it returns")), (nth, nth));
        }
        assert!(matches!(ended.next_ctx(&Context::background()), Ok(None)));
        assert!(ended.next().is_none());
        assert!(as_completed(Vec::<Job<()>>::new()).next().is_none());
    });
}

#[test]
fn python_done_callback() {
    on_gs(|| {
        let executor = Executor::new(1);
        let (told_in, told) = unbounded();
        let tells = |job: &Job<()>, what: &'static str| {
            let told_in = told_in.clone();
            job.on_done(move || told_in.send(what).expect("it listens"));
        };
        let (first, gate) = waits(&executor, ());
        let cancelled = executor.submit(|_| ()).expect("it is open");
        let failed = executor.submit(|_| breaks("of a job")).expect("it is open");
        tells(&first, "returned");
        tells(&cancelled, "cancelled");
        tells(&failed, "failed");
        // A panic of one of them concerns no other.
        first.on_done(|| breaks("of a callback"));
        tells(&first, "another");
        assert!(cancelled.cancel());
        drop(gate);
        executor.shutdown();
        assert!(told.try_iter().eq(["cancelled", "returned", "another", "failed"]));
        // They have ended already.
        tells(&first, "returned");
        first.on_done(|| breaks("of a callback"));
        tells(&cancelled, "cancelled");
        tells(&failed, "failed");
        assert!(told.try_iter().eq(["returned", "cancelled", "failed"]));
    });
}

#[test]
fn python_repr() {
    on_gs(|| {
        let executor = Executor::new(1);
        let (runs, gate) = waits(&executor, ());
        let queued = executor.submit(|_| ()).expect("it is open");
        eventually("it runs", || runs.is_running());
        assert_eq!((format!("{runs:?}"), format!("{queued:?}")), ("Job(runs)".to_owned(), "Job(waits)".to_owned()));
        assert!(queued.cancel());
        drop(gate);
        executor.shutdown();
        assert_eq!(format!("{runs:?}"), "Job(done)");
        assert_eq!(format!("{queued:?}"), "Job(cancelled)");
    });
}

#[test]
fn python_cancel() {
    on_gs(|| {
        let executor = Executor::new(1);
        let runs = executor.submit(|context| context.wait()).expect("it is open");
        let queued = executor.submit(|_| unreachable!("it was cancelled")).expect("it is open");
        eventually("it runs", || runs.is_running());
        assert!(!queued.is_running() && !queued.is_done() && !queued.is_cancelled());
        assert!(queued.cancel() && queued.cancel());
        assert!(queued.is_cancelled() && queued.is_done());
        assert!(matches!(queued.result(), Err::<(), _>(JobError::Cancelled)));
        // One that runs is told.
        assert!(!runs.cancel() && !runs.is_cancelled());
        eventually("it has ended", || runs.is_done());
        assert!(!runs.is_running() && !runs.cancel());
        assert_eq!(runs.result().expect("it returns"), ContextError::Cancelled);
    });
}

#[test]
fn python_result() {
    on_gs(|| {
        let executor = Executor::new(1);
        let (job, gate) = waits(&executor, 7);
        let Err(job) = job.result_timeout(SOON) else { panic!("it waits") };
        let (context, cancel) = Context::background().with_cancel();
        cancel.cancel();
        let Err((job, ContextError::Cancelled)) = job.result_ctx(&context) else { panic!("it waits") };
        drop(gate);
        assert_eq!(job.result_timeout(Duration::MAX).expect("there is time").expect("it returns"), 7);
        let job = executor.submit(|_| 8).expect("it is open");
        assert_eq!(block_on(job.result_async()).expect("it returns"), 8);
        let failed = executor.submit(|_| breaks::<()>("of a job")).expect("it is open");
        let Err(JobError::Panicked(payload)) = failed.result() else { panic!("it panics") };
        assert_eq!(payload.downcast_ref(), Some(&"of a job"));
    });
}

#[test]
fn an_executor_of_no_workers_is_a_mistake() {
    assert!(catch_unwind(|| Executor::new(0)).is_err());
}

#[test]
fn threads_use_one_without_a_runtime() {
    let executor = Arc::new(Executor::new(2));
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let executor = executor.clone();
            thread::spawn(move || executor.submit(move |_| n).expect("it is open").result().expect("it returns"))
        })
        .collect();
    let all: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("it returns")).collect();
    assert_eq!(all, [0, 1, 2, 3]);
    executor.shutdown();
    assert_eq!((executor.metrics().workers, executor.metrics().completed), (0, 4));
}
