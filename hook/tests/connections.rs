//! Connects of std, unmodified, on Gs.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::isolated;
use pirn_hook as _;
use pirn_runtime::go;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(30);

/// Why a connect fails, if it does.
fn connect(fd: RawFd, to: SocketAddr) -> Option<i32> {
    let SocketAddr::V4(to) = to else { panic!("{to} is none of version 4") };
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as _,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    };
    // SAFETY: an address that is there.
    let status = unsafe { libc::connect(fd, (&raw const address).cast(), size_of_val(&address) as _) };
    if status == 0 { None } else { io::Error::last_os_error().raw_os_error() }
}

fn tcp_socket(flags: i32) -> OwnedFd {
    // SAFETY: it has no preconditions.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | flags, 0) };
    assert!(fd >= 0);
    // SAFETY: it is new, and no other code has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[test]
fn connects_fail_and_succeed() {
    isolated(1).run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        // SAFETY: a question.
        let flags = unsafe { libc::fcntl(stream.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
        drop(TcpStream::connect_timeout(&address, SHORT).unwrap());
        drop(listener);
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_full_unix_listener_is_tried_again() {
    let path = std::env::temp_dir().join(format!("pirn-hook-{}", std::process::id()));
    let rt = isolated(2);
    rt.run(|| {
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // SAFETY: it shortens the queue of a listener of ours.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0);
        let connects: Vec<_> = (0..20)
            .map(|_| {
                let path = path.clone();
                go(move || UnixStream::connect(path).unwrap())
            })
            .collect();
        std::thread::sleep(SHORT);
        let accepted: Vec<_> = (0..20).map(|_| listener.accept().unwrap()).collect();
        connects.into_iter().for_each(|g| drop(g.join().unwrap()));
        drop(accepted);
    });
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_socket_that_was_connected_or_refused_is_so_for_the_next_call() {
    isolated(1).run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let socket = tcp_socket(0);
        assert_eq!(connect(socket.as_raw_fd(), there), None);
        assert_eq!(connect(socket.as_raw_fd(), there), Some(libc::EISCONN));
        // One that has begun without blocking is waited for.
        let begun = tcp_socket(libc::SOCK_NONBLOCK);
        assert_eq!(connect(begun.as_raw_fd(), there), Some(libc::EINPROGRESS));
        // SAFETY: a command without a pointer.
        assert_eq!(unsafe { libc::fcntl(begun.as_raw_fd(), libc::F_SETFL, 0) }, 0);
        assert_eq!(connect(begun.as_raw_fd(), there), None);
        drop(listener);
        let socket = tcp_socket(0);
        for _ in 0..3 {
            assert_eq!(connect(socket.as_raw_fd(), there), Some(libc::ECONNREFUSED));
        }
    });
}
