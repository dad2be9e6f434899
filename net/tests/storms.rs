//! Bad weather for a whole process, which each case has for itself: system calls that a filter refuses, no descriptors, and
//! signals all the time; descriptors that are closed behind one's back; the end of a runtime that others use.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;
mod filter;
mod pairs;

use crew::common::{
    Ended, builder, child_case, descriptors, eventually, house, limit_descriptors, runtime, subprocess,
};
use crew::{Kind, everywhere};
use filter::refuse;
use pairs::tcp_pair;
use pirn_net::os::unix::net::UnixStream;
use pirn_net::process::CommandExt;
use pirn_net::{ListenOptions, Poll, TcpListener, TcpStream, UdpSocket, lookup_host};
use pirn_runtime::{Handle, ShutDown, go, sleep};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(30);

/// Runs a case in a process of its own.
fn alone(test: &str, body: impl FnOnce()) -> Option<Ended> {
    if child_case(test).is_some() {
        body();
        return None;
    }
    let ended = subprocess(test, "run", &[]);
    ended.expect_success();
    Some(ended)
}

/// Talks for a while, with and without timeouts, and with all that waits.
fn talk() {
    let (mut a, mut b) = tcp_pair();
    let echo = go(move || {
        let mut buf = [0; 5];
        for _ in 0..100 {
            b.read_exact(&mut buf).expect("it is written");
            b.write_all(&buf).expect("it is read");
        }
    });
    a.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    for nth in 0..100 {
        if nth % 10 == 0 {
            sleep(Duration::from_millis(1));
        }
        a.write_all(b"hello").expect("it is read");
        a.read_exact(&mut [0; 5]).expect("an echo");
    }
    echo.join().expect("it does not panic");
    a.set_read_timeout(Some(SOON)).expect("a timeout");
    assert_eq!(a.read(&mut [0]).expect("the end, as the echo has ended"), 0);
    let (a, _b) = tcp_pair();
    a.set_read_timeout(Some(SOON)).expect("a timeout");
    let began = Instant::now();
    assert_eq!((&a).read(&mut [0]).expect_err("nothing comes").kind(), ErrorKind::TimedOut);
    assert!(began.elapsed() >= SOON);
}

#[test]
fn a_kernel_without_epoll_pwait2_waits_in_milliseconds() {
    _ = alone("a_kernel_without_epoll_pwait2_waits_in_milliseconds", || {
        refuse(&[libc::SYS_epoll_pwait2], libc::ENOSYS);
        for procs in [1, 2] {
            let house = runtime(procs);
            house.run(talk);
            house.close();
        }
    });
}

#[test]
fn a_filter_that_refuses_epoll_pwait2_does_no_harm() {
    _ = alone("a_filter_that_refuses_epoll_pwait2_does_no_harm", || {
        refuse(&[libc::SYS_epoll_pwait2], libc::EPERM);
        runtime(2).run(talk);
    });
}

/// Gs cannot wait, and say why; threads can, and what need not wait works.
fn without_epoll(refused: &[libc::c_long], errno: i32) {
    refuse(refused, errno);
    let house = runtime(2);
    house.run(|| {
        let (a, b) = tcp_pair();
        let refused = (&a).read(&mut [0]).expect_err("there is no epoll");
        assert!(refused.to_string().contains("the runtime gets no epoll"), "{refused}");
        assert_eq!(refused.kind(), io::Error::from_raw_os_error(errno).kind());
        (&b).write_all(b"x").expect("there is room");
        assert_eq!((&a).read(&mut [0]).expect("there is something"), 1);
        // The next one too: nothing is left half made.
        assert!((&a).read(&mut [0]).is_err());
        // A thread asks the kernel itself.
        let reader = thread::spawn(move || (&a).read(&mut [0]).expect("it waits"));
        sleep(SOON);
        (&b).write_all(b"x").expect("there is room");
        assert_eq!(Kind::Thread.go(move || reader.join().expect("it does not panic")).join(), 1);
        sleep(Duration::from_millis(1));
    });
    house.close();
}

#[test]
fn without_epoll_create_a_wait_says_so() {
    _ = alone("without_epoll_create_a_wait_says_so", || without_epoll(&[libc::SYS_epoll_create1], libc::EPERM));
}

#[test]
fn without_epoll_ctl_a_wait_says_so() {
    _ = alone("without_epoll_ctl_a_wait_says_so", || without_epoll(&[libc::SYS_epoll_ctl], libc::EPERM));
}

#[test]
fn without_eventfd_a_wait_says_so() {
    _ = alone("without_eventfd_a_wait_says_so", || without_epoll(&[libc::SYS_eventfd2], libc::ENOSYS));
}

#[test]
fn without_a_wait_of_epoll_a_wait_says_so() {
    let waits = [libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2];
    _ = alone("without_a_wait_of_epoll_a_wait_says_so", || without_epoll(&waits, libc::EPERM));
}

#[test]
fn the_system_has_no_file_left() {
    let ended = alone("the_system_has_no_file_left", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _client = net::TcpStream::connect(address).unwrap();
        // As if others had taken all (ENFILE): for sockets, whether they are made or accepted.
        refuse(&[libc::SYS_accept4, libc::SYS_socket], libc::ENFILE);
        let house = runtime(2);
        house.run(|| {
            let listener = Arc::new(listener);
            let accepting = {
                let listener = listener.clone();
                go(move || listener.accept().unwrap_err().kind())
            };
            for refused in [
                TcpStream::connect(address).map(drop),
                TcpStream::connect(&[address, address][..]).map(drop),
                UdpSocket::bind("127.0.0.1:0").map(drop),
                TcpListener::bind("127.0.0.1:0").map(drop),
            ] {
                assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::ENFILE));
            }
            sleep(SOON * 3);
            assert!(!accepting.is_finished(), "it waits");
            listener.set_deadline(Some(Instant::now()));
            assert_eq!(accepting.join().unwrap(), ErrorKind::TimedOut);
            listener.close();
            assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::NotConnected);
        });
        house.close();
    });
    if let Some(ended) = ended {
        assert_eq!(ended.stderr.matches("a connection cannot be accepted").count(), 1, "{ended:#?}");
    }
}

#[test]
fn descriptors_run_out_in_the_middle_of_connects() {
    _ = alone("descriptors_run_out_in_the_middle_of_connects", || {
        let house = house(builder().procs(2));
        house.run(|| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let address = listener.local_addr().unwrap();
            let accepting = listener.clone();
            // What it accepts ends at once, so clients and server share what there is.
            let server = go(move || accepting.incoming().for_each(|stream| drop(stream.unwrap())));
            drop(TcpStream::connect(address).unwrap());
            // Enough for some of the hundred clients.
            limit_descriptors(descriptors() as u64 + 20);
            for _ in 0..5 {
                let (refused, connected) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                let clients: Vec<_> = (0..100)
                    .map(|_| {
                        let (refused, connected) = (refused.clone(), connected.clone());
                        go(move || match TcpStream::connect(&[address, address][..]) {
                            Ok(stream) => {
                                connected.fetch_add(1, Ordering::Relaxed);
                                sleep(SOON);
                                drop(stream);
                            }
                            Err(error) => {
                                assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                        })
                    })
                    .collect();
                clients.into_iter().for_each(|client| client.join().unwrap());
                assert!(refused.load(Ordering::Relaxed) > 0 && connected.load(Ordering::Relaxed) > 0);
            }
            // Afterwards all is as before.
            eventually("what is needed can be had again", || TcpStream::connect(address).is_ok());
            limit_descriptors(1_000);
            listener.close();
            server.join().unwrap();
        });
        house.close();
    });
}

// -------------------------------------------------------------------------------------------------- descriptors

#[test]
fn a_descriptor_that_is_closed_behind_ones_back_wakes_nobody() {
    // What happens with a descriptor that unsafe code closes is what the docs of `Poll` say.
    _ = alone("a_descriptor_that_is_closed_behind_ones_back_wakes_nobody", || {
        everywhere(|kind| {
            let (a, b) = net_pair();
            let fd = as_number(a, HIGH);
            assert_eq!(fd, HIGH);
            // SAFETY: it is open now. What follows is what one must not do.
            let poll = Arc::new(Poll::new(unsafe { BorrowedFd::borrow_raw(fd) }).unwrap());
            let waiter = {
                let poll = poll.clone();
                kind.go(move || poll.readable().unwrap_err().kind())
            };
            sleep(SOON);
            // SAFETY: see above.
            assert_eq!(unsafe { libc::close(fd) }, 0);
            // The kernel wakes a thread that polls when the other end closes, and tells it if the number is closed then.
            let b = (kind == Kind::Thread).then_some(b);
            // The number goes to others, for which another waits.
            let (c, d) = net_pair();
            assert_eq!(as_number(c, HIGH), HIGH);
            // SAFETY: it is open, and nobody's.
            let mut c = unsafe { std::os::unix::net::UnixStream::from_raw_fd(HIGH) };
            let d = UnixStream::from(d);
            let other = kind.go(move || (&d).read(&mut [0; 10]).unwrap());
            sleep(SOON);
            c.write_all(b"hello").unwrap();
            assert_eq!(other.join(), 5);
            let c = UnixStream::from(c);
            c.set_read_timeout(Some(SOON)).unwrap();
            assert!((&c).read(&mut [0; 10]).is_ok_and(|length| length == 0));
            // A deadline ends the wait, or the end of its use.
            poll.close();
            drop(b);
            assert_eq!(waiter.join(), ErrorKind::NotConnected);
            let waiter = {
                let poll = poll.clone();
                kind.go(move || poll.readable().unwrap_err().kind())
            };
            assert_eq!(waiter.join(), ErrorKind::NotConnected);
        });
    });
}

/// A number that nobody else in the process is given.
const HIGH: RawFd = 500;

/// Moves a descriptor to the first number that is free from there on.
fn as_number(socket: std::os::unix::net::UnixStream, least: RawFd) -> RawFd {
    // SAFETY: it makes a descriptor, which is the caller's.
    unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) }
}

fn net_pair() -> (std::os::unix::net::UnixStream, std::os::unix::net::UnixStream) {
    std::os::unix::net::UnixStream::pair().expect("two descriptors")
}

// ------------------------------------------------------------------------------------------------------ signals

extern "C" fn nothing(_: libc::c_int) {}

/// Sends a signal to each thread of the process again and again, one that does not restart system calls.
fn storm(is_over: &Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    // SAFETY: nought is valid for all its fields: no flags but that, an empty set.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(_) as usize;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: it does nothing, which may be done at any time.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }, 0);
    let is_over = is_over.clone();
    thread::spawn(move || {
        let mut count = 0;
        while !is_over.load(Ordering::Relaxed) {
            for task in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
                let thread: i64 = task.file_name().to_string_lossy().parse().expect("a number");
                // SAFETY: numbers go in. The thread may have ended.
                unsafe { libc::syscall(libc::SYS_tgkill, i64::from(std::process::id()), thread, libc::SIGUSR1) };
                count += 1;
            }
            thread::sleep(Duration::from_micros(50));
        }
        count
    })
}

#[test]
fn signals_interrupt_nothing() {
    _ = alone("signals_interrupt_nothing", || {
        let is_over = Arc::new(AtomicBool::new(false));
        let storm = storm(&is_over);
        let house = runtime(2);
        let end = Instant::now() + Duration::from_secs(2);
        house.run(move || {
            // Connects that wait in vain, as many as can be.
            let silent = ListenOptions::new().backlog(0).bind("127.0.0.1:0").unwrap();
            let address = silent.local_addr().unwrap();
            let moment = Duration::from_micros(100);
            let mut waiting = Vec::new();
            let connecting = go(move || {
                while Instant::now() < end {
                    match TcpStream::connect_timeout(&address, moment) {
                        Ok(stream) => waiting.push(stream),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
                    }
                }
            });
            let workers: Vec<_> = [Kind::G, Kind::Thread, Kind::G, Kind::Thread]
                .into_iter()
                .map(|kind| {
                    kind.go(move || {
                        while Instant::now() < end {
                            in_a_storm(kind);
                        }
                    })
                })
                .collect();
            workers.into_iter().for_each(|worker| worker.join());
            connecting.join().unwrap();
        });
        house.close();
        is_over.store(true, Ordering::Relaxed);
        assert!(storm.join().unwrap() > 1_000);
    });
}

/// All that waits, once.
fn in_a_storm(kind: Kind) {
    let (mut a, mut b) = tcp_pair();
    let big = vec![7; 300_000];
    let echo = match kind {
        Kind::G => kind.go(move || _ = io::copy(&mut &b, &mut &b).expect("it is read")),
        _ => kind.go(move || {
            let mut all = vec![0; 300_000];
            b.read_exact(&mut all).expect("it is written");
            b.write_all(&all).expect("it is read");
        }),
    };
    let mut writer = a.try_clone().expect("a descriptor");
    let sending = kind.go(move || writer.write_all(&big).expect("it is read"));
    let mut back = vec![0; 300_000];
    a.readable().expect("it comes");
    a.read_exact(&mut back).expect("an echo");
    sending.join();
    a.shutdown(net::Shutdown::Both).expect("it is connected");
    echo.join();
    // An accept, a connect that races, a datagram, a timeout, a name, a child.
    let listener = TcpListener::bind("localhost:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    let connecting = kind.go(move || {
        sleep(Duration::from_millis(1));
        TcpStream::connect(&[refusing(address), address][..]).expect("it listens")
    });
    listener.accept().expect("it comes");
    drop(connecting.join());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_millis(2))).expect("a timeout");
    assert_eq!(socket.recv(&mut [0]).expect_err("nothing comes").kind(), ErrorKind::TimedOut);
    assert!(lookup_host("localhost:1").expect("it is known").count() > 0);
    assert!(Command::new("true").status_g().expect("it starts").success());
}

/// Another address of the same family, at which nobody listens.
fn refusing(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 1)
}

// ------------------------------------------------------------------------------------------------------- ends

#[test]
fn a_runtime_ends_while_threads_wait_on_its_sockets() {
    let house = runtime(2);
    let (a, b) = tcp_pair();
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let (a, b) = (Arc::new(a), Arc::new(b));
    // A G of it has waited for each first, so both are at its epoll.
    house.run({
        let (a, listener) = (a.clone(), listener.clone());
        move || {
            for wait in [go(move || drop((&*a).read(&mut [0]))), go(move || drop(listener.accept()))] {
                drop(wait);
            }
            let handle = Handle::current().unwrap();
            while handle.metrics().io_waiters < 2 {
                sleep(Duration::from_millis(1));
            }
        }
    });
    let other = runtime(2);
    let waiting: Vec<_> = [None, Some(&other)]
        .into_iter()
        .map(|other| {
            let (a, listener) = (a.clone(), listener.clone());
            let read = move || (&*a).read(&mut [0]).unwrap();
            let accept = move || drop(listener.accept().unwrap());
            match other {
                None => {
                    let (read, accept) = (thread::spawn(read), thread::spawn(accept));
                    Box::new(move || (read.join().unwrap(), accept.join().unwrap())) as Box<dyn FnOnce() -> (usize, ())>
                }
                Some(other) => {
                    let (read, accept) = (other.go(read), other.go(accept));
                    Box::new(move || (read.join().unwrap(), accept.join().unwrap()))
                }
            }
        })
        .collect();
    thread::sleep(SOON);
    house.close();
    thread::sleep(SOON);
    (&*b).write_all(b"xy").unwrap();
    let _clients = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    waiting.into_iter().for_each(|wait| assert_eq!(wait().0, 1));
    other.close();
}

/// As many as the parent has opened to it.
const CONNECTIONS: usize = 10_000;

#[test]
fn a_runtime_ends_with_ten_thousand_connections() {
    const TEST: &str = "a_runtime_ends_with_ten_thousand_connections";
    if let Some(port) = child_case(TEST) {
        return serve_ten_thousand(port.parse().unwrap());
    }
    limit_descriptors(CONNECTIONS as u64 + 500);
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The child connects, so that each process has one end of each.
    let accepting = thread::spawn(move || (0..CONNECTIONS).map(|_| listener.accept().unwrap().0).collect::<Vec<_>>());
    subprocess(TEST, &port.to_string(), &[]).expect_success();
    // Each was closed in order.
    for mut stream in accepting.join().unwrap() {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

fn serve_ten_thousand(port: u16) {
    limit_descriptors(CONNECTIONS as u64 + 500);
    let before = descriptors();
    let unwound = Arc::new(AtomicUsize::new(0));
    let house = house(builder().procs(2));
    house.run(|| {
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(("127.0.0.1", port)).expect("the parent listens");
            let unwound = unwound.clone();
            go(move || {
                let wait = std::panic::AssertUnwindSafe(|| (&stream).read(&mut [0]));
                let payload = std::panic::catch_unwind(wait).expect_err("nobody writes");
                assert!(payload.is::<ShutDown>());
                unwound.fetch_add(1, Ordering::Relaxed);
            });
        }
        let handle = Handle::current().expect("a G");
        while handle.metrics().io_waiters < CONNECTIONS {
            sleep(Duration::from_millis(1));
        }
        assert_eq!(handle.metrics().descriptors, CONNECTIONS);
    });
    house.close();
    assert_eq!(unwound.load(Ordering::Relaxed), CONNECTIONS);
    eventually("all descriptors are closed", || descriptors() == before);
    assert_eq!(pirn_runtime::internal::descriptor_records(), 0);
}
