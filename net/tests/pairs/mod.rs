//! Connections, and names that no other test has.
#![allow(dead_code, reason = "each test file uses its own part of this one")]

use pirn_net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Two that are connected by TCP.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("it has one")).expect("it listens");
    (client, listener.accept().expect("the client's").0)
}

/// An abstract name that no other test has.
pub(crate) fn name() -> unix::SocketAddr {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("pirn-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    unix::SocketAddr::from_abstract_name(name).expect("it is short")
}

/// A directory that no other test has, which goes with it.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("pirn-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a directory");
        Dir(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // It may be looked at from elsewhere, which is no fault.
        _ = std::fs::remove_dir_all(&self.0);
    }
}
