//! Models of late wakes: one that waits in the kernel is not overlooked.

use super::LateWakes;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::sync::{Arc, Mutex};
use loom::thread;

const HERE: usize = 4;
const ELSEWHERE: usize = 8;

/// A word, one that may wait for it in a kernel, and what the runtime has of the wakes.
struct Kernel {
    word: AtomicUsize,
    /// Whether one waits. The kernel compares the word under a lock, which a wake takes too.
    waits: Mutex<bool>,
    late: LateWakes,
    has_later: AtomicBool,
    is_closing: AtomicBool,
}

impl Kernel {
    fn new() -> Arc<Kernel> {
        Arc::new(Kernel {
            word: AtomicUsize::new(0),
            waits: Mutex::new(false),
            late: LateWakes::new(),
            has_later: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
        })
    }

    /// Waits, if the word is `expected`.
    fn wait(&self, expected: usize) {
        let mut waits = self.waits.lock().unwrap();
        *waits = self.word.load(Ordering::Relaxed) == expected;
    }

    fn wake(&self, address: usize) {
        if address == HERE {
            *self.waits.lock().unwrap() = false;
        }
    }

    /// Changes the word, and wants all to be woken.
    fn change(&self, word: usize, address: usize) {
        self.word.store(word, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !self.late.is_left(address) {
            let driven_out = self.late.leave(address);
            self.has_later.swap(true, Ordering::AcqRel);
            fence(Ordering::SeqCst);
            if self.is_closing.load(Ordering::Relaxed) {
                self.look();
            }
            driven_out.into_iter().for_each(|address| self.wake(address));
        }
    }

    /// A round of sysmon.
    fn look(&self) {
        if self.has_later.swap(false, Ordering::AcqRel) {
            self.late.take(|address| self.wake(address));
        }
    }

    /// The last one.
    fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.look();
    }
}

fn model(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(f);
}

fn start(kernel: &Arc<Kernel>, work: impl FnOnce(&Kernel) + 'static) -> thread::JoinHandle<()> {
    let kernel = kernel.clone();
    thread::spawn(move || work(&kernel))
}

/// One waits for the word while others work. It begins last, and each sees only what those before it do.
fn check(preemptions: usize, expected: usize, works: &'static [fn(&Kernel)]) {
    model(preemptions, move || {
        let kernel = Kernel::new();
        let mut all: Vec<_> = works.iter().map(|work| start(&kernel, *work)).collect();
        all.push(start(&kernel, move |kernel| kernel.wait(expected)));
        all.into_iter().for_each(|one| one.join().unwrap());
        // sysmon looks again as long as something is left.
        kernel.look();
        assert!(!*kernel.waits.lock().unwrap(), "it was overlooked");
    });
}

#[test]
fn one_that_waits_is_woken() {
    check(3, 0, &[Kernel::look, |kernel| kernel.change(1, HERE)]);
}

#[test]
fn a_wake_that_is_left_already_counts() {
    check(
        2,
        1,
        &[Kernel::look, |kernel| {
            kernel.change(1, HERE);
            kernel.change(2, HERE);
        }],
    );
}

#[test]
fn one_that_is_driven_out_is_made() {
    check(2, 0, &[Kernel::look, |kernel| kernel.change(1, ELSEWHERE), |kernel| kernel.change(1, HERE)]);
}

#[test]
fn it_is_made_when_the_runtime_closes() {
    model(3, || {
        let kernel = Kernel::new();
        let closes = start(&kernel, Kernel::close);
        let changes = start(&kernel, |kernel| {
            kernel.wait(0);
            kernel.change(1, HERE);
        });
        closes.join().unwrap();
        changes.join().unwrap();
        assert!(!*kernel.waits.lock().unwrap(), "it was overlooked");
    });
}
