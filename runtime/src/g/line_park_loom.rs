//! Models of the line park: one takes the G, nothing is lost, and who looks from outside never looks at a stack that
//! has changed.

use super::super::word::{ParkWord, Unparked};
use super::*;
use crate::loom::{Arc, UnsafeCell, fence, model, thread};

const ID: u64 = 7;

/// What the G waits on: a lock, and a line of one.
struct Owner {
    count: AtomicUsize,
    /// The G stands in line. Guarded by the lock, as is what follows.
    is_queued: UnsafeCell<bool>,
    has_value: UnsafeCell<bool>,
    /// Where the line park lies on the G's stack: loom sees whether it changes while another looks at it.
    stack: UnsafeCell<u32>,
}

impl Owner {
    fn take(&self) {
        loop {
            let free = self.count.load(Ordering::Relaxed) & !1;
            if self.count.compare_exchange(free, free + 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
            thread::yield_now();
        }
    }

    fn look_at_stack(&self) {
        // SAFETY: it does not change meanwhile, as loom sees.
        self.stack.with(|stack| unsafe { *stack });
    }
}

// SAFETY: one thread at a time finds the count even; it acquires, and unlocking releases.
unsafe impl LineLock for Owner {
    /// Only an exposer comes here. It has found the lock in the line park.
    fn lock(&self) {
        self.look_at_stack();
        self.take();
        self.look_at_stack();
    }

    fn unlock(&self) {
        self.count.store(self.count.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    fn count(&self) -> &AtomicUsize {
        &self.count
    }
}

struct World {
    owner: Owner,
    line: LinePark,
    place: LinePlace,
    exposers: Exposers,
    word: ParkWord,
    told: AtomicBool,
    ends: AtomicUsize,
}

// SAFETY: the model's point is that the line park is used as it allows; what it guards is loom's.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

fn world() -> Arc<World> {
    let word = ParkWord::free();
    word.assign(ID);
    let flag = || UnsafeCell::new(false);
    Arc::new(World {
        owner: Owner { count: AtomicUsize::new(0), is_queued: flag(), has_value: flag(), stack: UnsafeCell::new(0) },
        line: LinePark::new(),
        place: LinePlace::new(),
        exposers: Exposers::new(),
        word,
        told: AtomicBool::new(false),
        ends: AtomicUsize::new(0),
    })
}

fn set(cell: &UnsafeCell<bool>, value: bool) -> bool {
    // SAFETY: the lock is held.
    cell.with_mut(|cell| std::mem::replace(unsafe { &mut *cell }, value))
}

impl World {
    fn use_stack(&self) {
        // SAFETY: the caller owns the G, as loom sees.
        self.owner.stack.with_mut(|stack| unsafe { *stack += 1 });
    }

    /// The G receives: it takes the value, or waits.
    fn receive(&self) {
        self.owner.take();
        if set(&self.owner.has_value, false) {
            self.owner.unlock();
            return self.end();
        }
        set(&self.owner.is_queued, true);
        self.use_stack();
        self.line.begin(&self.owner);
        self.place.set(&self.line);
        fence(Ordering::SeqCst);
        // It has left its stack. SAFETY: it holds the lock.
        unsafe { LinePark::unlock(&self.line) };
    }

    /// The G goes on after its line park.
    fn go_on(&self) {
        self.place.clear();
        fence(Ordering::SeqCst);
        self.exposers.wait();
        self.go_on_by_word();
    }

    /// The G looks whether it has been told, and waits by its park word.
    fn go_on_by_word(&self) {
        loop {
            self.use_stack();
            if self.told.load(Ordering::Acquire) {
                return self.end();
            }
            if self.word.commit_park(ID) {
                return;
            }
        }
    }

    fn end(&self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
    }

    /// Another G sends.
    fn send(&self) {
        self.owner.take();
        if !set(&self.owner.is_queued, false) {
            set(&self.owner.has_value, true);
            return self.owner.unlock();
        }
        let is_taken = self.line.take();
        self.told.store(true, Ordering::Release);
        self.owner.unlock();
        if is_taken {
            self.go_on();
        } else {
            self.unpark();
        }
    }

    fn unpark(&self) {
        if self.word.unpark(ID) == Unparked::Claimed {
            self.place_or_word();
        }
    }

    /// Who has claimed the park word may have done so after an exposer: then the record still names the line park.
    fn place_or_word(&self) {
        if self.place.get().is_null() { self.go_on_by_word() } else { self.go_on() }
    }

    /// One looks from outside, and wakes the G.
    fn expose(&self) {
        let exposer = self.exposers.begin(|| {
            fence(Ordering::SeqCst);
            true
        });
        let is_committed = exposer.as_ref().expect("the fence is there").expose(&self.place, || {
            self.owner.look_at_stack();
            self.word.commit_park(ID)
        });
        drop(exposer);
        if is_committed { self.unpark() } else { self.place_or_word() }
    }
}

#[test]
fn who_tells_a_g_that_is_parked_in_its_line_resumes_it() {
    model(|| {
        let w = world();
        let other = w.clone();
        let teller = thread::spawn(move || other.send());
        w.receive();
        teller.join().unwrap();
        assert_eq!(w.ends.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn one_that_looks_from_outside_and_one_that_tells_resume_it_once() {
    model(|| {
        let w = world();
        w.receive();
        let (teller, exposer) = (w.clone(), w.clone());
        let teller = thread::spawn(move || teller.send());
        exposer.expose();
        teller.join().unwrap();
        assert_eq!(w.ends.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_exposer_that_comes_while_the_g_parks() {
    model(|| {
        let w = world();
        let other = w.clone();
        let exposer = thread::spawn(move || other.expose());
        w.receive();
        exposer.join().unwrap();
        w.send();
        assert_eq!(w.ends.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_token_that_came_before_is_found_when_it_is_exposed() {
    model(|| {
        let w = world();
        assert_eq!(w.word.unpark(ID), Unparked::Nothing);
        w.receive();
        let (teller, exposer) = (w.clone(), w.clone());
        let teller = thread::spawn(move || teller.send());
        exposer.expose();
        teller.join().unwrap();
        assert_eq!(w.ends.load(Ordering::Relaxed), 1);
    });
}
