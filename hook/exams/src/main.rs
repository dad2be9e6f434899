//! Crates of others, as they are published, on Gs with hooked calls. Nothing here is pirn's but `go`, the runtime, and what
//! starts the servers. `ci/hook-exams` runs each exam as a process of its own.
//!
//! ```text
//! hook-exams          prints the names of the exams
//! hook-exams NAME 60  runs one: prints what it did, or panics. After 60 seconds it prints which Gs wait for what
//! ```

mod children;
mod echo;
mod http;
#[path = "../../../net/exams/src/programs.rs"]
mod programs;
mod redis_client;
mod sql;
mod sqlite;
#[path = "../../../net/exams/src/threads.rs"]
mod threads;
mod tls;
mod websocket;

use pirn::{Builder, Handle, JoinHandle};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use threads::MostThreads;

/// How many Gs run at the same time.
const PROCS: usize = 2;
/// How many Gs an exam has that wait at the same time.
const MANY: usize = 1_000;
/// The threads that a runtime has beside one for each P: the main thread, sysmon, the one that starts threads; the Ms that
/// wait in the kernel, or that have lost their P in the middle of a slice. On a quiet machine eight are enough, which
/// `PIRN_EXAM_THREADS=8` asks for. On a busy one the system lets threads wait for a CPU seven times as long as they run.
/// So the slice of a G is over before it has run, sysmon hands the P off, and they are dozens. A thread for each G would
/// be more.
const OTHER_THREADS: usize = 90;
/// The one that counts, and the one that watches.
const OUR_THREADS: usize = 2;
/// Longer than the last connections take to end.
const PATIENCE: Duration = Duration::from_secs(10);

struct Exam {
    name: &'static str,
    /// Says what it did.
    run: fn() -> String,
    /// How many threads the crate starts by itself.
    of_crate: usize,
}

const EXAMS: &[Exam] = &[
    Exam { name: "redis", run: redis_client::exam, of_crate: 0 },
    Exam { name: "r2d2-redis", run: redis_client::pooled, of_crate: 3 },
    Exam { name: "postgres", run: sql::exam, of_crate: 0 },
    Exam { name: "r2d2-postgres", run: sql::pooled, of_crate: 3 },
    Exam { name: "rusqlite", run: sqlite::exam, of_crate: 0 },
    Exam { name: "ureq", run: http::by_ureq, of_crate: 0 },
    Exam { name: "reqwest", run: http::by_reqwest, of_crate: 1 },
    Exam { name: "tungstenite", run: websocket::exam, of_crate: 0 },
    Exam { name: "rustls", run: tls::exam, of_crate: 0 },
    Exam { name: "children", run: children::exam, of_crate: 0 },
    Exam { name: "echo", run: echo::exam, of_crate: 0 },
];

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let (name, patience) = match &arguments[..] {
        [] => return EXAMS.iter().for_each(|exam| println!("{}", exam.name)),
        [name, argument] if name == echo::CLIENT => return echo::client(argument),
        [name, patience] => (name, Duration::from_secs(patience.parse().expect("a number of seconds"))),
        _ => panic!("a name and a number of seconds"),
    };
    let exam = EXAMS.iter().find(|exam| exam.name == *name).unwrap_or_else(|| panic!("no exam {name}"));
    let descriptors = open_descriptors();
    let threads = MostThreads::count();

    let runtime = Builder::new().procs(PROCS).build().expect("a runtime");
    let ended = dump_unless_ended(runtime.handle(), patience);
    let did = runtime.run(exam.run);
    drop(ended);
    eventually(|| runtime.goroutines().is_empty(), || format!("Gs are left:\n{}", runtime.dump()));
    let metrics = format!("{:?}", runtime.metrics());
    assert!(runtime.shutdown_timeout(PATIENCE), "there are no Gs to wait for");

    let most = threads.most() - OUR_THREADS;
    println!("{metrics}");
    println!("{did}; {most} threads at most");
    let allowed = PROCS + other_threads() + exam.of_crate;
    assert!(most <= allowed, "{most} threads, and {allowed} are enough");
    eventually(|| open_descriptors() == descriptors, || "descriptors are left open".to_owned());
}

#[expect(clippy::disallowed_methods, reason = "a variable of the exams")]
fn other_threads() -> usize {
    env::var("PIRN_EXAM_THREADS").map_or(OTHER_THREADS, |number| number.parse().expect("a number"))
}

fn eventually(is_so: impl Fn() -> bool, or_else: impl Fn() -> String) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{}", or_else());
        thread::sleep(Duration::from_millis(1));
    }
}

/// A listener of std's, whose queue holds as many connections as come at once. Std's holds 128; the others would have to
/// come again a second later.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    // SAFETY: it is a descriptor that is open.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 4096) }, 0);
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// Starts so many Gs, and waits for all.
fn many<T: Send + 'static>(number: usize, work: impl Fn(usize) -> T + Clone + Send + 'static) -> Vec<T> {
    let start = |nth| -> JoinHandle<T> {
        let work = work.clone();
        pirn::go(move || work(nth))
    };
    let gs: Vec<_> = (0..number).map(start).collect();
    gs.into_iter().map(|g| g.join().expect("all was right")).collect()
}

/// Prints all Gs if what is returned lives for so long. The script ends the process, and the programs that it has started.
fn dump_unless_ended(runtime: Handle, patience: Duration) -> mpsc::Sender<()> {
    let (ended, wait) = mpsc::channel();
    thread::spawn(move || {
        if wait.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            eprintln!("it hangs:\n{}", runtime.dump());
        }
    });
    ended
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("it is Linux").count()
}
