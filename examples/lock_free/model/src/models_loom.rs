//! The models: pushes and pops at the same time, a stack that is dropped, counters, and a stack without epochs.

use crate::counter::Counter;
use crate::epoch;
use crate::stack::Stack;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Tries all orders with up to three preemptions.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

/// A number whose accesses loom watches, and whose drop it misses if there is none.
struct Value {
    number: UnsafeCell<u32>,
    _dropped: Arc<()>,
}

// SAFETY: what the models check.
unsafe impl Send for Value {}

impl Value {
    fn new(number: u32) -> Value {
        let value = Value { number: UnsafeCell::new(0), _dropped: Arc::new(()) };
        // SAFETY: nobody else has it yet.
        value.number.with_mut(|to| unsafe { *to = number });
        value
    }

    fn number(self) -> u32 {
        // SAFETY: nobody else has it any more.
        self.number.with(|number| unsafe { *number })
    }
}

fn pop(stack: &Stack<Value>) -> Option<u32> {
    stack.pop().map(Value::number)
}

/// All that is left, and what has been popped before, in order.
fn all(stack: &Stack<Value>, popped: impl IntoIterator<Item = Option<u32>>) -> Vec<u32> {
    let left = std::iter::from_fn(|| pop(stack));
    let mut all: Vec<_> = popped.into_iter().flatten().chain(left).collect();
    all.sort_unstable();
    all
}

#[test]
fn what_is_pushed_is_seen_whole_and_popped_once() {
    model(|| {
        let stack = Arc::new(Stack::new());
        let pushers = [1, 2].map(|number| {
            let stack = stack.clone();
            thread::spawn(move || stack.push(Value::new(number)))
        });
        let popped = [pop(&stack), pop(&stack)];
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        assert_eq!(all(&stack, popped), [1, 2]);
    });
}

/// Two pops and a push of one thread between two steps of a pop: the case that is called ABA.
fn pops_while_another_pops_and_pushes() {
    let stack = Arc::new(Stack::new());
    stack.push(Value::new(1));
    stack.push(Value::new(2));
    let other = stack.clone();
    let other = thread::spawn(move || {
        let popped = [pop(&other), pop(&other)];
        other.push(Value::new(3));
        popped
    });
    let popped = pop(&stack);
    let others = other.join().unwrap();
    assert_eq!(all(&stack, others.into_iter().chain([popped])), [1, 2, 3]);
}

#[test]
fn a_pop_between_pops_and_a_push_takes_what_is_there() {
    model(pops_while_another_pops_and_pushes);
}

#[test]
#[should_panic(expected = "a node is used after its end")]
fn without_epochs_a_node_is_used_after_its_end() {
    model(|| {
        epoch::end_at_once();
        pops_while_another_pops_and_pushes();
    });
}

#[test]
fn pops_do_not_take_the_same() {
    model(|| {
        let stack = Arc::new(Stack::new());
        (1..=2).for_each(|number| stack.push(Value::new(number)));
        let poppers = [(); 2].map(|()| {
            let stack = stack.clone();
            thread::spawn(move || pop(&stack))
        });
        let popped = poppers.map(|popper| popper.join().unwrap());
        assert_eq!(all(&stack, popped), [1, 2]);
    });
}

#[test]
fn what_is_left_is_dropped_with_the_stack() {
    model(|| {
        let stack = Arc::new(Stack::new());
        let other = stack.clone();
        let pusher = thread::spawn(move || other.push(Value::new(1)));
        stack.push(Value::new(2));
        // loom complains if a value is not dropped.
        drop(stack);
        pusher.join().unwrap();
    });
}

#[test]
fn each_increment_counts() {
    model(|| {
        let counter = Arc::new(Counter::new());
        let other = counter.clone();
        let thread = thread::spawn(move || {
            other.increment();
            other.increment_below(10)
        });
        counter.increment();
        let has_counted = counter.increment_below(10);
        assert!(thread.join().unwrap() && has_counted);
        assert_eq!(counter.get(), 4);
    });
}

#[test]
fn the_limit_is_kept() {
    model(|| {
        let counter = Arc::new(Counter::new());
        let threads = [(); 2].map(|()| {
            let counter = counter.clone();
            thread::spawn(move || counter.increment_below(2))
        });
        let mine = counter.increment_below(2);
        let others = threads.map(|thread| thread.join().unwrap());
        assert_eq!(others.into_iter().chain([mine]).filter(|has_counted| *has_counted).count(), 2);
        assert_eq!(counter.get(), 2);
    });
}
