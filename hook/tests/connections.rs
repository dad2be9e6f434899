//! Connects of std, unmodified, on Gs.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{eventually, isolated, shown_waiting};
use pirn_hook as _;
use pirn_runtime::go;
use std::fs::read_to_string;
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(30);

/// Longer than anything takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn address_of(to: SocketAddr) -> libc::sockaddr_in {
    let SocketAddr::V4(to) = to else { panic!("{to} is none of version 4") };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as _,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    }
}

/// Why a connect fails, if it does.
fn connect(fd: RawFd, to: SocketAddr) -> Option<i32> {
    let address = address_of(to);
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

/// A listener whose queue is full: the kernel drops what comes from others, so they get no answer. With the one connection
/// that fills it.
fn dark() -> (TcpListener, TcpStream) {
    /// How many wait to be accepted, and how many may.
    fn queue_of(listener: &TcpListener) -> (u32, u32) {
        // SAFETY: numbers, for which all zeros are values.
        let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
        let mut bytes = size_of_val(&info) as _;
        let (fd, place) = (listener.as_raw_fd(), (&raw mut info).cast());
        // SAFETY: there is room for so many bytes.
        assert_eq!(unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut bytes) }, 0);
        // So Linux says it of one that listens.
        (info.tcpi_unacked, info.tcpi_sacked)
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // SAFETY: it shortens the queue of a listener of ours.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let fills = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    // The kernel takes one more than it is told.
    eventually("the queue is full", || queue_of(&listener) == (1, 0));
    (listener, fills)
}

#[test]
fn a_connect_to_where_nobody_answers_ends_at_its_timeout() {
    let rt = isolated(1);
    let handle = rt.handle();
    rt.run(move || {
        let (listener, _fills) = dark();
        let there = listener.local_addr().unwrap();
        let began = Instant::now();
        assert_eq!(TcpStream::connect_timeout(&there, SHORT).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= SHORT);
        // The time of the socket, by which libc's connect says that it goes on.
        let socket = tcp_socket(0);
        let time = libc::timeval { tv_sec: 0, tv_usec: SHORT.as_micros() as _ };
        let (place, bytes) = ((&raw const time).cast(), size_of_val(&time) as _);
        // SAFETY: a time that is there.
        let status = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDTIMEO, place, bytes) };
        assert_eq!(status, 0);
        let began = Instant::now();
        assert_eq!(connect(socket.as_raw_fd(), there), Some(libc::EINPROGRESS));
        assert!(began.elapsed() >= SHORT);
        // They park meanwhile: hundreds at a time on one P, and few threads.
        let waits =
            || handle.metrics().hooked_waits.into_iter().find(|(name, _)| *name == "poll").map(|(_, count)| count);
        let before = waits().unwrap();
        let connects = (0..200).map(|_| go(move || TcpStream::connect_timeout(&there, 10 * SHORT).unwrap_err().kind()));
        for connect in connects.collect::<Vec<_>>() {
            assert_eq!(connect.join().unwrap(), ErrorKind::TimedOut);
        }
        assert!(waits().unwrap() >= before + 200);
    });
}

#[test]
fn a_connect_that_nobody_answers_goes_on_when_there_is_room() {
    let rt = isolated(1);
    let handle = rt.handle();
    rt.run(move || {
        let (listener, fills) = dark();
        let there = listener.local_addr().unwrap();
        let plain = go(move || TcpStream::connect(there).unwrap().peer_addr().unwrap());
        let timed = go(move || TcpStream::connect_timeout(&there, PATIENCE).unwrap().peer_addr().unwrap());
        shown_waiting(&handle, "connect");
        shown_waiting(&handle, "poll");
        // The kernel asks again a second after it has begun.
        let accepts = go(move || drop([(); 3].map(|()| listener.accept().unwrap())));
        assert_eq!([plain.join().unwrap(), timed.join().unwrap()], [there; 2]);
        accepts.join().unwrap();
        drop(fills);
    });
}

#[test]
fn a_shutdown_ends_a_connect_that_nobody_answers() {
    let rt = isolated(1);
    let (listener, _fills) = dark();
    let there = listener.local_addr().unwrap();
    let cancelled = Arc::new(AtomicUsize::new(0));
    let connects: [fn(SocketAddr) -> io::Error; 2] = [
        |there| TcpStream::connect(there).unwrap_err(),
        |there| TcpStream::connect_timeout(&there, PATIENCE).unwrap_err(),
    ];
    for connect in connects {
        let cancelled = cancelled.clone();
        rt.run(|| {
            drop(go(move || {
                assert_eq!(connect(there).raw_os_error(), Some(libc::ECANCELED));
                cancelled.fetch_add(1, Ordering::Relaxed);
            }))
        });
    }
    shown_waiting(&rt.handle(), "connect");
    shown_waiting(&rt.handle(), "poll");
    rt.close();
    assert_eq!(cancelled.load(Ordering::Relaxed), 2);
}

/// Another thread that reads from it meanwhile would find nothing, and return.
#[test]
fn a_datagram_socket_stays_blocking_while_it_is_connected() {
    isolated(1).run(|| {
        let (socket, peer) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (fd, there) = (socket.as_raw_fd(), peer.local_addr().unwrap());
        let (looked, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let looks = thread::spawn({
            let (looked, over) = (looked.clone(), over.clone());
            move || {
                let mut found = 0;
                while !over.load(Ordering::Relaxed) {
                    // SAFETY: a question.
                    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
                    found += usize::from(flags & libc::O_NONBLOCK != 0);
                    looked.fetch_add(1, Ordering::Relaxed);
                }
                found
            }
        });
        let began = Instant::now();
        let mut connects = 0;
        while (connects < 10_000 || looked.load(Ordering::Relaxed) < 10_000) && began.elapsed() < PATIENCE {
            socket.connect(there).unwrap();
            connects += 1;
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(looks.join().unwrap(), 0, "in {connects} connects");
    });
}

/// Sends what goes with the connect, by that call. Returns how much was sent.
fn send_with_the_connect(call: &str, fd: RawFd, to: SocketAddr, bytes: &[u8]) -> Result<isize, Option<i32>> {
    const FLAGS: i32 = libc::MSG_FASTOPEN;
    let mut address = address_of(to);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: numbers and pointers, for which all zeros are values.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut address).cast();
    message.msg_namelen = size_of_val(&address) as _;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    let sent = match call {
        "sendto" => {
            let (place, len) = (message.msg_name.cast(), message.msg_namelen);
            // SAFETY: so many bytes, and an address.
            unsafe { libc::sendto(fd, bytes.as_ptr().cast(), bytes.len(), FLAGS, place, len) }
        }
        // SAFETY: an address, and one part.
        "sendmsg" => unsafe { libc::sendmsg(fd, &raw const message, FLAGS) },
        "sendmmsg" => {
            let mut all = [libc::mmsghdr { msg_hdr: message, msg_len: 0 }];
            // SAFETY: one message, as above.
            let messages = unsafe { libc::sendmmsg(fd, all.as_mut_ptr(), 1, FLAGS as _) };
            if messages == 1 { all[0].msg_len as isize } else { -1 }
        }
        other => panic!("no such call: {other}"),
    };
    if sent < 0 { Err(io::Error::last_os_error().raw_os_error()) } else { Ok(sent) }
}

/// As libc's: it waits for the connection.
#[test]
fn bytes_may_go_with_the_connect() {
    // The first bit: for clients.
    let allowed = read_to_string("/proc/sys/net/ipv4/tcp_fastopen").unwrap();
    let is_allowed = allowed.trim().parse::<u32>().unwrap() & 1 != 0;
    isolated(2).run(move || {
        for call in ["sendto", "sendmsg", "sendmmsg"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let socket = tcp_socket(0);
            let sent = send_with_the_connect(call, socket.as_raw_fd(), listener.local_addr().unwrap(), b"hello");
            if !is_allowed {
                assert_eq!(sent, Err(Some(libc::EOPNOTSUPP)), "{call}");
                continue;
            }
            assert_eq!(sent, Ok(5), "{call}");
            drop(socket);
            let mut got = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
            assert_eq!(got, b"hello");
        }
    });
}
