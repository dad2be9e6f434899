//! Everything at once, at random: nothing is lost, nothing happens twice, nothing hangs.

mod common;

use common::{House, Rng, builder, dump_and_abort, house, seed, stress_secs};
use pirn_runtime::time::{Timer, after_func};
use pirn_runtime::{
    GoBuilder, Handle, Unparker, blocking, go, lock_os_thread, park, park_timeout, scope, sleep, yield_now,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

const WORKERS: usize = 48;
const SERVERS: usize = 6;

/// A question to a server. Who asks waits without a limit, so a lost wake-up is a hang.
struct Question {
    number: usize,
    answer: Arc<AtomicUsize>,
    asker: Unparker,
}

/// Answers questions; a G or a thread.
#[derive(Default)]
struct Server {
    questions: Mutex<Vec<Question>>,
    itself: Mutex<Option<Unparker>>,
}

/// Two numbers that must be equal at the end.
#[derive(Default)]
struct Account {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Account {
    fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.ended.fetch_add(1, Ordering::Release);
    }

    fn is_even(&self) -> bool {
        self.ended.load(Ordering::Acquire) == self.begun.load(Ordering::Acquire)
    }
}

/// What everybody in one run shares.
#[derive(Default)]
struct World {
    servers: [Server; SERVERS],
    workers: Mutex<Vec<Unparker>>,
    /// The one in whose runtimes Gs are started from everywhere.
    handles: Mutex<Vec<Handle>>,
    detached: Account,
    asked: Account,
    called: Account,
    called_off: AtomicUsize,
    injected: Account,
    steps: AtomicUsize,
    /// Workers block their threads, too.
    blocks: bool,
    /// Workers and foreign threads stop.
    over: AtomicBool,
    /// Servers stop; nobody asks any more.
    closed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics under it")
}

impl World {
    fn serve(&self, me: usize) {
        let server = &self.servers[me];
        *lock(&server.itself) = Some(Unparker::current());
        let mut rng = Rng::new(me as u64);
        loop {
            let questions = std::mem::take(&mut *lock(&server.questions));
            if questions.is_empty() {
                if self.closed.load(Ordering::Acquire) {
                    return;
                }
                park();
                continue;
            }
            for question in questions {
                if rng.below(4) == 0 {
                    yield_now();
                }
                question.answer.store(question.number + 1, Ordering::Release);
                self.asked.end();
                question.asker.unpark();
            }
        }
    }

    fn ask(&self, rng: &mut Rng) {
        let server = &self.servers[rng.below(SERVERS)];
        let (number, answer) = (rng.below(1 << 40), Arc::new(AtomicUsize::new(0)));
        self.asked.begin();
        lock(&server.questions).push(Question { number, answer: answer.clone(), asker: Unparker::current() });
        if let Some(server) = &*lock(&server.itself) {
            server.unpark();
        }
        loop {
            match answer.load(Ordering::Acquire) {
                0 => park(),
                got => return assert_eq!(got, number + 1),
            }
        }
    }

    fn any_handle(&self, rng: &mut Rng) -> Handle {
        let handles = lock(&self.handles);
        handles[rng.below(handles.len())].clone()
    }

    /// An unpark that nobody expects.
    fn disturb(&self, rng: &mut Rng) {
        let workers = lock(&self.workers);
        if !workers.is_empty() {
            workers[rng.below(workers.len())].unpark();
        }
    }

    fn call_later(self: &Arc<Self>, rng: &mut Rng) {
        self.called.begin();
        let world = self.clone();
        let call = after_func(micros(rng, 400), move || world.called.end());
        match rng.below(3) {
            0 => yield_now(),
            1 => drop(call.reset(micros(rng, 400))),
            _ => {
                if call.stop() {
                    self.called_off.fetch_add(1, Ordering::Relaxed);
                    self.called.end();
                }
            }
        }
    }

    fn step(self: &Arc<Self>, rng: &mut Rng) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        match rng.below(16) {
            0..3 => yield_now(),
            3 => sleep(micros(rng, 200)),
            4 => park_timeout(micros(rng, 200)),
            5..8 => self.ask(rng),
            8 => self.disturb(rng),
            9 => self.call_later(rng),
            10 => {
                self.detached.begin();
                let (world, mut rng) = (self.clone(), Rng::new(rng.next()));
                go(move || {
                    if rng.below(2) == 0 {
                        sleep(micros(&mut rng, 100));
                    }
                    world.detached.end();
                });
            }
            11 => {
                let (n, handle) = (rng.next(), self.any_handle(rng));
                let g = handle.go(move || {
                    yield_now();
                    n
                });
                assert_eq!(g.join().expect("no panic"), n);
            }
            12 => borrow_in_scope(rng),
            13 => {
                let n = rng.next();
                let failed = go(move || std::panic::resume_unwind(Box::new(n)));
                let payload = failed.join().expect_err("it panics");
                assert_eq!(payload.downcast_ref::<u64>(), Some(&n));
            }
            14 => {
                let timer = Timer::new(micros(rng, 100));
                if rng.below(2) == 0 {
                    timer.wait();
                }
            }
            15 if self.blocks => {
                // Nobody is told; a retake more or less.
                std::thread::sleep(micros(rng, 100));
                if rng.below(4) == 0 {
                    blocking(|| std::thread::sleep(micros(rng, 50)));
                }
                if rng.below(16) == 0 {
                    let _locked = lock_os_thread();
                    yield_now();
                    sleep(micros(rng, 50));
                }
            }
            _ => {
                let mut n = rng.next();
                (0..rng.below(3000)).for_each(|i| n = std::hint::black_box(n.rotate_left(5) ^ i as u64));
            }
        }
    }

    /// A thread that belongs to no runtime.
    fn meddle(self: &Arc<Self>, mut rng: Rng) {
        while !self.over.load(Ordering::Acquire) {
            match rng.below(8) {
                0 => self.ask(&mut rng),
                1 => std::thread::sleep(micros(&mut rng, 300)),
                2 => {
                    self.injected.begin();
                    let world = self.clone();
                    drop(self.any_handle(&mut rng).go(move || world.injected.end()));
                }
                3 => {
                    let n = rng.next();
                    let g = self.any_handle(&mut rng).go(move || n);
                    assert_eq!(g.join().expect("no panic"), n);
                }
                4 => {
                    let seen = self.any_handle(&mut rng).goroutines();
                    common::check_unique(&seen);
                }
                _ => self.disturb(&mut rng),
            }
        }
    }
}

fn micros(rng: &mut Rng, below: usize) -> Duration {
    Duration::from_micros(rng.below(below) as u64)
}

fn borrow_in_scope(rng: &mut Rng) {
    let numbers: Vec<usize> = (0..rng.below(5)).collect();
    let sum = AtomicUsize::new(0);
    scope(|s| {
        for n in &numbers {
            let sum = &sum;
            s.go(move || {
                if n % 2 == 0 {
                    yield_now();
                }
                sum.fetch_add(*n, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(sum.load(Ordering::Relaxed), numbers.iter().sum::<usize>());
}

/// Ends the process with a dump if it is not dropped in time.
struct Watchdog(mpsc::Sender<()>);

impl Watchdog {
    fn new(limit: Duration, handles: Vec<Handle>) -> Watchdog {
        let (alive, ended) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                let (last, others) = handles.split_last().expect("there are some");
                for handle in others {
                    handle.goroutines().iter().for_each(|g| eprintln!("{g}"));
                }
                dump_and_abort("stress", last);
            }
        });
        Watchdog(alive)
    }
}

fn start_servers(world: &Arc<World>, main: &House, other: &House) -> Vec<std::thread::JoinHandle<()>> {
    let mut waiting = Vec::new();
    for me in 0..SERVERS {
        let serving = world.clone();
        let name = format!("server {me}");
        let join_g = |handle: Handle| {
            let builder = GoBuilder::new().name(name.clone());
            handle.try_go_with(builder, {
                let serving = serving.clone();
                move || serving.serve(me)
            })
        };
        waiting.push(match me % 3 {
            0 => std::thread::spawn(move || serving.serve(me)),
            side => {
                let g = join_g(if side == 1 { main.handle() } else { other.handle() }).expect("it starts");
                std::thread::spawn(move || g.join().expect("no panic"))
            }
        });
    }
    waiting
}

/// The mix, on Ps that are `taken` all the time or left alone.
fn run_mix(procs: usize, seed: u64, time: Duration, taken: bool) {
    let builder = || if taken { builder().retake_eagerly() } else { builder() };
    let (main, other) = (house(builder().procs(procs)), house(builder().procs(2).stack_size(64 << 10)));
    let world = Arc::new(World { blocks: taken, ..World::default() });
    *lock(&world.handles) = vec![main.handle(), other.handle()];
    let watchdog = Watchdog::new(time + Duration::from_secs(40), vec![main.handle(), other.handle()]);
    let servers = start_servers(&world, &main, &other);
    let meddlers: Vec<_> = (0..2)
        .map(|i| {
            let (world, rng) = (world.clone(), Rng::new(seed ^ (0xfeed + i)));
            std::thread::spawn(move || world.meddle(rng))
        })
        .collect();
    let began = Instant::now();
    let workers: Vec<_> = (0..WORKERS)
        .map(|i| {
            let (world, mut rng) = (world.clone(), Rng::new(seed ^ i as u64));
            let work = move || {
                lock(&world.workers).push(Unparker::current());
                while began.elapsed() < time {
                    world.step(&mut rng);
                }
            };
            if i % 4 == 0 { other.go(work) } else { main.go(work) }
        })
        .collect();
    for worker in workers {
        worker.join().expect("no panic");
    }
    world.over.store(true, Ordering::Release);
    meddlers.into_iter().for_each(|m| m.join().expect("no panic"));
    world.closed.store(true, Ordering::Release);
    for server in &world.servers {
        lock(&server.itself).as_ref().expect("it runs").unpark();
    }
    servers.into_iter().for_each(|s| s.join().expect("no panic"));
    let accounts = accounts(&world);
    for (what, account) in accounts {
        common::eventually(what, || account.is_even());
    }
    lock(&world.handles).clear();
    main.close();
    other.close();
    drop(watchdog.0);
    // All Gs and timers have ended: nothing came late, and nothing came twice.
    for (what, account) in accounts {
        assert!(account.is_even(), "{what}: more have ended than begun");
    }
    let steps = world.steps.load(Ordering::Relaxed);
    eprintln!("{procs} procs: {steps} steps");
    assert!(steps > WORKERS);
}

fn accounts(world: &World) -> [(&'static str, &Account); 4] {
    [
        ("detached Gs", &world.detached),
        ("questions", &world.asked),
        ("calls after some time", &world.called),
        ("Gs from threads", &world.injected),
    ]
}

/// One after the other: together they would be a stress of the machine.
#[test]
fn a_mix_of_everything() {
    let seed = seed("stress");
    let time = Duration::from_secs(stress_secs()) / 4;
    for procs in [1, 2, 4, 8] {
        run_mix(procs, seed, time, false);
    }
}

/// The same while every P is taken from its M as soon as that is in a G's own code, and Gs block their threads.
#[test]
fn a_mix_of_everything_while_ps_are_taken() {
    let seed = seed("stress, taken");
    let time = Duration::from_secs(stress_secs()) / 4;
    for procs in [1, 2, 4, 8] {
        run_mix(procs, seed, time, true);
    }
}
