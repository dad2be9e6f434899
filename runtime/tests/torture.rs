//! Gs that change threads all the time, with whatever a thread may keep in their hands: nothing gets into the wrong ones.
//!
//! `PIRN_STRESS_SECS` is the time box, `PIRN_TORTURE_MIGRATIONS` how many migrations end it early, and are asked for.

mod common;
#[path = "common/spans.rs"]
mod spans;

use common::{House, Rng, isolated, scale, seed, stress_secs, thread_number};
use pirn_runtime::{Unparker, go, park, park_timeout, sleep, yield_now};
use spans::Spans;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread;
use std::time::{Duration, Instant};
use tracing_subscriber::layer::SubscriberExt;

const PROCS: usize = 4;
const WORKERS: usize = 64;
/// Fewer than workers, so that some always go on.
const SEATS: usize = 24;
/// How many things a G holds at the same time.
const DEPTH: usize = 4;
/// Without a number in the environment: so few mean that the Gs do not move.
const MIGRATIONS_MIN: u64 = 1_000;

// ---------------------------------------------------------------------------------------------- how they move

/// Who waits in a seat: which thread it was on, and which worker's life it is. Zero is nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sitting(u64);

impl Sitting {
    const NOBODY: Sitting = Sitting(0);

    fn new(thread: i32, worker: usize) -> Sitting {
        Sitting((thread as u64) << 32 | worker as u64)
    }

    fn thread(self) -> i32 {
        (self.0 >> 32) as i32
    }

    fn worker(self) -> usize {
        self.0 as u32 as usize
    }
}

/// What all of them share. A G sits down where one sat that was on another thread, and unparks it: it goes on on this
/// one.
struct World {
    seats: [AtomicU64; SEATS],
    places: [Place; WORKERS],
    over: AtomicBool,
    migrations: AtomicU64,
    suspensions: AtomicU64,
    lives: AtomicUsize,
    /// Which steps have been made.
    steps: [AtomicUsize; STEPS.len()],
    /// Locks that all of them try to take.
    locks: [Mutex<u64>; 8],
    /// What the Gs' generators have begun with.
    first_numbers: Mutex<HashSet<u64>>,
}

/// How a worker's G is unparked.
#[derive(Default)]
struct Place {
    unparker: Mutex<Option<Unparker>>,
    taken: AtomicBool,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            seats: [const { AtomicU64::new(0) }; SEATS],
            places: std::array::from_fn(|_| Place::default()),
            over: AtomicBool::new(false),
            migrations: AtomicU64::new(0),
            suspensions: AtomicU64::new(0),
            lives: AtomicUsize::new(0),
            steps: [const { AtomicUsize::new(0) }; STEPS.len()],
            locks: Default::default(),
            first_numbers: Mutex::default(),
        })
    }

    /// Has whoever was taken from a seat go on.
    fn go_on(&self, sitting: Sitting) {
        if sitting == Sitting::NOBODY {
            return;
        }
        let place = &self.places[sitting.worker()];
        let unparker = place.unparker.lock().expect("nobody panics under it").clone();
        place.taken.store(true, Ordering::Release);
        unparker.expect("who sits has one").unpark();
    }

    /// Has everybody go on.
    fn empty_seats(&self) {
        for seat in &self.seats {
            self.go_on(Sitting(seat.swap(0, Ordering::SeqCst)));
        }
    }

    /// Nobody sits down for long any more.
    fn end(&self) {
        // The other half is in `sit`: either it sees this, or it is seen in its seat.
        self.over.store(true, Ordering::SeqCst);
        self.empty_seats();
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Sits down, and has somebody of another thread go on here. Parks until the same happens to itself; `last` is what
    /// is done at last before.
    fn sit(&self, worker: usize, rng: &mut Rng, last: impl FnOnce()) {
        let here = thread_number();
        let place = &self.places[worker];
        place.taken.store(false, Ordering::Relaxed);
        let first = rng.below(SEATS);
        let elsewhere = |seat: &&AtomicU64| Sitting(seat.load(Ordering::Relaxed)).thread() != here;
        let seat = (0..4).map(|i| &self.seats[(first + i) % SEATS]).find(elsewhere).unwrap_or(&self.seats[first]);
        let before = Sitting(seat.swap(Sitting::new(here, worker).0, Ordering::SeqCst));
        self.go_on(before);
        if self.is_over() {
            self.empty_seats();
        }
        last();
        while !place.taken.load(Ordering::Acquire) {
            park();
        }
    }
}

// ---------------------------------------------------------------------------------------------- one life

thread_local! {
    /// What a G has under way, one for each thing that it holds at the same time.
    static CELLS: [RefCell<Vec<u64>>; DEPTH] = const { [const { RefCell::new(Vec::new()) }; DEPTH] };
    static OWN: Rc<Cell<u64>> = Rc::new(Cell::new(0));
    /// Whose thread-locals these are. It has no destructor, so destructors may look at it.
    static LIFE: Cell<u64> = const { Cell::new(0) };
    static ENDS: RefCell<Option<Ends>> = const { RefCell::new(None) };
}

/// A thread-local's value whose destructor moves.
struct Ends {
    world: Arc<World>,
    worker: usize,
    rng: Rng,
    life: u64,
    count: Arc<AtomicUsize>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        for _ in 0..2 {
            // A destructor that panics aborts, which is a failure too.
            assert_eq!(LIFE.get(), self.life);
            self.world.sit(self.worker, &mut self.rng, || ());
        }
        self.count.fetch_add(1, Ordering::Release);
    }
}

/// What a G does until it ends. Each of its steps holds something while it moves or makes another step.
struct Life {
    world: Arc<World>,
    worker: usize,
    rng: Rng,
    number: u64,
    /// Not yet added to the world's.
    migrations: u64,
    suspensions: u64,
}

type Step = fn(&mut Life, usize);

/// What it is called, how often it is chosen, and what it does. The dear ones are rare.
const STEPS: [(&str, usize, Step); 15] = [
    ("nothing", 6_000, Life::hold),
    ("borrow", 12_000, Life::borrow),
    ("rc", 12_000, Life::keep_rc),
    ("lock", 8_000, Life::lock),
    ("contended lock", 6_000, Life::try_lock),
    ("errno", 8_000, Life::keep_errno),
    ("generator", 4_000, Life::draw),
    ("thread", 4_000, Life::stay_oneself),
    ("span", 3_000, Life::enter_span),
    ("unwinding", 600, Life::unwind),
    ("backtrace", 60, Life::trace),
    ("spawned thread", 30, Life::spawn),
    ("scoped threads", 15, Life::scope),
    ("address", 8, Life::resolve),
    ("command", 2, Life::command),
];

impl Life {
    /// Suspends, so that it mostly goes on on another thread.
    fn go_elsewhere(&mut self) {
        let from = thread_number();
        match self.rng.below(256) {
            0 => sleep(Duration::from_micros(self.rng.below(30) as u64)),
            1 => park_timeout(Duration::from_micros(self.rng.below(30) as u64)),
            2..6 => yield_now(),
            6 => assert_eq!(go(|| 6).join().expect("no panic"), 6),
            _ => self.world.sit(self.worker, &mut self.rng, || ()),
        }
        self.count(from);
    }

    fn count(&mut self, from: i32) {
        self.migrations += u64::from(thread_number() != from);
        self.suspensions += 1;
        if self.suspensions == 256 {
            self.add_up();
        }
    }

    fn add_up(&mut self) {
        self.world.migrations.fetch_add(std::mem::take(&mut self.migrations), Ordering::Relaxed);
        self.world.suspensions.fetch_add(std::mem::take(&mut self.suspensions), Ordering::Relaxed);
    }

    /// While something is held: goes elsewhere, or makes another step.
    fn hold(&mut self, depth: usize) {
        if depth + 1 < DEPTH && self.rng.below(4) == 0 {
            return self.any_step(depth + 1);
        }
        for _ in 0..=self.rng.below(3) {
            self.go_elsewhere();
        }
    }

    fn any_step(&mut self, depth: usize) {
        let mut left = self.rng.below(STEPS.iter().map(|(_, weight, _)| weight).sum());
        let chosen = STEPS.iter().position(|(_, weight, _)| {
            let here = left < *weight;
            left = left.wrapping_sub(*weight);
            here
        });
        self.step(chosen.expect("it is below the sum"), depth);
    }

    fn step(&mut self, which: usize, depth: usize) {
        // Counted where it is cheap to: how often is of no interest, but whether at all.
        if self.world.steps[which].load(Ordering::Relaxed) == 0 {
            self.world.steps[which].store(1, Ordering::Relaxed);
        }
        (STEPS[which].2)(self, depth);
    }

    fn borrow(&mut self, depth: usize) {
        CELLS.with(|cells| {
            let mut held = cells[depth].borrow_mut();
            let number = self.rng.next();
            held.extend([self.number, number]);
            self.hold(depth);
            assert_eq!(*held, [self.number, number]);
            assert!(CELLS.with(|cells| cells[depth].try_borrow().is_err()));
            held.clear();
        });
    }

    fn keep_rc(&mut self, depth: usize) {
        let rc = OWN.with(Rc::clone);
        let (value, owners) = (rc.get(), Rc::strong_count(&rc));
        rc.set(value + 1);
        self.hold(depth);
        assert!(OWN.with(|own| Rc::ptr_eq(own, &rc)));
        assert_eq!((rc.get(), Rc::strong_count(&rc)), (value + 1, owners));
        rc.set(value);
    }

    fn lock(&mut self, depth: usize) {
        let lock = Mutex::new(self.number);
        let guard = lock.lock().expect("it is new");
        self.hold(depth);
        assert_eq!(*guard, self.number);
        drop(guard);
        assert!(!lock.is_poisoned());
    }

    fn try_lock(&mut self, depth: usize) {
        let world = self.world.clone();
        match world.locks[self.rng.below(world.locks.len())].try_lock() {
            Ok(mut guard) => {
                *guard = self.number;
                self.hold(depth);
                assert_eq!(*guard, self.number);
            }
            Err(TryLockError::WouldBlock) => self.hold(depth),
            Err(TryLockError::Poisoned(_)) => panic!("nobody has panicked under it"),
        };
    }

    fn keep_errno(&mut self, _: usize) {
        let errno = 1 + self.rng.below(100) as i32;
        let from = thread_number();
        // The last thing before the park, as waking others may make system calls.
        self.world.sit(self.worker, &mut self.rng, || {
            // SAFETY: libc says where the caller's is.
            let place = unsafe { libc::__errno_location() };
            // SAFETY: it is the caller's own.
            unsafe { place.write(errno) };
        });
        let now = io::Error::last_os_error().raw_os_error();
        assert_eq!(now, Some(errno));
        self.count(from);
    }

    fn draw(&mut self, depth: usize) {
        use rand::Rng;
        let mut held = rand::rng();
        let first: u64 = held.random();
        self.hold(depth);
        assert!((10..20).contains(&held.random_range(10..20)));
        assert_ne!(held.random::<u64>(), first);
    }

    fn stay_oneself(&mut self, _: usize) {
        let me = thread::current();
        me.unpark();
        self.go_elsewhere();
        // It has been told already, so this returns at once.
        thread::park();
        assert_eq!(thread::current().id(), me.id());
    }

    fn enter_span(&mut self, depth: usize) {
        let number = self.rng.next();
        let span = tracing::info_span!("held", number);
        let _entered = span.enter();
        self.hold(depth);
        tracing::info!(number);
        assert_eq!(tracing::Span::current(), span);
    }

    fn unwind(&mut self, depth: usize) {
        struct Moves<'a>(&'a mut Life, usize);
        impl Drop for Moves<'_> {
            fn drop(&mut self) {
                assert!(thread::panicking());
                self.0.hold(self.1);
                assert!(thread::panicking());
            }
        }
        // With the steps above it may unwind already.
        let unwinds = thread::panicking();
        let number = self.rng.next();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _moves = Moves(self, depth);
            resume_unwind(Box::new(number));
        }));
        assert_eq!(caught.expect_err("it unwinds").downcast_ref(), Some(&number));
        assert_eq!(thread::panicking(), unwinds);
    }

    fn trace(&mut self, depth: usize) {
        let trace = Backtrace::force_capture();
        self.hold(depth);
        assert_eq!(trace.status(), BacktraceStatus::Captured);
        // Names take long to find.
        if self.rng.below(64) == 0 {
            assert!(trace.to_string().contains("torture"), "{trace}");
        }
    }

    fn spawn(&mut self, depth: usize) {
        let number = self.number;
        let spawned = thread::spawn(move || (LIFE.replace(1), number));
        self.hold(depth);
        assert_eq!(spawned.join().expect("no panic"), (0, number));
        assert_eq!(LIFE.get(), number);
    }

    fn scope(&mut self, depth: usize) {
        let numbers = [self.rng.next() >> 1, self.rng.next() >> 1];
        let sum = AtomicU64::new(0);
        thread::scope(|s| {
            for number in &numbers {
                s.spawn(|| sum.fetch_add(*number, Ordering::Relaxed));
            }
            self.hold(depth);
        });
        assert_eq!(sum.into_inner(), numbers[0] + numbers[1]);
    }

    fn resolve(&mut self, depth: usize) {
        let addresses = ("localhost", 7).to_socket_addrs().expect("every system has it");
        self.hold(depth);
        for address in addresses {
            assert!(address.ip().is_loopback() && address.port() == 7);
        }
    }

    fn command(&mut self, depth: usize) {
        let mut child = Command::new("/bin/true").spawn().expect("every system has it");
        self.hold(depth);
        assert!(child.wait().expect("it is the G's own").success());
    }
}

/// The whole life of one G. Returns its number, or panics with it.
fn live(world: Arc<World>, worker: usize, mut rng: Rng, number: u64, destroyed: Arc<AtomicUsize>) -> u64 {
    *world.places[worker].unparker.lock().expect("nobody panics under it") = Some(Unparker::current());
    assert_eq!(LIFE.replace(number), 0, "it has another's thread-locals");
    CELLS.with(|cells| assert!(cells.iter().all(|cell| cell.borrow().is_empty())));
    assert_eq!(OWN.with(|own| (own.get(), Rc::strong_count(own))), (0, 1));
    let ends = Ends { world: world.clone(), worker, rng: Rng::new(rng.next()), life: number, count: destroyed };
    ENDS.set(Some(ends));
    let drawn = rand::Rng::random(&mut rand::rng());
    assert!(world.first_numbers.lock().expect("nobody panics under it").insert(drawn), "two Gs have one generator");
    let steps = 100 + rng.below(scale(200, 2_000));
    let mut life = Life { world, worker, rng, number, migrations: 0, suspensions: 0 };
    if number <= WORKERS as u64 {
        // Each thing once, in as many orders as there are things.
        (0..STEPS.len()).for_each(|i| life.step((worker + i) % STEPS.len(), 0));
    }
    for _ in 0..steps {
        if life.world.is_over() {
            break;
        }
        life.any_step(0);
    }
    life.add_up();
    if life.rng.below(8) == 0 {
        resume_unwind(Box::new(number));
    }
    number
}

/// Lives one life after the other.
fn work(world: &Arc<World>, worker: usize, mut rng: Rng) {
    loop {
        let number = world.lives.fetch_add(1, Ordering::Relaxed) as u64 + 1;
        let destroyed = Arc::new(AtomicUsize::new(0));
        let life = go({
            let (world, rng, destroyed) = (world.clone(), Rng::new(rng.next()), destroyed.clone());
            move || live(world, worker, rng, number, destroyed)
        });
        let ended = life.join().unwrap_or_else(|payload| match payload.downcast::<u64>() {
            Ok(number) => *number,
            Err(failure) => {
                world.end();
                resume_unwind(failure)
            }
        });
        assert_eq!(ended, number);
        assert_eq!(destroyed.load(Ordering::Acquire), 1, "a destructor has not run once before its G was joined");
        if world.is_over() {
            return;
        }
    }
}

// ---------------------------------------------------------------------------------------------- the test

/// Until the time is over, or there have been enough migrations.
fn wait_for_the_end(world: &World, wanted: Option<u64>) {
    let (began, limit) = (Instant::now(), Duration::from_secs(stress_secs()));
    while began.elapsed() < limit && !world.is_over() {
        if wanted.is_some_and(|wanted| world.migrations.load(Ordering::Relaxed) >= wanted) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    world.end();
}

#[test]
fn what_a_g_holds_stays_its_own() {
    let seed = seed("torture");
    let wanted = common::env("PIRN_TORTURE_MIGRATIONS").map(|n| n.parse().expect("a number of migrations"));
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    tracing::subscriber::set_global_default(subscriber).expect("it is the only test here");
    let (rt, world): (House, _) = (isolated(PROCS), World::new());
    let began = Instant::now();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (world, rng) = (world.clone(), Rng::new(seed ^ worker as u64));
            rt.go(move || work(&world, worker, rng))
        })
        .collect();
    wait_for_the_end(&world, wanted);
    for worker in workers {
        // The end of a failed life is the failure; its message has been printed.
        worker.join().unwrap_or_else(|failure| resume_unwind(failure));
    }
    rt.close();
    let took = began.elapsed();
    let [migrations, suspensions] = [&world.migrations, &world.suspensions].map(|n| n.load(Ordering::Relaxed));
    let lives = world.lives.load(Ordering::Relaxed);
    let (right, wrong) = spans.counts();
    let rate = migrations as f64 / took.as_secs_f64();
    eprintln!(
        "{migrations} migrations, seed {seed}: {rate:.0} a second, {suspensions} suspensions, {lives} Gs, \
         {right} events in {took:.1?}"
    );
    let missing = STEPS.iter().zip(&world.steps).filter(|(_, made)| made.load(Ordering::Relaxed) == 0);
    assert_eq!(missing.map(|((name, ..), _)| *name).collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(right > 0);
    assert_eq!(wrong, 0, "events landed in other Gs' spans");
    assert!(migrations >= wanted.unwrap_or(MIGRATIONS_MIN), "the time box ended before");
    // Nobody but this holds the world: whatever the Gs had has been dropped.
    assert_eq!(Arc::strong_count(&world), 1);
}
