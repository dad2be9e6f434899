//! The workloads over sockets: a server in a process of its own, and in this process the load on it.
//!
//! # What lives here
//!
//! The load is the same for every peer, Go included, and runs on the same CPUs as the server. It is one thread with an
//! epoll of mio (`load`: connections that stay; `churn`: connections that come and go), or the program wrk (`wrk`).
//! `server` starts the server's process, and reads its CPU time and its memory from outside. `serve` and `http` are what
//! the servers of all Rust peers share: all that is not about tasks.
//!
//! # Invariants
//!
//! - A server takes a free port and prints `PORT n`. A line `compute MS` on its standard input starts a task that
//!   computes for so long. The end of its standard input ends it, so none is left behind if a load dies.
//! - A load checks each answer. It ends with an error if one is wrong or late, or a connection ends too early.
//! - No more than [`load::TOGETHER`] connections are made at the same time: no accept queue overflows.

pub(crate) mod http;
pub(crate) mod serve;

mod churn;
mod load;
mod server;
mod wrk;

use crate::{Bench, Cost, Memory, Peer, ns, tagged};
use hdrhistogram::Histogram;
use load::Load;
use server::{Server, allow_descriptors};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// What a load and its server came to, or what went wrong.
type Result<T> = std::result::Result<T, String>;

/// A workload, to which is told after which words this program is a server.
pub(crate) type NetWorkload = fn(&Bench, &[&str]) -> Result<()>;

/// All of them.
pub(crate) const WORKLOADS: &[(&str, NetWorkload)] =
    &[("tcp_echo", tcp_echo), ("http", http_get), ("idle", idle), ("connect", connect), ("net_and_loop", net_and_loop)];

/// What runs before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long the connections of `idle` say nothing before the memory is read.
const SILENCE: Duration = Duration::from_millis(500);

/// How often each connection of `net_and_loop` sends a message.
const EVERY: Duration = Duration::from_millis(50);

/// Runs a workload, and says on stderr what went wrong, if something did.
pub(crate) fn run(workload: NetWorkload, bench: &Bench, own: &[&str]) -> ExitCode {
    match workload(bench, own) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {} of {}: {error}", bench.workload, bench.peer);
            ExitCode::FAILURE
        }
    }
}

/// How many operations a load saw answered in some time, how long each took, in ns, and what they cost the server.
pub(crate) struct Traffic {
    times: Histogram<u64>,
    cost: Cost,
}

impl Traffic {
    fn new() -> Result<Traffic> {
        // Three digits, up to a minute.
        let times = Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(|error| error.to_string())?;
        Ok(Traffic { times, cost: Cost::default() })
    }

    /// One operation was answered after `time`.
    fn add(&mut self, time: Duration) {
        self.times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// So many microseconds are not exceeded by a share of `q` of the operations.
    fn us(&self, q: f64) -> f64 {
        self.times.value_at_quantile(q) as f64 / 1e3
    }

    /// Prints the figures of `operation`.
    fn print(&self, bench: &Bench, operation: &str) -> Result<()> {
        let count = self.times.len() as f64;
        if count == 0.0 {
            return Err("no answer in all the time that was measured".to_owned());
        }
        bench.figure(&format!("{operation}s_per_s"), count / self.cost.wall.as_secs_f64(), "1/s");
        bench.figure("rtt_p50_us", self.us(0.5), "us");
        bench.figure("rtt_p99_us", self.us(0.99), "us");
        bench.figure(&format!("server_cpu_us_per_{operation}"), ns(self.cost.cpu) / 1e3 / count, "us");
        Ok(())
    }
}

/// So many connections, each with one message on its way.
fn tcp_echo(bench: &Bench, own: &[&str]) -> Result<()> {
    let conns = bench.size(64);
    allow_descriptors(conns)?;
    let server = Server::start(bench, own, "serve_echo")?;
    let mut load = Load::open(server.address(), conns)?;
    load.busy(WARM_UP, bench.time(5.0), || server.cpu_time())?.print(bench, "msg")
}

/// As `tcp_echo`, requests by wrk. Who has a server of a library too is measured with that as well.
fn http_get(bench: &Bench, own: &[&str]) -> Result<()> {
    let conns = bench.size(64);
    allow_descriptors(conns)?;
    let servers: &[(&str, &str)] = match bench.peer {
        Peer::Go => &[("serve_http", ""), ("serve_net_http", "net/http")],
        Peer::Tokio => &[("serve_http", ""), ("serve_hyper", "hyper")],
        _ => &[("serve_http", "")],
    };
    for (name, tag) in servers {
        let server = Server::start(bench, own, name)?;
        let before = server.cpu_time()?;
        let report = wrk::run(server.address(), conns, bench.time(5.0))?;
        let cpu = server.cpu_time()?.saturating_sub(before);
        let figure = |metric: &str, value, unit| bench.figure(&tagged(metric, &[tag]), value, unit);
        figure("requests_per_s", report.requests / report.secs, "1/s");
        figure("rtt_p50_us", report.p50_us, "us");
        figure("rtt_p99_us", report.p99_us, "us");
        figure("server_cpu_us_per_request", ns(cpu) / 1e3 / report.requests, "us");
        figure("timeouts", report.timeouts, "count");
    }
    Ok(())
}

/// What a connection costs in memory that has had one message, and waits for the next.
fn idle(bench: &Bench, own: &[&str]) -> Result<()> {
    let conns = bench.size(10_000);
    allow_descriptors(conns)?;
    let server = Server::start(bench, own, "serve_echo")?;
    // Whatever the first connection starts is not what one more costs.
    drop(Load::open(server.address(), 1)?);
    thread::sleep(SILENCE);
    let before = server.memory();
    let load = Load::open(server.address(), conns)?;
    thread::sleep(SILENCE);
    let after = server.memory();
    drop(load);
    let each = |part: fn(Memory) -> f64| (part(after) - part(before)) / conns as f64;
    let parts = [
        ("rss_bytes_per_conn", each(|memory| memory.resident)),
        ("pte_bytes_per_conn", each(|memory| memory.page_tables)),
        ("kstack_bytes_per_conn", each(|memory| memory.kernel_stacks)),
    ];
    parts.iter().for_each(|(metric, value)| bench.figure(metric, *value, "B"));
    bench.figure("bytes_per_conn", parts.iter().map(|(_, value)| value).sum(), "B");
    Ok(())
}

/// Connections that come, say one thing and go.
fn connect(bench: &Bench, own: &[&str]) -> Result<()> {
    let together = bench.size(load::TOGETHER);
    allow_descriptors(together)?;
    let server = Server::start(bench, own, "serve_echo")?;
    churn::churn(server.address(), together, WARM_UP, bench.time(5.0), || server.cpu_time())?.print(bench, "conn")
}

/// Connections that each send a message every [`EVERY`], by themselves and then beside a task that computes.
fn net_and_loop(bench: &Bench, own: &[&str]) -> Result<()> {
    let conns = bench.size(1000);
    allow_descriptors(conns)?;
    let mut server = Server::start(bench, own, "serve_echo")?;
    let mut load = Load::open(server.address(), conns)?;
    let time = bench.time(5.0);
    let alone = load.paced(EVERY, time.min(Duration::from_secs(1)))?;
    server.order(&format!("compute {}", time.as_millis()))?;
    let beside = load.paced(EVERY, time)?;
    // On a worker of tokio's it would stop the tasks of that worker.
    let tag = if bench.peer == Peer::Tokio { "spawn_blocking" } else { "" };
    let figure = |metric: &str, value, unit| bench.figure(&tagged(metric, &[tag]), value, unit);
    figure("late_p99_ms", beside.us(0.99) / 1e3, "ms");
    figure("late_p50_ms", beside.us(0.5) / 1e3, "ms");
    figure("late_max_ms", beside.times.max() as f64 / 1e6, "ms");
    figure("late_p99_ms_without_loop", alone.us(0.99) / 1e3, "ms");
    Ok(())
}
