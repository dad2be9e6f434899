//! Sockets and pipes of std, unmodified, on Gs.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{eventually, isolated, shown_waiting};
use pirn_hook as _;
use pirn_runtime::{JoinHandle, Runtime, go, yield_now};
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(30);

/// How many threads the process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("it listens");
    (client, listener.accept().expect("it is connected").0)
}

fn join_all<T>(gs: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    gs.into_iter().map(|g| g.join().expect("it has not panicked")).collect()
}

fn reasons(rt: &Runtime) -> Vec<&'static str> {
    rt.handle().goroutines().iter().filter_map(|g| g.wait_reason).collect()
}

#[test]
fn a_thousand_connections_on_few_threads() {
    const CONNECTIONS: usize = 1_000;
    const MESSAGES: usize = 5;
    let rt = isolated(2);
    let before = threads();
    let most = rt.run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // std asks for a queue of 128. When that is full the kernel drops connections, which are tried again after a second,
        // and answers by SYN cookies: then a late copy of a packet is accepted as one more connection of a client that has
        // gone, so a server that counts its connections ends too early.
        // SAFETY: it lengthens the queue of a listener of ours.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), CONNECTIONS as i32) }, 0);
        let address = listener.local_addr().unwrap();
        let server = go(move || {
            let serve = |mut stream: TcpStream| {
                let mut buf = [0; 64];
                while let Ok(len @ 1..) = stream.read(&mut buf) {
                    stream.write_all(&buf[..len]).unwrap();
                }
            };
            join_all((0..CONNECTIONS).map(|_| {
                let (stream, _) = listener.accept().unwrap();
                go(move || serve(stream))
            }));
        });
        let most = Arc::new(AtomicUsize::new(0));
        let clients = (0..CONNECTIONS).map(|nth| {
            let most = most.clone();
            go(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                for message in 0..MESSAGES {
                    let sent = [(nth + message) as u8; 64];
                    stream.write_all(&sent).unwrap();
                    let mut got = [0; 64];
                    stream.read_exact(&mut got).unwrap();
                    assert_eq!(got, sent);
                }
                if nth % 100 == 0 {
                    most.fetch_max(threads(), Ordering::Relaxed);
                }
            })
        });
        join_all(clients.collect::<Vec<_>>());
        server.join().unwrap();
        most.load(Ordering::Relaxed)
    });
    // Others of this test program run at the same time.
    assert!(most <= before + 2 + 8 + 20, "{most} threads, and {before} before");
}

#[test]
fn both_directions_of_one_socket_at_once() {
    const BYTES: usize = 3_000_000;
    isolated(2).run(|| {
        let (a, b) = tcp_pair();
        let (a, b) = (Arc::new(a), Arc::new(b));
        let half = |stream: Arc<TcpStream>, seed: u8| {
            let reader = stream.clone();
            let write = go(move || {
                let text = vec![seed; BYTES];
                (&*stream).write_all(&text).unwrap();
            });
            let read = go(move || {
                let mut buf = vec![0; BYTES];
                (&*reader).read_exact(&mut buf).unwrap();
                buf
            });
            (write, read)
        };
        let ((write_a, read_a), (write_b, read_b)) = (half(a, 1), half(b, 2));
        assert!(read_a.join().unwrap().iter().all(|byte| *byte == 2));
        assert!(read_b.join().unwrap().iter().all(|byte| *byte == 1));
        join_all([write_a, write_b]);
    });
}

#[test]
fn many_accept_from_one_listener() {
    let rt = isolated(2);
    let before = threads();
    rt.run(|| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let accepts: Vec<_> = (0..200)
            .map(|_| {
                let listener = listener.clone();
                go(move || drop(listener.accept().unwrap()))
            })
            .collect();
        for _ in 0..200 {
            drop(TcpStream::connect(address).unwrap());
            yield_now();
        }
        assert!(threads() <= before + 2 + 8 + 20, "{} threads, and {before} before", threads());
        join_all(accepts);
    });
}

#[test]
fn pipes_carry_more_than_they_hold() {
    const BYTES: usize = 500_000;
    isolated(2).run(|| {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let read = go(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).unwrap();
            text
        });
        let text: Vec<u8> = (0..BYTES).map(|nth| (nth % 251) as u8).collect();
        writer.write_all(&text).unwrap();
        let (head, tail) = text.split_at(100_000);
        let mut sent = 0;
        while sent < BYTES {
            // What std writes of several buffers at once may be a part.
            let rest = [IoSlice::new(&head[sent.min(100_000)..]), IoSlice::new(&tail[sent.saturating_sub(100_000)..])];
            sent += writer.write_vectored(&rest).unwrap();
        }
        drop(writer);
        let got = read.join().unwrap();
        assert!(got[..BYTES] == text && got[BYTES..] == text);
    });
}

#[test]
fn several_buffers_at_once() {
    isolated(2).run(|| {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        let long = vec![7; 1_000_000];
        let write = go(move || {
            let parts = [IoSlice::new(b"begin"), IoSlice::new(&long), IoSlice::new(b"end")];
            // A blocking write of a stream writes all.
            assert_eq!(a.write_vectored(&parts).unwrap(), 1_000_008);
        });
        let (mut head, mut rest) = ([0; 5], vec![0; 1_000_003]);
        let got = b.read_vectored(&mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut rest)]).unwrap();
        b.read_exact(&mut rest[got - 5..]).unwrap();
        assert!(&head == b"begin" && rest.ends_with(b"\x07end"));
        write.join().unwrap();
    });
}

#[test]
fn datagrams_and_their_timeouts() {
    isolated(1).run(|| {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = a.local_addr().unwrap();
        a.set_read_timeout(Some(SHORT)).unwrap();
        for _ in 0..2 {
            let began = Instant::now();
            let error = a.recv_from(&mut [0; 9]).unwrap_err();
            assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()), "{error}");
            assert!(began.elapsed() >= SHORT);
        }
        a.set_read_timeout(None).unwrap();
        let got = go(move || {
            let mut buf = [0; 9];
            let (len, _) = a.recv_from(&mut buf).unwrap();
            buf[..len].to_vec()
        });
        yield_now();
        b.send_to(b"hello", to).unwrap();
        assert_eq!(got.join().unwrap(), b"hello");
        // Unix datagrams wait for room.
        let (a, b) = UnixDatagram::pair().unwrap();
        let send = go(move || (0..1_000_u32).for_each(|nth| _ = a.send(&nth.to_ne_bytes()).unwrap()));
        for nth in 0..1_000_u32 {
            let mut buf = [0; 4];
            assert_eq!(b.recv(&mut buf).unwrap(), 4);
            assert_eq!(u32::from_ne_bytes(buf), nth);
        }
        send.join().unwrap();
    });
}

#[test]
fn a_write_has_a_timeout() {
    isolated(1).run(|| {
        let (mut a, b) = tcp_pair();
        a.set_write_timeout(Some(SHORT)).unwrap();
        let began = Instant::now();
        let error = loop {
            if let Err(error) = a.write(&[0; 100_000]) {
                break error;
            }
        };
        assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()), "{error}");
        assert!(began.elapsed() >= SHORT);
        drop(b);
        assert!(a.write_all(&[0; 100_000]).is_err());
    });
}

/// A message of one buffer for each.
fn messages(parts: &mut [libc::iovec]) -> Vec<libc::mmsghdr> {
    let message = |part: &mut libc::iovec| {
        // SAFETY: numbers and pointers, for which all zeros are values.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        message
    };
    parts.iter_mut().map(message).collect()
}

fn parts(buffers: &mut [Vec<u8>]) -> Vec<libc::iovec> {
    let part = |buf: &mut Vec<u8>| libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    buffers.iter_mut().map(part).collect()
}

#[test]
fn several_messages_at_once() {
    const COUNT: u32 = 1_500;
    isolated(2).run(|| {
        let (a, b) = UnixDatagram::pair().unwrap();
        let send = go(move || {
            let mut texts: Vec<Vec<u8>> = (0..COUNT).map(|nth| nth.to_ne_bytes().to_vec()).collect();
            let mut parts = parts(&mut texts);
            let mut all = messages(&mut parts);
            // As the kernel: a thousand and 24 at once, though the other end has room for a few.
            // SAFETY: so many messages are there.
            let sent = unsafe { libc::sendmmsg(a.as_raw_fd(), all.as_mut_ptr(), COUNT, 0) };
            assert_eq!(sent, 1_024);
            // SAFETY: as above.
            let sent = unsafe { libc::sendmmsg(a.as_raw_fd(), all[1_024..].as_mut_ptr(), COUNT - 1_024, 0) };
            assert_eq!(sent, COUNT as i32 - 1_024);
        });
        let mut next = 0;
        while next < COUNT {
            let mut bufs = vec![vec![0; 4]; 50];
            let mut parts = parts(&mut bufs);
            let mut all = messages(&mut parts);
            let flags = if next == 0 { libc::MSG_WAITFORONE } else { 0 };
            // SAFETY: so many messages are there.
            let got = unsafe { libc::recvmmsg(b.as_raw_fd(), all.as_mut_ptr(), 50, flags as _, ptr::null_mut()) };
            // Without a flag it waits for all of them.
            assert!(if next == 0 { (1..=50).contains(&got) } else { got == 50.min(COUNT as i32 - next as i32) });
            for (message, buf) in all.iter().zip(&bufs).take(got as usize) {
                assert_eq!((message.msg_len, &buf[..]), (4, &next.to_ne_bytes()[..]));
                next += 1;
            }
            if next + 50 > COUNT {
                break;
            }
        }
        // The rest, which is less than 50.
        for rest in next..COUNT {
            let mut buf = [0; 4];
            assert_eq!(b.recv(&mut buf).unwrap(), 4);
            assert_eq!(buf, rest.to_ne_bytes());
        }
        send.join().unwrap();
        // Of a stream's message a part may go; this waits until all has.
        let (a, mut b) = tcp_pair();
        let send = go(move || {
            let mut texts = vec![vec![1; 3_000_000], vec![2; 3_000_000]];
            let mut parts = parts(&mut texts);
            let mut all = messages(&mut parts);
            // SAFETY: two messages are there.
            assert_eq!(unsafe { libc::sendmmsg(a.as_raw_fd(), all.as_mut_ptr(), 2, 0) }, 2);
            assert_eq!([all[0].msg_len, all[1].msg_len], [3_000_000; 2]);
        });
        let mut got = Vec::new();
        b.read_to_end(&mut got).unwrap();
        assert!(got.len() == 6_000_000 && got[..3_000_000].iter().all(|byte| *byte == 1) && got.ends_with(&[2]));
        send.join().unwrap();
    });
}

#[test]
fn what_the_user_made_non_blocking_stays_so() {
    isolated(1).run(|| {
        let (mut a, mut b) = tcp_pair();
        a.set_nonblocking(true).unwrap();
        assert_eq!(a.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        let full = loop {
            if let Err(error) = a.write(&[0; 100_000]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        // SAFETY: a buffer of so many bytes.
        let got = unsafe { libc::recv(b.as_raw_fd(), [0_u8; 9].as_mut_ptr().cast(), 9, libc::MSG_DONTWAIT) };
        assert!(got > 0);
        b.set_nonblocking(true).unwrap();
        while b.read(&mut [0; 100_000]).is_ok() {}
        // SAFETY: as above.
        let got = unsafe { libc::recv(b.as_raw_fd(), [0_u8; 9].as_mut_ptr().cast(), 9, libc::MSG_DONTWAIT) };
        assert_eq!((got, io::Error::last_os_error().kind()), (-1, ErrorKind::WouldBlock));
    });
}

fn poll(asked: &mut [libc::pollfd], timeout_ms: i32) -> i32 {
    // SAFETY: so many are there.
    unsafe { libc::poll(asked.as_mut_ptr(), asked.len() as u64, timeout_ms) }
}

#[test]
fn a_poll_of_several() {
    isolated(1).run(|| {
        let pairs: Vec<_> = (0..5).map(|_| tcp_pair()).collect();
        let all = |events| pairs.iter().map(move |(a, _)| libc::pollfd { fd: a.as_raw_fd(), events, revents: 0 });
        let mut asked: Vec<_> = all(libc::POLLIN).collect();
        asked.push(libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 });
        let began = Instant::now();
        assert_eq!(poll(&mut asked, 30), 0);
        assert!(began.elapsed() >= SHORT);
        let mut other = pairs[3].1.try_clone().unwrap();
        let write = go(move || other.write_all(b"x").unwrap());
        assert_eq!(poll(&mut asked, -1), 1);
        assert_eq!(asked[3].revents, libc::POLLIN);
        write.join().unwrap();
        let mut writable: Vec<_> = all(libc::POLLIN | libc::POLLOUT).collect();
        assert_eq!(poll(&mut writable, -1), 5);
        // Nothing but the time.
        assert_eq!(poll(&mut [], 5), 0);
        let time = libc::timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        let first = &mut asked[..1];
        // SAFETY: one record, and a time.
        assert_eq!(unsafe { libc::ppoll(first.as_mut_ptr(), 1, &raw const time, ptr::null()) }, 0);
        // What an epoll does not hear of is asked of the kernel.
        first[0].events = 0;
        assert_eq!(poll(first, 5), 0);
    });
}

#[test]
fn a_shutdown_cancels() {
    let rt = isolated(2);
    let cancelled = Arc::new(AtomicUsize::new(0));
    let (listener, (reader, _reader)) = (TcpListener::bind("127.0.0.1:0").unwrap(), tcp_pair());
    let (pipe, _writer) = io::pipe().unwrap();
    // The other one is closed by the first that is cancelled.
    let polled = reader.try_clone().unwrap();
    let mut peeks = [libc::pollfd { fd: polled.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    rt.run(|| {
        let waits: [Box<dyn FnOnce() -> io::Error + Send>; 4] = [
            Box::new(move || listener.accept().unwrap_err()),
            Box::new(move || (&reader).read(&mut [0; 9]).unwrap_err()),
            Box::new(move || (&pipe).read(&mut [0; 9]).unwrap_err()),
            Box::new(move || {
                assert_eq!(poll(&mut peeks, -1), -1);
                io::Error::last_os_error()
            }),
        ];
        for wait in waits {
            let cancelled = cancelled.clone();
            go(move || {
                assert_eq!(wait().raw_os_error(), Some(libc::ECANCELED));
                cancelled.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    eventually("all wait", || {
        let mut reasons = reasons(&rt);
        reasons.sort_unstable();
        reasons == ["accept", "poll", "read", "recv"]
    });
    rt.close();
    assert_eq!(cancelled.load(Ordering::Relaxed), 4);
}

#[test]
fn dumps_say_what_is_waited_for() {
    let rt = isolated(1);
    let (mut reader, mut writer) = tcp_pair();
    let (fd, peer) = (reader.as_raw_fd(), reader.peer_addr().unwrap());
    rt.run(|| drop(go(move || reader.read(&mut [0; 9]).unwrap())));
    let dump = shown_waiting(&rt.handle(), "recv");
    assert!(dump.contains(&format!("[recv, fd {fd}, tcp {peer}")), "{dump}");
    writer.write_all(b"x").unwrap();
    eventually("no G is left", || rt.handle().goroutines().is_empty());
}

#[test]
fn files_are_read_and_written_as_always() {
    isolated(1).run(|| {
        let path = std::env::temp_dir().join(format!("pirn-hook-file-{}", std::process::id()));
        let text: Vec<u8> = (0..200_000).map(|nth| (nth % 253) as u8).collect();
        let mut file = File::create(&path).unwrap();
        assert_eq!(file.write(&text).unwrap(), text.len());
        assert_eq!(file.write_vectored(&[IoSlice::new(&text), IoSlice::new(b"end")]).unwrap(), text.len() + 3);
        let mut buf = vec![0; 500_000];
        let got = File::open(&path).unwrap().read(&mut buf).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(got == 400_003 && buf[..200_000] == text && buf[..got].ends_with(b"end"));
        // SAFETY: a number of no descriptor, which is an error.
        assert_eq!(unsafe { libc::read(-1, buf.as_mut_ptr().cast(), 1) }, -1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EBADF));
    });
}

#[test]
fn errno_is_left_by_what_succeeds() {
    isolated(1).run(|| {
        let (mut a, mut b) = tcp_pair();
        // SAFETY: a number of no descriptor, which is an error.
        assert_eq!(unsafe { libc::read(-1, ptr::null_mut(), 0) }, -1);
        let write = go(move || {
            std::thread::sleep(SHORT);
            a.write_all(b"x").unwrap();
        });
        b.read_exact(&mut [0]).unwrap();
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EBADF));
        write.join().unwrap();
        // What is no socket has been asked as one.
        let (reader, mut writer) = io::pipe().unwrap();
        let calls: [&mut dyn FnMut() -> io::Result<usize>; 4] = [
            &mut || writer.write(b"abc"),
            &mut || (&reader).read(&mut [0; 1]),
            &mut || (&reader).read_vectored(&mut [IoSliceMut::new(&mut [0; 2])]),
            &mut || File::options().write(true).open("/dev/null")?.write_vectored(&[IoSlice::new(b"x")]),
        ];
        for call in calls {
            // SAFETY: as above.
            assert_eq!(unsafe { libc::read(-1, ptr::null_mut(), 0) }, -1);
            assert!(call().unwrap() > 0);
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EBADF));
        }
    });
}

#[test]
fn all_of_a_message_may_be_waited_for() {
    isolated(1).run(|| {
        let (mut a, b) = tcp_pair();
        let write = go(move || {
            for _ in 0..4 {
                a.write_all(b"12345").unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let mut buf = [0_u8; 20];
        // SAFETY: a buffer of so many bytes.
        let got = unsafe { libc::recv(b.as_raw_fd(), buf.as_mut_ptr().cast(), 20, libc::MSG_WAITALL) };
        assert_eq!((got, &buf), (20, b"12345123451234512345"));
        write.join().unwrap();
        // The end comes first.
        // SAFETY: as above.
        assert_eq!(unsafe { libc::recv(b.as_raw_fd(), buf.as_mut_ptr().cast(), 20, libc::MSG_WAITALL) }, 0);
    });
}

#[test]
fn numbers_come_back_in_two_runtimes() {
    let (a, b) = (isolated(1), isolated(1));
    for _ in 0..20 {
        for rt in [&a, &b] {
            rt.run(|| {
                let (mut ours, mut theirs) = tcp_pair();
                let write = go(move || {
                    yield_now();
                    theirs.write_all(b"x").unwrap();
                });
                ours.read_exact(&mut [0]).unwrap();
                write.join().unwrap();
                // Closed behind everybody's back; the number is used again at once.
                let fd = ours.as_raw_fd();
                std::mem::forget(ours);
                // SAFETY: it was forgotten.
                unsafe { libc::syscall(libc::SYS_close, fd) };
            });
        }
    }
    // Two runtimes wait for one.
    let (ours, mut theirs) = tcp_pair();
    let ours = Arc::new(ours);
    for rt in [&a, &b] {
        let ours = ours.clone();
        rt.run(|| drop(go(move || (&*ours).read_exact(&mut [0]).unwrap())));
        shown_waiting(&rt.handle(), "recv");
    }
    theirs.write_all(b"xy").unwrap();
    for rt in [a, b] {
        eventually("no G is left", || rt.handle().goroutines().is_empty());
    }
}

#[test]
fn the_end_of_a_runtime_moves_waits_to_the_other() {
    let (a, b) = (isolated(1), isolated(1));
    let (ours, mut theirs) = tcp_pair();
    let ours = Arc::new(ours);
    for rt in [&a, &b] {
        let ours = ours.clone();
        rt.run(|| drop(go(move || (&*ours).read(&mut [0]).map(drop))));
        shown_waiting(&rt.handle(), "recv");
    }
    a.close();
    theirs.write_all(b"x").unwrap();
    eventually("no G is left", || b.handle().goroutines().is_empty());
}

#[test]
fn sockets_change_between_std_and_pirn() {
    isolated(2).run(|| {
        let (ours, mut theirs) = tcp_pair();
        // Waited for by its number, then by a source of pirn's, and the other way round.
        let mut ours = Some(ours);
        for _ in 0..3 {
            let mut std = ours.take().unwrap();
            let mut other = theirs.try_clone().unwrap();
            let write = go(move || {
                std::thread::sleep(Duration::from_millis(2));
                other.write_all(b"a").unwrap();
                std::thread::sleep(Duration::from_millis(2));
                other.write_all(b"b").unwrap();
            });
            std.read_exact(&mut [0]).unwrap();
            let mut pirn = pirn_net::TcpStream::from(std);
            pirn.read_exact(&mut [0]).unwrap();
            write.join().unwrap();
            ours = Some(TcpStream::from(std::os::fd::OwnedFd::from(pirn)));
            ours.as_ref().unwrap().set_nonblocking(false).unwrap();
        }
        // A poll of what pirn waits for leaves it to pirn.
        let pirn = Arc::new(pirn_net::TcpStream::from(ours.take().unwrap()));
        let reader = pirn.clone();
        let read = go(move || (&*reader).read_exact(&mut [0]).unwrap());
        std::thread::sleep(SHORT);
        let fd = pirn.as_raw_fd();
        let polls = go(move || poll(&mut [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }], 50));
        std::thread::sleep(Duration::from_millis(5));
        theirs.write_all(b"x").unwrap();
        read.join().unwrap();
        polls.join().unwrap();
    });
}

/// Who has waited for the number looks again when a socket of pirn's gets it, which makes it non-blocking.
#[test]
fn a_socket_of_pirns_takes_a_number_that_is_waited_for() {
    let rt = isolated(2);
    let handle = rt.handle();
    rt.run(move || {
        let (ours, mut theirs) = tcp_pair();
        let fd = ours.as_raw_fd();
        let by_number = go(move || {
            // SAFETY: a buffer of one byte.
            let got = unsafe { libc::recv(fd, [0_u8].as_mut_ptr().cast(), 1, 0) };
            if got < 0 { io::Error::last_os_error().raw_os_error() } else { None }
        });
        shown_waiting(&handle, "recv");
        let mut ours = pirn_net::TcpStream::from(ours);
        let reads = go(move || {
            let read = ours.read(&mut [0]).unwrap();
            (read, ours)
        });
        shown_waiting(&handle, "IO wait");
        // One byte for each of them, if both find some.
        theirs.write_all(b"ab").unwrap();
        assert!(matches!(by_number.join().unwrap(), None | Some(libc::EAGAIN)));
        assert_eq!(reads.join().unwrap().0, 1);
    });
}

/// Who waits by the number asks whether a socket of pirn's has it, and then arms it. In between one may come.
#[test]
fn who_waits_by_the_number_takes_no_socket_from_pirn() {
    isolated(2).run(|| {
        let (ours, mut theirs) = tcp_pair();
        let fd = ours.as_raw_fd();
        let over = Arc::new(AtomicBool::new(false));
        let until_over = over.clone();
        let asks = go(move || {
            while !until_over.load(Ordering::Relaxed) {
                poll(&mut [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }], 1);
            }
        });
        let end = Instant::now() + Duration::from_secs(common::stress_secs().div_ceil(2));
        let mut ours = Some(ours);
        while Instant::now() < end {
            let mut pirn = pirn_net::TcpStream::from(ours.take().unwrap());
            let reads = go(move || {
                pirn.read_exact(&mut [0]).unwrap();
                pirn
            });
            yield_now();
            theirs.write_all(b"x").unwrap();
            let began = Instant::now();
            while !reads.is_finished() {
                assert!(began.elapsed() < SHORT * 1_000, "the read has not heard of a byte");
                yield_now();
            }
            let std = TcpStream::from(OwnedFd::from(reads.join().unwrap()));
            std.set_nonblocking(false).unwrap();
            ours = Some(std);
        }
        over.store(true, Ordering::Relaxed);
        asks.join().unwrap();
    });
}

#[test]
fn what_has_no_readiness_is_left_to_libc() {
    isolated(1).run(|| {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut zeros = [1; 8];
        File::open("/dev/zero").unwrap().read_exact(&mut zeros).unwrap();
        assert_eq!(zeros, [0; 8]);
    });
}

#[test]
fn an_error_after_a_part_is_for_the_next_call() {
    fn reset(stream: TcpStream) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let (place, bytes) = ((&raw const linger).cast(), size_of_val(&linger) as _);
        // SAFETY: a value that is there.
        let status = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, place, bytes) };
        assert_eq!(status, 0);
    }
    let rt = isolated(2);
    let handle = rt.handle();
    rt.run(move || {
        let reset_while = |stream, reason| {
            let handle = handle.clone();
            go(move || {
                shown_waiting(&handle, reason);
                reset(stream);
            })
        };
        let (ours, mut theirs) = tcp_pair();
        theirs.write_all(b"abc").unwrap();
        let resets = reset_while(theirs, "recv");
        let mut buf = [0_u8; 6];
        // SAFETY: a buffer of so many bytes.
        let mut receive = || unsafe { libc::recv(ours.as_raw_fd(), buf.as_mut_ptr().cast(), 6, libc::MSG_WAITALL) };
        assert_eq!(receive(), 3);
        assert_eq!(receive(), -1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ECONNRESET));
        resets.join().unwrap();
        // The same of what is sent.
        let (mut ours, theirs) = tcp_pair();
        let resets = reset_while(theirs, "send");
        let sent = ours.write(&vec![1; 64 << 20]).unwrap();
        assert!(0 < sent && sent < 64 << 20);
        assert_eq!(ours.write(&[1]).unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
        resets.join().unwrap();
    });
}

#[test]
fn a_look_at_all_of_a_message_waits_for_all() {
    isolated(2).run(|| {
        let (ours, mut theirs) = tcp_pair();
        theirs.write_all(b"abc").unwrap();
        let later = go(move || {
            sleep(SHORT);
            theirs.write_all(b"def").unwrap();
        });
        let mut buf = [0_u8; 6];
        let flags = libc::MSG_WAITALL | libc::MSG_PEEK;
        // SAFETY: a buffer of so many bytes.
        let got = unsafe { libc::recv(ours.as_raw_fd(), buf.as_mut_ptr().cast(), 6, flags) };
        assert_eq!((got, &buf), (6, b"abcdef"));
        later.join().unwrap();
    });
}
