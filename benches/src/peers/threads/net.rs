//! The servers: a thread for each connection.

use crate::Bench;
use crate::net::serve;
use std::net::TcpStream;
use std::thread;

pub(super) fn echo(_: &Bench) {
    serve(serve::echo);
}

pub(super) fn http(_: &Bench) {
    serve(serve::http);
}

/// Accepts connections, each for a thread, until the orders end.
fn serve(answer: fn(TcpStream)) {
    let listener = serve::listen();
    serve::say_port(listener.local_addr());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap_or_else(|error| panic!("accept: {error}"));
            thread::spawn(move || {
                // A connection that is gone already says so when it is read.
                _ = stream.set_nodelay(true);
                answer(stream);
            });
        }
    });
    while let Some(time) = serve::order() {
        thread::spawn(move || serve::compute(time));
    }
    std::process::exit(0)
}
