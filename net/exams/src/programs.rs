//! Programs of others: started, waited for without a thread, and ended with the exam.

use pirn::net::TcpStream;
use pirn::os::unix::net::UnixStream;
use pirn::process::{Child, CommandExt};
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, net, process};

/// Longer than a server takes to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a program to its end, which has to be a good one, and returns what it has printed on both outputs.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output_g().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text.into_owned()
}

/// Starts a server, which is killed when this is dropped.
pub(crate) fn start(command: &mut Command) -> Child {
    let mut child = command.stdin(Stdio::null()).spawn_g().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.kill_on_drop(true);
    child
}

/// Where a server of others may listen: the port was free just now.
pub(crate) fn free_address() -> SocketAddr {
    net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// Waits until a server listens there.
pub(crate) fn wait_until_listening(address: SocketAddr) {
    wait_until_connected(&address, || TcpStream::connect(address));
}

/// The same for a socket of Unix. A server may make it later than the one of TCP.
pub(crate) fn wait_until_listening_at(path: &Path) {
    wait_until_connected(&path.display(), || UnixStream::connect(path));
}

fn wait_until_connected<S>(place: &dyn Display, connect: impl Fn() -> io::Result<S>) {
    let began = Instant::now();
    while let Err(error) = connect() {
        assert!(began.elapsed() < PATIENCE, "nobody listens at {place}: {error}");
        pirn::sleep(Duration::from_millis(10));
    }
}

/// A program that is built with this one.
pub(crate) fn beside_this_program(name: &str) -> PathBuf {
    env::current_exe().expect("a program knows where it is").with_file_name(name)
}

/// A folder of its own, which is removed with what is in it when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The name is part of the path, which is short enough for a socket of Unix.
    pub(crate) fn new(name: &str) -> Folder {
        let path = env::temp_dir().join(format!("pirn-{name}-{}", process::id()));
        fs::create_dir(&path).expect("a new folder");
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is the system's to clean.
        let _ = fs::remove_dir_all(&self.0);
    }
}
