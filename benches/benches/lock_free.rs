//! The stack and the counter of the example `lock_free`, and what a mutex makes of a vector and of a number: eight tasks
//! that use one of them.

mod common;

#[path = "../../examples/lock_free/counter.rs"]
#[allow(dead_code, reason = "the example uses more of it")]
mod counter;
#[path = "../../examples/lock_free/stack.rs"]
mod stack;

/// What the example imports for its stack and its counter.
mod ordering {
    pub(crate) use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
}

use common::{Comparison, Peer, Threads, Work, repeat};
use criterion::{Criterion, criterion_group, criterion_main};
use crossbeam_epoch as epoch;
use std::marker::PhantomData;
use std::sync::{Arc, atomic};
use std::time::Duration;

const TASKS: usize = 8;

/// So many calls of each task in one repetition.
const CALLS: u64 = 1000;

/// What all tasks use at the same time.
trait Used: Send + Sync + 'static {
    fn new() -> Self;
    /// Puts something in and takes something out, or counts.
    fn call(&self, number: u64);
}

impl Used for stack::Stack<u64> {
    fn new() -> Self {
        stack::Stack::new()
    }

    fn call(&self, number: u64) {
        self.push(number);
        // There is something, as each has pushed before it pops.
        assert!(self.pop().is_some());
    }
}

impl Used for counter::Counter {
    fn new() -> Self {
        counter::Counter::new()
    }

    fn call(&self, _: u64) {
        assert!(self.increment_below(u64::MAX));
    }
}

/// Implements [`Used`] for a lock around a vector and around a number. `$guarded` makes a guard of what `lock` returns.
macro_rules! locked {
    ($lock:ident, [$($path:tt)*], [$($guarded:tt)*]) => {
        impl Used for $($path)*::$lock<Vec<u64>> {
            fn new() -> Self {
                Self::default()
            }

            fn call(&self, number: u64) {
                self.lock()$($guarded)*.push(number);
                assert!(self.lock()$($guarded)*.pop().is_some());
            }
        }

        impl Used for $($path)*::$lock<u64> {
            fn new() -> Self {
                Self::default()
            }

            fn call(&self, _: u64) {
                let mut number = self.lock()$($guarded)*;
                assert!(*number < u64::MAX);
                *number += 1;
            }
        }
    };
}

locked!(Mutex, [pirn::sync], []);
locked!(Mutex, [std::sync], [.expect("no thread panics")]);

/// All tasks call one.
struct Calls<U>(PhantomData<fn() -> U>);

impl<U> Copy for Calls<U> {}

impl<U> Clone for Calls<U> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<U: Used> Work for Calls<U> {
    fn elements(self) -> u64 {
        TASKS as u64 * CALLS
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        let used = Arc::new(U::new());
        repeat(iters, || {
            let tasks = [(); TASKS].map(|()| {
                let used = used.clone();
                P::go(move || (0..CALLS).for_each(|number| used.call(number)))
            });
            tasks.into_iter().for_each(P::join);
        })
    }
}

fn compare<Ours: Used, Of: Used>(c: &mut Criterion, name: &str) {
    let mut peers = Comparison::new(c, format!("lock_free/{name}"));
    peers.on_gs(Calls::<Ours>(PhantomData));
    peers.on::<Threads>(Calls::<Of>(PhantomData));
}

fn all_of_them(c: &mut Criterion) {
    compare::<stack::Stack<u64>, stack::Stack<u64>>(c, "stack");
    compare::<pirn::sync::Mutex<Vec<u64>>, std::sync::Mutex<Vec<u64>>>(c, "stack_mutex");
    compare::<counter::Counter, counter::Counter>(c, "counter");
    compare::<pirn::sync::Mutex<u64>, std::sync::Mutex<u64>>(c, "counter_mutex");
}

criterion_group!(name = all; config = common::criterion(); targets = all_of_them);
criterion_main!(all);
