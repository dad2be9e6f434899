//! Connections, names that no other test has, and whether something would block.
#![allow(dead_code, reason = "each test file uses its own part of this one")]

use pirn_net::{TcpListener, TcpStream};
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

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

/// Whether a wait of a task would go on.
pub(crate) fn is_ready(future: impl Future<Output = io::Result<()>>) -> bool {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => {
            result.expect("it can be waited for");
            true
        }
        Poll::Pending => false,
    }
}

/// Writes until it would block, in one way or the other; what was written.
pub(crate) fn fill(stream: &mut impl Write, is_vectored: bool) -> Vec<u8> {
    let data: Vec<u8> = (0..4000_u32).map(|n| (n % 251) as u8).collect();
    let slices: Vec<_> = data.chunks(10).map(IoSlice::new).collect();
    let mut written = Vec::new();
    loop {
        match if is_vectored { stream.write_vectored(&slices) } else { stream.write(&data) } {
            Ok(length) => written.extend_from_slice(&data[..length]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return written;
            }
        }
    }
}
