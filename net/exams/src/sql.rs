//! PostgreSQL: tokio-postgres over `Async`, its connections driven by Gs; and the crate postgres, which blocks a thread
//! for each call, as it brings sockets of its own.

use crate::programs::{self, Folder};
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use pirn::channel::{Receiver, unbounded};
use pirn::net::{Async, Pollable, TcpStream};
use pirn::os::unix::net::UnixStream;
use pirn::process::Child;
use pirn::sync::{Barrier, WaitGroup};
use pirn::{block_on, go};
use std::fs;
use std::future::poll_fn;
use std::io::Cursor;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

/// So many connections are open at the same time: half of them by TCP, half by a socket of Unix.
const CONNECTIONS: usize = 100;
/// How many queries wait for an answer by one connection.
const QUERIES: usize = 500;
/// Rows that are copied in and out.
const ROWS: usize = 100_000;
/// What does not fit into a socket's buffer, in bytes.
const LARGE: usize = 8 << 20;
/// Clients of the crate postgres.
pub(crate) const BLOCKED: usize = 8;
const PASSWORD: &str = "secret";

pub(crate) fn asynchronous() -> String {
    let server = Server::start();
    let by_tcp = || server.connect(TcpStream::connect(server.address).expect("it listens"));
    let by_unix = || server.connect(UnixStream::connect(&server.socket).expect("it listens"));
    let began = Instant::now();
    many(by_tcp, by_unix);
    let took = began.elapsed();
    pipelined(by_tcp().client);
    large(&by_tcp().client);
    large(&by_unix().client);
    copied(&by_unix().client);
    rolled_back(by_tcp().client);
    notified(&by_tcp(), &by_unix());
    cancelled(&server, by_tcp().client);
    server.stop();
    format!("{CONNECTIONS} connections at once, all of which wait 200 ms at the server, in {took:.1?}")
}

/// The crate postgres works as any code that blocks its thread: other Gs run meanwhile.
pub(crate) fn blocking() -> String {
    let server = Server::start();
    let all_are_open = Arc::new(Barrier::new(BLOCKED));
    let began = Instant::now();
    let clients: Vec<_> = (0..BLOCKED)
        .map(|nth| {
            let config = postgres::Config::from(server.config());
            let all_are_open = all_are_open.clone();
            go(move || {
                let mut client = config.connect(NoTls).expect("a connection");
                all_are_open.wait();
                let nth = i64::try_from(nth).expect("it is small");
                for _ in 0..10 {
                    let row = client.query_one("SELECT $1::int8 * 2, pg_sleep(0.01)", &[&nth]).expect("a row");
                    assert_eq!(row.get::<_, i64>(0), nth * 2);
                }
                let mut transaction = client.transaction().expect("it begins");
                let rows = transaction.query("SELECT generate_series(1, 1000)", &[]).expect("rows");
                assert_eq!(rows.len(), 1_000);
                transaction.commit().expect("it ends");
                client.close().expect("it ends in order");
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("all was right"));
    let took = began.elapsed();
    server.stop();
    format!("{BLOCKED} clients at once in {took:.1?}")
}

struct Server {
    process: Child,
    address: SocketAddr,
    socket: PathBuf,
    /// Removed after the process has ended.
    _folder: Folder,
}

impl Server {
    fn start() -> Server {
        let folder = Folder::new("postgres");
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).expect("a file");
        let user = user_of_postgres(&folder);
        let as_user = |program: &str| {
            let mut command = Command::new(program);
            command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let mut command = as_user("initdb");
        command.arg("-D").arg(&data).args(["-U", "postgres", "--auth=scram-sha-256", "--no-sync", "--locale=C"]);
        programs::run(command.args(["--encoding=UTF8", "--pwfile"]).arg(&password));
        let address = programs::free_address();
        let mut command = as_user("postgres");
        command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
        command.arg("-k").arg(folder.path()).args(["-c", "fsync=off", "-c", "max_connections=150"]);
        let process = programs::start(&mut command);
        let socket = folder.path().join(format!(".s.PGSQL.{}", address.port()));
        programs::wait_until_listening(address);
        programs::wait_until_listening_at(&socket);
        let server = Server { process, address, socket, _folder: folder };
        server.wait_until_ready();
        server
    }

    /// It listens before it takes connections.
    fn wait_until_ready(&self) {
        let began = Instant::now();
        let is_ready = || {
            let stream = Async::new(TcpStream::connect(self.address).expect("it listens"));
            block_on(self.config().connect_raw(stream, NoTls)).is_ok()
        };
        while !is_ready() {
            assert!(began.elapsed() < Duration::from_secs(30), "it does not begin");
            pirn::sleep(Duration::from_millis(20));
        }
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.user("postgres").dbname("postgres").password(PASSWORD);
        config.host("127.0.0.1").port(self.address.port());
        config
    }

    /// A client, and its connection on a G of its own.
    fn connect<S>(&self, stream: S) -> Connected
    where
        S: Pollable + Unpin + Send + 'static,
        Async<S>: AsyncRead + AsyncWrite,
    {
        let config = self.config();
        let connected = block_on(config.connect_raw(Async::new(stream), NoTls));
        let (client, mut connection) = connected.expect("a connection");
        let (notify, notified) = unbounded();
        go(move || {
            while let Some(message) = block_on(poll_fn(|cx| connection.poll_message(cx))) {
                if let AsyncMessage::Notification(note) = message.expect("the server runs") {
                    // Nobody reads them any more: the client is about to end.
                    let _ = notify.send(note.payload().to_owned());
                }
            }
        });
        Connected { client, notified }
    }

    fn stop(mut self) {
        // In order, so that it leaves no memory behind that is shared by its processes.
        programs::run(Command::new("kill").args(["-INT", &self.process.id().to_string()]));
        assert!(self.process.wait().expect("it ends").success());
    }
}

struct Connected {
    client: Client,
    notified: Receiver<String>,
}

/// PostgreSQL does not run as root. The folder becomes its user's.
fn user_of_postgres(folder: &Folder) -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").expect("it is Linux").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("a file of users");
    let line = users.lines().find_map(|line| line.strip_prefix("postgres:")).expect("a user called postgres");
    let mut ids = line.split(':').skip(1).map(|id| id.parse().expect("a number"));
    let (uid, gid) = (ids.next().expect("its id"), ids.next().expect("its group"));
    chown(folder.path(), Some(uid), Some(gid)).expect("root may do so");
    Some((uid, gid))
}

fn many(by_tcp: impl Fn() -> Connected, by_unix: impl Fn() -> Connected) {
    let all_are_open = Arc::new(Barrier::new(CONNECTIONS));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|nth| {
            let client = if nth % 2 == 0 { by_tcp() } else { by_unix() }.client;
            let all_are_open = all_are_open.clone();
            go(move || {
                all_are_open.wait();
                let number = i64::try_from(nth).expect("it is small");
                block_on(async {
                    let row = client.query_one("SELECT $1::int8 * 2, pg_sleep(0.2)", &[&number]).await.expect("a row");
                    assert_eq!(row.get::<_, i64>(0), number * 2);
                    let statement = client.prepare_typed("SELECT $1 || 'x'", &[Type::TEXT]).await.expect("a statement");
                    for text in ["", "ä", "long enough"] {
                        let row = client.query_one(&statement, &[&text]).await.expect("a row");
                        assert_eq!(row.get::<_, String>(0), format!("{text}x"));
                    }
                });
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("all was right"));
}

/// Many Gs ask by one connection.
fn pipelined(client: Client) {
    let client = Arc::new(client);
    let queries: Vec<_> = (0..QUERIES)
        .map(|nth| {
            let client = client.clone();
            go(move || {
                let number = i64::try_from(nth).expect("it is small");
                let row = block_on(client.query_one("SELECT $1::int8 + 1", &[&number])).expect("a row");
                assert_eq!(row.get::<_, i64>(0), number + 1);
            })
        })
        .collect();
    queries.into_iter().for_each(|query| query.join().expect("all was right"));
}

fn large(client: &Client) {
    let value: String = (0..LARGE).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let row = block_on(client.query_one("SELECT $1::text", &[&value])).expect("a row");
    assert!(row.get::<_, &str>(0) == value);
}

fn copied(client: &Client) {
    block_on(async {
        client.batch_execute("CREATE TABLE copied (n int8, text text)").await.expect("a table");
        let sink = client.copy_in("COPY copied FROM STDIN").await.expect("it begins");
        pin_mut!(sink);
        for n in 0..ROWS {
            sink.send(Cursor::new(format!("{n}\trow {n}\n").into_bytes())).await.expect("the server reads");
        }
        assert_eq!(sink.finish().await.expect("it ends"), ROWS as u64);
        let stream = client.copy_out("COPY copied TO STDOUT").await.expect("it begins");
        let text = stream.try_fold(Vec::new(), async |mut all, part| {
            all.extend_from_slice(&part);
            Ok(all)
        });
        let text = String::from_utf8(text.await.expect("the server writes")).expect("it is text");
        assert!(text.lines().map(str::to_owned).eq((0..ROWS).map(|n| format!("{n}\trow {n}"))));
    });
}

/// A transaction that is dropped is rolled back.
fn rolled_back(mut client: Client) {
    block_on(async {
        client.batch_execute("CREATE TABLE kept (n int8)").await.expect("a table");
        let transaction = client.transaction().await.expect("it begins");
        transaction.execute("INSERT INTO kept VALUES (1)", &[]).await.expect("it is inserted");
        drop(transaction);
        let transaction = client.transaction().await.expect("it begins");
        transaction.execute("INSERT INTO kept VALUES (2)", &[]).await.expect("it is inserted");
        transaction.commit().await.expect("it ends");
        let rows = client.query("SELECT n FROM kept", &[]).await.expect("rows");
        assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [2]);
    });
}

/// Messages that come by themselves.
fn notified(listener: &Connected, notifier: &Connected) {
    block_on(listener.client.batch_execute("LISTEN news")).expect("it listens");
    for n in 0..QUERIES {
        block_on(notifier.client.execute("SELECT pg_notify('news', $1)", &[&n.to_string()])).expect("it is sent");
    }
    for n in 0..QUERIES {
        assert_eq!(listener.notified.recv().expect("a message"), n.to_string());
    }
}

/// A query that would take an hour is cancelled by another connection.
fn cancelled(server: &Server, client: Client) {
    let token = client.cancel_token();
    let asking = WaitGroup::new();
    let asked = asking.go(move || block_on(client.batch_execute("SELECT pg_sleep(3600)")));
    // A cancellation before the query has begun does nothing.
    while !asking.wait_timeout(Duration::from_millis(50)) {
        let stream = Async::new(TcpStream::connect(server.address).expect("it listens"));
        block_on(token.cancel_query_raw(stream, NoTls)).expect("it is sent");
    }
    let error = asked.join().expect("it does not panic").expect_err("it was cancelled");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
}
