//! The crate postgres with PostgreSQL on the other side: a connection for each G, and a pool of r2d2 for all. The crate
//! runs a runtime of tokio for each connection, which waits in `epoll_wait`.

use crate::programs::{self, Folder};
use crate::{MANY, many};
use pirn::process::Child;
use postgres::{Client, Config, NoTls};
use r2d2_postgres::PostgresConnectionManager;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Connections of the pool.
const POOLED: u32 = 50;

pub(crate) fn exam() -> String {
    let server = Server::start();
    let config = server.config();
    let began = Instant::now();
    let all_are_open = Arc::new(Barrier::new(MANY));
    many(MANY, move |nth| {
        let mut client = config.connect(NoTls).expect("a connection");
        all_are_open.wait();
        ask(&mut client, nth);
        client.close().expect("it ends in order");
    });
    let took = began.elapsed();
    server.stop();
    format!("{MANY} connections at once in {took:.1?}")
}

pub(crate) fn pooled() -> String {
    let server = Server::start();
    let began = Instant::now();
    let manager = PostgresConnectionManager::new(server.config(), NoTls);
    let pool = r2d2::Pool::builder().max_size(POOLED).build(manager).expect("it listens");
    many(MANY, move |nth| ask(&mut pool.get().expect("a connection"), nth));
    let took = began.elapsed();
    server.stop();
    format!("{MANY} Gs with {POOLED} connections in {took:.1?}")
}

fn ask(client: &mut Client, nth: usize) {
    let number = i64::try_from(nth).expect("it is small");
    for _ in 0..3 {
        let row = client.query_one("SELECT $1::int8 * 2, pg_sleep(0.01)", &[&number]).expect("a row");
        assert_eq!(row.get::<_, i64>(0), number * 2);
    }
    let mut transaction = client.transaction().expect("it begins");
    let rows = transaction.query("SELECT generate_series(1, 100)", &[]).expect("rows");
    assert_eq!(rows.len(), 100);
    transaction.commit().expect("it ends");
}

struct Server {
    process: Child,
    address: SocketAddr,
    /// Removed after the process has ended.
    _folder: Folder,
}

impl Server {
    fn start() -> Server {
        let folder = Folder::new("postgres");
        let data = folder.path().join("data");
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
        command.arg("-D").arg(&data).args(["-U", "postgres", "--auth=trust", "--no-sync", "--locale=C"]);
        programs::run(command.arg("--encoding=UTF8"));
        let address = programs::free_address();
        let mut command = as_user("postgres");
        command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-k", ""]);
        let process = programs::start(command.args(["-c", "fsync=off", "-c", "max_connections=1100"]));
        programs::wait_until_listening(address);
        let server = Server { process, address, _folder: folder };
        // It listens before it takes connections.
        let began = Instant::now();
        while let Err(error) = server.config().connect(NoTls) {
            assert!(began.elapsed() < Duration::from_secs(30), "{error}");
            sleep(Duration::from_millis(20));
        }
        server
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.user("postgres").dbname("postgres").host("127.0.0.1").port(self.address.port());
        config
    }

    fn stop(mut self) {
        // In order, so that it leaves no memory behind that is shared by its processes.
        programs::run(Command::new("kill").args(["-INT", &self.process.id().to_string()]));
        assert!(self.process.wait().expect("it ends").success());
    }
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
