//! Go's tests of `context` (src/context of Go 1.26: context_test.go, x_test.go, afterfunc_test.go), written anew as
//! semantics, each under its name; in x_test.go `TestParentFinishesChild`, `TestChildFinishesFirst` and `TestCancelRemoves`
//! call those of context_test.go. `TestAfterFuncCalledAfterTimeout`, `TestAfterFuncCalledImmediately` and
//! `TestAfterFuncNotCalledAfterStop` are in `after_func`. Left out:
//!
//! - `TestTODO`: there is no second background.
//! - `TestAllocs`: counts Go's allocations.
//! - `TestWithValueChecksKey`, `TestInvalidDerivedFail`: keys without equality and nil contexts are no programs in Rust.
//! - `TestDeadlineExceededSupportsTimeout`, `TestDeadlineExceededIsNetError`: interfaces of Go's `net`.
//! - `TestCustomContextGoroutines` (`XTestCustomContextGoroutines`), `TestCustomContextPropagation`,
//!   `TestCustomContextCause`, `TestCustomContextAfterFuncCancel`, `TestCustomContextAfterFuncTimeout`,
//!   `TestCustomContextAfterFuncAfterFunc`, `TestCustomContextAfterFuncUnregisterCancel`,
//!   `TestCustomContextAfterFuncUnregisterTimeout`, `TestCustomContextAfterFuncUnregisterAfterFunc`: `Context` is a type
//!   here, and no interface that users implement.
//!
//! And tokio-util's of `CancellationToken` (tests/sync_cancellation_token.rs), as semantics at the end of this file. Left
//! out: `cancel_token_owned`, `cancel_token_owned_drop_test` and `run_until_cancelled_owned_test`, as an `async move` block
//! owns what a future borrows; `cloned_cancellation_tokens_are_considered_equal`,
//! `child_cancellation_tokens_are_not_considered_equal`, `independent_cancellation_tokens_are_not_considered_equal`,
//! `cloned_cancellation_tokens_have_same_hash` and `different_cancellation_tokens_have_different_hash`, as contexts are not
//! compared.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Rng, eventually, runtime};
use pirn_channels::{TryRecvError, after, select, unbounded};
use pirn_runtime::{block_on, go, sleep, yield_now};
use pirn_sync::context::{Context, ContextError, Key};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Poll, Waker};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);
const CANCELLED: Option<ContextError> = Some(ContextError::Cancelled);
const EXCEEDED: Option<ContextError> = Some(ContextError::DeadlineExceeded);

static K1: Key<&str> = Key::new("k1");
static K2: Key<&str> = Key::new("k2");
static K3: Key<&str> = Key::new("k3");

fn on_gs(test: fn()) {
    for procs in [1, 2] {
        let house = runtime(procs);
        house.run(test);
        eventually("no G is left", || house.goroutines().is_empty());
        house.close();
    }
}

fn is_done(context: &Context) -> bool {
    matches!(context.done().try_recv(), Err(TryRecvError::Disconnected))
}

fn cause(context: &Context) -> String {
    context.cause().map_or_else(String::new, |cause| cause.to_string())
}

// XTestParentFinishesChild
#[test]
fn parent_finishes_child() {
    on_gs(|| {
        let (parent, cancel) = Context::background().with_cancel();
        let (cancel_child, _keep_1) = parent.with_cancel();
        let value_child = parent.with_value(&K1, "value");
        let (timer_child, _keep_2) = value_child.with_timeout(LONG);
        let call = parent.after_func(|| {});
        let all = [&parent, &cancel_child, &value_child, &timer_child];
        assert!(all.iter().all(|context| !is_done(context) && context.err().is_none()));
        cancel.cancel();
        assert!(all.iter().all(|context| is_done(context) && context.err() == CANCELLED));
        assert!(!call.stop());
        // A child of an ended one.
        let precancelled = parent.with_value(&K1, "value");
        assert!(is_done(&precancelled) && is_done(&precancelled.with_cancel().0));
    });
}

// XTestChildFinishesFirst
#[test]
fn child_finishes_first() {
    on_gs(|| {
        for parent in [Context::background(), Context::background().with_cancel().0] {
            let (child, cancel) = parent.with_cancel();
            cancel.cancel();
            assert!(is_done(&child) && child.err() == CANCELLED);
            assert!(!is_done(&parent) && parent.err().is_none());
        }
    });
}

// XTestCancelRemoves; what is left of children is counted in tests/context.rs.
#[test]
fn cancel_removes() {
    on_gs(|| {
        let timers = || pirn_runtime::Handle::current().expect("a G").metrics().timers;
        let (context, _keep) = Context::background().with_cancel();
        let (_child, cancel) = context.with_timeout(LONG);
        assert_eq!(timers(), 1);
        cancel.cancel();
        assert_eq!(timers(), 0);
        assert!(context.after_func(|| {}).stop());
    });
}

// TestBackground
#[test]
fn background() {
    let context = Context::background();
    assert!(!is_done(&context));
    select! { recv(context.done()) -> _ => unreachable!("it never ends"), default => {} }
}

// TestWithCancel
#[test]
fn with_cancel() {
    on_gs(|| {
        let (c1, cancel) = Context::background().with_cancel();
        let o = c1.with_value(&K1, "v");
        assert!(!is_done(&c1) && !is_done(&o));
        cancel.cancel();
        assert_eq!([c1.err(), o.err()], [CANCELLED; 2]);
        assert!(is_done(&c1) && is_done(&o));
    });
}

fn ends_by_deadline(context: &Context) {
    select! { recv(after(Duration::from_secs(30))) -> _ => panic!("not timed out"), recv(context.done()) -> _ => {} }
    assert_eq!(context.err(), EXCEEDED);
}

// TestDeadline
#[test]
fn deadline() {
    on_gs(|| {
        let (c, _k1) = Context::background().with_deadline(Instant::now() + SHORT);
        ends_by_deadline(&c);
        let (c, _k2) = Context::background().with_deadline(Instant::now() + SHORT);
        ends_by_deadline(&c.with_value(&K1, "v"));
        let (c, _k3) = c.with_deadline(Instant::now() + LONG);
        ends_by_deadline(&c);
        let (c, _k4) = Context::background().with_deadline(Instant::now());
        assert_eq!(c.err(), EXCEEDED);
    });
}

// TestTimeout
#[test]
fn timeout() {
    on_gs(|| {
        let (c, _k1) = Context::background().with_timeout(SHORT);
        ends_by_deadline(&c);
        let (c, _k2) = Context::background().with_timeout(SHORT);
        ends_by_deadline(&c.with_value(&K1, "v"));
        ends_by_deadline(&c.with_timeout(LONG).0);
    });
}

// TestCanceledTimeout
#[test]
fn cancelled_timeout() {
    on_gs(|| {
        let (c, _k1) = Context::background().with_timeout(LONG);
        let (c, cancel) = c.with_value(&K1, "v").with_timeout(2 * LONG);
        cancel.cancel();
        assert!(is_done(&c) && c.err() == CANCELLED);
    });
}

// TestValues
#[test]
fn values() {
    let check = |c: &Context, want: [Option<&'static str>; 3]| {
        assert_eq!([c.value(&K1), c.value(&K2), c.value(&K3)].map(|value| value.copied()), want);
    };
    let c0 = Context::background();
    check(&c0, [None, None, None]);
    let c1 = c0.with_value(&K1, "c1k1");
    check(&c1, [Some("c1k1"), None, None]);
    let c2 = c1.with_value(&K2, "c2k2");
    check(&c2, [Some("c1k1"), Some("c2k2"), None]);
    let c3 = c2.with_value(&K3, "c3k3");
    check(&c3, [Some("c1k1"), Some("c2k2"), Some("c3k3")]);
    let c4 = c3.with_value(&K1, "again");
    check(&c4, [Some("again"), Some("c2k2"), Some("c3k3")]);
    check(&c4.with_cancel().0.with_timeout(LONG).0, [Some("again"), Some("c2k2"), Some("c3k3")]);
}

// TestSimultaneousCancels
#[test]
fn simultaneous_cancels() {
    on_gs(|| {
        let (root, cancel) = Context::background().with_cancel();
        let mut all = vec![(root, cancel)];
        // A binary tree.
        for nth in 0..15 {
            let children = [all[nth].0.with_cancel(), all[nth].0.with_cancel()];
            all.extend(children);
        }
        let gs: Vec<_> =
            all.iter().map(|(_, cancel)| cancel.clone()).map(|cancel| go(move || cancel.cancel())).collect();
        for (context, _) in &all {
            assert_eq!(context.wait(), ContextError::Cancelled);
        }
        gs.into_iter().for_each(|g| g.join().expect("it cancels"));
    });
}

// TestInterlockedCancels
#[test]
fn interlocked_cancels() {
    on_gs(|| {
        let (parent, cancel_parent) = Context::background().with_cancel();
        let (child, cancel_child) = parent.with_cancel();
        let g = go(move || {
            parent.wait();
            cancel_child.cancel();
        });
        cancel_parent.cancel();
        assert_eq!(child.wait(), ContextError::Cancelled);
        g.join().expect("it cancels");
    });
}

/// Many layers of all kinds.
fn layers(seed: u64, by_timeout: bool) {
    static LAYERS: [Key<usize>; 4] = [const { Key::new("layer") }; 4];
    let mut rng = Rng::new(seed);
    let (mut context, mut cancels, mut values) = (Context::background(), Vec::new(), [None; 4]);
    for nth in 0..200 {
        match rng.below(3) {
            0 => {
                let (next, cancel) = context.with_cancel();
                cancels.push(cancel);
                context = next;
            }
            1 => {
                let at = rng.below(4);
                values[at] = Some(nth);
                context = context.with_value(&LAYERS[at], nth);
            }
            _ => {
                let (next, cancel) = context.with_timeout(if by_timeout { 200 * SHORT } else { LONG });
                cancels.push(cancel);
                context = next;
            }
        }
    }
    let check_values = || {
        for (key, value) in LAYERS.iter().zip(values) {
            assert_eq!(context.value(key).copied(), value);
        }
    };
    check_values();
    if by_timeout {
        ends_by_deadline(&context);
    } else {
        assert!(!is_done(&context));
        cancels.swap_remove(rng.below(cancels.len())).cancel();
        assert!(is_done(&context) && context.err() == CANCELLED);
    }
    check_values();
}

// TestLayersCancel, TestLayersTimeout
#[test]
fn layers_cancel_and_timeout() {
    let seed = common::seed("layers_cancel_and_timeout");
    let house = runtime(2);
    house.run(move || {
        for by_timeout in [false, true] {
            let gs: Vec<_> = (0..10).map(|nth| go(move || layers(seed.wrapping_add(nth), by_timeout))).collect();
            gs.into_iter().for_each(|g| g.join().expect("the layers hold"));
        }
    });
    house.close();
}

// TestWithCancelCanceledParent
#[test]
fn with_cancel_cancelled_parent() {
    on_gs(|| {
        let (parent, cancel) = Context::background().with_cancel();
        cancel.cancel_with("Because!");
        let (child, _) = parent.with_cancel();
        assert!(is_done(&child) && child.err() == CANCELLED);
        assert_eq!(cause(&child), "Because!");
    });
}

// TestWithCancelSimultaneouslyCanceledParent
#[test]
fn with_cancel_simultaneously_cancelled_parent() {
    on_gs(|| {
        for _ in 0..1000 {
            let (parent, cancel) = Context::background().with_cancel();
            let g = go(move || cancel.cancel());
            let (child, _) = parent.with_cancel();
            assert_eq!(child.wait(), ContextError::Cancelled);
            g.join().expect("it cancels");
        }
    });
}

/// A row of TestCause: what it ends with, and why.
type Row = (fn() -> Context, Option<ContextError>, &'static str);

// TestCause; without the three of custom contexts.
#[test]
fn causes() {
    const CANCEL: &str = "context cancelled";
    const DEADLINE: &str = "context deadline exceeded";
    let rows: [Row; 18] = [
        (Context::background, None, ""),
        (|| Context::background().with_cancel().0, None, ""),
        (|| cancelled(|_, c| c.cancel()), CANCELLED, CANCEL),
        (|| cancelled(|_, c| c.cancel_with("parent")), CANCELLED, "parent"),
        (|| stacked(|parent, child| (parent.cancel_with("parent"), child.cancel_with("child"))), CANCELLED, "parent"),
        (|| stacked(|parent, child| (child.cancel_with("child"), parent.cancel_with("parent"))), CANCELLED, "child"),
        (|| stacked(|parent, child| (parent.cancel_with("parent"), child.cancel())), CANCELLED, "parent"),
        (|| stacked(|parent, child| (child.cancel(), parent.cancel_with("parent"))), CANCELLED, CANCEL),
        (|| stacked(|parent, child| (parent.cancel(), child.cancel_with("child"))), CANCELLED, CANCEL),
        (|| stacked(|parent, child| (child.cancel_with("child"), parent.cancel())), CANCELLED, "child"),
        (|| ended(Context::background().with_timeout(Duration::ZERO)), EXCEEDED, DEADLINE),
        (|| ended(Context::background().with_timeout(LONG)), CANCELLED, CANCEL),
        (|| ended(Context::background().with_timeout_cause(Duration::ZERO, "too slow")), EXCEEDED, "too slow"),
        (|| ended(Context::background().with_timeout_cause(LONG, "too slow")), CANCELLED, CANCEL),
        (|| cancelled_below(|context| context.with_timeout_cause(Duration::ZERO, "too slow").0), EXCEEDED, "too slow"),
        (|| cancelled_below(|context| context.with_timeout_cause(LONG, "too slow").0), CANCELLED, "finished early"),
        (|| cancelled_below(Context::without_cancel), None, ""),
        (|| Context::background().with_timeout(Duration::ZERO).0.without_cancel(), None, ""),
    ];
    for (nth, (context, error, why)) in rows.into_iter().enumerate() {
        let context = context();
        assert_eq!((context.err(), cause(&context).as_str()), (error, why), "row {nth}");
    }
}

fn cancelled(cancel: fn(&Context, &pirn_sync::context::Cancel)) -> Context {
    let (context, c) = Context::background().with_cancel();
    cancel(&context, &c);
    context
}

fn stacked(cancel: fn(pirn_sync::context::Cancel, pirn_sync::context::Cancel) -> ((), ())) -> Context {
    let (parent, cancel_parent) = Context::background().with_cancel();
    let (child, cancel_child) = parent.with_cancel();
    cancel(cancel_parent, cancel_child);
    child
}

fn ended((context, cancel): (Context, pirn_sync::context::Cancel)) -> Context {
    cancel.cancel();
    context
}

fn cancelled_below(make: fn(&Context) -> Context) -> Context {
    let (parent, cancel) = Context::background().with_cancel();
    let child = make(&parent);
    cancel.cancel_with("finished early");
    child
}

// TestCauseRace
#[test]
fn cause_race() {
    on_gs(|| {
        let (context, cancel) = Context::background().with_cancel();
        let g = go(move || cancel.cancel_with("TestCauseRace"));
        while context.cause().is_none() {
            yield_now();
        }
        assert_eq!(cause(&context), "TestCauseRace");
        g.join().expect("it cancels");
    });
}

// TestWithoutCancel
#[test]
fn without_cancel() {
    let (context, cancel) = Context::background().with_value(&K1, "value").with_timeout(LONG);
    let context = context.without_cancel();
    cancel.cancel();
    assert_eq!((context.deadline(), context.err()), (None, None));
    assert!(!is_done(&context));
    assert_eq!(context.value(&K1), Some(&"value"));
}

// TestAfterFuncCalledAfterCancel, ...AfterTimeout, ...Immediately, NotCalledAfterStop
#[test]
fn after_func() {
    on_gs(|| {
        let (told_in, told) = unbounded();
        let tell = |what: &'static str| {
            let told_in = told_in.clone();
            move || told_in.send(what).expect("it listens")
        };
        let (context, cancel) = Context::background().with_cancel();
        let stop = context.after_func(tell("cancel"));
        sleep(SHORT);
        assert!(told.try_recv().is_err());
        cancel.cancel();
        assert_eq!(told.recv(), Ok("cancel"));
        assert!(!stop.stop());
        let (context, _cancel) = Context::background().with_timeout(SHORT);
        let _stop = context.after_func(tell("timeout"));
        assert_eq!(told.recv(), Ok("timeout"));
        let _stop = context.after_func(tell("immediately"));
        assert_eq!(told.recv(), Ok("immediately"));
        let (context, cancel) = Context::background().with_cancel();
        let stop = context.after_func(tell("never"));
        assert!(stop.stop());
        cancel.cancel();
        sleep(SHORT);
        assert!(told.try_recv().is_err());
        assert!(!stop.stop());
    });
}

// TestAfterFuncCalledAsynchronously
#[test]
fn after_func_called_asynchronously() {
    on_gs(|| {
        let (context, cancel) = Context::background().with_cancel();
        let (s, r) = pirn_channels::bounded(0);
        let _stop = context.after_func(move || s.send(()).expect("it listens"));
        // This does not wait for the call, which waits for the receive.
        cancel.cancel();
        assert_eq!(r.recv(), Ok(()));
    });
}

// TestContextErrDoneRace
#[test]
fn err_done_race() {
    on_gs(|| {
        for _ in 0..100 {
            let (context, cancel) = Context::background().with_cancel();
            let g = go(move || cancel.cancel());
            while context.err().is_none() {
                yield_now();
            }
            // As soon as there is an error, the channel that is asked for now is closed.
            assert!(is_done(&context.clone()));
            g.join().expect("it cancels");
        }
    });
}

// cancel_token, cancel_child_token_through_parent, cancel_child_token_without_parent,
// create_child_token_after_parent_was_cancelled, cancel_grandchild_token_through_parent_if_child_was_dropped,
// drop_parent_before_child_tokens, derives_send_sync
#[test]
fn tokens() {
    let poll = |context: &Context| {
        let future = pin!(context.wait_async());
        future.poll(&mut Task::from_waker(Waker::noop()))
    };
    let (token, cancel) = Context::background().with_cancel();
    let (child, cancel_child) = token.with_cancel();
    let (grandchild, _) = child.with_cancel();
    assert_eq!([poll(&token), poll(&child), poll(&grandchild)], [Poll::Pending; 3]);
    drop((child, cancel_child));
    drop(token);
    assert_eq!(poll(&grandchild), Poll::Pending);
    cancel.cancel();
    assert_eq!(poll(&grandchild), Poll::Ready(ContextError::Cancelled));
    fn is_send_sync<T: Send + Sync>(_: &T) {}
    is_send_sync(&grandchild);
    fn is_send<T: Send>(_: &T) {}
    is_send(&grandchild.wait_async());
}

// drop_multiple_child_tokens, cancel_only_all_descendants; the drop guard
#[test]
fn guards_and_descendants() {
    let (root, _keep) = Context::background().with_cancel();
    let (one, cancel_one) = root.with_cancel();
    let (other, _keep_other) = root.with_cancel();
    let below: Vec<_> = (0..3).map(|_| one.with_cancel()).collect();
    let deeper: Vec<_> = below.iter().map(|(context, _)| context.with_cancel().0).collect();
    drop(cancel_one.guard());
    assert!(below.iter().all(|(context, _)| context.err() == CANCELLED));
    assert!(deeper.iter().all(|context| context.err() == CANCELLED));
    assert_eq!((root.err(), other.err()), (None, None));
    let ended = AtomicUsize::new(0);
    block_on(async {
        deeper[0].wait_async().await;
        ended.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(ended.load(Ordering::Relaxed), 1);
}

#[test]
fn run_until_cancelled_test() {
    let mut task = Task::from_waker(Waker::noop());
    let (token, cancel) = Context::background().with_cancel();
    {
        let mut future = pin!(token.run_until_end(std::future::pending::<()>()));
        assert!(future.as_mut().poll(&mut task).is_pending());
        cancel.cancel();
        assert_eq!(future.as_mut().poll(&mut task), Poll::Ready(Err(ContextError::Cancelled)));
    }
    let (token, _keep) = Context::background().with_cancel();
    let (sender, receiver) = unbounded();
    {
        let mut future = pin!(token.run_until_end(async { receiver.recv_async().await }));
        assert!(future.as_mut().poll(&mut task).is_pending());
        sender.send(42).expect("it listens");
        assert_eq!(future.as_mut().poll(&mut task), Poll::Ready(Ok(Ok(42))));
    }
    // It is not polled after the end.
    let (token, cancel) = Context::background().with_cancel();
    let mut future = pin!(token.run_until_end(async { panic!("polled after the end") }));
    cancel.cancel();
    assert_eq!(future.as_mut().poll(&mut task), Poll::Ready(Err::<(), _>(ContextError::Cancelled)));
}

#[test]
fn cancel_descendant_waker_can_access_ancestor() {
    struct LooksAtIt(Context, AtomicUsize);
    impl std::task::Wake for LooksAtIt {
        fn wake(self: std::sync::Arc<Self>) {
            assert_eq!(self.0.with_cancel().0.err(), CANCELLED);
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (root, cancel) = Context::background().with_cancel();
    let (child, _) = root.with_cancel();
    let state = std::sync::Arc::new(LooksAtIt(root, AtomicUsize::new(0)));
    let mut future = pin!(child.wait_async());
    assert!(future.as_mut().poll(&mut Task::from_waker(&Waker::from(state.clone()))).is_pending());
    cancel.cancel();
    assert_eq!(state.1.load(Ordering::Relaxed), 1);
}
