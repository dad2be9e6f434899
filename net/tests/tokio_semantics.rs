//! What tokio's tests of sockets hold to be true, written anew for our types. Read at tokio's commit ea91b33c (MIT),
//! `tokio/tests/`: 16 files of TCP, UDP and Unix with 101 tests (each use of a macro is one), and two small ones.
//!
//! | tokio's file | its tests | stand here | do not apply |
//! | --- | --- | --- | --- |
//! | `tcp_accept` | 7 | 7 | |
//! | `tcp_connect` | 8 | 8 | |
//! | `tcp_echo` | 1 | 1 | |
//! | `tcp_into_split` | 3 | 1 | 2: `reunite`, `drop_write` |
//! | `tcp_into_std` | 1 | 1 | |
//! | `tcp_peek` | 1 | 1 | |
//! | `tcp_shutdown` | 3 | 3 | |
//! | `tcp_socket` | 13 | 13 | |
//! | `tcp_split` | 1 | 1 | |
//! | `tcp_stream` | 8 | 6 | 2: `read_closed`, `write_closed` |
//! | `udp` | 29 | 25 | 4: `recv_buf`, `recv_buf_from`, `try_recv_buf`, `try_recv_buf_from` |
//! | `uds_cred` | 1 | | 1: `test_socket_pair` |
//! | `uds_datagram` | 12 | 8 | 4: `recv_buf`, `recv_buf_from`, `try_recv_buf_from`, `try_recv_buf_never_block` |
//! | `uds_socket` | 3 | 2 | 1: `assert_usage` |
//! | `uds_split` | 1 | 1 | |
//! | `uds_stream` | 9 | 9 | |
//! | `net_lookup_host` | 3 | 3 | |
//! | `net_quickack` | 1 | 1 | |
//! | all | 105 | 91 | 14 |
//!
//! What does not apply, and why:
//! - Halves with an owner each (`reunite`, `drop_write`): there are none, as `&TcpStream` reads and writes. Dropping a
//!   reference ends nothing; `shutdown` does (`an_end_of_writes_leaves_reads`).
//! - Flags of readiness (`read_closed`, `write_closed`): `readable` says only that a read would not block. The read says
//!   what is there.
//! - `BufMut` (eight of `recv_buf`): `recv` takes slices, as std's. A read into what is uninitialised is for the traits.
//! - `peer_cred`: std has it only unstable; `socket2` or `libc` take our stream as a descriptor.
//! - `UnixSocket` of the wrong kind (`assert_usage`): the types make such calls impossible.
//!
//! Those of pipes and of any descriptor are in `tokio_descriptors.rs`. Each test says which ones of tokio's it stands for.
#![expect(clippy::unwrap_used, reason = "all functions are parts of tests")]

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;
mod pairs;

use crew::{everywhere, on_gs, poll_once};
use futures_io::{AsyncRead, AsyncWrite};
use pairs::{Dir, fill, is_ready, name, tcp_pair};
use pirn_net::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use pirn_net::{Async, ConnectOptions, ListenOptions, Pollable, TcpListener, TcpStream, UdpSocket, lookup_host};
use pirn_runtime::{block_on, go, yield_now};
use socket2::SockRef;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::unix::net as unix;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

const MSG: &[u8] = b"hello";

/// Connects by each kind of address that a listener has.
#[track_caller]
fn connects(listener: TcpListener, connect: impl FnOnce(SocketAddr) -> io::Result<TcpStream>) {
    let client = connect(listener.local_addr().unwrap()).unwrap();
    let (server, address) = listener.accept().unwrap();
    assert_eq!(address, server.peer_addr().unwrap());
    assert_eq!(client.local_addr().unwrap(), server.peer_addr().unwrap());
    assert_eq!(server.local_addr().unwrap(), client.peer_addr().unwrap());
}

/// `tcp_accept`: `ip_str`, `host_str`, `socket_addr`, `str_port_tuple`, `ip_port_tuple`.
#[test]
fn a_listener_takes_addresses_of_all_kinds() {
    everywhere(|_| {
        let home: IpAddr = "127.0.0.1".parse().unwrap();
        connects(TcpListener::bind("127.0.0.1:0").unwrap(), TcpStream::connect);
        connects(TcpListener::bind("localhost:0").unwrap(), TcpStream::connect);
        connects(TcpListener::bind(SocketAddr::new(home, 0)).unwrap(), TcpStream::connect);
        connects(TcpListener::bind(("127.0.0.1", 0)).unwrap(), TcpStream::connect);
        connects(TcpListener::bind((home, 0)).unwrap(), TcpStream::connect);
    });
}

/// `tcp_connect`: `connect_v4`, `connect_v6`, `connect_addr_ip_string`, `connect_addr_ip_str_slice`,
/// `connect_addr_host_string`, `connect_addr_ip_port_tuple`, `connect_addr_ip_str_port_tuple`,
/// `connect_addr_host_str_port_tuple`.
#[test]
fn a_connect_takes_addresses_of_all_kinds() {
    everywhere(|_| {
        let v4 = || TcpListener::bind("127.0.0.1:0").unwrap();
        connects(v4(), TcpStream::connect);
        connects(TcpListener::bind("[::1]:0").unwrap(), TcpStream::connect);
        connects(v4(), |address| TcpStream::connect(format!("127.0.0.1:{}", address.port())));
        connects(v4(), |address| TcpStream::connect(&format!("127.0.0.1:{}", address.port())[..]));
        connects(v4(), |address| TcpStream::connect(format!("localhost:{}", address.port())));
        connects(v4(), |address| TcpStream::connect((address.ip(), address.port())));
        connects(v4(), |address| TcpStream::connect(("127.0.0.1", address.port())));
        connects(v4(), |address| TcpStream::connect(("localhost", address.port())));
    });
}

/// `tcp_accept`: `no_extra_poll`. A task that accepts is polled when it begins, and twice for a connection: for that, and
/// then to wait for the next.
#[test]
fn an_accept_is_polled_for_connections_only() {
    on_gs(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (polls, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let server = go({
            let (polls, accepted) = (polls.clone(), accepted.clone());
            move || {
                block_on(async {
                    let listener = Async::new(listener);
                    while accepted.load(Ordering::SeqCst) < 2 {
                        let mut accept = pin!(listener.accept());
                        poll_fn(|cx| {
                            polls.fetch_add(1, Ordering::SeqCst);
                            accept.as_mut().poll(cx)
                        })
                        .await
                        .unwrap();
                        accepted.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        pirn_runtime::sleep(Duration::from_millis(20));
        assert_eq!(polls.load(Ordering::SeqCst), 1);
        let _client = TcpStream::connect(address).unwrap();
        while polls.load(Ordering::SeqCst) < 3 {
            pirn_runtime::sleep(Duration::from_millis(1));
        }
        assert_eq!(accepted.load(Ordering::SeqCst), 1);
        pirn_runtime::sleep(Duration::from_millis(20));
        assert_eq!(polls.load(Ordering::SeqCst), 3);
        let _client = TcpStream::connect(address).unwrap();
        server.join().unwrap();
        assert_eq!(polls.load(Ordering::SeqCst), 4);
    });
}

/// `tcp_accept`: `accept_many`. One connection wakes all tasks that accept.
#[test]
fn a_connection_wakes_all_that_accept() {
    const TASKS: usize = 50;
    on_gs(|| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let (pending, is_connected) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (listener, pending, is_connected) = (listener.clone(), pending.clone(), is_connected.clone());
                go(move || {
                    block_on(async {
                        let listener = Async::new(&*listener);
                        let mut readable = pin!(listener.readable());
                        let mut is_first = true;
                        poll_fn(|cx| {
                            if is_first {
                                is_first = false;
                                assert!(readable.as_mut().poll(cx).is_pending());
                                pending.fetch_add(1, Ordering::SeqCst);
                                return Poll::Pending;
                            }
                            // It does not look at the listener any more, so only the first event can wake it.
                            if is_connected.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                        })
                        .await;
                    });
                })
            })
            .collect();
        while pending.load(Ordering::SeqCst) < TASKS {
            yield_now();
        }
        is_connected.store(true, Ordering::SeqCst);
        let _client = TcpStream::connect(address).unwrap();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// `tcp_echo`: `echo_server`.
#[test]
fn an_echo_copies_all() {
    const MESSAGES: usize = 1024;
    everywhere(|kind| {
        let (mut client, server) = tcp_pair();
        let writer = kind.go(move || {
            for _ in 0..MESSAGES {
                client.write_all(b"foo bar baz").unwrap();
                let mut buf = [0; 11];
                client.read_exact(&mut buf).unwrap();
                assert_eq!(&buf, b"foo bar baz");
            }
        });
        // Both halves at the same time.
        assert_eq!(io::copy(&mut &server, &mut &server).unwrap(), MESSAGES as u64 * 11);
        writer.join();
    });
}

/// `tcp_split`: `split`; `tcp_into_split`: `split`; `tcp_peek`: `peek`. Halves are references, here of two owners.
#[test]
fn halves_read_peek_and_write() {
    everywhere(|kind| {
        let (stream, mut peer) = tcp_pair();
        let read_half = Arc::new(stream);
        let write_half = read_half.clone();
        let writer = kind.go(move || assert_eq!((&*write_half).write(MSG).unwrap(), MSG.len()));
        peer.write_all(MSG).unwrap();
        let mut buf = [0; 32];
        assert_eq!(read_half.peek(&mut buf).unwrap(), MSG.len());
        assert_eq!(read_half.peek(&mut buf).unwrap(), MSG.len());
        assert_eq!((&*read_half).read(&mut buf).unwrap(), MSG.len());
        assert_eq!(&buf[..MSG.len()], MSG);
        writer.join();
        assert_eq!(peer.read(&mut buf).unwrap(), MSG.len());
    });
}

/// In the place of `tcp_into_split`: `drop_write`. The end of writes is seen by the peer, and reads go on.
#[test]
fn an_end_of_writes_leaves_reads() {
    everywhere(|kind| {
        let (stream, peer) = tcp_pair();
        let stream = Arc::new(stream);
        let reader = {
            let stream = stream.clone();
            kind.go(move || (&*stream).read_to_end(&mut Vec::new()).unwrap())
        };
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&peer).read(&mut [0; 32]).unwrap(), 0);
        (&peer).write_all(MSG).unwrap();
        drop(peer);
        assert_eq!(reader.join(), MSG.len());
    });
}

/// `tcp_into_std`: `tcp_into_std`.
#[test]
fn a_stream_goes_to_std_and_comes_back() {
    everywhere(|_| {
        let (mut client, server) = tcp_pair();
        let mut std = server.into_std();
        client.write_all(b"Hello world!").unwrap();
        let mut data = [0; 12];
        // It blocks, without being told to.
        std.read_exact(&mut data).unwrap();
        assert_eq!(&data, b"Hello world!");
        std.set_nonblocking(true).unwrap();
        let mut ours = TcpStream::from(std);
        // Ours keeps what was set.
        assert_eq!(ours.read(&mut data).unwrap_err().kind(), ErrorKind::WouldBlock);
        ours.set_nonblocking(false).unwrap();
        client.write_all(b"Hello again!").unwrap();
        ours.read_exact(&mut data).unwrap();
        assert_eq!(&data, b"Hello again!");
    });
}

async fn close(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_close(cx)).await
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buf: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buf)).await
}

/// `tcp_shutdown`: `shutdown`, `shutdown_multiple_calls`, `shutdown_after_tcp_reset`; `uds_stream`: `shutdown`. The end of
/// async writes may come several times, and after the end of the connection.
#[test]
fn async_writes_end_more_than_once() {
    on_gs(|| {
        let (client, server) = tcp_pair();
        block_on(async {
            let (mut client, mut server) = (Async::new(client), Async::new(server));
            close(&mut client).await.unwrap();
            assert_eq!(read(&mut server, &mut [0]).await.unwrap(), 0);
            close(&mut client).await.unwrap();
            close(&mut server).await.unwrap();
            assert_eq!(read(&mut client, &mut [0]).await.unwrap(), 0);
            close(&mut client).await.unwrap();
            close(&mut server).await.unwrap();
        });
        let (client, server) = tcp_pair();
        server.set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        block_on(close(&mut Async::new(client))).unwrap();
        let (client, mut server) = UnixStream::pair().unwrap();
        let mut client = Async::new(client);
        block_on(close(&mut client)).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        drop(server);
        block_on(close(&mut client)).unwrap();
    });
}

/// `tcp_socket`: `basic_usage_v4`, `basic_usage_v6`, `bind_before_connect`, `basic_linger`; `tcp_stream`: `set_linger`.
#[test]
fn sockets_are_set_up_before_they_connect() {
    everywhere(|_| {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let any: SocketAddr = any.parse().unwrap();
            let listener = ListenOptions::new().backlog(128).bind(any).unwrap();
            let client = ConnectOptions::new().local_addr(any).connect(listener.local_addr().unwrap()).unwrap();
            assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
            assert_eq!(client.linger().unwrap(), None);
            for linger in [Some(Duration::from_secs(1)), Some(Duration::ZERO), None] {
                client.set_linger(linger).unwrap();
                assert_eq!(client.linger().unwrap(), linger);
            }
            assert_eq!(SockRef::from(&listener).linger().unwrap(), None);
        }
    });
}

/// `tcp_socket`: `keepalive`, `reuseaddr`, `reuseport`, `send_buffer_size`, `recv_buffer_size`, `linger`, `nodelay`,
/// `tclass_v6`, `tos_v4`; `net_quickack`: `socket_works_with_quickack`. What std has not is set by socket2.
#[test]
fn options_of_tcp_are_set() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let listener = ListenOptions::new().reuse_port(true).bind(any).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (of_listener, of_client) = (SockRef::from(&listener), SockRef::from(&client));
        assert!(of_listener.reuse_address().unwrap() && of_listener.reuse_port().unwrap());
        assert!(!of_client.keepalive().unwrap());
        client.set_keepalive(Some(Duration::from_secs(10))).unwrap();
        assert!(of_client.keepalive().unwrap());
        // The system doubles them.
        of_client.set_send_buffer_size(4096).unwrap();
        of_client.set_recv_buffer_size(4096).unwrap();
        assert_eq!((of_client.send_buffer_size().unwrap(), of_client.recv_buffer_size().unwrap()), (8192, 8192));
        client.set_linger(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(10)));
        assert!(!client.nodelay().unwrap());
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        client.set_quickack(true).unwrap();
        if any.starts_with('[') {
            of_client.set_tclass_v6(96).unwrap();
            assert_eq!(of_client.tclass_v6().unwrap(), 96);
        } else {
            of_client.set_tos_v4(96).unwrap();
            assert_eq!(of_client.tos_v4().unwrap(), 96);
        }
    }
}

/// Streams of which both ends are here.
trait Stream: Pollable + Sized {
    fn pair() -> (Self, Self);
    fn set_nonblocking(&self);

    /// What reads and writes.
    fn half(&self) -> impl Read + Write;
}

impl Stream for TcpStream {
    fn pair() -> (TcpStream, TcpStream) {
        tcp_pair()
    }

    fn set_nonblocking(&self) {
        TcpStream::set_nonblocking(self, true).unwrap();
    }

    fn half(&self) -> impl Read + Write {
        self
    }
}

impl Stream for UnixStream {
    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().unwrap()
    }

    fn set_nonblocking(&self) {
        UnixStream::set_nonblocking(self, true).unwrap();
    }

    fn half(&self) -> impl Read + Write {
        self
    }
}

fn try_read_write<S: Stream>() {
    let (client, server) = S::pair();
    client.set_nonblocking();
    server.set_nonblocking();
    for is_vectored in [false, true] {
        let (of_client, of_server) = (Async::new(&client), Async::new(&server));
        // A wait is woken by what comes.
        let mut readable = pin!(of_server.readable());
        assert!(poll_once(&mut readable).is_pending());
        client.half().write_all(MSG).unwrap();
        block_on(readable).unwrap();
        assert!(is_ready(of_client.writable()));
        let mut written = MSG.to_vec();
        written.extend(fill(&mut client.half(), is_vectored));
        assert!(!is_ready(of_client.writable()));
        let mut got = vec![0; written.len()];
        let mut length = 0;
        while length < got.len() {
            block_on(of_server.readable()).unwrap();
            let mut bufs: Vec<_> = got[length..].chunks_mut(0x10000).map(IoSliceMut::new).collect();
            let read = match is_vectored {
                true => server.half().read_vectored(&mut bufs),
                false => server.half().read(&mut bufs[0]),
            };
            match read {
                Ok(more) => length += more,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(got == written);
        block_on(of_client.writable()).unwrap();
    }
    drop(client);
    block_on(Async::new(&server).readable()).unwrap();
    assert_eq!(server.half().read(&mut [0]).unwrap(), 0);
}

/// `tcp_stream`: `try_read_write`, `try_read_buf`; `uds_stream`: `try_read_write`, `try_read_buf`.
#[test]
fn what_would_block_is_waited_for_by_tasks() {
    on_gs(|| {
        try_read_write::<TcpStream>();
        try_read_write::<UnixStream>();
    });
}

fn poll_ready<S: Stream>() {
    let (client, server) = S::pair();
    server.set_nonblocking();
    assert!(!is_ready(Async::new(&server).readable()));
    client.half().write_all(b"ping").unwrap();
    block_on(Async::new(&server).readable()).unwrap();
    server.half().read_exact(&mut [0; 4]).unwrap();
    // Unlike with tokio it is known at once that nothing is left.
    assert!(!is_ready(Async::new(&server).readable()));
    drop(client);
    block_on(Async::new(&server).readable()).unwrap();
    let (client, server) = S::pair();
    client.set_nonblocking();
    assert!(is_ready(Async::new(&client).writable()));
    fill(&mut client.half(), false);
    assert!(!is_ready(Async::new(&client).writable()));
    drop(server);
    block_on(Async::new(&client).writable()).unwrap();
}

/// `tcp_stream`: `poll_read_ready`, `poll_write_ready`; `uds_stream`: `poll_read_ready`, `poll_write_ready`.
#[test]
fn readiness_is_that_of_the_next_operation() {
    on_gs(|| {
        poll_ready::<TcpStream>();
        poll_ready::<UnixStream>();
    });
}

/// `tcp_stream`: `buffer_not_included_in_future`.
#[test]
fn a_future_that_waits_has_no_buffer() {
    let future = async {
        let stream = TcpStream::connect("127.0.0.1:8080").unwrap();
        let stream = Async::new(stream);
        loop {
            stream.readable().await.unwrap();
            let mut buf = [0; 4096];
            if stream.get_ref().peek(&mut buf).unwrap() == 0 {
                break;
            }
        }
    };
    assert!(size_of_val(&future) < 1000, "{} bytes", size_of_val(&future));
}

fn udp() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// `udp`: `send_recv`, `send_to_recv_from`, `send_to_peek_from`, `peek_sender`, `split`.
#[test]
fn datagrams_of_udp() {
    everywhere(|kind| {
        let ((sender, from), (receiver, to)) = (udp(), udp());
        let mut buf = [0; 32];
        sender.send_to(MSG, to).unwrap();
        for _ in 0..2 {
            assert_eq!(receiver.peek_from(&mut buf).unwrap(), (MSG.len(), from));
            assert_eq!(&buf[..MSG.len()], MSG);
            // Who has sent it, without a buffer.
            assert_eq!(receiver.peek_from(&mut []).unwrap(), (0, from));
        }
        assert_eq!(receiver.recv_from(&mut buf).unwrap(), (MSG.len(), from));
        sender.connect(to).unwrap();
        receiver.connect(from).unwrap();
        sender.send(MSG).unwrap();
        assert_eq!(receiver.recv(&mut buf).unwrap(), MSG.len());
        let (socket, address) = udp();
        let socket = Arc::new(socket);
        let sending = {
            let socket = socket.clone();
            kind.go(move || socket.send_to(MSG, address).unwrap())
        };
        assert_eq!(socket.recv_from(&mut buf).unwrap(), (MSG.len(), address));
        sending.join();
    });
}

/// `udp`: `send_to_recv_closed_returns_err`.
#[test]
fn a_datagram_to_nobody_is_an_error_of_the_next_operation() {
    everywhere(|_| {
        let ((sender, _), (receiver, to)) = (udp(), udp());
        drop(receiver);
        sender.connect(to).unwrap();
        sender.send(MSG).unwrap();
        sender.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(sender.recv(&mut [0; 32]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

/// `udp`: `send_recv_poll`, `send_to_recv_from_poll`, `send_to_peek_from_poll`, `poll_peek_sender`, `poll_ready`.
#[test]
fn datagrams_of_udp_by_tasks() {
    on_gs(|| {
        let ((sender, from), (receiver, to)) = (udp(), udp());
        let (sender, receiver) = (Async::new(sender), Async::new(receiver));
        block_on(async {
            let mut buf = [0; 32];
            for _ in 0..5 {
                assert!(poll_once(&mut pin!(receiver.readable())).is_pending());
                sender.writable().await.unwrap();
                sender.write_with(|socket| socket.send_to(MSG, to)).await.unwrap();
                receiver.readable().await.unwrap();
                let peeked = receiver.read_with(|socket| socket.peek_from(&mut buf)).await.unwrap();
                assert_eq!(peeked, (MSG.len(), from));
                let peeked = receiver.read_with(|socket| socket.peek_from(&mut [])).await.unwrap();
                assert_eq!(peeked, (0, from));
                let got = receiver.read_with(|socket| socket.recv_from(&mut buf)).await.unwrap();
                assert_eq!((got, &buf[..MSG.len()]), ((MSG.len(), from), MSG));
            }
            sender.get_ref().connect(to).unwrap();
            receiver.get_ref().connect(from).unwrap();
            sender.write_with(|socket| socket.send(MSG)).await.unwrap();
            assert_eq!(receiver.read_with(|socket| socket.recv(&mut buf)).await.unwrap(), MSG.len());
        });
    });
}

/// `udp`: `send_to_try_peek_from`, `try_peek_sender`, `try_send_spawn`, `try_send_recv`, `try_send_to_recv_from`.
#[test]
fn datagrams_of_udp_without_waiting() {
    everywhere(|_| {
        let ((sender, from), (receiver, to)) = (udp(), udp());
        sender.set_nonblocking(true).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut buf = [0; 512];
        for _ in 0..5 {
            assert_eq!(receiver.recv_from(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(receiver.peek_from(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
            sender.send_to(b"hello world", to).unwrap();
            while receiver.peek_from(&mut []).is_err() {
                readable(&receiver);
            }
            assert_eq!(receiver.peek_from(&mut buf).unwrap(), (11, from));
            assert_eq!(receiver.recv_from(&mut buf).unwrap(), (11, from));
        }
        sender.connect(to).unwrap();
        receiver.connect(from).unwrap();
        // A thread of its own sends too.
        let sender = Arc::new(sender);
        let thread = {
            let sender = sender.clone();
            std::thread::spawn(move || sender.send(MSG).unwrap())
        };
        let mut received = 0;
        sender.send(MSG).unwrap();
        while received < 2 * MSG.len() {
            match receiver.recv(&mut buf) {
                Ok(length) => received += length,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    readable(&receiver);
                }
            }
        }
        thread.join().unwrap();
    });
}

/// Waits though the socket is non-blocking for its user.
fn readable(socket: &UdpSocket) {
    socket.set_nonblocking(false).unwrap();
    socket.readable().unwrap();
    socket.set_nonblocking(true).unwrap();
}

/// `udp`: `split_chan`, `split_chan_poll`. One reads and another one writes, with a channel between them.
#[test]
fn a_socket_has_a_reader_and_a_writer() {
    on_gs(|| {
        let (socket, address) = udp();
        let socket = Arc::new(socket);
        let (sender, receiver) = pirn_channels::bounded::<(Vec<u8>, SocketAddr)>(1_000);
        let writer = {
            let socket = socket.clone();
            go(move || receiver.iter().for_each(|(bytes, to)| _ = socket.send_to(&bytes, to).unwrap()))
        };
        let reader = {
            let socket = socket.clone();
            go(move || {
                let mut buf = [0; 32];
                while let Ok((length, from)) = socket.recv_from(&mut buf) {
                    sender.send((buf[..length].to_vec(), from)).unwrap();
                }
            })
        };
        let (client, _) = udp();
        client.send_to(MSG, address).unwrap();
        let mut buf = [0; 32];
        assert_eq!(client.recv_from(&mut buf).unwrap(), (MSG.len(), address));
        assert_eq!(&buf[..MSG.len()], MSG);
        // Ends the reader, and with it the writer.
        socket.set_deadline(Some(std::time::Instant::now()));
        reader.join().unwrap();
        writer.join().unwrap();
    });
}

/// `udp`: `broadcast`, `multicast_loop_v4`, `multicast_ttl_v4`, `multicast_loop_v6`, `tclass_v6`, `ttl`, `tos_v4`.
#[test]
fn options_of_udp_are_set() {
    let (v4, _) = udp();
    let v6 = UdpSocket::bind("[::1]:0").unwrap();
    v4.set_broadcast(true).unwrap();
    v4.set_multicast_loop_v4(false).unwrap();
    v4.set_multicast_ttl_v4(40).unwrap();
    v4.set_ttl(40).unwrap();
    assert!(v4.broadcast().unwrap() && !v4.multicast_loop_v4().unwrap());
    assert_eq!((v4.multicast_ttl_v4().unwrap(), v4.ttl().unwrap()), (40, 40));
    v6.set_multicast_loop_v6(false).unwrap();
    assert!(!v6.multicast_loop_v6().unwrap());
    SockRef::from(&v4).set_tos_v4(96).unwrap();
    assert_eq!(SockRef::from(&v4).tos_v4().unwrap(), 96);
    SockRef::from(&v6).set_tclass_v6(96).unwrap();
    assert_eq!(SockRef::from(&v6).tclass_v6().unwrap(), 96);
}

/// `uds_datagram`: `echo`, `echo_from`, `split`, `send_recv_poll`, `send_to_recv_from_poll`, `poll_ready`; `uds_socket`:
/// `datagram_echo_server`.
#[test]
fn datagrams_of_unix() {
    everywhere(|kind| {
        let dir = Dir::new();
        let (server_path, client_path) = (dir.path("server"), dir.path("client"));
        let server = UnixDatagram::bind(&server_path).unwrap();
        let echo = kind.go(move || {
            let mut buf = [0; 1024];
            for _ in 0..3 {
                let (length, from) = server.recv_from(&mut buf).unwrap();
                server.send_to(&buf[..length], from.as_pathname().unwrap()).unwrap();
            }
        });
        let socket = UnixDatagram::bind(&client_path).unwrap();
        socket.connect(&server_path).unwrap();
        let mut buf = [0; 16];
        socket.send(b"ECHO").unwrap();
        assert_eq!(socket.recv(&mut buf).unwrap(), 4);
        socket.send(b"ECHO").unwrap();
        let (length, from) = socket.recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..length], from.as_pathname()), (&b"ECHO"[..], Some(&*server_path)));
        // From one owner to another.
        let path = dir.path("split");
        let split = Arc::new(UnixDatagram::bind(&path).unwrap());
        let sending = {
            let split = split.clone();
            kind.go(move || split.send_to(b"ECHO", path).unwrap())
        };
        assert_eq!(split.recv_from(&mut buf).unwrap().0, 4);
        sending.join();
        // By tasks, if there is a runtime.
        if kind == crew::Kind::G {
            let socket = Async::new(socket);
            block_on(async {
                assert!(poll_once(&mut pin!(socket.readable())).is_pending());
                socket.writable().await.unwrap();
                socket.write_with(|socket| socket.send(b"ECHO")).await.unwrap();
                socket.readable().await.unwrap();
                let (length, from) = socket.read_with(|socket| socket.recv_from(&mut buf)).await.unwrap();
                assert_eq!((length, from.as_pathname()), (4, Some(&*server_path)));
            });
        } else {
            socket.send_to(b"ECHO", &server_path).unwrap();
            assert_eq!(socket.recv(&mut buf).unwrap(), 4);
        }
        echo.join();
    });
}

/// `uds_datagram`: `try_send_recv_never_block`, `try_send_to_recv_from`.
#[test]
fn datagrams_of_unix_without_waiting() {
    everywhere(|_| {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        sender.set_nonblocking(true).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut count = 0;
        let full = loop {
            match sender.send(MSG) {
                Ok(length) => assert_eq!(length, MSG.len()),
                Err(error) => break error.kind(),
            }
            count += 1;
        };
        assert_eq!(full, ErrorKind::WouldBlock);
        let mut buf = [0; 16];
        for _ in 0..count {
            assert_eq!(receiver.recv(&mut buf).unwrap(), MSG.len());
            assert_eq!(&buf[..MSG.len()], MSG);
        }
        assert_eq!(receiver.recv(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        let dir = Dir::new();
        let (to, from) = (dir.path("server"), dir.path("client"));
        let (server, client) = (UnixDatagram::bind(&to).unwrap(), UnixDatagram::bind(&from).unwrap());
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        for _ in 0..5 {
            assert_eq!(server.recv_from(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
            client.send_to(MSG, &to).unwrap();
            let (length, address) = server.recv_from(&mut buf).unwrap();
            assert_eq!((length, address.as_pathname()), (MSG.len(), Some(&*from)));
        }
    });
}

/// `uds_stream`: `accept_read_write`, `accept_read_write_socketaddr`; `uds_socket`: `listen_and_stream`.
#[test]
fn streams_of_unix_are_accepted() {
    everywhere(|_| {
        let dir = Dir::new();
        for by_address in [false, true] {
            let path = dir.path(if by_address { "address" } else { "path" });
            let address = unix::SocketAddr::from_pathname(&path).unwrap();
            let (listener, mut client) = if by_address {
                (UnixListener::bind_addr(&address).unwrap(), UnixStream::connect_addr(&address).unwrap())
            } else {
                (UnixListener::bind(&path).unwrap(), UnixStream::connect(&path).unwrap())
            };
            let (mut server, from) = listener.accept().unwrap();
            assert!(from.is_unnamed());
            assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path));
            client.write_all(MSG).unwrap();
            drop(client);
            let mut text = Vec::new();
            server.read_to_end(&mut text).unwrap();
            assert_eq!(text, MSG);
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
        }
    });
}

/// `uds_split`: `split`. Both sides write, end, and read to the end.
#[test]
fn both_sides_end_their_writes() {
    everywhere(|kind| {
        let (a, b) = UnixStream::pair().unwrap();
        let talk = |stream: UnixStream, says: &'static [u8]| {
            (&stream).write_all(says).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut heard = Vec::new();
            (&stream).read_to_end(&mut heard).unwrap();
            heard
        };
        let other = kind.go(move || talk(a, b"A"));
        assert_eq!(talk(b, b"B"), b"A");
        assert_eq!(other.join(), b"B");
    });
}

/// `uds_stream`: `epollhup`. A connection that was never accepted ends with its listener.
#[test]
fn a_stream_ends_with_a_listener_that_has_not_accepted_it() {
    everywhere(|_| {
        let address = name();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let mut stream = UnixStream::connect_addr(&address).unwrap();
        drop(listener);
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(UnixStream::connect_addr(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

/// `uds_stream`: `abstract_socket_name`. The name has no nought byte in front, and an address that is not a path.
#[test]
fn names_are_abstract() {
    everywhere(|_| {
        use std::os::linux::net::SocketAddrExt;

        let address = name();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let client = UnixStream::connect_addr(&address).unwrap();
        let (server, _) = listener.accept().unwrap();
        let local = server.into_std().local_addr().unwrap();
        assert_eq!(local.as_abstract_name(), address.as_abstract_name());
        assert_eq!(client.peer_addr().unwrap().as_abstract_name(), address.as_abstract_name());
    });
}

/// `net_lookup_host`: `lookup_socket_addr`, `lookup_str_socket_addr`, `resolve_dns`.
#[test]
fn hosts_are_looked_up() {
    everywhere(|_| {
        let address: SocketAddr = "127.0.0.1:8000".parse().unwrap();
        assert_eq!(lookup_host(address).unwrap().collect::<Vec<_>>(), [address]);
        assert_eq!(lookup_host("127.0.0.1:8000").unwrap().collect::<Vec<_>>(), [address]);
        let mut addresses = lookup_host("localhost:3000").unwrap();
        assert!(addresses.all(|address| address.ip().is_loopback() && address.port() == 3000));
    });
}
