//! The example `http_server` as it is, under two load generators.

use crate::programs;
use crate::threads::MostThreads;
use crate::{OTHER_THREADS, PROCS};
use std::net::SocketAddr;
use std::process::Command;

/// wrk: a thousand connections for three seconds.
const WRK: &str = "--threads 2 --connections 1000 --duration 3s --timeout 10s";
/// h2load: a thousand connections, and a hundred requests by each.
const CONNECTIONS: usize = 1_000;
const REQUESTS: usize = 100_000;

pub(crate) fn under_wrk() -> String {
    under_load(|address| {
        let printed = programs::run(Command::new("wrk").args(WRK.split(' ')).arg(format!("http://{address}/wrk")));
        // It says so only if there were some.
        assert!(!printed.contains("Socket errors") && !printed.contains("Non-2xx"), "{printed}");
        let a_second = number_after(&printed, "Requests/sec:");
        assert!(a_second > 0.0, "{printed}");
        format!("{a_second:.0} requests a second by 1000 connections")
    })
}

pub(crate) fn under_h2load() -> String {
    under_load(|address| {
        let a_second = h2load(&["--h1"], address, CONNECTIONS, REQUESTS);
        format!("{a_second:.0} requests a second by {CONNECTIONS} connections, all {REQUESTS} answered")
    })
}

/// Runs h2load, and checks that each request was answered. Returns how many were in a second.
pub(crate) fn h2load(options: &[&str], address: SocketAddr, connections: usize, requests: usize) -> f64 {
    let mut command = Command::new("h2load");
    command.args(options).args(["--threads", "2", "--clients", &connections.to_string()]);
    command.args(["--requests", &requests.to_string(), &format!("http://{address}/h2load")]);
    let printed = programs::run(&mut command);
    let all = format!(
        "requests: {requests} total, {requests} started, {requests} done, {requests} succeeded, 0 failed, 0 errored, 0 timeout"
    );
    assert!(printed.contains(&all), "{printed}");
    number_after(&printed, "finished in ").max(number_after(&printed, "s, "))
}

/// The number that follows this text.
fn number_after(text: &str, before: &str) -> f64 {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no number after {before:?} in {text}"))
}

/// Starts the example, and has it used. Says how it was, and how many threads the example had.
fn under_load(load: fn(SocketAddr) -> String) -> String {
    let address = programs::free_address();
    let mut command = Command::new(programs::beside_this_program("http_server"));
    let server = programs::start(command.arg(address.to_string()).env("PIRN_MAXPROCS", PROCS.to_string()));
    programs::wait_until_listening(address);
    let threads = MostThreads::count_of(server.id());
    let did = load(address);
    let most = threads.most();
    drop(server);
    assert!(most <= PROCS + OTHER_THREADS, "{most} threads of the server");
    format!("{did}, {most} threads of the server")
}
