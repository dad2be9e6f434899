//! A thousand goroutines that block in everything that std has: sleeps, sockets, pipes, locks, channels, children. They
//! hold no thread while they wait.
//!
//! Nothing here is pirn's but `run` and `go`. The feature `hook` does the rest. Look at the number of threads that it
//! prints: without the feature each goroutine would hold one.
//!
//! ```text
//! $ cargo run --example std_everything --features hook
//! a child too
//! 1000 goroutines have waited, and there were 5 threads
//! ```

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread::sleep;
use std::time::Duration;

const EACH: usize = 200;

/// What all share.
struct Shared {
    gate: (Mutex<bool>, Condvar),
    count: Mutex<usize>,
    barrier: Barrier,
    address: std::net::SocketAddr,
}

impl Shared {
    /// One more has waited.
    fn count(&self) {
        *self.count.lock().expect("nobody panics") += 1;
    }
}

fn one_that_sleeps(shared: &Shared) -> io::Result<()> {
    sleep(Duration::from_millis(50));
    shared.count();
    Ok(())
}

fn one_that_waits_for_a_gate(shared: &Shared) -> io::Result<()> {
    let mut is_open = shared.gate.0.lock().expect("nobody panics");
    while !*is_open {
        is_open = shared.gate.1.wait(is_open).expect("nobody panics");
    }
    shared.count();
    Ok(())
}

fn one_that_meets_others(shared: &Shared) -> io::Result<()> {
    shared.barrier.wait();
    shared.count();
    Ok(())
}

fn one_that_talks(shared: &Shared) -> io::Result<()> {
    let mut stream = TcpStream::connect(shared.address)?;
    stream.write_all(b"hello")?;
    stream.read_exact(&mut [0; 5])?;
    shared.count();
    Ok(())
}

fn one_that_reads_a_pipe(shared: &Shared) -> io::Result<()> {
    let (mut reader, mut writer) = io::pipe()?;
    pirn::go(move || {
        sleep(Duration::from_millis(20));
        writer.write_all(b"x")
    });
    reader.read_exact(&mut [0])?;
    shared.count();
    Ok(())
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    for _ in 0..EACH {
        let (mut stream, _) = listener.accept()?;
        pirn::go(move || {
            let mut buf = [0; 5];
            stream.read_exact(&mut buf)?;
            sleep(Duration::from_millis(20));
            stream.write_all(&buf)
        });
    }
    Ok(())
}

/// How many threads this process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn main() -> io::Result<()> {
    pirn::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            gate: (Mutex::new(false), Condvar::new()),
            count: Mutex::new(0),
            barrier: Barrier::new(EACH),
            address,
        });
        pirn::go(move || serve(&listener));
        // It has nothing to do but to be there when the program ends.
        pirn::go(|| {
            loop {
                sleep(Duration::from_secs(1));
            }
        });
        let (ended, ends) = channel();
        let works =
            [one_that_sleeps, one_that_waits_for_a_gate, one_that_meets_others, one_that_talks, one_that_reads_a_pipe];
        for _ in 0..EACH {
            for work in works {
                let (shared, ended): (_, Sender<io::Result<()>>) = (shared.clone(), ended.clone());
                pirn::go(move || ended.send(work(&shared)).expect("it is received"));
            }
        }
        sleep(Duration::from_millis(10));
        let threads = threads();
        *shared.gate.0.lock().expect("nobody panics") = true;
        shared.gate.1.notify_all();
        drop(ended);
        ends.iter().collect::<io::Result<()>>()?;
        let said = Command::new("echo").arg("a child too").output()?.stdout;
        print!("{}", String::from_utf8_lossy(&said));
        println!(
            "{} goroutines have waited, and there were {threads} threads",
            shared.count.lock().expect("nobody panics")
        );
        Ok(())
    })
}
