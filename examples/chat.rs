//! A chat: what one member writes, all others read.
//!
//! One goroutine, the hub, knows who is there; nothing is locked. It selects over the channels by which the connections
//! talk to it. Each connection has two goroutines: one reads, and one writes what the hub sends it. A member that does not
//! read is removed when its channel is full, so that it does not hold up the others.
//!
//! ```text
//! cargo run --example chat
//! nc 127.0.0.1 7777
//! ```

use pirn::channel::{Receiver, Sender, bounded};
use pirn::net::{TcpListener, TcpStream};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

/// So many lines wait for a member that reads slowly.
const BEHIND: usize = 100;

/// The address of a member, and the channel that takes lines to it.
type Member = (SocketAddr, Sender<Arc<str>>);

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7777".to_owned());
    pirn::run(|| {
        let listener = TcpListener::bind(address)?;
        println!("listening on {}", listener.local_addr()?);
        let (joins_in, joins) = bounded(0);
        let (lines_in, lines) = bounded(0);
        let (leaves_in, leaves) = bounded(0);
        pirn::go(move || hub(&joins, &lines, &leaves));
        loop {
            let (stream, peer) = listener.accept()?;
            let stream = Arc::new(stream);
            let (out, outgoing) = bounded(BEHIND);
            joins_in.send((peer, out)).expect("the hub listens");
            let writer = stream.clone();
            pirn::go(move || write_lines(&writer, &outgoing));
            let (lines_in, leaves_in) = (lines_in.clone(), leaves_in.clone());
            pirn::go(move || {
                for line in BufReader::new(&*stream).lines().map_while(Result::ok) {
                    lines_in.send((peer, line)).expect("the hub listens");
                }
                leaves_in.send(peer).expect("the hub listens");
            });
        }
    })
}

fn hub(joins: &Receiver<Member>, lines: &Receiver<(SocketAddr, String)>, leaves: &Receiver<SocketAddr>) {
    let mut members = BTreeMap::new();
    loop {
        pirn::select! {
            recv(joins) -> member => {
                let Ok((peer, out)) = member else { return };
                members.insert(peer, out);
                let line = format!("{} has come, {} are here\n", peer.port(), members.len());
                tell(&mut members, peer, &line);
            }
            recv(lines) -> line => {
                let Ok((peer, line)) = line else { return };
                tell(&mut members, peer, &format!("{}: {line}\n", peer.port()));
            }
            recv(leaves) -> peer => {
                let Ok(peer) = peer else { return };
                if members.remove(&peer).is_some() {
                    tell(&mut members, peer, &format!("{} has left\n", peer.port()));
                }
            }
        }
    }
}

/// Sends a line to all but one.
fn tell(members: &mut BTreeMap<SocketAddr, Sender<Arc<str>>>, from: SocketAddr, line: &str) {
    let line = Arc::from(line);
    members.retain(|peer, out| *peer == from || out.try_send(Arc::clone(&line)).is_ok());
}

/// Writes lines until the hub has removed the member, or the connection has ended.
fn write_lines(mut stream: &TcpStream, lines: &Receiver<Arc<str>>) {
    for line in lines {
        if stream.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    // The reader returns.
    _ = stream.shutdown(Shutdown::Both);
}
