//! A server of the redis protocol, in blocking code with a G for each connection, under redis-benchmark.

use crate::programs;
use crate::redis_client::Connection;
use pirn::net::{TcpListener, TcpStream};
use pirn::sync::{Mutex, WaitGroup};
use redis::Commands;
use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

/// So many connections are open at the same time.
const CONNECTIONS: usize = 1_000;
/// Of each command.
const REQUESTS: usize = 50_000;
const COMMANDS: &str = "ping,set,get,incr,lpush,rpop,mset";
/// How many commands of a connection are on their way at the same time in the second round.
const PIPELINE: usize = 16;

pub(crate) fn exam() -> String {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a listener"));
    let address = listener.local_addr().expect("its address");
    let serving = {
        let listener = listener.clone();
        pirn::go(move || {
            let store = Arc::new(Mutex::new(Store::default()));
            let connections = WaitGroup::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let store = store.clone();
                // The benchmark ends its connections as it likes.
                drop(connections.go(move || serve(&stream, &store)));
            }
            connections.wait();
        })
    };
    let one_by_one = benchmark(address, 1);
    let in_pipelines = benchmark(address, PIPELINE);
    let mut connection = Connection::new(TcpStream::connect(address).expect("it listens"));
    // What the benchmark has counted and stored.
    let counter: usize = connection.get("counter:__rand_int__").expect("a number");
    assert_eq!(counter, 2 * REQUESTS);
    let value: Vec<u8> = connection.get("key:__rand_int__").expect("a value");
    assert_eq!(value.len(), 3, "redis-benchmark stores three bytes");
    let pushed: usize = connection.llen("mylist").expect("a length");
    assert_eq!(pushed, 0, "as many were taken as were pushed");
    drop(connection);
    listener.close();
    serving.join().expect("it does not panic");
    format!("GET {one_by_one} a second by {CONNECTIONS} connections, {in_pipelines} with {PIPELINE} in a pipeline")
}

/// Runs the benchmark, and returns how many GETs were in a second.
fn benchmark(address: SocketAddr, pipeline: usize) -> String {
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "--csv", "-t", COMMANDS]);
    command.args(["-c", &CONNECTIONS.to_string(), "-n", &REQUESTS.to_string(), "-P", &pipeline.to_string()]);
    let printed = programs::run(&mut command);
    assert!(!printed.contains("rror"), "{printed}");
    // A line for each command, and two for PING: its name and how many in a second, both in quotes.
    let lines: Vec<_> = printed.lines().filter(|line| line.starts_with('"') && !line.contains("rps")).collect();
    assert_eq!(lines.len(), COMMANDS.split(',').count() + 1, "{printed}");
    let get = lines.iter().find_map(|line| line.strip_prefix("\"GET\",\"")).unwrap_or_else(|| panic!("{printed}"));
    get.split('.').next().unwrap_or_default().to_owned()
}

#[derive(Default)]
struct Store {
    values: HashMap<Vec<u8>, Vec<u8>>,
    lists: HashMap<Vec<u8>, VecDeque<Vec<u8>>>,
}

/// What a command is answered with.
enum Answer {
    Simple(&'static str),
    Error(String),
    Number(i64),
    Bytes(Option<Vec<u8>>),
    Pair(Vec<u8>, Vec<u8>),
}

impl Store {
    fn execute(&mut self, command: &[Vec<u8>]) -> Answer {
        let (name, arguments) = command.split_first().expect("a command has a name");
        match (name.to_ascii_uppercase().as_slice(), arguments) {
            (b"PING", []) => Answer::Simple("PONG"),
            (b"PING", [text]) => Answer::Bytes(Some(text.clone())),
            (b"SET", [key, value]) => {
                self.values.insert(key.clone(), value.clone());
                Answer::Simple("OK")
            }
            (b"MSET", pairs) if !pairs.is_empty() && pairs.len() % 2 == 0 => {
                let pairs = pairs.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
                self.values.extend(pairs);
                Answer::Simple("OK")
            }
            (b"GET", [key]) => Answer::Bytes(self.values.get(key).cloned()),
            (b"INCR", [key]) => {
                let old = self.values.get(key).map_or(Some(0), |old| str::from_utf8(old).ok()?.parse::<i64>().ok());
                let Some(new) = old.and_then(|old| old.checked_add(1)) else {
                    return Answer::Error("ERR value is not an integer or out of range".to_owned());
                };
                self.values.insert(key.clone(), new.to_string().into_bytes());
                Answer::Number(new)
            }
            (b"LPUSH", [key, values @ ..]) => {
                let list = self.lists.entry(key.clone()).or_default();
                values.iter().for_each(|value| list.push_front(value.clone()));
                Answer::Number(list.len() as i64)
            }
            (b"RPOP", [key]) => Answer::Bytes(self.lists.get_mut(key).and_then(VecDeque::pop_back)),
            (b"LLEN", [key]) => Answer::Number(self.lists.get(key).map_or(0, VecDeque::len) as i64),
            // The benchmark asks for settings, to print them.
            (b"CONFIG", [_, name]) => Answer::Pair(name.clone(), Vec::new()),
            (name, _) => Answer::Error(format!("ERR unknown command '{}'", String::from_utf8_lossy(name))),
        }
    }
}

impl Answer {
    fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        match self {
            Answer::Simple(text) => write!(writer, "+{text}\r\n"),
            Answer::Error(text) => write!(writer, "-{text}\r\n"),
            Answer::Number(number) => write!(writer, ":{number}\r\n"),
            Answer::Bytes(None) => writer.write_all(b"$-1\r\n"),
            Answer::Bytes(Some(bytes)) => write_bytes(writer, bytes),
            Answer::Pair(first, second) => {
                writer.write_all(b"*2\r\n")?;
                write_bytes(writer, first)?;
                write_bytes(writer, second)
            }
        }
    }
}

fn write_bytes(writer: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write!(writer, "${}\r\n", bytes.len())?;
    writer.write_all(bytes)?;
    writer.write_all(b"\r\n")
}

/// Executes the commands of one connection. Answers are sent when no more commands have come with the last.
fn serve(stream: &TcpStream, store: &Mutex<Store>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = BufWriter::new(stream);
    while let Some(command) = read_command(&mut reader)? {
        let answer = store.lock().execute(&command);
        answer.write_to(&mut writer)?;
        if reader.buffer().is_empty() {
            writer.flush()?;
        }
    }
    Ok(())
}

/// A command is an array of strings, or a line of words. None: the client has ended.
fn read_command(reader: &mut impl BufRead) -> io::Result<Option<Vec<Vec<u8>>>> {
    let line = read_line(reader)?;
    let command = if line.is_empty() {
        return Ok(None);
    } else if let Some(parts) = length(&line, '*') {
        (0..parts).map(|_| read_string(reader)).collect::<io::Result<Vec<_>>>()?
    } else {
        line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    };
    if command.is_empty() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(Some(command)) }
}

fn read_string(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let length = length(&read_line(reader)?, '$').ok_or(io::ErrorKind::InvalidData)?;
    let mut bytes = vec![0; length + "\r\n".len()];
    reader.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line)
}

/// What a line of a sign and a number says.
fn length(line: &str, sign: char) -> Option<usize> {
    line.strip_prefix(sign)?.trim_end().parse().ok()
}
