//! ureq through its transport trait: blocking clients, each on a G, of a server that is late with its answers.

use pirn::net::{ConnectOptions, TcpListener, TcpStream, lookup_host};
use pirn::sync::WaitGroup;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, ShutdownHandle, Transport,
};
use ureq::{Agent, Error};

/// How many requests wait at the same time, and how late each answer is.
const REQUESTS: usize = 1_000;
const LATE: Duration = Duration::from_millis(200);
/// One after the other they would take 200 seconds.
const ALL_AT_ONCE: Duration = Duration::from_secs(20);

pub(crate) fn exam() -> String {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a listener"));
    let address = listener.local_addr().expect("its address");
    let accepted = Arc::new(AtomicUsize::new(0));
    let served = {
        let (listener, accepted) = (listener.clone(), accepted.clone());
        pirn::go(move || {
            let connections = WaitGroup::new();
            for stream in listener.incoming().map_while(Result::ok) {
                accepted.fetch_add(1, Ordering::Relaxed);
                // It ends with its client, in order or not.
                drop(connections.go(move || serve(&stream)));
            }
            connections.wait();
        })
    };
    let took = many(address);
    assert_eq!(accepted.swap(0, Ordering::Relaxed), REQUESTS, "each has a connection");
    kept(address);
    assert_eq!(accepted.swap(0, Ordering::Relaxed), 1, "they have one connection");
    by_name(address);
    too_late(address);
    shut_down(address);
    refused();
    listener.close();
    served.join().expect("it does not panic");
    format!("{REQUESTS} requests at once, each answer {LATE:?} late, in {took:.1?}")
}

fn agent(config: Config) -> Agent {
    Agent::with_parts(config, PirnConnector, PirnResolver)
}

fn many(address: SocketAddr) -> Duration {
    // None of them takes the connection of one that is done.
    let agent = agent(Config::builder().max_idle_connections(0).build());
    let began = Instant::now();
    let requests: Vec<_> = (0..REQUESTS)
        .map(|nth| {
            let agent = agent.clone();
            pirn::go(move || {
                let mut answer = agent.get(format!("http://{address}/late/{nth}")).call().expect("an answer");
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.body_mut().read_to_string().expect("its body"), format!("/late/{nth} 0"));
            })
        })
        .collect();
    requests.into_iter().for_each(|request| request.join().expect("it was answered"));
    let took = began.elapsed();
    assert!(took < ALL_AT_ONCE, "{took:?}");
    took
}

/// Requests with bodies of many sizes, by one connection.
fn kept(address: SocketAddr) {
    let agent = agent(Config::default());
    for length in (0..20).map(|n| (1 << n) - 1) {
        let mut answer = agent.post(format!("http://{address}/kept")).send(&vec![b'x'; length]).expect("an answer");
        assert_eq!(answer.body_mut().read_to_string().expect("its body"), format!("/kept {length}"));
    }
}

/// The name is looked up by pirn.
fn by_name(address: SocketAddr) {
    let url = format!("http://localhost:{}/named", address.port());
    let mut answer = agent(Config::default()).get(url).call().expect("an answer");
    assert_eq!(answer.body_mut().read_to_string().expect("its body"), "/named 0");
}

/// An answer that comes too late.
fn too_late(address: SocketAddr) {
    let agent = agent(Config::builder().timeout_global(Some(LATE / 4)).build());
    let began = Instant::now();
    let error = agent.get(format!("http://{address}/late/never")).call().expect_err("it is late");
    assert!(matches!(error, Error::Timeout(_)), "{error}");
    assert!(began.elapsed() >= LATE / 4);
}

/// Requests that wait end when their agent is shut down by another G.
fn shut_down(address: SocketAddr) {
    let agent = agent(Config::default());
    let waiting = {
        let agent = agent.clone();
        pirn::go(move || agent.get(format!("http://{address}/hour")).call().is_err())
    };
    pirn::sleep(LATE / 4);
    agent.shutdown();
    assert!(waiting.join().expect("it does not panic"), "it has ended without an answer");
}

fn refused() {
    let address = crate::programs::free_address();
    let error = agent(Config::default()).get(format!("http://{address}/")).call().expect_err("nobody listens");
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused), "{error}");
}

/// Answers the requests of one connection with their path, and the length of their body.
fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.trim().split_once(": ") {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().map_err(io::Error::other)?;
                }
                Some(_) => {}
            }
        }
        let length = io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        if path.starts_with("/late") {
            pirn::sleep(LATE);
        } else if path.starts_with("/hour") {
            // Until the client has gone.
            reader.read_line(&mut line)?;
            return Ok(());
        }
        let body = format!("{path} {length}");
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
}

/// ureq's names of hosts: looked up without holding a P.
#[derive(Debug)]
struct PirnResolver;

impl Resolver for PirnResolver {
    fn resolve(&self, uri: &Uri, config: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(Error::HostNotFound) };
        let host = DefaultResolver::host_and_port(scheme, authority).ok_or(Error::HostNotFound)?;
        let mut found = self.empty();
        config.ip_family().keep_wanted(lookup_host(host)?).take(16).for_each(|address| found.push(address));
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

#[derive(Debug)]
struct PirnConnector;

impl Connector for PirnConnector {
    type Out = PirnTransport;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<PirnTransport>, Error> {
        let config = details.config;
        let mut options = ConnectOptions::new().nodelay(config.no_delay());
        if let Some(timeout) = details.timeout.not_zero() {
            options = options.timeout(*timeout);
        }
        let stream = options.connect(&details.addrs[..]).map_err(|error| ended(error, details.timeout))?;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        let stream = Arc::new(Shared(stream));
        let weak = Arc::downgrade(&stream);
        (details.register_shutdown)(weak)?;
        Ok(Some(PirnTransport { stream, buffers }))
    }
}

/// The stream of a transport, which an agent that is shut down ends too.
#[derive(Debug)]
struct Shared(TcpStream);

impl ShutdownHandle for Shared {
    fn shutdown(&self) {
        // It may have ended already.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

#[derive(Debug)]
struct PirnTransport {
    stream: Arc<Shared>,
    buffers: LazyBuffers,
}

impl Transport for PirnTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut stream = &self.stream.0;
        stream.set_write_timeout(timeout.not_zero().map(|timeout| *timeout))?;
        stream.write_all(&self.buffers.output()[..amount]).map_err(|error| ended(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let mut stream = &self.stream.0;
        stream.set_read_timeout(timeout.not_zero().map(|timeout| *timeout))?;
        let amount = stream.read(self.buffers.input_append_buf()).map_err(|error| ended(error, timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// As ureq's own transport has it.
    fn is_open(&mut self) -> bool {
        let stream = &self.stream.0;
        let would_block = |error: io::Error| error.kind() == ErrorKind::WouldBlock;
        stream.set_nonblocking(true).is_ok()
            && stream.peek(&mut [0]).is_err_and(would_block)
            && stream.set_nonblocking(false).is_ok()
    }
}

fn ended(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}
