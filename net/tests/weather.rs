//! Bad weather: peers that reset, half-close or never read, full queues, no descriptors, listeners that are closed, and
//! runtimes that end.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;
mod pairs;

use crew::common::{builder, child_case, descriptors, eventually, house, limit_descriptors, subprocess};
use crew::everywhere;
use pairs::{name, tcp_pair};
use pirn_net::os::unix::net::{UnixListener, UnixStream};
use pirn_net::{ListenOptions, TcpListener, TcpStream, UdpSocket};
use pirn_runtime::ShutDown;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(30);

#[test]
fn a_peer_resets() {
    everywhere(|kind| {
        let (a, b) = tcp_pair();
        let reader = kind.go(move || {
            let read = (&a).read(&mut [0; 10]).unwrap_err().kind();
            (read, a)
        });
        pirn_runtime::sleep(SOON);
        b.set_linger(Some(Duration::ZERO)).unwrap();
        drop(b);
        let (kind, a) = reader.join();
        assert_eq!(kind, ErrorKind::ConnectionReset);
        assert_eq!((&a).write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_peer_half_closes() {
    everywhere(|kind| {
        let (a, b) = tcp_pair();
        let answer = kind.go(move || {
            let mut question = String::new();
            (&b).read_to_string(&mut question).unwrap();
            // It still reads.
            (&b).write_all(question.to_uppercase().as_bytes()).unwrap();
        });
        (&a).write_all(b"hello").unwrap();
        a.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&a).write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut text = String::new();
        (&a).read_to_string(&mut text).unwrap();
        assert_eq!(text, "HELLO");
        answer.join();
    });
}

#[test]
fn a_peer_never_reads() {
    everywhere(|kind| {
        let (a, b) = tcp_pair();
        a.set_write_timeout(Some(SOON)).unwrap();
        let full = loop {
            if let Err(error) = (&a).write(&[0; 1 << 16]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::TimedOut);
        a.set_write_timeout(None).unwrap();
        // A shutdown by somebody else ends the wait.
        let a = Arc::new(a);
        let writer = {
            let a = a.clone();
            // The system may have made more room meanwhile.
            kind.go(move || {
                loop {
                    if let Err(error) = (&*a).write(&[0; 1 << 16]) {
                        break error.kind();
                    }
                }
            })
        };
        pirn_runtime::sleep(SOON);
        a.shutdown(Shutdown::Both).unwrap();
        assert_eq!(writer.join(), ErrorKind::BrokenPipe);
        drop(b);
    });
}

#[test]
fn the_queue_of_a_listener_is_full() {
    everywhere(|_| {
        let listener = ListenOptions::new().backlog(0).bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let began = Instant::now();
        let mut waiting = Vec::new();
        let full = loop {
            match TcpStream::connect_timeout(&address, SOON * 5) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 10, "the queue has no end");
        };
        assert_eq!(full.kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= SOON * 5);
        // Those in the queue are connected.
        (&listener.accept().unwrap().0).write_all(b"x").unwrap();
        assert_eq!((&waiting[0]).read(&mut [0; 10]).unwrap(), 1);
    });
}

#[test]
fn the_queue_of_a_unix_listener_is_full() {
    everywhere(|kind| {
        let address = name();
        let listener = UnixListener::bind_addr(&address).unwrap();
        // A second `listen` sets the length.
        socket2::SockRef::from(&listener).listen(0).unwrap();
        // One is in the queue, and the others wait.
        let clients: Vec<_> = (0..5)
            .map(|_| {
                let address = address.clone();
                kind.go(move || UnixStream::connect_addr(&address).unwrap())
            })
            .collect();
        pirn_runtime::sleep(SOON);
        (0..5).for_each(|_| drop(listener.accept().unwrap()));
        clients.into_iter().for_each(|client| drop(client.join()));
    });
}

#[test]
fn a_listener_is_closed_while_others_accept() {
    everywhere(|kind| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let clone = Arc::new(listener.try_clone().unwrap());
        let accepting: Vec<_> = [&listener, &clone, &listener, &clone]
            .into_iter()
            .map(|listener| {
                let listener = listener.clone();
                kind.go(move || listener.accept().unwrap_err().kind())
            })
            .collect();
        let iterating: Vec<_> = [&listener, &clone]
            .into_iter()
            .map(|listener| {
                let listener = listener.clone();
                kind.go(move || listener.incoming().count())
            })
            .collect();
        pirn_runtime::sleep(SOON);
        listener.close();
        listener.close();
        accepting.into_iter().for_each(|accept| assert_eq!(accept.join(), ErrorKind::NotConnected));
        iterating.into_iter().for_each(|iterate| assert_eq!(iterate.join(), 0));
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        drop((listener, clone));
        TcpListener::bind(address).unwrap();
    });
}

#[test]
fn a_unix_listener_is_closed_while_others_accept() {
    everywhere(|kind| {
        let address = name();
        let listener = Arc::new(UnixListener::bind_addr(&address).unwrap());
        let clone = listener.try_clone().unwrap();
        let accepting = {
            let listener = listener.clone();
            kind.go(move || listener.accept().unwrap_err().kind())
        };
        let iterating = kind.go(move || clone.incoming().count());
        pirn_runtime::sleep(SOON);
        listener.close();
        assert_eq!(accepting.join(), ErrorKind::NotConnected);
        assert_eq!(iterating.join(), 0);
        assert_eq!(UnixStream::connect_addr(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn nobody_listens_at_a_udp_port() {
    everywhere(|kind| {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        a.connect(b.local_addr().unwrap()).unwrap();
        let a = Arc::new(a);
        let reader = {
            let a = a.clone();
            kind.go(move || a.recv(&mut [0]).unwrap_err().kind())
        };
        pirn_runtime::sleep(SOON);
        drop(b);
        // The answer of the system ends the wait.
        a.send(b"x").unwrap();
        assert_eq!(reader.join(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn an_accept_has_a_deadline() {
    everywhere(|_| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_deadline(Some(Instant::now() + SOON));
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::TimedOut);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::TimedOut);
        listener.set_deadline(None);
        assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
    });
}

#[test]
fn an_accept_waits_for_a_descriptor() {
    if child_case("an_accept_waits_for_a_descriptor").is_none() {
        let ended = subprocess("an_accept_waits_for_a_descriptor", "run", &[]);
        ended.expect_success().expect_says("a connection cannot be accepted");
        // Once is enough.
        assert_eq!(ended.stderr.matches("a connection cannot be accepted").count(), 1);
        return;
    }
    house(builder().procs(2)).run(|| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        // What the runtime opens for the first wait is there.
        listener.set_deadline(Some(Instant::now() + SOON));
        listener.accept().unwrap_err();
        listener.set_deadline(None);
        let client = TcpStream::connect(address).unwrap();
        limit_descriptors(3);
        let accepting = {
            let listener = listener.clone();
            pirn_runtime::go(move || listener.accept().unwrap())
        };
        let cpu = cpu_ms();
        pirn_runtime::sleep(SOON * 20);
        assert!(!accepting.is_finished());
        assert!(cpu_ms() - cpu < 200, "it spins");
        limit_descriptors(4096);
        assert_eq!(accepting.join().unwrap().1, client.local_addr().unwrap());
        // And it ends when it is closed, though there is no descriptor.
        let _client = TcpStream::connect(address).unwrap();
        limit_descriptors(3);
        let accepting = {
            let listener = listener.clone();
            pirn_runtime::go(move || listener.accept().unwrap_err().kind())
        };
        pirn_runtime::sleep(SOON);
        listener.close();
        assert_eq!(accepting.join().unwrap(), ErrorKind::NotConnected);
        limit_descriptors(4096);
    });
}

/// The CPU time of this process.
fn cpu_ms() -> u128 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a record for the answer.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_millis()
}

/// The resident memory of this process.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is said");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn connections_come_and_go_without_growth() {
    const TEST: &str = "connections_come_and_go_without_growth";
    const ROUNDS: usize = 3_000;
    if child_case(TEST).is_none() {
        subprocess(TEST, "run", &[]).expect_success();
        return;
    }
    house(builder().procs(2)).run(|| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let accepting = listener.clone();
        let server = pirn_runtime::go(move || {
            for stream in accepting.incoming() {
                let stream = stream.unwrap();
                pirn_runtime::go(move || std::io::copy(&mut &stream, &mut &stream).unwrap());
            }
        });
        let handle = pirn_runtime::Handle::current().expect("a G");
        let round = || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
        };
        (0..ROUNDS).for_each(|_| round());
        let before = (descriptors(), resident_kib());
        (0..ROUNDS).for_each(|_| round());
        // The last ones are still ending.
        while handle.metrics().descriptors > 1 {
            pirn_runtime::sleep(Duration::from_millis(1));
        }
        // It counts no more a moment before it is closed.
        eventually("no descriptor more is open", || descriptors() <= before.0);
        assert!(resident_kib() < before.1 + 4_000, "{} KiB, {before:?}", resident_kib());
        listener.close();
        server.join().unwrap();
    });
}

#[test]
fn a_runtime_ends_while_its_gs_wait_for_sockets() {
    // With two descriptors each, within the limit of most systems.
    const CONNECTIONS: usize = 4_900;
    if child_case("a_runtime_ends_while_its_gs_wait_for_sockets").is_none() {
        subprocess("a_runtime_ends_while_its_gs_wait_for_sockets", "run", &[]).expect_success();
        return;
    }
    limit_descriptors(10_000);
    let before = descriptors();
    let unwound = Arc::new(AtomicUsize::new(0));
    let house = house(builder().procs(2));
    house.run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..CONNECTIONS {
            let client = TcpStream::connect(address).unwrap();
            let (server, _) = listener.accept().unwrap();
            for stream in [client, server] {
                let unwound = unwound.clone();
                pirn_runtime::go(move || {
                    let wait = std::panic::AssertUnwindSafe(|| (&stream).read(&mut [0]));
                    match std::panic::catch_unwind(wait) {
                        Err(payload) => assert!(payload.is::<ShutDown>()),
                        // The peer was unwound before.
                        Ok(read) => assert!(matches!(read, Ok(0)), "nobody writes: {read:?}"),
                    }
                    unwound.fetch_add(1, Ordering::Relaxed);
                });
            }
        }
        pirn_runtime::go(move || listener.accept().map(drop));
        let handle = pirn_runtime::Handle::current().expect("a G");
        while handle.metrics().io_waiters < CONNECTIONS * 2 + 1 {
            pirn_runtime::sleep(Duration::from_millis(1));
        }
    });
    house.close();
    assert_eq!(unwound.load(Ordering::Relaxed), CONNECTIONS * 2);
    // No descriptor is left; not the runtime's own either.
    eventually("all descriptors are closed", || descriptors() == before);
}
