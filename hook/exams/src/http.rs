//! ureq and reqwest::blocking: clients that all wait for a server that is late with its answers. The server is written
//! with std::net.

use crate::{MANY, listener, many};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How late each answer is.
const LATE: Duration = Duration::from_millis(200);
/// One after the other they would take 200 seconds.
const ALL_AT_ONCE: Duration = Duration::from_secs(20);

pub(crate) fn by_ureq() -> String {
    // None of them takes the connection of one that is done.
    let agent: ureq::Agent = ureq::Agent::config_builder().max_idle_connections(0).build().into();
    let late: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(LATE / 4)).build().into();
    let did =
        ask_all(move |url| agent.get(url).call().expect("an answer").body_mut().read_to_string().expect("its body"));
    let (address, server) = serve(1);
    let error = late.get(format!("http://{address}/late")).call().expect_err("it is late");
    assert!(matches!(error, ureq::Error::Timeout(_)), "{error}");
    server.join().expect("it has ended");
    did
}

pub(crate) fn by_reqwest() -> String {
    let client = reqwest::blocking::Client::builder().pool_max_idle_per_host(0).timeout(ALL_AT_ONCE).build();
    let client = client.expect("a client");
    ask_all(move |url| client.get(url).send().and_then(|answer| answer.text()).expect("an answer"))
}

fn ask_all(ask: impl Fn(String) -> String + Clone + Send + 'static) -> String {
    let (address, server) = serve(MANY);
    let began = Instant::now();
    many(MANY, move |nth| assert_eq!(ask(format!("http://{address}/{nth}")), format!("/{nth}")));
    let took = began.elapsed();
    server.join().expect("it does not panic");
    assert!(took >= LATE, "{took:?}");
    assert!(took < ALL_AT_ONCE, "{took:?}");
    format!("{MANY} requests at once, each answer {LATE:?} late, in {took:.2?}")
}

/// A server for so many connections.
fn serve(connections: usize) -> (SocketAddr, pirn::JoinHandle<()>) {
    let (listener, address) = listener();
    let server = pirn::go(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().expect("a client");
            // The client may have gone before the answer.
            drop(pirn::go(move || answer(stream)));
        }
    });
    (address, server)
}

/// Answers with the path.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    sleep(LATE);
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{path}", path.len())
}
