//! Programs and crates of others on the sockets of pirn. `ci/net-exams` runs each exam as a process of its own.
//!
//! ```text
//! net-exams          prints the names of the exams
//! net-exams NAME 60  runs one: prints what it did, or panics. After 60 seconds it prints which Gs wait for what
//! ```

mod http_async;
mod http_client;
mod http_server;
mod programs;
mod redis_client;
mod redis_server;
mod sql;
mod threads;
mod tls;
mod websocket;

use pirn::{Builder, Handle};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use threads::MostThreads;

/// How many Gs run at the same time.
const PROCS: usize = 2;
/// The threads of a process beside one for each P: the main thread, those that count and watch, sysmon, the one that starts
/// threads; and the Ms that have lost their P in the middle of a slice. On a quiet machine those are one or two. On a busy
/// one the system lets threads wait for so long that sysmon hands their Ps off, and they are dozens. A thread for each
/// connection would be more.
const OTHER_THREADS: usize = 90;
/// Longer than the last connections take to end.
const PATIENCE: Duration = Duration::from_secs(10);

struct Exam {
    name: &'static str,
    /// Says what it did.
    run: fn() -> String,
    /// How many threads the foreign code blocks at the same time.
    blocked: usize,
}

const EXAMS: &[Exam] = &[
    Exam { name: "rustls", run: tls::exam, blocked: 0 },
    Exam { name: "tungstenite-server", run: websocket::server, blocked: 0 },
    Exam { name: "tungstenite-client", run: websocket::client, blocked: 0 },
    Exam { name: "ureq", run: http_client::exam, blocked: 0 },
    Exam { name: "hyper", run: http_async::exam, blocked: 0 },
    Exam { name: "hyper-h2load", run: http_async::under_h2load, blocked: 0 },
    Exam { name: "redis", run: redis_client::exam, blocked: 0 },
    Exam { name: "redis-benchmark", run: redis_server::exam, blocked: 0 },
    Exam { name: "tokio-postgres", run: sql::asynchronous, blocked: 0 },
    Exam { name: "postgres", run: sql::blocking, blocked: sql::BLOCKED },
    Exam { name: "wrk", run: http_server::under_wrk, blocked: 0 },
    Exam { name: "h2load", run: http_server::under_h2load, blocked: 0 },
];

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [name, patience] = &arguments[..] else {
        return EXAMS.iter().for_each(|exam| println!("{}", exam.name));
    };
    let exam = EXAMS.iter().find(|exam| exam.name == *name).unwrap_or_else(|| panic!("no exam {name}"));
    let patience = Duration::from_secs(patience.parse().expect("a number of seconds"));
    let descriptors = open_descriptors();
    let threads = MostThreads::count();

    let runtime = builder().procs(PROCS).build().expect("a runtime");
    let ended = dump_unless_ended(runtime.handle(), patience);
    let did = runtime.run(exam.run);
    drop(ended);
    let began = Instant::now();
    while !runtime.goroutines().is_empty() {
        assert!(began.elapsed() < PATIENCE, "Gs are left:\n{}", runtime.dump());
        thread::sleep(Duration::from_millis(1));
    }
    assert!(runtime.shutdown_timeout(PATIENCE), "there are no Gs to wait for");

    let most = threads.most();
    println!("{did}; {most} threads at most");
    let allowed = PROCS + OTHER_THREADS + exam.blocked;
    assert!(most <= allowed, "{most} threads, and {allowed} are enough");
    assert_eq!(open_descriptors(), descriptors, "descriptors are left open");
}

/// A builder in the thread-local mode that `PIRN_TEST_MODE` asks for, as in the tests of the runtime.
#[expect(clippy::disallowed_methods, reason = "a variable of the tests")]
fn builder() -> Builder {
    match env::var("PIRN_TEST_MODE").as_deref() {
        Err(_) | Ok("isolated") => Builder::new(),
        // SAFETY: neither the exams nor the crates that they call keep a thread-local over an operation of a socket.
        Ok("shared") => unsafe { Builder::new().shared_thread_locals() },
        Ok(other) => panic!("PIRN_TEST_MODE={other}: shared or isolated"),
    }
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
