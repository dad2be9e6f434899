//! What a G that waits for a socket costs in memory.

use pirn_net::{TcpListener, TcpStream};
use pirn_runtime::Builder;
use std::fs;
use std::io::{Read, Write};

/// How many connections there are, each with a G at one end.
const CONNS: usize = 400;

/// What a waiting G may cost, in KiB. Without optimisation it needs some 20.
const KIB_MAX: usize = 32;

fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

/// The records of descriptors were once made in a frame of 32 KiB, which each first wait touched.
#[test]
fn the_first_wait_for_a_socket_needs_little_stack() {
    let runtime = Builder::new().procs(1).build().expect("a runtime");
    runtime.run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let before = resident_kib();
        let mut clients = Vec::new();
        let mut servers = Vec::new();
        for _ in 0..CONNS {
            let mut client = TcpStream::connect(address).expect("it listens");
            let (mut stream, _) = listener.accept().expect("a connection");
            servers.push(pirn_runtime::go(move || {
                let mut byte = [0];
                while stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    stream.write_all(&byte).expect("the client reads");
                }
            }));
            client.write_all(&[7]).expect("the server reads");
            client.read_exact(&mut [0]).expect("the server answers");
            clients.push(client);
        }
        let each = (resident_kib() - before) / CONNS;
        assert!(each < KIB_MAX, "{each} KiB for each");
        drop(clients);
        servers.into_iter().for_each(|server| server.join().expect("no G panics"));
    });
}
