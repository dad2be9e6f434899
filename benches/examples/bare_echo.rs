//! The least that a server of `tcp_echo` does (`PEERS.md`): a thread for each of `--procs`, with an epoll of its own, and for
//! each event one `recv` and one `send`. It has no tasks, and nothing moves from one thread to another. What a peer takes
//! beyond this is its own.
//!
//! With `BARE_ECHO=pages` it also touches, for each event, eight cache lines of memory that the connection alone has, at both
//! ends of 8 KiB: as much as a task of any kind that has a buffer of 4 KiB. With more than some hundred connections, that
//! memory is in no cache and its pages are not in the TLB.
//!
//! ```text
//! cargo build --release -p pirn-benches --bins --example bare_echo
//! target/release/peers tcp_echo --n 1000 --peer go --server target/release/examples/bare_echo
//! ```

#![allow(clippy::disallowed_methods, reason = "what is asked for by the environment is for this program")]

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use socket2::{Domain, Socket, Type};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, iter, process, thread};

/// So many connections may come, and no memory moves when they do.
const CONNECTIONS: usize = 20_000;
/// 8 KiB, and the words of a cache line.
const WORDS: usize = 1024;
const LINE: usize = 8;

struct Connection {
    stream: TcpStream,
    own: Option<Box<[AtomicU64; WORDS]>>,
}

static CONNECTED: [OnceLock<Connection>; CONNECTIONS] = [const { OnceLock::new() }; CONNECTIONS];

fn main() -> Result<(), Box<dyn Error>> {
    let procs = env::args().skip_while(|arg| arg != "--procs").nth(1).map_or(Ok(1), |procs| procs.parse::<usize>())?;
    let has_pages = env::var("BARE_ECHO").is_ok_and(|what| what == "pages");
    let polls = iter::repeat_with(Poll::new).take(procs.max(1)).collect::<io::Result<Vec<_>>>()?;
    let registries = polls.iter().map(|poll| poll.registry().try_clone()).collect::<io::Result<Vec<_>>>()?;
    for poll in polls {
        thread::spawn(move || serve(poll));
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    let listener = TcpListener::from(socket);
    println!("PORT {}", listener.local_addr()?.port());
    // The load ends the server by ending its input.
    thread::spawn(|| {
        _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    for (number, place) in CONNECTED.iter().enumerate() {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let own = has_pages.then(|| Box::new([const { AtomicU64::new(0) }; WORDS]));
        let mut stream = TcpStream::from_std(stream);
        // An event that comes before its place is filled waits for that.
        registries[number % registries.len()].register(&mut stream, Token(number), Interest::READABLE)?;
        _ = place.set(Connection { stream, own });
    }
    Err("more connections than it has places for".into())
}

/// One thread: its connections stay with it.
fn serve(mut poll: Poll) {
    let mut events = Events::with_capacity(128);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => panic!("epoll: {error}"),
            _ => events.iter().for_each(|event| answer(event.token().0)),
        }
    }
}

/// Sends back what has come.
fn answer(number: usize) {
    let Connection { stream, own } = CONNECTED[number].wait();
    if let Some(own) = own {
        let lines = (0..4).chain(WORDS / LINE - 4..WORDS / LINE);
        lines.for_each(|line| own[line * LINE].store(own[line * LINE].load(Ordering::Relaxed) + 1, Ordering::Relaxed));
    }
    let (mut reader, mut writer) = (stream, stream);
    let mut buffer = [0; 4096];
    match reader.read(&mut buffer) {
        Ok(count) if count > 0 && writer.write_all(&buffer[..count]).is_ok() => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        _ => _ = stream.shutdown(Shutdown::Both),
    }
}
