//! The servers: a coroutine for each connection.

use crate::Bench;
use crate::net::serve;
use may::go;
use may::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd, IntoRawFd};

pub(super) fn echo(bench: &Bench) {
    serve(bench, serve::echo);
}

pub(super) fn http(bench: &Bench) {
    serve(bench, serve::http);
}

/// Accepts connections, each for a coroutine, until the orders end, for which the main thread waits: a coroutine that
/// blocks would stop a worker.
fn serve(bench: &Bench, answer: fn(TcpStream)) {
    super::start(bench);
    let listener = serve::listen();
    serve::say_port(listener.local_addr());
    // SAFETY: the descriptor is that of a listener, and belongs to nobody else any more.
    let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
    go!(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap_or_else(|error| panic!("accept: {error}"));
            go!(move || {
                // A connection that is gone already says so when it is read.
                _ = stream.set_nodelay(true);
                answer(stream);
            });
        }
    });
    while let Some(time) = serve::order() {
        go!(move || serve::compute(time));
    }
    std::process::exit(0)
}
