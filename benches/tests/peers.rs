//! Every workload of every Rust peer, as small as can be, as a program of its own: each has to print figures.

use pirn_benches::Peer;
use pirn_benches::peers::{Workload, net_workloads, servers, workloads};
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PEERS: &str = env!("CARGO_BIN_EXE_peers");
const PEERS_PIRN: &str = env!("CARGO_BIN_EXE_peers-pirn");
const PEERS_PIRN_HOOK: &str = env!("CARGO_BIN_EXE_peers-pirn-hook");

/// A size that takes some milliseconds.
fn small(workload: &str) -> &'static str {
    match workload {
        "blocking" => "2",
        "fib" => "6",
        "probe" => "200",
        "condvar_turns" | "semaphore" => "2",
        "skynet" => "10",
        "plain_call" => "100000",
        "yield_n" => "100",
        _ => "40",
    }
}

/// Runs a program to its end, which has to come within half a minute.
fn run(program: &str, args: &[&str]) -> Output {
    end_of(program, args).unwrap_or_else(|hung| panic!("{args:?} hangs: {hung:?}"))
}

/// The same. An error is what one has printed that hangs.
fn end_of(program: &str, args: &[&str]) -> Result<Output, Output> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built with the tests");
    let start = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if start.elapsed() > Duration::from_secs(30) {
            child.kill().expect("a child");
            return Err(child.wait_with_output().expect("what it has printed"));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(child.wait_with_output().expect("what it has printed"))
}

/// What is wrong with a line, which should be `workload peer procs metric value unit`; otherwise its value.
fn value(line: &str, workload: &str, peer: &str, procs: &str) -> Result<f64, String> {
    let words: Vec<_> = line.split(' ').collect();
    let &[its_workload, its_peer, its_procs, metric, value, unit] = words.as_slice() else {
        return Err(format!("not six words: {line}"));
    };
    if (its_workload, its_peer, its_procs) != (workload, peer, procs) {
        return Err(format!("not of {workload} {peer} {procs}: {line}"));
    }
    let untagged = metric.split('[').next().unwrap_or_default();
    if !untagged.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || metric.contains('[') != metric.ends_with(']')
    {
        return Err(format!("not a metric: {line}"));
    }
    if !["ns", "us", "ms", "s", "1/s", "B", "count", "x"].contains(&unit) {
        return Err(format!("not a unit: {line}"));
    }
    match value.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("not a number: {line}")),
    }
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).expect("figures are plain text")
}

fn check(peer: Peer, workload: &str, procs: &str) {
    let args = ["--peer", peer.name(), workload, "--procs", procs, "--n", small(workload)];
    let program = if peer == Peer::PirnHook { PEERS_PIRN_HOOK } else { PEERS };
    // A channel of may's seldom hangs. That is no fault of ours.
    let first = if peer == Peer::May { end_of(program, &args).ok() } else { None };
    let output = first.unwrap_or_else(|| run(program, &args));
    assert!(output.status.success(), "{args:?}: {output:?}");
    check_figures(peer, workload, procs, &args, output);
}

/// Checks what a program has printed that was called with `args`.
fn check_figures(peer: Peer, workload: &str, procs: &str, args: &[&str], output: Output) {
    let text = text(output);
    let values: Result<Vec<f64>, String> = text.lines().map(|line| value(line, workload, peer.name(), procs)).collect();
    let values = values.unwrap_or_else(|wrong| panic!("{args:?}: {wrong}"));
    assert!(values.iter().any(|value| *value > 0.0), "{args:?} prints nothing: {text}");
}

fn check_all(peer: Peer) {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    for (workload, _) in workloads(peer) {
        // Nothing to hand a cache line to.
        if *workload != "probe" || cpus > 1 {
            check(peer, workload, "2");
        }
    }
}

#[test]
fn pirn() {
    check_all(Peer::Pirn);
}

#[test]
fn pirn_shared() {
    check_all(Peer::PirnShared);
}

#[test]
fn pirn_hook() {
    check_all(Peer::PirnHook);
}

#[test]
fn threads() {
    check_all(Peer::Threads);
}

#[test]
fn may() {
    check_all(Peer::May);
}

#[test]
fn tokio() {
    check_all(Peer::Tokio);
}

/// A load on a server with so many connections. Where something is missing for it, the program has to say so.
fn check_load(peer: Peer, workload: &str, conns: &str) {
    let mut args = vec!["--peer", peer.name(), workload, "--n", conns, "--secs", "0.1"];
    if peer == Peer::PirnHook {
        args.extend(["--server", PEERS_PIRN_HOOK]);
    }
    let output = run(PEERS, &args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if errors.contains("wrk is not installed") || errors.contains("the limit is") {
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        return;
    }
    assert!(output.status.success(), "{args:?}: {output:?}");
    check_figures(peer, workload, "2", &args, output);
}

#[test]
fn every_load() {
    for peer in Peer::ALL.into_iter().chain([Peer::PirnHook]) {
        net_workloads().for_each(|workload| check_load(peer, workload, "40"));
        check_load(peer, "tcp_echo", "1");
    }
}

#[test]
fn ten_thousand_connections() {
    for peer in Peer::ALL.into_iter().chain([Peer::PirnHook]) {
        check_load(peer, "tcp_echo", "10000");
    }
}

#[test]
fn a_load_says_why_it_has_no_server() {
    let failed = |args: &[&str], says: &str| {
        let output = run(PEERS, &[&["tcp_echo", "--secs", "0.1"], args].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && errors.contains(says), "{args:?}: {output:?}");
    };
    failed(&["--server", "/nowhere/peers-go"], "the server did not start: /nowhere/peers-go");
    failed(&["--server", "true"], "it has ended without a port");
    failed(&["--server", "echo"], "and not its port");
    failed(&["--n", "1000000000"], "need 1000000100 descriptors, and the limit is");
    assert_eq!(run(PEERS, &["tcp_echo", "--peer", "go"]).status.code(), Some(2), "whose program?");
}

#[test]
fn one_proc_and_none() {
    for peer in Peer::ALL {
        check(peer, "yield_n", "1");
        check(peer, "pingpong", "1");
    }
    check(Peer::Tokio, "yield_n", "0");
    check(Peer::Tokio, "hog", "0");
}

#[test]
fn what_is_not_there_is_3_and_what_is_wrong_is_2() {
    for peer in Peer::ALL {
        assert_eq!(run(PEERS, &["--peer", peer.name(), "knitting"]).status.code(), Some(3), "{peer}");
    }
    assert_eq!(run(PEERS, &["--peer", "threads", "skynet"]).status.code(), Some(3));
    let wrong: [&[&str]; 7] = [
        &[],
        &["yield1", "--n"],
        &["yield1", "--n", "0"],
        &["yield1", "--peer", "erlang"],
        &["yield1", "--procs", "0"],
        &["tcp_echo", "--secs", "0"],
        &["yield_n", "--peer", "threads", "--n", "10001"],
    ];
    for args in wrong {
        assert_eq!(run(PEERS, args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn peers_pirn_has_its_modes() {
    for (mode, peer) in [("isolated", "pirn"), ("shared", "pirn-shared")] {
        let text = text(run(PEERS_PIRN, &["spawn_join_handle", "--mode", mode, "--n", "40"]));
        assert!(text.starts_with(&format!("spawn_join_handle {peer} 2 ns_per_pair ")), "{text}");
    }
}

#[test]
fn only_one_program_has_the_hook() {
    let fails = |args: &[&str], says: &str| {
        let output = run(PEERS, args);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && errors.contains(says), "{args:?}: {output:?}");
    };
    let says = "peers-pirn-hook is the program with the hook";
    fails(&["--peer", "pirn-hook", "mutex1"], says);
    fails(&["--peer", "pirn-hook", "plain_call"], says);
    fails(&["--peer", "pirn-hook", "tcp_echo"], says);
}

#[test]
fn go_has_what_pirn_has() {
    let of_go = |file: &'static str, table: &str| -> BTreeSet<_> {
        let (_, table) = file.split_once(table).expect("the table");
        let (table, _) = table.split_once("\n}\n").expect("the end of it");
        table.split("{\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect()
    };
    let of_pirn = |workloads: &'static [Workload]| workloads.iter().map(|(name, _)| *name).collect();
    assert_eq!(of_go(include_str!("../go/main.go"), "var workloads = "), of_pirn(workloads(Peer::Pirn)));
    let mut servers_of_go = of_go(include_str!("../go/net.go"), "var servers = ");
    assert!(servers_of_go.remove("serve_net_http"), "that of the standard library");
    assert_eq!(servers_of_go, of_pirn(servers(Peer::Pirn)));
}
