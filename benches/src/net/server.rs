//! The process of a server, seen from outside.

use super::Result;
use crate::{Bench, Memory};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it says its port, and from the end of its input until it has ended.
const LIMIT: Duration = Duration::from_secs(10);

/// Descriptors beside those of the connections.
const OTHER_DESCRIPTORS: usize = 100;

/// A server that runs. It is ended when this is dropped.
pub(super) struct Server {
    child: Child,
    orders: Option<ChildStdin>,
    address: SocketAddr,
    clock: libc::clockid_t,
}

impl Server {
    /// Starts the server `name` of the peer: in the program that was given, or else in this one, after the words `own`.
    pub(super) fn start(bench: &Bench, own: &[&str], name: &str) -> Result<Server> {
        let mut command = match &bench.load.server {
            Some(path) => Command::new(path),
            None => {
                let mut command = Command::new(env::current_exe().map_err(|error| error.to_string())?);
                command.args(own);
                command
            }
        };
        command.args([name, "--peer", bench.peer.name(), "--procs", &bench.procs.to_string()]);
        let what = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the server did not start: {what}: {error}"))?;
        let orders = child.stdin.take();
        let port = port(&mut child);
        // From here on it is ended if something goes wrong.
        let mut server = Server { child, orders, address: (Ipv4Addr::LOCALHOST, 0).into(), clock: 0 };
        server.address.set_port(port.map_err(|error| format!("{what} {name}: {error}"))?);
        server.clock = clock_of(server.child.id())?;
        Ok(server)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// User and system time of all its threads until now.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        let mut time = MaybeUninit::uninit();
        // SAFETY: the kernel writes one timespec to where it is told to.
        let failed = unsafe { libc::clock_gettime(self.clock, time.as_mut_ptr()) };
        if failed != 0 {
            return Err("the server has ended".to_owned());
        }
        // SAFETY: clock_gettime has filled it.
        let time: libc::timespec = unsafe { time.assume_init() };
        Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }

    /// Its memory as it is now.
    pub(super) fn memory(&self) -> Memory {
        Memory::of(&self.child.id().to_string())
    }

    /// Gives it one of the orders of [`serve`](super::serve).
    pub(super) fn order(&mut self, order: &str) -> Result<()> {
        let orders = self.orders.as_mut().expect("its input ends when it is dropped");
        writeln!(orders, "{order}").map_err(|error| format!("the server takes no orders: {error}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.take());
        let end = Instant::now() + LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= end {
                // If it ends by itself at the same time, all the better.
                _ = self.child.kill();
                _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The port that the server prints.
fn port(child: &mut Child) -> Result<u16> {
    let output = child.stdout.take().expect("it has a pipe");
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        // Nobody listens any more if it took too long.
        _ = sender.send(read.map(|_| line));
    });
    let line = receiver.recv_timeout(LIMIT).map_err(|_| format!("it says no port after {} s", LIMIT.as_secs()))?;
    let line = line.map_err(|error| error.to_string())?;
    match line.strip_prefix("PORT ").and_then(|port| port.trim().parse().ok()) {
        Some(port) => Ok(port),
        None if line.is_empty() => Err("it has ended without a port".to_owned()),
        None => Err(format!("it says {:?} and not its port", line.trim())),
    }
}

/// The clock that counts the CPU time of a process.
fn clock_of(process: u32) -> Result<libc::clockid_t> {
    let mut clock = 0;
    // SAFETY: the C library writes one clock id to where it is told to.
    let failed = unsafe { libc::clock_getcpuclockid(process as libc::pid_t, &mut clock) };
    if failed == 0 { Ok(clock) } else { Err("the server has no clock, so it has ended".to_owned()) }
}

/// Sees to it that this process, and the server that it starts, may have so many connections.
pub(super) fn allow_descriptors(conns: usize) -> Result<()> {
    let wanted = (conns + OTHER_DESCRIPTORS) as libc::rlim_t;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit to where it is told to.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    assert_eq!(failed, 0, "there is such a limit");
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    if limit.rlim_max < wanted {
        let most = limit.rlim_max;
        return Err(format!("{conns} connections need {wanted} descriptors, and the limit is {most} (ulimit -Hn)"));
    }
    limit.rlim_cur = wanted;
    // SAFETY: the kernel reads one rlimit.
    let failed = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    if failed == 0 { Ok(()) } else { Err(format!("there may not be {wanted} descriptors")) }
}
