//! Models of a place: a G and a thread wait for one word, and neither is overlooked by a wake.
//!
//! What the kernel promises is modelled, and no more: it compares the word and puts the thread into its queue under a lock,
//! which a wake takes too. `Wakes::KernelFirst` needs one promise more: that a wake is a full barrier.

use super::{Place, Threads};
use crate::futex_table::Waited;
use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use pirn_runtime::internal::{Ticket, Told};
use std::ffi::c_long;

const ALL: u32 = u32::MAX;
const HERE: usize = 4;
/// Another word in the same place.
const THERE: usize = 8;

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

/// How a wake finds out whether it is for Gs.
#[derive(Clone, Copy)]
enum Wakes {
    /// As `Futex::may_be_here`: a fence, then a look at the count of Gs. If there are none the kernel is asked.
    Fenced,
    /// A look without a fence. If there seem to be no Gs the kernel is asked, and then there is a second look. That is for
    /// a thread that has no G to wake most often.
    KernelFirst,
    /// A wake without any fence, which is wrong.
    Unordered,
}

/// How a thread says that it waits.
#[derive(Clone, Copy)]
enum Counts {
    /// As `Threads::come`.
    Fenced,
    /// Without the fence, which is wrong.
    Unordered,
}

/// Threads that wait in the kernel for one word.
struct Kernel {
    queue: Mutex<Queue>,
    /// Whether a wake is a full barrier, as `futex_hb_waiters_pending` of Linux makes it.
    is_barrier: bool,
}

#[derive(Default)]
struct Queue {
    waiting: usize,
    woken: usize,
}

impl Kernel {
    fn wait(&self, word: &AtomicU32, expected: u32, sleep: impl FnOnce()) -> Waited {
        let mut queue = self.queue.lock().unwrap();
        if word.load(Ordering::Relaxed) != expected {
            return Waited::Changed;
        }
        queue.waiting += 1;
        drop(queue);
        sleep();
        let is_woken = self.queue.lock().unwrap().woken > 0;
        if is_woken { Waited::Woken } else { Waited::Ended }
    }

    fn wake(&self, most: usize) -> c_long {
        if self.is_barrier {
            fence(Ordering::SeqCst);
        }
        let mut queue = self.queue.lock().unwrap();
        let woken = most.min(queue.waiting);
        queue.waiting -= woken;
        queue.woken += woken;
        woken as c_long
    }
}

/// The wake is over. Who waits does so until then, as a model in which one waits for ever cannot be told to fail.
#[derive(Default)]
struct Over {
    is_over: Mutex<bool>,
    comes: Condvar,
}

impl Over {
    fn wait(&self) {
        let mut is_over = self.is_over.lock().unwrap();
        while !*is_over {
            is_over = self.comes.wait(is_over).unwrap();
        }
    }

    fn set(&self) {
        *self.is_over.lock().unwrap() = true;
        self.comes.notify_all();
    }
}

struct Futex {
    word: AtomicU32,
    place: Place,
    kernel: Kernel,
    over: Over,
}

impl Futex {
    fn new(is_barrier: bool) -> Arc<Futex> {
        let kernel = Kernel { queue: Mutex::default(), is_barrier };
        Arc::new(Futex { word: AtomicU32::new(0), place: Place::new(), kernel, over: Over::default() })
    }

    /// A G waits while the word is 0.
    fn wait_as_g(&self) -> Waited {
        let sleep = |ticket: &Ticket<()>| {
            self.over.wait();
            ticket.is_told()
        };
        self.place.bucket.wait(HERE, ALL, || self.word.load(Ordering::Relaxed) == 0, sleep)
    }

    /// A thread waits while the word is 0.
    fn wait_as_thread(&self, counts: Counts) -> Waited {
        let wait = || self.kernel.wait(&self.word, 0, || self.over.wait());
        match counts {
            Counts::Fenced => self.place.wait_in_kernel(HERE, wait),
            Counts::Unordered => {
                self.place.threads.0.fetch_add(Threads::of(HERE), Ordering::Relaxed);
                let waited = wait();
                self.place.threads.leave(HERE);
                waited
            }
        }
    }

    /// Changes the word, as a store of std's, and wakes one.
    fn change(&self, wakes: Wakes) -> c_long {
        self.word.store(1, Ordering::Relaxed);
        let ask_kernel = |most| self.kernel.wake(most);
        let here = || self.place.wake(HERE, ALL, 1, ask_kernel, Told::wake);
        match wakes {
            Wakes::Fenced if self.place.bucket.is_empty() => ask_kernel(1),
            Wakes::Fenced => here(),
            Wakes::KernelFirst if !self.place.bucket.seems_empty() => {
                fence(Ordering::SeqCst);
                here()
            }
            Wakes::KernelFirst => {
                let threads = ask_kernel(1);
                if self.place.bucket.seems_empty() {
                    return threads;
                }
                let gs = self.place.bucket.wake(HERE, ALL, 1, Told::wake) as c_long;
                (threads + gs).min(1)
            }
            Wakes::Unordered if self.place.bucket.seems_empty() => ask_kernel(1),
            Wakes::Unordered => here(),
        }
    }
}

/// A G and a thread wait, and there is one wake: each sees the changed word, or is woken.
fn both_end(wakes: Wakes, counts: Counts, is_barrier: bool) {
    model(move || {
        let futex = Futex::new(is_barrier);
        let g = thread::spawn({
            let futex = futex.clone();
            move || futex.wait_as_g()
        });
        let other = thread::spawn({
            let futex = futex.clone();
            move || futex.wait_as_thread(counts)
        });
        let said = futex.change(wakes);
        futex.over.set();
        let ended = [g.join().unwrap(), other.join().unwrap()];
        assert!(!ended.contains(&Waited::Ended), "one is overlooked");
        // As the kernel: not more than the caller wants.
        let woken = ended.into_iter().filter(|ended| *ended == Waited::Woken).count();
        assert_eq!(said, woken.min(1) as c_long);
        assert_eq!(futex.place.threads.0.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_wake_is_for_one_of_each() {
    both_end(Wakes::Fenced, Counts::Fenced, false);
}

#[test]
fn a_wake_that_asks_the_kernel_first_is_for_one_of_each() {
    both_end(Wakes::KernelFirst, Counts::Fenced, true);
}

#[test]
#[should_panic(expected = "one is overlooked")]
fn without_a_barrier_in_the_kernel_one_that_asks_it_first_overlooks_a_g() {
    both_end(Wakes::KernelFirst, Counts::Fenced, false);
}

#[test]
#[should_panic(expected = "one is overlooked")]
fn without_the_fence_of_a_wait_a_thread_is_overlooked() {
    both_end(Wakes::Fenced, Counts::Unordered, false);
}

#[test]
#[should_panic(expected = "one is overlooked")]
fn without_the_fence_of_a_wake_one_is_overlooked() {
    both_end(Wakes::Unordered, Counts::Fenced, false);
}

/// Others come and go in the same place meanwhile, for another word.
#[test]
fn a_thread_is_seen_among_others_or_sees_the_changed_word() {
    model(|| {
        let futex = Futex::new(false);
        let waits = thread::spawn({
            let futex = futex.clone();
            move || {
                futex.place.threads.come(HERE);
                futex.word.load(Ordering::Relaxed) == 0
            }
        });
        let other = thread::spawn({
            let futex = futex.clone();
            move || futex.place.wait_in_kernel(THERE, thread::yield_now)
        });
        futex.word.store(1, Ordering::Relaxed);
        assert!(futex.place.bucket.is_empty());
        let is_seen = futex.place.threads.may_wait(HERE);
        let would_sleep = waits.join().unwrap();
        other.join().unwrap();
        assert!(is_seen || !would_sleep);
        assert!(!futex.place.threads.may_wait(THERE));
    });
}
