//! What a G that waits for a socket costs in memory.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, child_case, house, subprocess};
use pirn_net::{TcpListener, TcpStream};
use pirn_runtime::{Builder, go, stack_use, yield_now};
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

/// As an echo server has it, with a buffer of a page. Whatever is not the buffer lies on one page: the thread-locals of the G,
/// what calls the read, and the wait, also the first one, which adds the socket to the epoll. Without optimisation frames are
/// larger.
#[test]
fn an_idle_connection_needs_a_page_beside_its_buffer() {
    const TEST: &str = "an_idle_connection_needs_a_page_beside_its_buffer";
    const PAGE: usize = 4096;
    let pages_max = if cfg!(debug_assertions) { 6 } else { 2 };
    // In a process of its own: no stack has been used before.
    if child_case(TEST).is_none() {
        subprocess(TEST, "", &[]).expect_success();
        return;
    }
    house(builder().procs(1)).run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let conns: Vec<_> = (0..CONNS)
            .map(|_| {
                let client = TcpStream::connect(address).expect("it listens");
                let (stream, _) = listener.accept().expect("a connection");
                let server = go(move || {
                    echo(&stream);
                    // Before it is closed, which is no part of this.
                    stack_use().expect("it is a G").committed_bytes.div_ceil(PAGE)
                });
                (client, server)
            })
            .collect();
        // They wait for the first message, and then for the second.
        for _ in 0..2 {
            yield_now();
            for (client, _) in &conns {
                let mut client = client;
                client.write_all(&[7]).expect("the server reads");
                client.read_exact(&mut [0]).expect("the server answers");
            }
        }
        let pages: Vec<usize> = conns
            .into_iter()
            .map(|(client, server)| {
                drop(client);
                server.join().expect("no G panics")
            })
            .collect();
        // A few make what the others use too: the epoll, and records, by the 64.
        let too_many = pages.iter().filter(|pages| **pages > pages_max).count();
        assert!(too_many <= CONNS / 32, "{too_many} have more than {pages_max} pages: {pages:?}");
    });
}

/// Sends back what comes, up to the end.
#[inline(never)]
fn echo(mut stream: &TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..count]).expect("the client reads");
    }
}
