//! The servers: a task for each connection.

use super::{joined, runtime};
use crate::Bench;
use crate::net::http::{BUFFER, Exchange};
use crate::net::serve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;

pub(super) fn echo(bench: &Bench) {
    serve(bench, answer_echo);
}

pub(super) fn http(bench: &Bench) {
    serve(bench, answer_http);
}

/// Accepts connections, each for a task, until the orders end.
fn serve<F: Future<Output = ()> + Send + 'static>(bench: &Bench, answer: fn(TcpStream) -> F) {
    let runtime = runtime(bench);
    let task = runtime.spawn(async move {
        let listener = serve::listen();
        listener.set_nonblocking(true).unwrap_or_else(|error| panic!("no listener: {error}"));
        let listener = TcpListener::from_std(listener).unwrap_or_else(|error| panic!("no listener: {error}"));
        serve::say_port(listener.local_addr());
        tokio::spawn(accept(listener, answer));
        while let Some(time) = joined(spawn_blocking(serve::order)).await {
            spawn_blocking(move || serve::compute(time));
        }
    });
    runtime.block_on(joined(task));
    std::process::exit(0)
}

async fn accept<F: Future<Output = ()> + Send + 'static>(listener: TcpListener, answer: fn(TcpStream) -> F) {
    loop {
        let (stream, _) = listener.accept().await.unwrap_or_else(|error| panic!("accept: {error}"));
        // A connection that is gone already says so when it is read.
        _ = stream.set_nodelay(true);
        tokio::spawn(answer(stream));
    }
}

async fn answer_echo(mut stream: TcpStream) {
    let mut buffer = [0; BUFFER];
    loop {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 && stream.write_all(&buffer[..count]).await.is_ok() => {}
            _ => return,
        }
    }
}

async fn answer_http(mut stream: TcpStream) {
    let mut exchange = Exchange::new();
    loop {
        let Ok(count @ 1..) = stream.read(exchange.space()).await else { return };
        let goes_on = exchange.received(count);
        if stream.write_all(exchange.answers()).await.is_err() || !goes_on {
            return;
        }
    }
}
