//! What our sockets have beside std's (whose own tests are run by `ci/net-suites`), and the ways from and to std's types.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;
mod pairs;

use crew::common::{eventually, runtime};
use crew::{Kind, everywhere};
use pairs::{name, tcp_pair};
use pirn_net::os::unix::net::{UnixDatagram, UnixStream};
use pirn_net::{ConnectOptions, ListenOptions, Poll, TcpListener, TcpStream, UdpSocket, lookup_host};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(30);

/// How long it took, and what it said.
fn timed<R>(f: impl FnOnce() -> io::Result<R>) -> (Duration, ErrorKind) {
    let began = Instant::now();
    let Err(error) = f() else { panic!("no error") };
    (began.elapsed(), error.kind())
}

#[test]
fn a_timeout_is_for_each_operation() {
    everywhere(|_| {
        let (a, _b) = tcp_pair();
        a.set_read_timeout(Some(SOON)).unwrap();
        for _ in 0..3 {
            let (took, kind) = timed(|| (&a).read(&mut [0; 10]));
            assert_eq!(kind, ErrorKind::TimedOut);
            assert!(took >= SOON, "{took:?}");
        }
        // A clone has the same, also when it is set later.
        let clone = a.try_clone().unwrap();
        a.set_read_timeout(Some(SOON * 2)).unwrap();
        assert_eq!(clone.read_timeout().unwrap(), Some(SOON * 2));
        assert!(timed(|| (&clone).read(&mut [0; 10])).0 >= SOON * 2);
    });
}

#[test]
fn a_deadline_is_for_all_operations() {
    everywhere(|_| {
        let (a, b) = tcp_pair();
        a.set_read_deadline(Some(Instant::now() + SOON));
        assert_eq!(timed(|| (&a).read(&mut [0; 10])).1, ErrorKind::TimedOut);
        // Also if there is something to read.
        (&b).write_all(b"x").unwrap();
        assert_eq!(timed(|| (&a).read(&mut [0; 10])).1, ErrorKind::TimedOut);
        assert_eq!(timed(|| a.peek(&mut [0; 10])).1, ErrorKind::TimedOut);
        assert_eq!(timed(|| a.readable()).1, ErrorKind::TimedOut);
        // Not for writes, and not for clones.
        (&a).write_all(b"y").unwrap();
        assert_eq!((&a.try_clone().unwrap()).read(&mut [0; 10]).unwrap(), 1);
        a.set_read_deadline(None);
        (&b).write_all(b"z").unwrap();
        assert_eq!((&a).read(&mut [0; 10]).unwrap(), 1);
    });
}

#[test]
fn the_earlier_of_timeout_and_deadline_counts() {
    everywhere(|_| {
        let (a, _b) = tcp_pair();
        a.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        a.set_read_deadline(Some(Instant::now() + SOON));
        assert_eq!(timed(|| (&a).read(&mut [0; 10])).1, ErrorKind::TimedOut);
        a.set_read_timeout(Some(SOON)).unwrap();
        a.set_read_deadline(Some(Instant::now() + Duration::from_secs(100)));
        assert_eq!(timed(|| (&a).read(&mut [0; 10])).1, ErrorKind::TimedOut);
    });
}

#[test]
fn readable_and_writable_wait_without_a_buffer() {
    everywhere(|kind| {
        let (a, b) = tcp_pair();
        a.writable().unwrap();
        let waiter = kind.go(move || {
            a.readable().unwrap();
            let mut buf = [0; 10];
            assert_eq!((&a).read(&mut buf).unwrap(), 2);
        });
        pirn_runtime::sleep(SOON);
        (&b).write_all(b"hi").unwrap();
        waiter.join();
        let (a, b) = tcp_pair();
        drop(b);
        // An end is something to read.
        a.readable().unwrap();
        assert_eq!((&a).read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn nonblocking_is_emulated() {
    everywhere(|_| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = listener.try_clone().unwrap();
        listener.set_nonblocking(true).unwrap();
        // As in std, a clone is the same.
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (server, _) = listener.accept().unwrap();
        // What is accepted does not inherit it.
        listener.set_nonblocking(true).unwrap();
        assert_eq!((&server).write(b"x").unwrap(), 1);
        assert_eq!((&client).read(&mut [0; 2]).unwrap(), 1);
        client.set_nonblocking(true).unwrap();
        assert_eq!((&client).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let full = loop {
            if let Err(error) = (&client).write(&[0; 1 << 16]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        assert_eq!(udp.recv_from(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn what_was_set_goes_to_std_and_comes_back() {
    let (a, b) = tcp_pair();
    a.set_read_timeout(Some(Duration::from_secs(7))).unwrap();
    let std = a.into_std();
    assert_eq!(std.read_timeout().unwrap(), Some(Duration::from_secs(7)));
    // It blocks, until somebody writes.
    let writer = std::thread::spawn(move || {
        std::thread::sleep(SOON);
        (&b).write_all(b"x").unwrap();
        b
    });
    assert_eq!((&std).read(&mut [0; 10]).unwrap(), 1);
    let b = writer.join().unwrap();
    let a = TcpStream::from(std);
    assert_eq!((a.read_timeout().unwrap(), a.write_timeout().unwrap()), (Some(Duration::from_secs(7)), None));
    a.set_read_timeout(None).unwrap();
    let std = std::net::TcpStream::from(a);
    assert_eq!(std.read_timeout().unwrap(), None);
    std.set_nonblocking(true).unwrap();
    let a = TcpStream::from(std);
    assert_eq!((&a).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    let std = a.into_std();
    assert_eq!((&std).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(b);
}

#[test]
fn sockets_are_descriptors() {
    let (a, b) = tcp_pair();
    let number = a.as_raw_fd();
    let fd = OwnedFd::from(a);
    assert_eq!(fd.as_raw_fd(), number);
    let raw = TcpStream::from(fd).into_raw_fd();
    assert_eq!(raw, number);
    // SAFETY: it was given up in the line before.
    let a = unsafe { TcpStream::from_raw_fd(raw) };
    (&a).write_all(b"x").unwrap();
    assert_eq!((&b).read(&mut [0; 10]).unwrap(), 1);
    // As an input of a child, which wants one that blocks.
    let (reader, mut writer) = UnixStream::pair().unwrap();
    let child = std::process::Command::new("cat")
        .stdin(OwnedFd::from(reader))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(SOON);
    writer.write_all(b"hello").unwrap();
    drop(writer);
    assert_eq!(child.wait_with_output().unwrap().stdout, b"hello");
}

#[test]
fn debug_is_that_of_std() {
    let (a, _b) = tcp_pair();
    let ours = format!("{a:?}");
    assert_eq!(ours, format!("{:?}", a.into_std()));
    let datagram = UnixDatagram::bind_addr(&name()).unwrap();
    let ours = format!("{datagram:?}");
    assert_eq!(ours, format!("{:?}", datagram.into_std()));
}

#[test]
fn options_are_set() {
    let (a, _b) = tcp_pair();
    assert_eq!(a.keepalive().unwrap(), None);
    a.set_keepalive(Some(Duration::from_secs(33))).unwrap();
    assert_eq!(a.keepalive().unwrap(), Some(Duration::from_secs(33)));
    a.set_keepalive(None).unwrap();
    assert_eq!(a.keepalive().unwrap(), None);
    a.set_quickack(false).unwrap();
    assert!(!a.quickack().unwrap());
    a.set_linger(Some(Duration::from_secs(3))).unwrap();
    assert_eq!(a.linger().unwrap(), Some(Duration::from_secs(3)));
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_broadcast(true).unwrap();
    assert!(udp.broadcast().unwrap());
    udp.set_multicast_ttl_v4(3).unwrap();
    assert_eq!(udp.multicast_ttl_v4().unwrap(), 3);
    udp.set_multicast_loop_v4(false).unwrap();
    assert!(!udp.multicast_loop_v4().unwrap());
}

#[test]
fn listeners_share_a_port_if_they_agree() {
    let options = ListenOptions::new().reuse_port(true).backlog(7);
    let first = options.bind("127.0.0.1:0").unwrap();
    let address = first.local_addr().unwrap();
    let second = options.bind(address).unwrap();
    assert_eq!(second.local_addr().unwrap(), address);
    assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    let only = ListenOptions::new().only_v6(true).bind("[::]:0").unwrap();
    let both = ListenOptions::new().only_v6(true).bind("127.0.0.1:0").unwrap();
    assert!(only.local_addr().unwrap().is_ipv6() && both.local_addr().unwrap().is_ipv4());
}

#[test]
fn names_are_looked_up() {
    everywhere(|_| {
        let listener = TcpListener::bind("localhost:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for _ in 0..2 {
            TcpStream::connect(("localhost", port)).unwrap();
            TcpStream::connect(format!("localhost:{port}")).unwrap();
        }
        let in_time = ConnectOptions::new().timeout(crew::PATIENCE).keepalive(SOON * 100).nodelay(true);
        assert!(in_time.connect(("localhost", port)).unwrap().nodelay().unwrap());
        assert!(lookup_host(("localhost", 7)).unwrap().all(|address| address.port() == 7));
        for wrong in ["no port", "localhost:no", "localhost:99999"] {
            assert_eq!(TcpStream::connect(wrong).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong}");
        }
        TcpStream::connect("name.invalid:80").unwrap_err();
    });
}

#[test]
fn all_addresses_are_tried() {
    everywhere(|_| {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = [nobody, listener.local_addr().unwrap()];
        let options = ConnectOptions::new().timeout(Duration::from_secs(10));
        assert_eq!(options.connect(&addresses[..]).unwrap().peer_addr().unwrap(), addresses[1]);
        assert_eq!(TcpStream::connect(&addresses[..1]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(TcpStream::connect(&[][..]).unwrap_err().kind(), ErrorKind::InvalidInput);
        let bound = ConnectOptions::new().local_addr(([127, 0, 0, 2], 0).into());
        assert_eq!(bound.connect(addresses[1]).unwrap().local_addr().unwrap().ip().to_string(), "127.0.0.2");
    });
}

#[test]
fn several_read_from_one_socket() {
    everywhere(|kind| {
        let (a, b) = UnixDatagram::pair().unwrap();
        let a = Arc::new(a);
        let sum = Arc::new(AtomicUsize::new(0));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (a, sum) = (a.clone(), sum.clone());
                kind.go(move || {
                    let mut buf = [0; 8];
                    while a.recv(&mut buf).unwrap() > 0 {
                        sum.fetch_add(buf[0].into(), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        (0..100).for_each(|n| _ = b.send(&[n]).unwrap());
        (0..4).for_each(|_| _ = b.send(&[]).unwrap());
        readers.into_iter().for_each(|reader| reader.join());
        assert_eq!(sum.load(Ordering::Relaxed), 4950);
    });
}

#[test]
fn a_send_waits_for_a_full_queue() {
    everywhere(|kind| {
        let (address, sender) = (name(), UnixDatagram::unbound().unwrap());
        let receiver = UnixDatagram::bind_addr(&address).unwrap();
        sender.set_write_timeout(Some(SOON)).unwrap();
        let mut sent = 0_usize;
        let full = loop {
            match sender.send_to_addr(&[0; 10], &address) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::TimedOut);
        sender.set_write_timeout(None).unwrap();
        let waiting = kind.go(move || sender.send_to_addr(&[1; 10], &address).unwrap());
        pirn_runtime::sleep(SOON);
        (0..=sent).for_each(|_| _ = receiver.recv(&mut [0; 10]).unwrap());
        assert_eq!(waiting.join(), 10);
        // And one that is connected.
        let (a, b) = UnixDatagram::pair().unwrap();
        let writer = kind.go(move || (0..1000).for_each(|_| _ = a.send(&[0; 10]).unwrap()));
        (0..1000).for_each(|_| _ = b.recv(&mut [0; 10]).unwrap());
        writer.join();
    });
}

#[test]
fn any_descriptor_is_polled() {
    everywhere(|kind| {
        let (reader, mut writer) = io::pipe().unwrap();
        let reader = Poll::new(reader).unwrap();
        let waiter = kind.go(move || {
            let mut buf = [0; 10];
            let length = reader.read_with(|mut reader| reader.read(&mut buf)).unwrap();
            reader.readable().unwrap();
            (length, reader.into_inner())
        });
        pirn_runtime::sleep(SOON);
        writer.write_all(b"hello").unwrap();
        pirn_runtime::sleep(SOON);
        drop(writer);
        assert_eq!(waiter.join().0, 5);
    });
}

#[test]
fn a_poll_that_is_closed_wakes_who_waits() {
    everywhere(|kind| {
        let (reader, _writer) = io::pipe().unwrap();
        let reader = Arc::new(Poll::new(reader).unwrap());
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let reader = reader.clone();
                kind.go(move || reader.read_with(|mut reader| reader.read(&mut [0])).unwrap_err().kind())
            })
            .collect();
        pirn_runtime::sleep(SOON);
        reader.close();
        waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join(), ErrorKind::NotConnected));
        assert!(reader.is_closed());
        assert_eq!(reader.readable().unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

/// An epoll says nothing of that, as there is no room.
#[test]
fn a_unix_socket_that_is_shut_wakes_who_waits_for_room() {
    everywhere(|kind| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let ours = Arc::new(ours);
        let writer = ours.clone();
        let waiting = kind.go(move || (&*writer).write_all(&vec![0; 8 << 20]).unwrap_err().kind());
        pirn_runtime::sleep(SOON);
        ours.shutdown(Shutdown::Write).unwrap();
        assert_eq!(waiting.join(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn gs_threads_and_runtimes_use_one_socket() {
    let (a, b) = tcp_pair();
    let a = Arc::new(a);
    let echo = std::thread::spawn(move || {
        let house = runtime(1);
        house.run(|| io::copy(&mut &b, &mut &b).unwrap());
    });
    let house = runtime(1);
    for round in 0_u8..10 {
        let mut buf = [0];
        if round % 2 == 0 {
            (&*a).write_all(&[round]).unwrap();
            house.run(|| (&*a).read_exact(&mut buf).unwrap());
        } else {
            house.run(|| (&*a).write_all(&[round]).unwrap());
            (&*a).read_exact(&mut buf).unwrap();
        }
        assert_eq!(buf, [round]);
    }
    a.shutdown(std::net::Shutdown::Write).unwrap();
    echo.join().unwrap();
    assert_eq!(Kind::Thread.go(move || (&*a).read(&mut [0]).unwrap()).join(), 0);
}

/// A read that takes less than it has room for empties the socket, and the next waits without trying. It must not miss
/// what comes with the end, by a thread, after a peek, or in between.
#[test]
fn what_comes_after_a_short_read_is_read() {
    everywhere(|kind| {
        let (mut a, mut b) = tcp_pair();
        let mut buf = [0; 100];
        for round in 0..20 {
            let late = round % 2 == 0;
            let writer = kind.go(move || {
                if late {
                    pirn_runtime::sleep(Duration::from_millis(1));
                }
                b.write_all(b"12345").unwrap();
                b
            });
            // Sometimes it stays in the socket for a while.
            if round % 3 == 0 {
                assert_eq!(a.peek(&mut buf[..3]).unwrap(), 3);
            }
            let mut length = 0;
            while length < 5 {
                length += a.read(&mut buf).unwrap();
            }
            b = writer.join();
        }
        // Data and the end in one event.
        let reader = kind.go(move || {
            let mut text = String::new();
            (&a).read_to_string(&mut text).unwrap();
            let mut buf = [0; 100];
            assert_eq!((&a).read(&mut buf).unwrap(), 0);
            text
        });
        b.write_all(b"last").unwrap();
        drop(b);
        assert_eq!(reader.join(), "last");
    });
}

#[test]
fn the_end_comes_with_the_data() {
    everywhere(|_| {
        for _ in 0..20 {
            let (a, b) = tcp_pair();
            // It is registered, and both come before anybody looks.
            a.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            assert_eq!((&a).read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::TimedOut);
            (&b).write_all(b"end").unwrap();
            drop(b);
            pirn_runtime::sleep(Duration::from_millis(1));
            a.set_read_timeout(Some(crew::PATIENCE)).unwrap();
            assert_eq!((&a).read(&mut [0; 10]).unwrap(), 3);
            assert_eq!((&a).read(&mut [0; 10]).unwrap(), 0);
        }
    });
}

#[test]
fn a_read_that_stops_at_urgent_data_is_followed_by_the_rest() {
    everywhere(|_| {
        let (a, b) = tcp_pair();
        a.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert_eq!((&a).read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::TimedOut);
        a.set_read_timeout(Some(crew::PATIENCE)).unwrap();
        (&b).write_all(b"before").unwrap();
        socket2::SockRef::from(&b).send_out_of_band(b"!").unwrap();
        (&b).write_all(b"after").unwrap();
        pirn_runtime::sleep(SOON);
        let mut text = Vec::new();
        while text.len() < 11 {
            let mut buf = [0; 100];
            let length = (&a).read(&mut buf).unwrap();
            text.extend_from_slice(&buf[..length]);
        }
        assert_eq!(text, b"beforeafter");
    });
}

#[test]
fn dumps_say_what_is_waited_for() {
    let house = runtime(1);
    let (a, b) = tcp_pair();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let expected = [
        format!("IO wait, fd {}, tcp {}", a.as_raw_fd(), a.peer_addr().unwrap()),
        format!("IO wait, fd {}, tcp {}", listener.as_raw_fd(), listener.local_addr().unwrap()),
    ];
    let listener = Arc::new(listener);
    let accepting = listener.clone();
    let gs = [
        house.go(move || assert_eq!((&a).read(&mut [0]).unwrap(), 0)),
        house.go(move || drop(accepting.accept().unwrap_err())),
    ];
    for expected in expected {
        eventually(&expected, || house.goroutines().iter().any(|g| g.to_string().contains(&expected)));
    }
    drop(b);
    listener.close();
    gs.into_iter().for_each(|g| g.join().unwrap());
}

/// The kernel watches what a descriptor stands for until its last clone is closed. The number of the descriptor is another
/// one's by then.
#[test]
fn a_clone_that_is_closed_is_watched_no_more() {
    everywhere(|_| {
        let (a, b) = tcp_pair();
        a.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        for round in 0_u8..20 {
            let clone = a.try_clone().unwrap();
            assert_eq!((&clone).read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
            drop(clone);
            // Most often one of them has the number; other tests open descriptors too.
            let other = a.try_clone().unwrap();
            let (c, d) = UnixDatagram::pair().unwrap();
            (&b).write_all(&[round]).unwrap();
            let mut buf = [0];
            other.set_read_timeout(Some(crew::PATIENCE)).unwrap();
            (&other).read_exact(&mut buf).unwrap();
            assert_eq!(buf, [round]);
            c.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            assert_eq!(c.recv(&mut buf).unwrap_err().kind(), ErrorKind::TimedOut);
            d.send(&[round + 1]).unwrap();
            c.set_read_timeout(Some(crew::PATIENCE)).unwrap();
            assert_eq!((c.recv(&mut buf).unwrap(), buf), (1, [round + 1]));
            a.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        }
    });
}
