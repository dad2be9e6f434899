//! rustls on both sides of a `TcpStream`: blocking code, and a certificate by rcgen.

use pirn::net::{TcpListener, TcpStream};
use pirn::sync::{Barrier, WaitGroup};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion, version,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// All of them are open at the same time.
const CONNECTIONS: usize = 1_000;
/// More than all buffers between both sides hold.
const LARGE: usize = 8 << 20;

type Client = StreamOwned<ClientConnection, TcpStream>;
type Server = StreamOwned<ServerConnection, TcpStream>;

pub(crate) fn exam() -> String {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let server = Arc::new(
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("key and certificate belong together"),
    );

    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a listener"));
    let address = listener.local_addr().expect("its address");
    let served = {
        let (listener, server) = (listener.clone(), server.clone());
        pirn::go(move || serve_all(&listener, &server))
    };
    let began = Instant::now();
    many(address, &client_config(Some(certificate.clone()), &[&version::TLS13]));
    let took = began.elapsed();
    large(address, client_config(Some(certificate.clone()), &[&version::TLS13]));
    large(address, client_config(Some(certificate), &[&version::TLS12]));
    stranger(address, client_config(None, &[&version::TLS13]));
    listener.close();
    // All but one ended in order; that one was refused by its client.
    assert_eq!(served.join().expect("it does not panic"), (CONNECTIONS + 2, 1));
    silent(&server);
    format!("{CONNECTIONS} connections at once in {took:.1?}, {LARGE} bytes there and back by TLS 1.3 and 1.2")
}

fn client_config(
    trusted: Option<CertificateDer<'static>>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    trusted.into_iter().for_each(|certificate| roots.add(certificate).expect("a root"));
    Arc::new(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> Client {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(config, name).expect("a client");
    StreamOwned::new(connection, TcpStream::connect(address).expect("it listens"))
}

/// How many connections ended in order, and how many did not.
fn serve_all(listener: &TcpListener, config: &Arc<ServerConfig>) -> (usize, usize) {
    // An error: the listener is closed.
    let streams = listener.incoming().map_while(Result::ok);
    let serving: Vec<_> = streams
        .map(|stream| {
            let connection = ServerConnection::new(config.clone()).expect("a server");
            pirn::go(move || serve(StreamOwned::new(connection, stream)))
        })
        .collect();
    let ends: Vec<_> = serving.into_iter().map(|serving| serving.join().expect("it does not panic")).collect();
    let in_order = ends.iter().filter(|end| end.is_ok()).count();
    (in_order, ends.len() - in_order)
}

/// Sends back each message: four bytes that say how long it is, and the message.
fn serve(mut stream: Server) -> io::Result<()> {
    let mut length = [0; 4];
    // No byte: the client has said that it ends. An end without that is an error.
    while stream.read(&mut length[..1])? > 0 {
        stream.read_exact(&mut length[1..])?;
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut message)?;
        stream.write_all(&length)?;
        stream.write_all(&message)?;
        stream.flush()?;
    }
    stream.conn.send_close_notify();
    stream.flush()
}

fn ask(stream: &mut Client, message: &[u8]) {
    let length = u32::try_from(message.len()).expect("it is short").to_be_bytes();
    stream.write_all(&[&length, message].concat()).expect("the server reads");
    stream.flush().expect("the server reads");
    let mut answer = vec![0; length.len() + message.len()];
    stream.read_exact(&mut answer).expect("an answer");
    assert!(answer[..4] == length && answer[4..] == *message, "it is another message");
}

/// Says that no more comes, and waits until the server has said so too.
fn end(mut stream: Client) {
    stream.conn.send_close_notify();
    stream.flush().expect("the server reads");
    assert_eq!(stream.read(&mut [0]).expect("the server ends in order"), 0);
}

fn many(address: SocketAddr, config: &Arc<ClientConfig>) {
    let all_are_open = Arc::new(Barrier::new(CONNECTIONS));
    let clients = WaitGroup::new();
    for nth in 0..CONNECTIONS {
        let (config, all_are_open) = (config.clone(), all_are_open.clone());
        let client = clients.go(move || {
            let mut stream = connect(address, config);
            ask(&mut stream, format!("hello from {nth}").as_bytes());
            all_are_open.wait();
            ask(&mut stream, format!("goodbye from {nth}").as_bytes());
            end(stream);
        });
        drop(client);
    }
    clients.wait();
}

fn large(address: SocketAddr, config: Arc<ClientConfig>) {
    let mut stream = connect(address, config);
    let message: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    ask(&mut stream, &message);
    end(stream);
}

/// A client that does not trust the certificate gets an error, and tells the server why.
fn stranger(address: SocketAddr, config: Arc<ClientConfig>) {
    let mut stream = connect(address, config);
    let error = stream.write_all(b"hello").and_then(|()| stream.flush()).expect_err("it trusts nobody");
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

/// A client that says nothing: the timeout of a read ends the handshake, and so does a deadline.
fn silent(config: &Arc<ServerConfig>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let _client = TcpStream::connect(listener.local_addr().expect("its address")).expect("it listens");
    let (stream, _) = listener.accept().expect("the client");
    let mut server = StreamOwned::new(ServerConnection::new(config.clone()).expect("a server"), stream);
    let timeout = Duration::from_millis(20);
    server.sock.set_read_timeout(Some(timeout)).expect("a timeout");
    assert_eq!(server.read(&mut [0]).expect_err("nothing comes").kind(), ErrorKind::TimedOut);
    server.sock.set_read_timeout(None).expect("none");
    server.sock.set_deadline(Some(Instant::now() + timeout));
    assert_eq!(server.read(&mut [0]).expect_err("nothing comes").kind(), ErrorKind::TimedOut);
}
