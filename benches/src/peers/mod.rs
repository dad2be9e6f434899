//! The peers: pirn, and what else one could use, each with every workload that it can do.
//!
//! # What lives here
//!
//! A folder for each peer, with the same workloads under the same names; `go/`, beside `src/`, is one more, and
//! `PEERS.md` has the definitions. They share no code that runs a task, for each is to be written as its users would
//! write it, but all that is not about tasks; and pirn and the threads, whose channels have one API, share the workloads
//! over channels (`crossbeam`); and all whose tasks have stacks share those over locks (`locks`), and those that wait in the
//! sockets of std the servers (`std_servers`). `probe` is about none of them but about the machine; they all have it.
//!
//! # Invariants
//!
//! - A workload sets up its peer's runtime, and runs in a task of it. Where the main thread feeds or measures the
//!   tasks, the workload says why.
//! - It checks its results, so no work can be dropped or lost unseen.
//! - What does not follow the definition has a tag that says how.

mod crossbeam;
mod locks;
mod may;
mod pirn;
mod probe;
mod std_servers;
mod threads;
mod tokio;

use crate::{Bench, Peer, net};
use std::panic;
use std::process::{self, ExitCode};

/// A workload's name, and what it does.
pub type Workload = (&'static str, fn(&Bench));

/// The workloads of a peer. Each is to be called once in a process, and by the main thread.
pub fn workloads(peer: Peer) -> &'static [Workload] {
    match peer {
        Peer::Pirn | Peer::PirnShared => pirn::WORKLOADS,
        Peer::PirnHook => pirn::hooked::WORKLOADS,
        Peer::Threads => threads::WORKLOADS,
        Peer::May => may::WORKLOADS,
        Peer::Tokio => tokio::WORKLOADS,
        Peer::Go => &[],
    }
}

/// The servers of a peer, for [`net_workloads`]. Each runs until its standard input ends.
pub fn servers(peer: Peer) -> &'static [Workload] {
    match peer {
        Peer::Pirn | Peer::PirnShared => pirn::SERVERS,
        Peer::PirnHook => pirn::hooked::SERVERS,
        Peer::Threads => threads::SERVERS,
        Peer::May => may::SERVERS,
        Peer::Tokio => tokio::SERVERS,
        Peer::Go => &[],
    }
}

/// The workloads that every peer has, and Go too: a load in this process on a server in another.
pub fn net_workloads() -> impl Iterator<Item = &'static str> {
    net::WORKLOADS.iter().map(|(name, _)| *name)
}

/// Runs what the command line asks for, and prints the figures. The exit code is 2 if the arguments are wrong, 3 if the
/// peer has no such workload, 1 if a load or its server could not do their work, 101 if something went wrong on the way.
/// `own` are the words after which this program takes such a command line: it starts itself as a server.
pub fn run(own: &[&str], args: impl Iterator<Item = String>) -> ExitCode {
    let bench = match Bench::from_args(args) {
        Ok(bench) => bench,
        Err(text) => {
            let peers = Peer::ALL.map(Peer::name).join("|");
            eprintln!("peers: {text}\nusage: peers WORKLOAD [--procs P] [--n N] [--peer {peers}]");
            eprintln!(
                "       peers {} [...] [--secs S] [--server PROGRAM]",
                net_workloads().collect::<Vec<_>>().join("|")
            );
            return ExitCode::from(2);
        }
    };
    if let Some((_, workload)) = net::WORKLOADS.iter().find(|(name, _)| *name == bench.workload) {
        return net::run(*workload, &bench, own);
    }
    let (workloads, servers) = (workloads(bench.peer), servers(bench.peer));
    let Some((_, workload)) = workloads.iter().chain(servers).find(|(name, _)| *name == bench.workload) else {
        let names: Vec<_> = workloads.iter().map(|(name, _)| *name).chain(net_workloads()).collect();
        eprintln!("peers: {} has no workload '{}', but {}", bench.peer, bench.workload, names.join(" "));
        return ExitCode::from(3);
    };
    end_at_first_panic();
    workload(&bench);
    ExitCode::SUCCESS
}

/// A task that panics would leave those that wait for it waiting for ever.
fn end_at_first_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        process::exit(101);
    }));
}
