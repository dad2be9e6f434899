//! Connections, and names that no other test has.

use pirn_net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;
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
