//! What the servers of the Rust peers share: the listener of those who bind by std, the two protocols over a stream that
//! blocks its task, and the orders of the load.

use super::http::{BUFFER, Exchange};
use crate::spin_step;
use socket2::{Domain, Socket, Type};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// How many connections may wait to be accepted, as pirn and Go have it; std has 128.
const BACKLOG: i32 = 4096;

/// Where every server listens: at a free port.
pub(crate) const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A listener for peers that make theirs of one of std's.
pub(crate) fn listen() -> TcpListener {
    let bound = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from(ANYWHERE).into())?;
        socket.listen(BACKLOG)?;
        io::Result::Ok(socket.into())
    };
    bound().unwrap_or_else(|error| panic!("no listener: {error}"))
}

/// Tells the load where the server listens.
pub(crate) fn say_port(address: io::Result<SocketAddr>) {
    match address {
        Ok(address) => println!("PORT {}", address.port()),
        Err(error) => panic!("no address: {error}"),
    }
}

/// Blocks the thread until there is an order to compute, and returns for how long; none at the end of the orders.
pub(crate) fn order() -> Option<Duration> {
    let mut line = String::new();
    let count = io::stdin().read_line(&mut line).unwrap_or_else(|error| panic!("no orders: {error}"));
    if count == 0 {
        return None;
    }
    let millis = line.strip_prefix("compute ").and_then(|millis| millis.trim().parse().ok());
    Some(Duration::from_millis(millis.unwrap_or_else(|| panic!("no order: {line:?}"))))
}

/// Computes for so long, and does nothing else.
pub(crate) fn compute(time: Duration) {
    let end = Instant::now() + time;
    let mut x = 1;
    while Instant::now() < end {
        x = black_box((0..10_000).fold(x, |x, _| spin_step(x)));
    }
}

/// Sends back what comes, until the client ends it. A connection that breaks ends as well.
pub(crate) fn echo(mut stream: impl Read + Write) {
    let mut buffer = [0; BUFFER];
    loop {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 && stream.write_all(&buffer[..count]).is_ok() => {}
            _ => return,
        }
    }
}

/// Answers requests, until the client ends it or one can not be answered.
pub(crate) fn http(mut stream: impl Read + Write) {
    let mut exchange = Exchange::new();
    loop {
        let Ok(count @ 1..) = stream.read(exchange.space()) else { return };
        let goes_on = exchange.received(count);
        if stream.write_all(exchange.answers()).is_err() || !goes_on {
            return;
        }
    }
}
