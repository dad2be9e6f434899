//! The crate redis over streams of pirn, by its trait `ConnectionLike`, and redis-server on the other side.

use crate::programs::{self, Folder};
use pirn::JoinHandle;
use pirn::net::TcpStream;
use pirn::os::unix::net::UnixStream;
use pirn::sync::Barrier;
use redis::{Commands, ConnectionLike, ErrorKind, Parser, RedisError, RedisResult, Value};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many connections are open at the same time: half of them by TCP, half by a socket of Unix.
const CONNECTIONS: usize = 500;
/// What each does.
const COMMANDS: usize = 100;
/// What does not fit into a socket's buffer.
const LARGE: usize = 8 << 20;

/// A connection over any stream.
pub(crate) struct Connection<S> {
    stream: S,
    parser: Parser,
    is_open: bool,
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn new(stream: S) -> Connection<S> {
        Connection { stream, parser: Parser::new(), is_open: true }
    }

    fn send(&mut self, commands: &[u8]) -> RedisResult<()> {
        let sent = self.stream.write_all(commands);
        self.is_open &= sent.is_ok();
        Ok(sent?)
    }

    /// One answer. An answer that is an error of the server is a value here.
    fn receive(&mut self) -> RedisResult<Value> {
        let received = self.parser.parse_value(&mut self.stream);
        self.is_open &= !received.as_ref().is_err_and(RedisError::is_unrecoverable_error);
        received
    }
}

impl<S: Read + Write> ConnectionLike for Connection<S> {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.send(command)?;
        self.receive()
    }

    fn req_packed_commands(&mut self, commands: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.send(commands)?;
        for _ in 0..offset {
            self.receive()?;
        }
        (0..count).map(|_| self.receive()).collect()
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").query::<String>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        self.is_open
    }
}

pub(crate) fn exam() -> String {
    let folder = Folder::new("redis");
    let path = folder.path().join("socket");
    let address = programs::free_address();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--unixsocket"]).arg(&path);
    command.args(["--save", "", "--maxclients", "5000", "--dir"]).arg(folder.path()).stdout(Stdio::null());
    let server = programs::start(&mut command);
    programs::wait_until_listening(address);
    programs::wait_until_listening_at(&path);
    let by_tcp = || Connection::new(TcpStream::connect(address).expect("it listens"));
    let by_unix = || Connection::new(UnixStream::connect(&path).expect("it listens"));

    let began = Instant::now();
    many(by_tcp, by_unix);
    let took = began.elapsed();
    large(&mut by_tcp());
    large(&mut by_unix());
    transaction(&mut by_tcp(), &mut by_unix());
    blocked(by_tcp);
    published(&mut by_tcp(), &mut by_unix());
    late(by_tcp());
    let mut connection = by_tcp();
    assert!(connection.check_connection());
    drop(server);
    assert!(!connection.check_connection() && !connection.is_open(), "the server has gone");
    let commands = CONNECTIONS * COMMANDS * 2;
    format!("{CONNECTIONS} connections at once with {commands} commands in {took:.1?}")
}

fn many(by_tcp: impl Fn() -> Connection<TcpStream>, by_unix: impl Fn() -> Connection<UnixStream>) {
    let all_are_open = Arc::new(Barrier::new(CONNECTIONS));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|nth| match nth % 2 {
            0 => count(by_tcp(), nth, all_are_open.clone()),
            _ => count(by_unix(), nth, all_are_open.clone()),
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("all was right"));
    let counted: usize = by_tcp().get("counter").expect("a number");
    assert_eq!(counted, CONNECTIONS * COMMANDS);
}

/// Commands one by one, and in a pipeline.
fn count<C>(mut connection: C, nth: usize, all_are_open: Arc<Barrier>) -> JoinHandle<()>
where
    C: ConnectionLike + Send + 'static,
{
    pirn::go(move || {
        all_are_open.wait();
        for _ in 0..COMMANDS {
            let _: usize = connection.incr("counter", 1).expect("a number");
        }
        let value = |n| vec![n as u8; n * 10];
        let mut pipeline = redis::pipe();
        for n in 0..COMMANDS / 2 {
            let key = format!("{nth}:{n}");
            pipeline.set(&key, value(n)).ignore().get(key);
        }
        let values: Vec<Vec<u8>> = pipeline.query(&mut connection).expect("values");
        assert!(values.into_iter().eq((0..COMMANDS / 2).map(value)));
    })
}

fn large(connection: &mut impl ConnectionLike) {
    let value: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    let _: () = connection.set("large", &value).expect("it is stored");
    let back: Vec<u8> = connection.get("large").expect("it is there");
    assert!(back == value);
}

/// Of two transactions that watch the same key the second is told that it was late.
fn transaction(first: &mut impl ConnectionLike, second: &mut impl ConnectionLike) {
    let watch = redis::cmd("WATCH").arg("watched").to_owned();
    watch.exec(first).expect("it is watched");
    watch.exec(second).expect("it is watched");
    let mut increment = redis::pipe();
    increment.atomic().incr("watched", 1);
    assert_eq!(increment.query::<Option<(usize,)>>(first).expect("an answer"), Some((1,)));
    assert_eq!(increment.query::<Option<(usize,)>>(second).expect("an answer"), None);
}

/// Clients that wait at the server hold no thread, and each gets one value.
fn blocked(connect: impl Fn() -> Connection<TcpStream>) {
    let waiting: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut connection = connect();
            pirn::go(move || {
                let (_, value): (String, usize) = connection.blpop("list", 0.0).expect("a value");
                value
            })
        })
        .collect();
    let mut connection = connect();
    for n in 0..CONNECTIONS {
        let _: usize = connection.rpush("list", n).expect("its length");
    }
    let mut values: Vec<_> = waiting.into_iter().map(|waiting| waiting.join().expect("a value")).collect();
    values.sort_unstable();
    assert!(values.into_iter().eq(0..CONNECTIONS));
}

/// Messages that come by themselves.
fn published<S: Read + Write>(subscriber: &mut Connection<S>, publisher: &mut impl ConnectionLike) {
    let subscribe = redis::cmd("SUBSCRIBE").arg("news").to_owned();
    let _: (String, String, usize) = subscribe.query(subscriber).expect("it is subscribed");
    for n in 0..COMMANDS {
        let receivers: usize = publisher.publish("news", n).expect("how many got it");
        assert_eq!(receivers, 1);
    }
    for n in 0..COMMANDS {
        let message = subscriber.receive().expect("a message");
        let (kind, channel, text): (String, String, usize) = redis::from_redis_value(message).expect("a message");
        assert_eq!((kind.as_str(), channel.as_str(), text), ("message", "news", n));
    }
}

/// An answer that comes too late is a timeout for the crate too.
fn late(mut connection: Connection<TcpStream>) {
    connection.stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let error = connection.blpop::<_, Option<(String, usize)>>("nothing", 0.0).expect_err("nothing comes");
    assert!(error.is_timeout() && error.kind() == ErrorKind::Io, "{error}");
}
