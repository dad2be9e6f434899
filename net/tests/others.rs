//! Async code of others on our sockets: tokio's traits, and hyper.

#![cfg(all(feature = "tokio-io", feature = "hyper-rt"))]

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::on_gs;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use pirn_net::os::unix::net::UnixStream;
use pirn_net::{Async, TcpListener, TcpStream};
use pirn_runtime::{block_on, go};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn tokios_extensions_read_and_write() {
    on_gs(|| {
        let (a, b) = UnixStream::pair().unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let sent = bytes.clone();
        let writer = go(move || {
            block_on(async {
                let mut a = Async::new(a);
                a.write_all(&sent).await.unwrap();
                a.shutdown().await.unwrap();
            });
        });
        let mut all = Vec::new();
        block_on(Async::new(b).read_to_end(&mut all)).unwrap();
        assert!(all == bytes);
        writer.join().unwrap();
    });
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.expect("the client sends it").to_bytes();
    Ok(Response::new(Full::new(Bytes::from(format!("{path} {}", body.len())))))
}

/// One connection with several requests.
fn ask(address: SocketAddr) {
    let stream = Async::new(TcpStream::connect(address).expect("it listens"));
    let (mut sender, connection) = block_on(hyper::client::conn::http1::handshake(stream)).expect("a connection");
    let driver = go(move || block_on(connection));
    for length in [0, 5, 300_000] {
        let body = Full::new(Bytes::from(vec![b'x'; length]));
        let request = Request::post("/path").header("host", "localhost").body(body).expect("it is right");
        block_on(sender.ready()).expect("it is connected");
        let response = block_on(sender.send_request(request)).expect("an answer");
        assert_eq!(response.status(), 200);
        let body = block_on(response.into_body().collect()).expect("its body").to_bytes();
        assert_eq!(body, format!("/path {length}"));
    }
    drop(sender);
    driver.join().expect("it does not panic").expect("it ends in order");
}

#[test]
fn hyper_serves_and_asks() {
    on_gs(|| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let server = {
            let listener = listener.clone();
            go(move || {
                for stream in listener.incoming() {
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(Async::new(stream.unwrap()), service_fn(answer));
                    go(move || block_on(connection).unwrap());
                }
            })
        };
        let clients: Vec<_> = (0..5).map(|_| go(move || ask(address))).collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        listener.close();
        server.join().unwrap();
    });
}
