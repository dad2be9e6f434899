//! hyper on both sides of `Async<TcpStream>`, in HTTP/1.1 and HTTP/2: a G for each connection, and for each task that
//! hyper starts.

use crate::http_server::h2load;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn as client;
use hyper::rt::{Executor, Sleep, Timer};
use hyper::server::conn as server;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use pirn::net::{Async, TcpListener, TcpStream};
use pirn::sync::{Barrier, WaitGroup};
use pirn::{block_on, go};
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// HTTP/1.1: so many connections are open at the same time.
const CONNECTIONS: usize = 1_000;
/// HTTP/2: so many requests wait at the same time, by a few connections.
const STREAMS: usize = 100;
const CONNECTIONS_2: usize = 10;
/// How late the answers are to a path that begins with `/late`.
const LATE: Duration = Duration::from_millis(100);
/// Longer than all takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// For h2load.
const REQUESTS: usize = 50_000;

pub(crate) fn exam() -> String {
    let (address, server) = Server::start(Version::Http1(PATIENCE));
    let began = Instant::now();
    many(address);
    let took = began.elapsed();
    upgrade(address);
    server.stop();
    let (address, server) = Server::start(Version::Http1(LATE));
    silent(address);
    server.stop();
    let (address, server) = Server::start(Version::Http2);
    let began = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS_2).map(|_| go(move || streams(address))).collect();
    clients.into_iter().for_each(|client| client.join().expect("it does not panic"));
    let took_2 = began.elapsed();
    server.stop();
    format!(
        "HTTP/1.1: {CONNECTIONS} connections at once in {took:.1?}; HTTP/2: {CONNECTIONS_2} with {STREAMS} requests at once \
         in {took_2:.1?}"
    )
}

/// Our server of HTTP/2 and a client of others.
pub(crate) fn under_h2load() -> String {
    let (address, server) = Server::start(Version::Http2);
    let a_second = h2load(&["--max-concurrent-streams", "10"], address, 100, REQUESTS);
    server.stop();
    format!("{a_second:.0} requests a second by HTTP/2, 100 connections with 10 streams, all {REQUESTS} answered")
}

#[derive(Clone, Copy)]
enum Version {
    /// How long a client may be silent before a request is complete.
    Http1(Duration),
    Http2,
}

struct Server {
    listener: Arc<TcpListener>,
    serving: pirn::JoinHandle<()>,
}

impl Server {
    fn start(version: Version) -> (SocketAddr, Server) {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a listener"));
        let address = listener.local_addr().expect("its address");
        let serving = {
            let listener = listener.clone();
            go(move || {
                let connections = WaitGroup::new();
                for stream in listener.incoming().map_while(Result::ok) {
                    // How a connection ends is the client's matter, and is checked there.
                    drop(connections.go(move || serve(stream, version)));
                }
                connections.wait();
            })
        };
        (address, Server { listener, serving })
    }

    fn stop(self) {
        self.listener.close();
        self.serving.join().expect("it does not panic");
    }
}

fn serve(stream: TcpStream, version: Version) -> hyper::Result<()> {
    let stream = Async::new(stream);
    match version {
        Version::Http1(silence) => block_on(
            server::http1::Builder::new()
                .timer(PirnTimer)
                .header_read_timeout(silence)
                .serve_connection(stream, service_fn(answer))
                .with_upgrades(),
        ),
        Version::Http2 => {
            block_on(server::http2::Builder::new(Gs).timer(PirnTimer).serve_connection(stream, service_fn(answer)))
        }
    }
}

/// Answers with the path, and the length of the body.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.headers().contains_key(header::UPGRADE) {
        go(move || block_on(echo(request)));
        let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header(header::UPGRADE, "echo");
        return Ok(answer.body(Full::default()).expect("it is right"));
    }
    let path = request.uri().path().to_owned();
    if path.starts_with("/late") {
        PirnTimer.sleep(LATE).await;
    }
    let body = request.into_body().collect().await.expect("the client sends it").to_bytes();
    Ok(Response::new(Full::new(Bytes::from(format!("{path} {}", body.len())))))
}

/// After an upgrade the stream is a stream again.
async fn echo(request: Request<Incoming>) {
    let upgraded = hyper::upgrade::on(request).await.expect("the client upgrades");
    let parts = upgraded.downcast::<Async<TcpStream>>().expect("it was made from one");
    let mut stream = parts.io.into_inner();
    stream.write_all(&parts.read_buf).expect("the client reads");
    let mut buffer = [0; 100];
    loop {
        match stream.read(&mut buffer).expect("the client sends") {
            0 => return,
            length => stream.write_all(&buffer[..length]).expect("the client reads"),
        }
    }
}

fn post(path: &str, length: usize) -> Request<Full<Bytes>> {
    let request = Request::post(path).header(header::HOST, "localhost");
    request.body(Full::new(Bytes::from(vec![b'x'; length]))).expect("it is right")
}

async fn check(answer: hyper::Result<Response<Incoming>>, path: &str, length: usize) {
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.expect("its body").to_bytes();
    assert_eq!(body, format!("{path} {length}"));
}

/// Requests by many connections of HTTP/1.1, all of which are open at the same time.
fn many(address: SocketAddr) {
    let all_are_open = Arc::new(Barrier::new(CONNECTIONS));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let all_are_open = all_are_open.clone();
            go(move || {
                let stream = Async::new(TcpStream::connect(address).expect("it listens"));
                all_are_open.wait();
                let (mut sender, connection) = block_on(client::http1::handshake(stream)).expect("a connection");
                let driver = go(move || block_on(connection));
                block_on(async {
                    for (path, length) in [("/", 0), ("/late", 10), ("/large", 100_000)] {
                        sender.ready().await.expect("it is connected");
                        check(sender.send_request(post(path, length)).await, path, length).await;
                    }
                });
                drop(sender);
                driver.join().expect("it does not panic").expect("it ends in order");
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("all were answered"));
}

fn upgrade(address: SocketAddr) {
    let stream = Async::new(TcpStream::connect(address).expect("it listens"));
    let (mut sender, connection) = block_on(client::http1::handshake(stream)).expect("a connection");
    let driver = go(move || block_on(connection.with_upgrades()));
    let request = Request::get("/").header(header::CONNECTION, "upgrade").header(header::UPGRADE, "echo");
    let upgraded = block_on(async {
        let answer = sender.send_request(request.body(Full::<Bytes>::default()).expect("it is right")).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        hyper::upgrade::on(answer).await.expect("the server upgrades")
    });
    driver.join().expect("it does not panic").expect("it ends in order");
    let mut stream = upgraded.downcast::<Async<TcpStream>>().expect("it was made from one").io.into_inner();
    stream.write_all(b"hello").expect("the server reads");
    let mut back = [0; 5];
    stream.read_exact(&mut back).expect("it comes back");
    assert_eq!(&back, b"hello");
}

/// A client that begins a request and says no more is left alone: hyper's timer ends the connection.
fn silent(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("the server reads");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // It may say why before it ends.
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

/// Requests of one connection of HTTP/2, which all wait at the same time.
fn streams(address: SocketAddr) {
    let stream = Async::new(TcpStream::connect(address).expect("it listens"));
    let (sender, connection) = block_on(client::http2::handshake(Gs, stream)).expect("a connection");
    let driver = go(move || block_on(connection));
    let requests: Vec<_> = (0..STREAMS)
        .map(|nth| {
            let mut sender = sender.clone();
            go(move || {
                let (path, length) = (format!("/late/{nth}"), nth * 1_000);
                block_on(async {
                    sender.ready().await.expect("it is connected");
                    check(sender.send_request(post(&path, length)).await, &path, length).await;
                });
            })
        })
        .collect();
    requests.into_iter().for_each(|request| request.join().expect("it was answered"));
    drop(sender);
    driver.join().expect("it does not panic").expect("it ends in order");
}

/// What hyper starts becomes a G.
#[derive(Clone, Copy)]
struct Gs;

impl<F> Executor<F> for Gs
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        go(move || block_on(future));
    }
}

/// hyper's timeouts are timers of pirn.
#[derive(Clone, Copy)]
struct PirnTimer;

impl Timer for PirnTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let due = pirn::channel::after(duration);
        Box::pin(PirnSleep(Box::pin(async move {
            due.recv_async().await.expect("it comes once");
        })))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

struct PirnSleep(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Future for PirnSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Sleep for PirnSleep {}
