//! rustls over std's `TcpStream`, on both sides, with a certificate by rcgen.

use crate::{MANY, listener, many};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Barrier};
use std::time::Instant;

/// More than all buffers between both sides hold.
const LARGE: usize = 8 << 20;

pub(crate) fn exam() -> String {
    let (client, server) = configs();
    let (listener, address) = listener();
    let serving = pirn::go(move || {
        let serve_next = |_| {
            let (stream, _) = listener.accept().expect("a client");
            let connection = ServerConnection::new(server.clone()).expect("a server");
            pirn::go(move || serve(StreamOwned::new(connection, stream)))
        };
        let servers: Vec<_> = (0..=MANY).map(serve_next).collect();
        servers.into_iter().for_each(|server| server.join().expect("no panic").expect("it ends in order"));
    });
    let began = Instant::now();
    let all_are_open = Arc::new(Barrier::new(MANY));
    let config = client.clone();
    many(MANY, move |nth| {
        let mut stream = connect(address, config.clone());
        ask(&mut stream, format!("hello from {nth}").as_bytes());
        all_are_open.wait();
        ask(&mut stream, format!("goodbye from {nth}").as_bytes());
        end(stream);
    });
    let took = began.elapsed();
    let mut stream = connect(address, client);
    ask(&mut stream, &(0..LARGE).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    end(stream);
    serving.join().expect("it does not panic");
    format!("{MANY} connections at once in {took:.1?}, and {LARGE} bytes there and back")
}

fn configs() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("key and certificate belong together");
    (Arc::new(client), Arc::new(server))
}

type Client = StreamOwned<ClientConnection, TcpStream>;
type Server = StreamOwned<ServerConnection, TcpStream>;

fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> Client {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(config, name).expect("a client");
    StreamOwned::new(connection, TcpStream::connect(address).expect("it listens"))
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

/// Sends back each message: four bytes that say how long it is, and the message.
fn serve(mut stream: Server) -> io::Result<()> {
    let mut length = [0; 4];
    // No byte: the client has said that it ends.
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
