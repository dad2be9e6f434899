//! Connections that come and go: each sends one message, and is closed when it has its answer.

use super::load::{Conn, wait};
use super::{Result, Traffic};
use mio::net::TcpStream;
use mio::{Events, Poll};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// From how many addresses they come. A port can not be used again for a minute after its connection has ended, and one
/// address has less than 30,000 of them.
const SOURCES: usize = 100;

/// Keeps `together` connections under way, for `warm_up` and then for `time`, which is counted.
pub(super) fn churn(
    address: SocketAddr,
    together: usize,
    warm_up: Duration,
    time: Duration,
    server_cpu: impl Fn() -> Result<Duration>,
) -> Result<Traffic> {
    let mut traffic = Traffic::new()?;
    let mut poll = Poll::new().map_err(|error| error.to_string())?;
    let mut events = Events::with_capacity(256);
    let open = |number, poll: &Poll, count| {
        let stream = connect(address, count).map_err(|error| format!("connect: {error}"))?;
        Conn::new(stream, poll, number)
    };
    let mut conns = (0..together).map(|number| open(number, &poll, number)).collect::<Result<Vec<_>>>()?;
    let warm = Instant::now() + warm_up;
    let mut began = None;
    let mut count = together;
    loop {
        wait(&mut poll, &mut events)?;
        for event in &events {
            let number = event.token().0;
            let conn = &mut conns[number];
            if event.is_writable() {
                conn.opened()?;
            }
            if event.is_readable() && conn.answered()? {
                // The old one is closed first.
                if began.is_some() {
                    traffic.add(conn.asked().elapsed());
                }
                conns[number] = open(number, &poll, count)?;
                count += 1;
            }
        }
        let now = Instant::now();
        match began {
            None if now >= warm => began = Some((now, server_cpu()?)),
            Some((start, cpu)) if now - start >= time => {
                traffic.cost.wall = now - start;
                traffic.cost.cpu = server_cpu()?.saturating_sub(cpu);
                return Ok(traffic);
            }
            _ => {}
        }
    }
}

/// Begins a connection from one of the addresses in turn.
fn connect(address: SocketAddr, count: usize) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
    let source = Ipv4Addr::new(127, 0, 0, 2 + (count % SOURCES) as u8);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}
