//! The crate redis, with redis-server on the other side: a connection for each G, and a pool of r2d2 for all.

use crate::programs::{self, Folder};
use crate::{MANY, many};
use pirn::process::Child;
use redis::{Client, Commands, Connection};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

const COMMANDS: usize = 20;
/// Connections of the pool.
const POOLED: u32 = 50;
/// What does not fit into a socket's buffer.
const LARGE: usize = 8 << 20;

struct Server {
    _process: Child,
    client: Client,
    _folder: Folder,
}

fn start() -> Server {
    let folder = Folder::new("redis");
    let address = programs::free_address();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
    command.args(["--maxclients", "5000", "--dir"]).arg(folder.path()).stdout(Stdio::null());
    let process = programs::start(&mut command);
    programs::wait_until_listening(address);
    let client = Client::open(format!("redis://{address}")).expect("an address");
    Server { _process: process, client, _folder: folder }
}

pub(crate) fn exam() -> String {
    let server = start();
    let began = Instant::now();
    let client = server.client.clone();
    let all_are_open = Arc::new(Barrier::new(MANY));
    many(MANY, move |nth| {
        let mut connection = client.get_connection().expect("it listens");
        all_are_open.wait();
        ask(&mut connection, nth);
        // Half of them wait at the server for the other half.
        let list = format!("list:{}", nth / 2);
        if nth % 2 == 0 {
            let popped: (String, usize) = connection.blpop(&list, 0.0).expect("a value");
            assert_eq!(popped, (list, nth + 1));
        } else {
            let _: usize = connection.rpush(&list, nth).expect("its length");
        }
    });
    let took = began.elapsed();
    let mut connection = server.client.get_connection().expect("it listens");
    let counted: usize = connection.get("counter").expect("a number");
    assert_eq!(counted, MANY * COMMANDS);
    let value: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    let _: () = connection.set("large", &value).expect("it is stored");
    let back: Vec<u8> = connection.get("large").expect("it is there");
    assert!(back == value);
    // An answer that comes too late.
    connection.set_read_timeout(Some(Duration::from_millis(30))).expect("a timeout");
    let late: redis::RedisResult<(String, usize)> = connection.blpop("never", 0.0);
    assert!(late.expect_err("nothing comes").is_timeout());
    format!("{MANY} connections at once with {} commands in {took:.1?}", MANY * COMMANDS * 2)
}

pub(crate) fn pooled() -> String {
    let server = start();
    let began = Instant::now();
    let pool = r2d2::Pool::builder().max_size(POOLED).build(server.client.clone()).expect("it listens");
    many(MANY, move |nth| ask(&mut pool.get().expect("a connection"), nth));
    let took = began.elapsed();
    let counted: usize = server.client.get_connection().and_then(|mut c| c.get("counter")).expect("a number");
    assert_eq!(counted, MANY * COMMANDS);
    format!("{MANY} Gs with {POOLED} connections in {took:.1?}")
}

/// Commands one by one, and in a pipeline.
fn ask(connection: &mut Connection, nth: usize) {
    for _ in 0..COMMANDS {
        let _: usize = connection.incr("counter", 1).expect("a number");
    }
    let value = |n| vec![n as u8; n * 10];
    let mut pipeline = redis::pipe();
    for n in 0..COMMANDS / 2 {
        let key = format!("{nth}:{n}");
        pipeline.set(&key, value(n)).ignore().get(key);
    }
    let values: Vec<Vec<u8>> = pipeline.query(connection).expect("values");
    assert!(values.into_iter().eq((0..COMMANDS / 2).map(value)));
}
