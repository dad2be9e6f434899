//! The servers of those whose tasks wait in the sockets of std: a task for each connection.

use super::locks::Tasks;
use crate::net::serve;
use std::net::TcpStream;

pub(super) fn echo<T: Tasks>() {
    serve::<T>(serve::echo);
}

pub(super) fn http<T: Tasks>() {
    serve::<T>(serve::http);
}

/// Accepts connections, each for a task, until the orders end.
fn serve<T: Tasks>(answer: fn(TcpStream)) {
    let listener = serve::listen();
    serve::say_port(listener.local_addr());
    T::go(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap_or_else(|error| panic!("accept: {error}"));
            T::go(move || {
                // A connection that is gone already says so when it is read.
                _ = stream.set_nodelay(true);
                answer(stream);
            });
        }
    });
    while let Some(time) = serve::order() {
        T::go(move || serve::compute(time));
    }
    std::process::exit(0)
}
