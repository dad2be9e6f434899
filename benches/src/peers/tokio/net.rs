//! The servers: a task for each connection.

use super::{joined, runtime};
use crate::Bench;
use crate::net::http::{BUFFER, Exchange};
use crate::net::serve;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;

pub(super) fn echo(bench: &Bench) {
    serve(bench, answer_echo);
}

pub(super) fn http(bench: &Bench) {
    serve(bench, answer_http);
}

/// The server of hyper.
pub(super) fn hyper(bench: &Bench) {
    serve(bench, answer_by_hyper);
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

/// hyper's answer is any body: this one comes at once, and ends with it.
struct Hello(Option<Bytes>);

impl Body for Hello {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}

async fn answer_by_hyper(stream: TcpStream) {
    let hello = service_fn(async |_: Request<Incoming>| {
        let body = Hello(Some(Bytes::from_static(b"Hello, world!")));
        Response::builder().header("content-type", "text/plain").body(body)
    });
    // A connection that breaks ends as well.
    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), hello).await;
}
