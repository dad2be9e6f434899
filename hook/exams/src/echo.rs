//! An echo server written with std::net, under ten thousand connections at the same time. The clients are another process
//! of this program, written with std::net too.

use crate::threads::MostThreads;
use crate::{PROCS, listener, many, programs};
use pirn::Builder;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::time::Instant;

/// The program's argument that makes it the clients, before the address.
pub(crate) const CLIENT: &str = "echo-clients";
const CONNECTIONS: usize = 10_000;
const MESSAGES: usize = 10;
const MESSAGE: usize = 64;

pub(crate) fn exam() -> String {
    let (listener, address) = listener();
    let server = pirn::go(move || {
        let servers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (stream, _) = listener.accept().expect("a client");
                pirn::go(move || echo(stream).expect("the client reads"))
            })
            .collect();
        servers.into_iter().map(|server| server.join().expect("it does not panic")).sum::<usize>()
    });
    let output = Command::new(programs::beside_this_program("hook-exams"))
        .args([CLIENT, &address.to_string()])
        .output()
        .expect("it is there");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.join().expect("it does not panic"), CONNECTIONS * MESSAGES * MESSAGE);
    format!("{CONNECTIONS} connections at once, {}", said.trim())
}

/// Sends back what comes until the client has gone. Returns how many bytes that were.
fn echo(mut stream: TcpStream) -> io::Result<usize> {
    let mut bytes = [0; 1024];
    let mut echoed = 0;
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(echoed),
            length => stream.write_all(&bytes[..length])?,
        }
        echoed += MESSAGE;
    }
}

/// The clients, in a process of their own.
pub(crate) fn client(address: &str) {
    let address: SocketAddr = address.parse().expect("an address");
    let threads = MostThreads::count();
    let began = Instant::now();
    let runtime = Builder::new().procs(PROCS).build().expect("a runtime");
    runtime.run(move || {
        let all_are_open = Arc::new(Barrier::new(CONNECTIONS));
        many(CONNECTIONS, move |nth| {
            let mut stream = TcpStream::connect(address).expect("it listens");
            all_are_open.wait();
            for n in 0..MESSAGES {
                let message = [(nth + n) as u8; MESSAGE];
                stream.write_all(&message).expect("the server reads");
                let mut answer = [0; MESSAGE];
                stream.read_exact(&mut answer).expect("an answer");
                assert!(answer == message);
            }
        })
    });
    println!("{MESSAGES} messages each, in {:.1?}; clients on {} threads", began.elapsed(), threads.most());
}
