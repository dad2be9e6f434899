//! What may's tests of sockets hold to be true, written anew for our types. Read at may's commit 51d17e00 (MIT or
//! Apache 2.0): `src/os/unix/net.rs` with 15 tests, and one of a descriptor of the user's, one of a cancelled accept.
//!
//! | may's file | its tests | stand here | do not apply |
//! | --- | --- | --- | --- |
//! | `src/os/unix/net.rs` | 15 | 15 | |
//! | `src/io/sys/unix/co_io.rs` | 1 | 1 | |
//! | `tests/lib.rs` (of sockets) | 1 | 1 | |
//! | all | 17 | 17 | |
//!
//! Those of `net.rs` are std's, which `ci/net-suites` runs too. may has no tests of TCP and UDP. Each test says which ones of
//! may's it stands for.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;
mod pairs;

use crew::common::runtime;
use crew::everywhere;
use pairs::Dir;
use pirn_net::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use pirn_net::{Poll, TcpListener};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// `basic`, `pair`.
#[test]
fn both_ends_talk() {
    everywhere(|kind| {
        let dir = Dir::new();
        let path = dir.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path));
        let server = listener.accept().unwrap().0;
        for (mut one, mut other) in [(client, server), UnixStream::pair().unwrap()] {
            let answers = kind.go(move || {
                let mut buf = [0; 5];
                other.read_exact(&mut buf).unwrap();
                assert_eq!(&buf, b"hello");
                other.write_all(b"world!").unwrap();
            });
            one.write_all(b"hello").unwrap();
            let mut answer = Vec::new();
            one.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, b"world!");
            answers.join();
        }
    });
}

/// `try_clone`.
#[test]
fn a_clone_reads_what_the_first_has_left() {
    everywhere(|kind| {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let writer = kind.go(move || {
            other.write_all(b"hello").unwrap();
            other.write_all(b"world").unwrap();
        });
        let mut clone = one.try_clone().unwrap();
        let mut buf = [0; 5];
        one.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"hello");
        clone.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"world");
        writer.join();
    });
}

/// `iter`.
#[test]
fn connections_are_iterated_over() {
    everywhere(|kind| {
        let dir = Dir::new();
        let path = dir.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = kind.go(move || {
            for stream in listener.incoming().take(2) {
                stream.unwrap().read_exact(&mut [0]).unwrap();
            }
        });
        for _ in 0..2 {
            UnixStream::connect(&path).unwrap().write_all(&[0]).unwrap();
        }
        server.join();
    });
}

/// `long_path`, `abstract_namespace_not_allowed`.
#[test]
fn paths_that_are_none_are_refused() {
    let dir = Dir::new();
    for path in [dir.path(&"asdf".repeat(30)), "\0asdf".into()] {
        for error in [
            UnixStream::connect(&path).unwrap_err(),
            UnixListener::bind(&path).unwrap_err(),
            UnixDatagram::bind(&path).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
}

/// `timeouts`, `test_read_timeout`, `test_read_with_timeout`.
#[test]
fn timeouts_are_kept_and_count() {
    everywhere(|_| {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let long = Duration::from_secs(15_410);
        assert_eq!((one.read_timeout().unwrap(), one.write_timeout().unwrap()), (None, None));
        one.set_read_timeout(Some(long)).unwrap();
        one.set_write_timeout(Some(long)).unwrap();
        assert_eq!((one.read_timeout().unwrap(), one.write_timeout().unwrap()), (Some(long), Some(long)));
        one.set_read_timeout(None).unwrap();
        one.set_write_timeout(None).unwrap();
        assert_eq!((one.read_timeout().unwrap(), one.write_timeout().unwrap()), (None, None));
        one.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(one.read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::TimedOut);
        other.write_all(b"hello world").unwrap();
        let mut buf = [0; 11];
        one.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"hello world");
        assert_eq!(one.read_exact(&mut buf).unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

/// `test_unix_datagram`, `test_unnamed_unix_datagram`, `test_connect_unix_datagram`, `test_unix_datagram_recv`,
/// `datagram_pair`.
#[test]
fn datagrams_have_senders_with_and_without_names() {
    everywhere(|kind| {
        let dir = Dir::new();
        let paths = [dir.path("one"), dir.path("other")];
        let [one, other] = [0, 1].map(|nth| UnixDatagram::bind(&paths[nth]).unwrap());
        let mut buf = [0; 11];
        one.send_to(b"hello world", &paths[1]).unwrap();
        let (length, from) = other.recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..length], from.as_pathname()), (&b"hello world"[..], Some(&*paths[0])));
        let unnamed = UnixDatagram::unbound().unwrap();
        unnamed.send_to(b"hello", &paths[0]).unwrap();
        let (length, from) = one.recv_from(&mut buf).unwrap();
        assert!(length == 5 && from.is_unnamed());
        // Where it is connected to can be changed.
        for (path, socket) in paths.iter().zip([&one, &other]) {
            unnamed.connect(path).unwrap();
            unnamed.send(b"there").unwrap();
            assert_eq!(socket.recv(&mut buf).unwrap(), 5);
        }
        let (one, other) = UnixDatagram::pair().unwrap();
        let answers = kind.go(move || {
            let mut buf = [0; 5];
            other.recv(&mut buf).unwrap();
            assert_eq!(&buf, b"hello");
            other.send(b"world!").unwrap();
        });
        one.send(b"hello").unwrap();
        let length = one.recv(&mut buf).unwrap();
        assert_eq!(&buf[..length], b"world!");
        answers.join();
    });
}

/// `socket_peek`.
#[test]
fn a_datagram_is_peeked_at_as_often_as_one_likes() {
    everywhere(|_| {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut buf = [0; 11];
        other.send(b"hello").unwrap();
        other.send(b"world!").unwrap();
        for text in [&b"hello"[..], b"world!"] {
            for _ in 0..3 {
                let length = one.peek(&mut buf).unwrap();
                assert_eq!(&buf[..length], text);
            }
            assert_eq!(one.recv(&mut buf).unwrap(), text.len());
        }
    });
}

/// `compile_co_io`: a descriptor of the user's own kind.
#[test]
fn a_type_of_the_users_is_polled() {
    struct Source(io::PipeReader);

    impl AsFd for Source {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Source {
        fn next(&self) -> io::Result<u8> {
            let mut byte = [0];
            (&self.0).read_exact(&mut byte)?;
            Ok(byte[0])
        }
    }

    everywhere(|kind| {
        let (reader, mut writer) = io::pipe().unwrap();
        let source = Poll::new(Source(reader)).unwrap();
        let reading = kind.go(move || [(); 3].map(|()| source.read_with(Source::next).unwrap()));
        for byte in 1..=3 {
            pirn_runtime::sleep(Duration::from_millis(2));
            writer.write_all(&[byte]).unwrap();
        }
        assert_eq!(reading.join(), [1, 2, 3]);
    });
}

/// `cancel_io_coroutine`. Nobody cancels a single goroutine here: the end of the runtime unwinds all, and `close` ends one
/// that accepts without unwinding it.
#[test]
fn an_accept_is_unwound() {
    let is_unwound = Arc::new(AtomicBool::new(false));
    let house = runtime(2);
    house.run({
        let is_unwound = is_unwound.clone();
        move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            pirn_runtime::go(move || {
                let accept = std::panic::AssertUnwindSafe(|| listener.incoming().next());
                let payload = std::panic::catch_unwind(accept).unwrap_err();
                is_unwound.store(payload.is::<pirn_runtime::ShutDown>(), Ordering::Relaxed);
            });
            pirn_runtime::sleep(Duration::from_millis(20));
        }
    });
    house.close();
    assert!(is_unwound.load(Ordering::Relaxed));
}
