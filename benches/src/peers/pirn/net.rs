//! The servers: a G for each connection.

use crate::Bench;
use crate::net::serve;
use pirn::go;
use pirn::net::{TcpListener, TcpStream};

pub(super) fn echo(_: &Bench) {
    serve(serve::echo);
}

pub(super) fn http(_: &Bench) {
    serve(serve::http);
}

/// Accepts connections, each for a G, until the orders end.
fn serve(answer: fn(TcpStream)) {
    let listener = TcpListener::bind(serve::ANYWHERE).unwrap_or_else(|error| panic!("no listener: {error}"));
    serve::say_port(listener.local_addr());
    go(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap_or_else(|error| panic!("accept: {error}"));
            go(move || {
                // A connection that is gone already says so when it is read.
                _ = stream.set_nodelay(true);
                answer(stream);
            });
        }
    });
    while let Some(time) = pirn::blocking(serve::order) {
        go(move || serve::compute(time));
    }
    std::process::exit(0)
}
