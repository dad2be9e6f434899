//! Gs that leave their stacks in every way, one for the next, at random: each goes on once, where it left, with what is
//! its own; while others trace them, unpark them for no reason, take their Ps, and shut the runtime down in the middle.
//!
//! `PIRN_STRESS_SECS` is the time box, `PIRN_TEST_SEED` the seed.

mod common;

use common::{
    Rng, builder, child_case, eventually, house, isolated, seed, shares_thread_locals, stress_secs, subprocess,
};
use pirn_runtime::{Gid, Unparker, blocking, current_gid, go, lock_os_thread, park, park_timeout, yield_now};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const WORKERS: usize = 24;

/// What all of them share.
#[derive(Default)]
struct World {
    workers: [Mutex<Option<Unparker>>; WORKERS],
    /// Gs that have begun, and that have ended.
    begun: AtomicUsize,
    ended: AtomicUsize,
    over: AtomicBool,
    steps: AtomicUsize,
}

impl World {
    /// More than a step of each.
    fn is_enough(&self) -> bool {
        self.steps.load(Ordering::Relaxed) > WORKERS
    }

    /// Wakes one, whether it waits or not.
    fn wake_any(&self, rng: &mut Rng) {
        let worker = self.workers[rng.below(WORKERS)].lock().expect("nobody panics under it").clone();
        if let Some(worker) = worker {
            worker.unpark();
        }
    }
}

thread_local! {
    static OWN: Cell<Option<Gid>> = const { Cell::new(None) };
}

/// From the beginning of a G to its end: it checks that what is the G's own stays so.
struct Life {
    world: Arc<World>,
    me: Gid,
    on_stack: [u64; 8],
}

impl Life {
    fn begin(world: &Arc<World>) -> Life {
        world.begun.fetch_add(1, Ordering::Relaxed);
        let me = current_gid().expect("a G");
        if !shares_thread_locals() {
            assert_eq!(OWN.replace(Some(me)), None, "the thread-locals of a new G are those of another");
        }
        Life { world: world.clone(), me, on_stack: [me.as_u64(); 8] }
    }

    #[track_caller]
    fn check(&self) {
        assert_eq!(current_gid(), Some(self.me), "another G runs here");
        assert_eq!(std::hint::black_box(&self.on_stack), &[self.me.as_u64(); 8]);
        if !shares_thread_locals() {
            assert_eq!(OWN.get(), Some(self.me), "the thread-locals are those of another G");
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.check();
        self.world.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Leaves its stack while it unwinds, or while the thread-locals of its G are destroyed.
struct LeavesInDrop(u64);

impl Drop for LeavesInDrop {
    fn drop(&mut self) {
        leave(&mut Rng::new(self.0));
    }
}

/// Leaves the stack in one of the ways that end by themselves.
fn leave(rng: &mut Rng) {
    let me = Unparker::current();
    match rng.below(5) {
        0 => yield_now(),
        1 => {
            // It finds the token at once.
            me.unpark();
            park();
        }
        2 => {
            go(move || me.unpark());
            park();
        }
        3 => {
            // The token comes before the park is committed, or after.
            let waker = go(move || {
                yield_now();
                me.unpark();
            });
            park();
            drop(waker);
        }
        _ => park_timeout(Duration::from_micros(rng.below(100) as u64)),
    }
}

fn deep(levels: usize, rng: &mut Rng) -> u64 {
    let here = std::hint::black_box([levels as u64; 32]);
    if levels == 0 {
        leave(rng);
        return here[0];
    }
    deep(levels - 1, rng) + here[31]
}

fn step(life: &Life, rng: &mut Rng) {
    let world = &life.world;
    let childs = rng.next();
    let child = |body: fn(&Life, &mut Rng)| {
        let (world, mut rng) = (world.clone(), Rng::new(childs));
        go(move || body(&Life::begin(&world), &mut rng))
    };
    match rng.below(12) {
        0..4 => leave(rng),
        4 => drop(child(|_, _| ())),
        5 => _ = child(step_of_child).join().map_err(resume_unwind),
        6 => {
            let unwinds = child(|life, rng| {
                let _leaves = LeavesInDrop(rng.next());
                life.check();
                resume_unwind(Box::new(()));
            });
            assert!(unwinds.join().is_err());
        }
        7 => {
            let locked = lock_os_thread();
            leave(rng);
            leave(rng);
            drop(locked);
        }
        8 => blocking(|| thread::sleep(Duration::from_micros(20))),
        9 => {
            // Many new Gs at the same time, that end while others begin.
            let children: Vec<_> = (0..rng.below(40)).map(|_| child(step_of_child)).collect();
            children.into_iter().for_each(|child| _ = child.join().map_err(resume_unwind));
        }
        10 => assert!(deep(20, rng) > 0),
        _ => world.wake_any(rng),
    }
    life.check();
    world.steps.fetch_add(1, Ordering::Relaxed);
}

/// Of a G that lives shortly. It may leave its stack in the destructor of a thread-local too.
fn step_of_child(life: &Life, rng: &mut Rng) {
    thread_local!(static LEAVES: Cell<Option<LeavesInDrop>> = const { Cell::new(None) });
    leave(rng);
    if !shares_thread_locals() && rng.below(4) == 0 {
        LEAVES.set(Some(LeavesInDrop(rng.next())));
    }
    life.check();
}

/// Works until `until` and until all together have worked enough, or until the runtime closes.
fn work(world: &Arc<World>, number: usize, mut rng: Rng, until: Option<Instant>) {
    let life = Life::begin(world);
    *world.workers[number].lock().expect("nobody panics under it") = Some(Unparker::current());
    while until.is_none_or(|until| Instant::now() < until || !world.is_enough()) {
        step(&life, &mut rng);
    }
}

fn run(procs: usize, seed: u64, time: Duration, takes: bool, shuts_down: bool) {
    let builder = builder().procs(procs);
    let mut rt = house(if takes { builder.retake_eagerly() } else { builder });
    let world = Arc::new(World::default());
    let until = Instant::now() + time;
    let meddle = |mut rng: Rng, traces: bool| {
        let (world, handle) = (world.clone(), rt.handle());
        thread::spawn(move || {
            while !world.over.load(Ordering::Relaxed) {
                if traces {
                    drop(handle.dump());
                    thread::sleep(Duration::from_millis(5));
                } else {
                    world.wake_any(&mut rng);
                }
            }
        })
    };
    let meddlers = [meddle(Rng::new(seed ^ 0xfeed), false), meddle(Rng::new(0), true)];
    let workers: Vec<_> = (0..WORKERS)
        .map(|i| {
            let (world, rng) = (world.clone(), Rng::new(seed ^ i as u64));
            rt.go(move || work(&world, i, rng, (!shuts_down).then_some(until)))
        })
        .collect();
    if shuts_down {
        thread::sleep(until.saturating_duration_since(Instant::now()));
        eventually("they have worked enough", || world.is_enough());
        assert!(rt.take().shutdown_timeout(Duration::from_secs(30)), "Gs are left");
    }
    for worker in workers {
        let ended = worker.join();
        // It was unwound, or stopped where it could not start a G.
        assert!(shuts_down || ended.is_ok());
    }
    world.over.store(true, Ordering::Relaxed);
    meddlers.into_iter().for_each(|meddler| meddler.join().expect("no panic"));
    let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
    eventually("every G has ended once", || count(&world.begun) == count(&world.ended));
    eprintln!("{procs} procs, takes {takes}, shuts down {shuts_down}: {} steps", count(&world.steps));
}

#[test]
fn gs_leave_in_every_way() {
    let seed = seed("direct");
    let time = Duration::from_secs(stress_secs()) / 12;
    for procs in [1, 2, 4] {
        for (takes, shuts_down) in [(false, false), (false, true), (true, false), (true, true)] {
            run(procs, seed, time, takes, shuts_down);
        }
    }
}

/// Counts what is allocated on Gs, while it is told to.
struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ON_GS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it is the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) && current_gid().is_some() {
            ON_GS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a G leaves behind in its thread-locals stays as long as it lives. So whoever only yields allocates nothing, and
/// uses no thread-local of the queue's.
#[test]
fn a_g_that_yields_allocates_nothing() {
    const TEST: &str = "a_g_that_yields_allocates_nothing";
    const GS: usize = 200;
    let Some(_) = child_case(TEST) else {
        subprocess(TEST, "count", &[]).expect_success();
        return;
    };
    let rt = isolated(1);
    let over = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicUsize::new(0));
    let gs: Vec<_> = (0..=GS)
        .map(|i| {
            let (over, begun) = (over.clone(), begun.clone());
            rt.go(move || {
                begun.fetch_add(1, Ordering::Relaxed);
                while !over.load(Ordering::Relaxed) {
                    if i == 0 {
                        // Its P is taken, and all that waits there is shown to others.
                        thread::sleep(Duration::from_millis(2));
                    }
                    yield_now();
                }
            })
        })
        .collect();
    eventually("all have begun", || begun.load(Ordering::Relaxed) == GS + 1);
    thread::sleep(Duration::from_millis(20));
    COUNTS.store(true, Ordering::Relaxed);
    thread::sleep(Duration::from_millis(300));
    COUNTS.store(false, Ordering::Relaxed);
    over.store(true, Ordering::Relaxed);
    gs.into_iter().for_each(|g| g.join().expect("no panic"));
    assert_eq!(ON_GS.load(Ordering::Relaxed), 0);
}
