//! What the tests share: runtimes that leave nothing behind, a watchdog, children, seeds and small instruments.
#![allow(dead_code, reason = "each test file uses its own part of this one")]

pub(crate) mod log;
pub(crate) mod talk;

use pirn_runtime::{Builder, Gid, Goroutine, Handle, JoinHandle, Runtime, Unparker};
use std::collections::HashSet;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::time::{Duration, Instant};

/// A runtime that does not end in time is dumped, and the process aborted: `PIRN_TEST_HANG_SECS`, or so many seconds.
const HANG_SECS: u64 = 100;

/// Reads an environment variable of the tests themselves.
#[expect(clippy::disallowed_methods, reason = "the tests have variables of their own, and one reader for them")]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The one number for debug builds, the other for optimised ones.
pub(crate) fn scale(debug: usize, release: usize) -> usize {
    if cfg!(debug_assertions) { debug } else { release }
}

/// A builder in the thread-local mode that `PIRN_TEST_MODE` asks for: the only place that chooses.
pub(crate) fn builder() -> Builder {
    match env("PIRN_TEST_MODE").as_deref() {
        // SAFETY: no test keeps a thread-local, or its address, over a suspension.
        Some("shared") => unsafe { Builder::new().shared_thread_locals() },
        None | Some("isolated") => Builder::new(),
        Some(other) => panic!("PIRN_TEST_MODE={other}: shared or isolated"),
    }
}

/// A runtime whose Gs have thread-locals of their own, whatever mode the other tests run in.
pub(crate) fn isolated(procs: usize) -> House {
    house(Builder::new().procs(procs))
}

/// Whether Gs use the thread-locals of the threads that run them.
pub(crate) fn shares_thread_locals() -> bool {
    env("PIRN_TEST_MODE").is_some_and(|mode| mode == "shared")
}

/// A runtime of so many Ps, with the guard that fails if anything is left of it.
pub(crate) fn runtime(procs: usize) -> House {
    house(builder().procs(procs))
}

/// The runtime that `builder` makes, with the guard.
pub(crate) fn house(builder: Builder) -> House {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Short: the kernel keeps 15 characters of a thread's name.
    let name = format!("t{:x}", NEXT.fetch_add(1, Ordering::Relaxed));
    let rt = builder.name(&*name).build().expect("a runtime for a test");
    let handle = rt.handle();
    watch(&name, &handle);
    House { rt: Some(rt), handle, name }
}

/// A runtime that, when it is dropped, shuts down and checks that nothing is left.
pub(crate) struct House {
    rt: Option<Runtime>,
    handle: Handle,
    name: String,
}

impl Deref for House {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        self.rt.as_ref().expect("it is there until the shutdown")
    }
}

impl House {
    /// Takes the runtime out, for who shuts it down in a way of its own; `check_empty` is for afterwards.
    pub(crate) fn take(&mut self) -> Runtime {
        self.rt.take().expect("taken once")
    }

    /// What the names of its threads begin with.
    pub(crate) fn thread_prefix(&self) -> String {
        format!("{}-", self.name)
    }

    /// Shuts down in the usual way, and checks.
    pub(crate) fn close(self) {
        drop(self);
    }

    /// Waits until no G is left, where nobody says when: the end was not waited for.
    pub(crate) fn wait_empty(&self) {
        eventually("no G is left", || self.handle.goroutines().is_empty());
        self.check_empty();
    }

    /// Checks that no G and no thread is left.
    #[track_caller]
    pub(crate) fn check_empty(&self) {
        let left: Vec<String> = self.handle.goroutines().iter().map(ToString::to_string).collect();
        assert!(left.is_empty(), "{}: Gs are left: {left:?}", self.name);
        // The kernel may show a thread a little longer than its end can be waited for.
        let prefix = format!("{}-", self.name);
        eventually("the threads of the runtime have ended", || threads(&prefix) == 0);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // One failure is enough; whatever hangs may hang in the shutdown too.
            if let Some(rt) = self.rt.take() {
                std::mem::forget(rt);
            }
            unwatch(&self.name);
            return;
        }
        if let Some(rt) = self.rt.take() {
            assert!(
                rt.shutdown_timeout(Duration::from_secs(30)),
                "{}: not ended: {:?}",
                self.name,
                self.handle.goroutines()
            );
            self.check_empty();
        }
        unwatch(&self.name);
    }
}

/// How many threads of this process have names that begin so.
pub(crate) fn threads(prefix: &str) -> usize {
    threads_of(prefix).len()
}

/// The kernel's numbers of these threads.
pub(crate) fn threads_of(prefix: &str) -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").flatten();
    tasks
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with(prefix)))
        .filter_map(|task| task.file_name().to_str()?.parse().ok())
        .collect()
}

/// How often these threads of the process have gone to sleep; none if one of them is awake, or if there is no such thread:
/// one that has just been started has no name yet.
pub(crate) fn naps(threads: &[i32]) -> Option<u64> {
    let nap = |thread: &i32| {
        let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).ok()?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let asleep = value("State:")?.starts_with('S');
        value("voluntary_ctxt_switches:")?.parse::<u64>().ok().filter(|_| asleep)
    };
    if threads.is_empty() { None } else { threads.iter().map(nap).sum() }
}

/// Waits until these threads sleep, and are not woken for so many milliseconds. Nobody announces that.
pub(crate) fn wait_until_asleep(threads: impl Fn() -> Vec<i32>, quiet_ms: u32) {
    let mut last = None;
    let mut same = 0;
    eventually("the threads are asleep", || {
        let now = naps(&threads());
        same = if now.is_some() && now == last { same + 1 } else { 0 };
        last = now;
        std::thread::sleep(Duration::from_millis(1));
        same >= quiet_ms
    });
}

/// Waits until something that nobody announces is true: at most half a minute.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < Duration::from_secs(30), "not true: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Waits until a G waits for that reason, and says how it is shown. Others may be there: one that was joined is still
/// shown for a moment.
pub(crate) fn shown_waiting(rt: &Handle, reason: &str) -> String {
    let mut shown = None;
    eventually(reason, || {
        shown = rt.goroutines().iter().find(|g| g.wait_reason == Some(reason)).map(ToString::to_string);
        shown.is_some()
    });
    shown.expect("one waits")
}

/// Runs a test on one P and on two. No G is left but the caller when it has ended.
pub(crate) fn on_gs(test: impl Fn() + Sync) {
    for procs in [1, 2] {
        let house: House = runtime(procs);
        house.run(|| {
            test();
            eventually("no other G is left", || pirn_runtime::num_goroutines() == 1);
        });
        house.close();
    }
}

// ---------------------------------------------------------------------------------------------------- watchdog

struct Watched {
    name: String,
    since: Instant,
    handle: Handle,
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
static SEED: AtomicU64 = AtomicU64::new(0);

fn watched() -> std::sync::MutexGuard<'static, Vec<Watched>> {
    WATCHED.lock().unwrap_or_else(|e| e.into_inner())
}

fn watch(name: &str, handle: &Handle) {
    static WATCHDOG: Once = Once::new();
    WATCHDOG.call_once(|| {
        std::thread::Builder::new().name("watchdog".into()).spawn(watchdog).expect("a thread for the watchdog");
    });
    watched().push(Watched { name: name.to_owned(), since: Instant::now(), handle: handle.clone() });
}

fn unwatch(name: &str) {
    watched().retain(|w| w.name != name);
}

fn watchdog() {
    let given = env("PIRN_TEST_HANG_SECS").and_then(|secs| secs.parse().ok());
    let limit = Duration::from_secs(given.unwrap_or(HANG_SECS + stress_secs()));
    loop {
        std::thread::sleep(Duration::from_millis(200));
        if let Some(late) = watched().iter().find(|w| w.since.elapsed() > limit) {
            dump_and_abort(&late.name, &late.handle);
        }
    }
}

/// Says what every G does, and ends the process.
pub(crate) fn dump_and_abort(name: &str, handle: &Handle) -> ! {
    let gs = handle.goroutines();
    let mut text = format!("HANG: runtime {name}, seed {}, {} Gs\n", SEED.load(Ordering::Relaxed), gs.len());
    for g in gs.iter().take(100) {
        text.push_str(&format!("{g} waiting for {:?}\n", g.waiting_for));
    }
    // Past what the test runner keeps back, which it would never show.
    // SAFETY: the pointer and the length are those of `text`.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
    std::process::abort();
}

// ---------------------------------------------------------------------------------------------------- seeds

/// How long a stress runs, in seconds: `PIRN_STRESS_SECS`, or 5.
pub(crate) fn stress_secs() -> u64 {
    env("PIRN_STRESS_SECS").map_or(5, |secs| secs.parse().expect("PIRN_STRESS_SECS is a number"))
}

/// The seed for a test, from `PIRN_TEST_SEED` or the clock; printed.
pub(crate) fn seed(test: &str) -> u64 {
    let given = env("PIRN_TEST_SEED").map(|seed| seed.parse().expect("PIRN_TEST_SEED is a number"));
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        now.as_nanos() as u64
    });
    SEED.store(seed, Ordering::Relaxed);
    eprintln!("{test}: PIRN_TEST_SEED={seed}");
    seed
}

/// splitmix64: enough to mix, and the same everywhere.
#[derive(Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// One of its own, for another G or thread.
    pub(crate) fn fork(&mut self) -> Rng {
        Rng(self.next())
    }
}

// ---------------------------------------------------------------------------------------------------- children

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The signal that killed it.
    pub(crate) fn signal(&self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        self.status.signal()
    }

    #[track_caller]
    pub(crate) fn expect_success(&self) -> &Ended {
        assert!(self.status.success(), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_says(&self, what: &str) -> &Ended {
        assert!(self.stderr.contains(what), "no {what:?} in {self:#?}");
        self
    }
}

const CHILD: &str = "PIRN_TEST_CHILD";

/// Which case of the test runs in this process, if it is a child: what `subprocess` was called with.
pub(crate) fn child_case(test: &str) -> Option<String> {
    let child = env(CHILD)?;
    let (of, case) = child.split_once('#')?;
    (of == test).then(|| case.to_owned())
}

/// What runs one case of the `#[test]` called `test` in a process of its own, which finds it with [`child_case`].
pub(crate) fn child_command(test: &str, case: &str, variables: &[(&str, &str)]) -> Command {
    command_of(&std::env::current_exe().expect("the path of the test"), test, case, variables)
}

/// The same, in a program that is a copy of this one.
pub(crate) fn command_of(exe: &Path, test: &str, case: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(exe);
    command
        .args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{test}#{case}"))
        .env("RUST_BACKTRACE", "0")
        .env_remove("PIRN_MAXPROCS")
        .env_remove("PIRN_STACK")
        .env_remove("PIRN_DEBUG")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs one case of the `#[test]` called `test` in a process of its own, which finds it with [`child_case`].
#[track_caller]
pub(crate) fn subprocess(test: &str, case: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = child_command(test, case, variables);
    let mut child = command.spawn().expect("a child");
    let stdout = read_all(child.stdout.take().expect("piped"));
    let stderr = read_all(child.stderr.take().expect("piped"));
    let began = Instant::now();
    let (status, hung) = loop {
        if let Some(status) = child.try_wait().expect("the child's status") {
            break (status, false);
        }
        if began.elapsed() > Duration::from_secs(60) {
            child.kill().expect("the child is ours");
            break (child.wait().expect("it was killed"), true);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = |reader: std::thread::JoinHandle<String>| reader.join().expect("the reader of a pipe");
    let ended = Ended { status, stdout: text(stdout), stderr: text(stderr) };
    assert!(!hung, "{test} {case}: the child hung: {ended:#?}");
    ended
}

fn read_all(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

// ---------------------------------------------------------------------------------------------------- instruments

/// Counts down for one waiter, a G or a thread.
#[derive(Clone)]
pub(crate) struct Countdown(Arc<(AtomicUsize, Unparker)>);

impl Countdown {
    /// For the caller, who will wait.
    pub(crate) fn new(from: usize) -> Countdown {
        Countdown(Arc::new((AtomicUsize::new(from), Unparker::current())))
    }

    pub(crate) fn done(&self) {
        let (left, waiter) = &*self.0;
        if left.fetch_sub(1, Ordering::AcqRel) == 1 {
            waiter.unpark();
        }
    }

    pub(crate) fn left(&self) -> usize {
        self.0.0.load(Ordering::Acquire)
    }

    pub(crate) fn wait(&self) {
        while self.left() != 0 {
            pirn_runtime::park();
        }
    }
}

/// Blocks the threads that wait at it, those of Gs too, until it is opened.
#[derive(Clone, Default)]
pub(crate) struct ThreadGate(Arc<(Mutex<(usize, bool)>, Condvar)>);

impl ThreadGate {
    pub(crate) fn wait(&self) {
        let (state, opened) = &*self.0;
        let mut state = state.lock().expect("nobody panics under it");
        state.0 += 1;
        while !state.1 {
            state = opened.wait(state).expect("nobody panics under it");
        }
    }

    /// How many have come.
    pub(crate) fn waiting(&self) -> usize {
        self.0.0.lock().expect("nobody panics under it").0
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().expect("nobody panics under it").1 = true;
        self.0.1.notify_all();
    }
}

/// How many values of a kind live: every [`Counted`] of it counts, once.
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<AtomicIsize>);

impl Census {
    pub(crate) fn count(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.0.clone())
    }

    pub(crate) fn living(&self) -> isize {
        self.0.load(Ordering::Acquire)
    }
}

/// Counts as living until it is dropped; a second drop makes the count wrong.
pub(crate) struct Counted(Arc<AtomicIsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The kernel's number of the thread that runs the caller. It uses no thread-local.
#[inline(never)]
pub(crate) fn thread_number() -> i32 {
    // SAFETY: gettid has no preconditions.
    unsafe { libc::gettid() }
}

/// How many descriptors the process has.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// Sets the lowest number that the process gets for no new descriptor. Those that it has stay open. A test that wants
/// none to be left sets 3: to open some until none is left would be a race against every thread that closes one.
pub(crate) fn limit_descriptors(limit: u64) {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a record for the answer.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) }, 0);
    limits.rlim_cur = limit.min(limits.rlim_max);
    // SAFETY: limits that live during the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) }, 0);
}

/// Resident memory of the process, in bytes.
pub(crate) fn rss_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = text.lines().find(|line| line.starts_with("Rss:")).expect("it has Rss");
    let kib: usize = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of kB");
    kib << 10
}

/// Checks that no two Gs have the same number.
#[track_caller]
pub(crate) fn check_unique(gs: &[Goroutine]) {
    let ids: HashSet<Gid> = gs.iter().map(|g| g.id).collect();
    assert_eq!(ids.len(), gs.len(), "a G is listed twice");
}

/// Waits until a G is seen to be parked, which only an observer can tell.
pub(crate) fn wait_until_waiting(handle: &Handle, id: Gid) {
    eventually("the G is parked", || {
        handle.goroutines().iter().any(|g| g.id == id && g.state == pirn_runtime::State::Waiting)
    });
}

// ---------------------------------------------------------------------------------------------------- moving Gs

/// Moves Gs to other threads, for certain: two Gs that never let go of their threads for long unpark on one thread who
/// asked on the other.
pub(crate) struct Ferry {
    quays: Arc<Quays>,
    boats: Vec<JoinHandle<()>>,
}

/// Who waits to be moved, and how often somebody was.
#[derive(Default)]
struct Quays {
    travellers: Mutex<Vec<Traveller>>,
    waiting: AtomicUsize,
    moves: AtomicUsize,
    closed: AtomicBool,
}

struct Traveller {
    from: i32,
    unparker: Unparker,
    taken: Arc<AtomicBool>,
}

/// For the Gs that want to be moved.
#[derive(Clone)]
pub(crate) struct Crossing(Arc<Quays>);

impl Ferry {
    /// In a runtime that has two Ps or more, on which nobody else computes for long.
    pub(crate) fn new(rt: &Runtime) -> Ferry {
        let quays = Arc::new(Quays::default());
        let boats = (0..2).map(|_| {
            let quays = quays.clone();
            rt.go(move || quays.sail())
        });
        Ferry { boats: boats.collect(), quays }
    }

    pub(crate) fn crossing(&self) -> Crossing {
        Crossing(self.quays.clone())
    }

    /// How often a G has been moved.
    pub(crate) fn moves(&self) -> usize {
        self.quays.moves.load(Ordering::Relaxed)
    }
}

impl Drop for Ferry {
    fn drop(&mut self) {
        self.quays.closed.store(true, Ordering::Release);
        for boat in self.boats.drain(..) {
            let ended = boat.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a boat has sunk");
        }
    }
}

impl Quays {
    fn travellers(&self) -> std::sync::MutexGuard<'_, Vec<Traveller>> {
        self.travellers.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Unparks those of other threads until nobody wants to be moved any more. Who is unparked goes on here.
    fn sail(&self) {
        while !self.closed.load(Ordering::Acquire) {
            if self.waiting.load(Ordering::Acquire) != 0 {
                let here = thread_number();
                let mut travellers = self.travellers();
                let found = travellers.iter().position(|traveller| traveller.from != here);
                let traveller = found.map(|at| travellers.remove(at));
                drop(travellers);
                if let Some(traveller) = traveller {
                    self.waiting.fetch_sub(1, Ordering::AcqRel);
                    traveller.taken.store(true, Ordering::Release);
                    traveller.unparker.unpark();
                }
            }
            pirn_runtime::yield_now();
        }
    }
}

impl Crossing {
    /// Returns on another thread than it was called on.
    #[inline(never)]
    pub(crate) fn cross(&self) {
        let quays = &*self.0;
        let from = thread_number();
        // Who has been unparked there may have been stolen on the way.
        while thread_number() == from {
            let taken = Arc::new(AtomicBool::new(false));
            quays.travellers().push(Traveller { from, unparker: Unparker::current(), taken: taken.clone() });
            quays.waiting.fetch_add(1, Ordering::AcqRel);
            while !taken.load(Ordering::Acquire) {
                pirn_runtime::park();
            }
        }
        quays.moves.fetch_add(1, Ordering::Relaxed);
    }
}
